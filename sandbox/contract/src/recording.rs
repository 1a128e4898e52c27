//! What a real cluster answered, kept in the repository: for each area a JSON file with each statement's observations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

use serde_json::{Map, Value};

/// What one statement saw: label and value, in the order in which they were seen.
pub type Seen = Map<String, Value>;

/// The recordings of all areas.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recordings(BTreeMap<String, BTreeMap<String, Seen>>);

impl Recordings {
    /// Reads the files `AREA.json` of a folder. Files that are not ours are an error.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut areas = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let area = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            areas.insert(area, serde_json::from_slice(&fs::read(&path)?)?);
        }
        Ok(Self(areas))
    }

    /// Writes the file of each area.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for (area, statements) in &self.0 {
            let text = serde_json::to_string_pretty(statements)?;
            fs::write(folder.join(format!("{area}.json")), text + "\n")?;
        }
        Ok(())
    }

    /// What a statement of an area saw.
    pub fn get(&self, area: &str, statement: &str) -> Option<&Seen> {
        self.0.get(area)?.get(statement)
    }

    /// Keeps what a statement saw.
    pub fn put(&mut self, area: &str, statement: &str, seen: Seen) {
        self.0.entry(area.to_owned()).or_default().insert(statement.to_owned(), seen);
    }

    /// Drops what belongs to no statement. `statements` are area and name.
    pub fn keep(&mut self, statements: &BTreeSet<(String, String)>) {
        for (area, kept) in &mut self.0 {
            kept.retain(|name, _| statements.contains(&(area.clone(), name.clone())));
        }
        self.0.retain(|_, kept| !kept.is_empty());
    }

    /// Area and name of each recorded statement.
    pub fn statements(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(area, kept)| kept.keys().map(move |name| (area.as_str(), name.as_str())))
    }
}

/// One place where two runs of a statement differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The label of the observation.
    pub label: String,
    /// What the real cluster answered; nothing where it was not asked so far.
    pub truth: Option<Value>,
    /// What was seen now.
    pub now: Option<Value>,
}

/// All places where what was seen now differs from the truth.
pub fn compare(truth: &Seen, now: &Seen) -> Vec<Difference> {
    let labels: Vec<&String> =
        truth.keys().chain(now.keys().filter(|label| !truth.contains_key(label.as_str()))).collect();
    let pairs = labels.into_iter().map(|label| (label, truth.get(label), now.get(label)));
    pairs
        .filter(|(_, truth, now)| truth != now)
        .map(|(label, truth, now)| Difference { label: label.clone(), truth: truth.cloned(), now: now.cloned() })
        .collect()
}

impl std::fmt::Display for Difference {
    /// The label, then the fields that differ, each with the truth above what is now.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.label)?;
        let mut lines = Vec::new();
        differing("", self.truth.as_ref(), self.now.as_ref(), &mut lines);
        for (path, truth, now) in lines {
            writeln!(f, "  {path}\n    truth {truth}\n    now   {now}")?;
        }
        Ok(())
    }
}

/// The smallest differing parts of two values: path, truth, now.
fn differing(path: &str, truth: Option<&Value>, now: Option<&Value>, lines: &mut Vec<(String, String, String)>) {
    if truth == now {
        return;
    }
    match (truth, now) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let names = left.keys().chain(right.keys().filter(|name| !left.contains_key(name.as_str())));
            for name in names {
                differing(&format!("{path}.{name}"), left.get(name), right.get(name), lines);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            for index in 0..left.len().max(right.len()) {
                differing(&format!("{path}[{index}]"), left.get(index), right.get(index), lines);
            }
        }
        _ => lines.push((path.to_owned(), shown(truth), shown(now))),
    }
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::String(text)) if text.contains('\n') => format!("\n{text}\n"),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(value: &Value) -> Seen {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn a_difference_names_the_field() {
        let truth = seen(&json!({"answer": {"code": 404, "reason": "NotFound"}, "same": 1}));
        let now = seen(&json!({"answer": {"code": 400, "reason": "NotFound"}, "same": 1, "more": true}));
        let texts: Vec<String> = compare(&truth, &now).iter().map(Difference::to_string).collect();
        assert_eq!(
            texts,
            ["answer\n  .code\n    truth 404\n    now   400\n", "more\n  \n    truth nothing\n    now   true\n"]
        );
    }

    #[test]
    fn recordings_are_what_they_were_after_writing_and_reading() {
        let folder = tempfile::tempdir().unwrap();
        let mut recordings = Recordings::default();
        recordings.put("pods", "a_pod_runs", seen(&json!({"phase": "Running"})));
        recordings.put("pods", "nobody_says_this_any_more", Seen::new());
        recordings.keep(&BTreeSet::from([("pods".to_owned(), "a_pod_runs".to_owned())]));
        recordings.write(folder.path()).unwrap();
        assert_eq!(Recordings::read(folder.path()).unwrap(), recordings);
        assert_eq!(recordings.statements().collect::<Vec<_>>(), [("pods", "a_pod_runs")]);
    }
}
