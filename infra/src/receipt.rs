//! The receipts of what was destroyed, kept beside the deployments: that of each name which holds nothing since then.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::Value;

use crate::report::Problem;
use crate::settings::Settings;

/// Where the receipt of a deployment is, if it was ever destroyed.
pub fn path(settings: &Settings, name: &str) -> PathBuf {
    settings.state.path().join("receipts").join(format!("{name}.json"))
}

/// Keeps a receipt in place of an earlier one.
pub fn keep(settings: &Settings, name: &str, receipt: &Value) -> Result<(), Problem> {
    let path = path(settings, name);
    let mut receipt = receipt.clone();
    receipt["at"] = Timestamp::now().to_string().into();
    let write = || {
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{receipt}")?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|error: io::Error| {
        let text = format!("keep the receipt of {name}: everything is gone, but {} cannot be written", path.display());
        Problem { causes: vec![text, error.to_string()], ..Problem::from(error) }
    })
}

/// Takes the receipt away, if there is one: the name is about to hold something again.
pub fn withdraw(settings: &Settings, name: &str) -> Result<(), Problem> {
    let path = path(settings, name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let text = format!("take away the receipt of an earlier {name}, {}", path.display());
            Err(Problem { causes: vec![text, error.to_string()], ..Problem::from(error) })
        }
        _ => Ok(()),
    }
}

/// When a deployment was destroyed, as a person reads it.
pub fn when(settings: &Settings, name: &str) -> Option<String> {
    let text = fs::read_to_string(path(settings, name)).ok()?;
    let receipt: Value = serde_json::from_str(&text).ok()?;
    let at: Timestamp = receipt["at"].as_str()?.parse().ok()?;
    Some(at.strftime("%Y-%m-%d at %H:%M UTC").to_string())
}
