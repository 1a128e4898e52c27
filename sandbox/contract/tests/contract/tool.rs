//! The image of the program in the pods, for both sides.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::case::IMAGE;

/// Builds the program into one static file.
fn program() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("contract-tool");
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let done = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--package", "contract-tool", "--target", &target, "--target-dir"])
        .arg(&folder)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .output()
        .expect("cargo can be run");
    assert!(done.status.success(), "contract-tool: {}", String::from_utf8_lossy(&done.stderr));
    folder.join(target).join("release/contract-tool")
}

/// Writes the files of the image to a folder.
fn write_files(folder: &Path) {
    fs::create_dir_all(folder.join("data")).unwrap();
    fs::write(folder.join("data/seed"), "seed of the image\n").unwrap();
    fs::write(folder.join("not-a-program"), "this is text\n").unwrap();
    fs::set_permissions(folder.join("not-a-program"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(program(), folder.join("tool")).unwrap();
}

/// What the image runs when the pod does not say.
const COMMAND: [&str; 4] = ["print", "the image's own command", "+", "sleep"];

/// Builds the image in Docker.
pub fn build_in_docker() {
    let folder = tempfile::tempdir().unwrap();
    write_files(&folder.path().join("files"));
    let recipe = format!(
        "FROM scratch\nCOPY files /\nENV ORIGIN=image\nWORKDIR /data\nENTRYPOINT [\"/tool\"]\nCMD {}\n",
        json!(COMMAND)
    );
    fs::write(folder.path().join("Dockerfile"), recipe).unwrap();
    let done =
        Command::new("docker").args(["build", "--quiet", "--tag", IMAGE, "."]).current_dir(folder.path()).output();
    let done = done.expect("docker can be run");
    assert!(done.status.success(), "docker build: {}", String::from_utf8_lossy(&done.stderr));
}

/// Writes the image where a sandbox finds it: unpacked, with its configuration, and named in the list of references.
pub fn write_for_sandbox(folder: &Path) {
    let configuration = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "ORIGIN=image"],
            "Entrypoint": ["/tool"],
            "Cmd": COMMAND,
            "WorkingDir": "/data",
        },
    });
    let digest = Sha256::digest(configuration.to_string());
    let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let image = folder.join("images").join(&hex);
    write_files(&image.join("rootfs"));
    fs::write(image.join("config.json"), configuration.to_string()).unwrap();
    let references: Value = json!({format!("docker.io/library/{IMAGE}"): hex});
    fs::write(folder.join("images/references.json"), references.to_string()).unwrap();
}
