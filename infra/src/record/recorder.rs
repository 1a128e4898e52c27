//! Writing a record.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use engine::{Event, Inventory, Outcome, Record, Sink};
use jiff::Timestamp;
use serde::Serialize;

use super::kept::{self, folder};
use super::{Begin, Decided, End, Image, Note, OUTPUT_BYTES, VERSION, images};
use crate::report::{Exit, Problem};
use crate::settings::Settings;

/// Writes the record of one run. A clone is another handle on the same one.
///
/// While it lives the file is locked: who reads it sees that its writer is alive. It is readable by its owner only.
#[derive(Clone)]
pub struct Recorder(Arc<Mutex<Writer>>);

struct Writer {
    file: File,
    path: PathBuf,
    began: Instant,
    written: u64,
    is_output_left_out: bool,
    records: Vec<Record>,
    images: Vec<Image>,
    gone: BTreeMap<String, usize>,
}

impl Recorder {
    /// Begins the record of a run of the deployment, and removes the oldest ones.
    pub fn begin(
        settings: &Settings,
        deployment: &str,
        command: &str,
        scenario: Option<String>,
    ) -> Result<Self, Problem> {
        let folder = folder(settings, deployment);
        let scenario = scenario.or_else(|| kept::scenario(settings, deployment)?.to_str().map(ToOwned::to_owned));
        let begin = Begin {
            version: VERSION,
            run: 0,
            deployment: deployment.to_owned(),
            command: command.to_owned(),
            command_line: settings.owner.command.clone(),
            scenario,
            infra: env!("CARGO_PKG_VERSION").to_owned(),
            user: settings.owner.user.clone(),
            host: settings.owner.host.clone(),
            process: settings.owner.process,
            at: Timestamp::now(),
        };
        let (file, path) = create(&folder, begin).map_err(|error| {
            let text = format!("begin the record of this run in {}", folder.display());
            Problem { causes: vec![text, error.to_string()], ..Problem::from(error) }.hint("is the disk full?")
        })?;
        kept::prune(&folder);
        Ok(Self(Arc::new(Mutex::new(Writer {
            file,
            path,
            began: Instant::now(),
            written: 0,
            is_output_left_out: false,
            records: Vec::new(),
            images: Vec::new(),
            gone: BTreeMap::new(),
        }))))
    }

    /// Writes what was decided.
    pub fn plan(&self, decided: Decided) {
        self.writer().write(&Note::Plan(decided));
    }

    /// Remembers for the end what there is now, and what is gone.
    pub fn remember(&self, inventory: &Inventory, outcome: Option<&Outcome>) {
        let mut writer = self.writer();
        writer.images = images(inventory);
        for gone in outcome.into_iter().flat_map(|outcome| &outcome.gone) {
            *writer.gone.entry(gone.what.clone()).or_default() += 1;
        }
    }

    /// Writes how the run ended.
    pub fn end(&self, result: Result<&Exit, &Problem>) {
        let mut writer = self.writer();
        let problem = result.err();
        let end = End {
            at: Timestamp::now(),
            exit_code: result.map_or_else(|problem| problem.exit, |exit| *exit) as u8,
            seconds: writer.began.elapsed().as_secs_f64(),
            causes: problem.map(|problem| problem.causes.clone()).unwrap_or_default(),
            hint: problem.and_then(|problem| problem.hint.clone()),
            images: std::mem::take(&mut writer.images),
            gone: std::mem::take(&mut writer.gone),
        };
        writer.write(&Note::End(end));
    }

    /// Takes the record away unless the person agreed to go on: otherwise nothing was asked for in the end.
    pub fn only_if(&self, agreed: Result<bool, Problem>) -> Result<bool, Problem> {
        if !matches!(agreed, Ok(true)) {
            // One that stays tells of a run that ended before its first step, which is true.
            let path = &self.writer().path;
            let _ = fs::remove_file(path);
            let _ = path.parent().map(fs::remove_dir);
        }
        agreed
    }

    /// The events so far, without what programs printed.
    pub fn take_events(&self) -> Vec<Record> {
        std::mem::take(&mut self.writer().records)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.0.lock().expect("no sink panics")
    }
}

impl Sink for Recorder {
    fn take(&self, record: &Record) {
        let mut writer = self.writer();
        if !matches!(record.event, Event::StepOutput { .. }) {
            writer.records.push(record.clone());
        } else if writer.written > OUTPUT_BYTES {
            if !std::mem::replace(&mut writer.is_output_left_out, true) {
                writer.write(&Note::OutputLeftOut {});
            }
            return;
        }
        writer.write(record);
    }
}

impl Writer {
    /// The journal is what counts; a record that cannot be written (a full disk) shows in the journal's own error.
    fn write(&mut self, line: &impl Serialize) {
        let text = text(line);
        self.written += text.len() as u64;
        let _ = self.file.write_all(text.as_bytes());
    }
}

fn text(line: &impl Serialize) -> String {
    serde_json::to_string(line).expect("a record has only string keys") + "\n"
}

/// Makes a file under the next number that is locked and has its first line from the moment on that others can see it.
fn create(folder: &Path, mut begin: Begin) -> io::Result<(File, PathBuf)> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    loop {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.as_file().lock()?;
        begin.run = kept::last_number(folder) + 1;
        file.write_all(text(&Note::Begin(begin.clone())).as_bytes())?;
        let path = folder.join(kept::file_name(begin.run));
        match file.persist_noclobber(&path) {
            Ok(file) => return Ok((file, path)),
            // Another run of the deployment (a check) took the number.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.error),
        }
    }
}
