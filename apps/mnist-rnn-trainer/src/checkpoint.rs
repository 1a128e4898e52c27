//! What a run needs to go on where a killed one stopped.
//!
//! One file, replaced in one step after each epoch: a line with the SHA-256 of the rest, a line of JSON, the weights,
//! and the state of the optimizer.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use burn::optim::ModuleOptimizer;
use burn::tensor::{Bytes, Device};
use mnist_rnn_model::{Classifier, EpochMetrics, StoreError, sha256, write_atomically};
use serde::{Deserialize, Serialize};

/// Everything that decides what a run computes: runs with equal settings give equal models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub program_version: String,
    pub dataset: String,
    pub data_fingerprint: String,
    pub epochs: u32,
    pub batch_size: usize,
    pub hidden_size: usize,
    pub learning_rate: f64,
    pub seed: u64,
}

/// The state between two epochs.
#[derive(Clone)]
pub struct Progress {
    pub classifier: Classifier,
    pub optimizer: ModuleOptimizer,
    /// The epochs that are done.
    pub epochs: Vec<EpochMetrics>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    settings: Settings,
    epochs: Vec<EpochMetrics>,
    weights_bytes: usize,
}

/// What a checkpoint file says.
pub enum Found {
    /// There is none.
    Nothing,
    /// It can be gone on from.
    Progress(Box<Progress>),
    /// It is of no use, for this reason.
    Useless(String),
}

/// Where the checkpoint of an output folder is.
pub fn path(output: &Path) -> PathBuf {
    output.join("checkpoint")
}

/// Replaces the checkpoint.
pub fn save(path: &Path, settings: &Settings, progress: &Progress) -> Result<(), StoreError> {
    let corrupt = |reason: String| StoreError::Corrupt { path: path.to_owned(), reason };
    let weights = progress.classifier.to_bytes().map_err(|error| corrupt(error.to_string()))?;
    let optimizer = progress.optimizer.into_bytes().map_err(|error| corrupt(error.to_string()))?;
    let header = Header { settings: settings.clone(), epochs: progress.epochs.clone(), weights_bytes: weights.len() };
    let mut body = serde_json::to_vec(&header).expect("a header is plain data");
    body.push(b'\n');
    body.extend_from_slice(&weights);
    body.extend_from_slice(&optimizer);
    let mut file = format!("{}\n", sha256(&[&body])).into_bytes();
    file.extend_from_slice(&body);
    write_atomically(path, &file)
}

/// Reads the checkpoint, if it is one of a run with these settings. `fresh` makes an optimizer without a state.
pub fn load(path: &Path, settings: &Settings, device: &Device, fresh: impl Fn() -> ModuleOptimizer) -> Found {
    let file = match fs::read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Found::Nothing,
        Err(error) => return Found::Useless(format!("it cannot be read: {error}")),
    };
    let Some((header, rest)) = open(&file) else { return Found::Useless("it is damaged".to_owned()) };
    if header.settings != *settings {
        return Found::Useless(difference(&header.settings, settings));
    }
    let Some((weights, optimizer)) = rest.split_at_checked(header.weights_bytes) else {
        return Found::Useless("it is damaged".to_owned());
    };
    let classifier = Classifier::from_bytes(weights.to_vec(), settings.hidden_size, device);
    let optimizer = fresh().from_bytes(Bytes::from_bytes_vec(optimizer.to_vec()));
    match (classifier, optimizer) {
        (Ok(classifier), Ok(optimizer)) => {
            Found::Progress(Box::new(Progress { classifier, optimizer, epochs: header.epochs }))
        }
        (Err(error), _) => Found::Useless(error.to_string()),
        (_, Err(error)) => Found::Useless(error.to_string()),
    }
}

/// The header and what follows it, if the checksum is right.
fn open(file: &[u8]) -> Option<(Header, &[u8])> {
    let (sum, body) = split_line(file)?;
    if sum != sha256(&[body]).as_bytes() {
        return None;
    }
    let (header, rest) = split_line(body)?;
    Some((serde_json::from_slice(header).ok()?, rest))
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// The settings that differ, by name.
fn difference(theirs: &Settings, ours: &Settings) -> String {
    let fields = |settings| match serde_json::to_value(settings) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (theirs, ours) = (fields(theirs), fields(ours));
    let changed = ours.iter().filter(|(name, value)| theirs.get(*name) != Some(value));
    let names = changed.map(|(name, _)| name.replace('_', " ")).collect::<Vec<_>>().join(", ");
    format!("it is of a run with another {names}")
}
