//! What building images needs: cargo with a target for static programs, or Docker for Dockerfiles.

use std::path::Path;

use images::Libc;
use providers::program::{self, Program};

use super::{Check, Part};
use crate::settings::Settings;

/// Whether cargo is there, and the target that programs are built for.
pub async fn cargo() -> Vec<Check> {
    let version = Program::new("cargo").argument("--version").read().await;
    let text = match version {
        Ok(text) => text,
        Err(error) => {
            let hint = "install Rust (https://rustup.rs), or use `dockerfile:` instead of `cargo:`";
            let detail = match error {
                program::Error::NotFound { .. } => "not installed".to_owned(),
                error => error.to_string(),
            };
            return vec![Check::missing(Part::Images, "cargo", detail).hint(hint.to_owned())];
        }
    };
    let version = text.split_whitespace().nth(1).unwrap_or("there").to_owned();
    vec![Check::ok(Part::Images, "cargo", version), target().await]
}

/// Whether the standard library of the target is installed.
async fn target() -> Check {
    let target = images::target(Libc::default());
    let asked = Program::new("rustc").arguments(["--print", "target-libdir", "--target", &target]).read().await;
    if asked.is_ok_and(|folder| Path::new(folder.trim()).is_dir()) {
        return Check::ok(Part::Images, "cargo target", target);
    }
    let hint = format!("rustup target add {target}");
    Check::missing(Part::Images, "cargo target", format!("{target} is not installed")).hint(hint)
}

/// Whether Dockerfiles can be built.
pub async fn dockerfiles(settings: &Settings) -> Vec<Check> {
    let check = match settings.docker.version().await {
        Ok(_) => Check::ok(Part::Images, "Dockerfiles", "built by Docker"),
        Err(_) => Check::missing(Part::Images, "Dockerfiles", "only Docker builds them")
            .hint("see Docker above, or use `cargo:` instead of `dockerfile:`".to_owned()),
    };
    vec![check]
}
