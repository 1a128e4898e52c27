use std::path::{Path, PathBuf};

use crate::report::{Problem, Report};
use crate::yaml::Mark;

/// So many words are named where none is near to what was written.
const MOST_NAMED: usize = 30;

/// A text file with the name that a person knows it by.
#[derive(Debug)]
pub(crate) struct Source {
    /// The file, as a person named it.
    pub path: PathBuf,
    /// The lines, for excerpts.
    lines: Vec<String>,
}

impl Source {
    /// Remembers the lines of a text.
    pub fn new(path: &Path, text: &str) -> Self {
        Self { path: path.to_owned(), lines: text.lines().map(str::to_owned).collect() }
    }

    /// Whether a line has the double braces that templates are written with.
    pub fn looks_like_template(&self, line: usize) -> bool {
        self.lines.get(line.saturating_sub(1)).is_some_and(|line| line.contains("{{"))
    }

    /// Where a text stands, at or after a place; the place itself where it is not found.
    pub fn find(&self, text: &str, mark: Mark) -> Mark {
        let first = mark.line.saturating_sub(1);
        let lines = self.lines.iter().enumerate().skip(first);
        let found = lines.filter_map(|(index, line)| {
            let from = if index == first { mark.column.saturating_sub(1) } else { 0 };
            let begin = line.char_indices().nth(from).map_or(line.len(), |(at, _)| at);
            let at = begin + line[begin..].find(text)?;
            Some(Mark { line: index + 1, column: line[..at].chars().count() + 1, length: text.chars().count() })
        });
        found.into_iter().next().unwrap_or(mark)
    }

    /// A problem at a place of this file. A place behind the end is moved to the end of the last line.
    pub fn problem(&self, mark: Mark, message: impl Into<String>, help: Option<String>) -> Problem {
        let line = mark.line.clamp(1, self.lines.len().max(1));
        let text = self.lines.get(line - 1).cloned().unwrap_or_default();
        let end = text.chars().count() + 1;
        let column = if line == mark.line { mark.column.clamp(1, end) } else { end };
        Problem {
            file: self.path.clone(),
            line,
            column,
            length: mark.length.max(1),
            source_line: Some(text),
            message: message.into(),
            help,
        }
    }
}

/// Collects what is wrong, over all files.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    report: Report,
}

impl Problems {
    /// Notes a problem.
    pub fn add(&mut self, problem: Problem) {
        self.report.problems.push(problem);
    }

    /// Whether a problem was noted.
    pub fn any(&self) -> bool {
        !self.report.problems.is_empty()
    }

    /// Notes something that looks wrong but does not stand in the way.
    pub fn warn(&mut self, warning: Problem) {
        self.report.warnings.push(warning);
    }

    /// The report, each sort in the order of files and lines: `first` before all other files.
    pub fn into_report(mut self, first: &Path) -> Report {
        for problems in [&mut self.report.problems, &mut self.report.warnings] {
            problems.sort_by(|one, other| {
                let key =
                    |problem: &Problem| (problem.file != first, problem.file.clone(), problem.line, problem.column);
                key(one).cmp(&key(other))
            });
            problems.dedup();
        }
        self.report
    }
}

/// What a word was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let scored = candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate));
    let (distance, candidate) = scored.min()?;
    (distance <= 1 + candidate.len().min(word.len()) / 4 && distance < word.len()).then_some(candidate)
}

/// Help for a word that is none of the candidates: the nearest one, or all of them.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(candidate) = nearest(word, candidates.clone()) {
        return Some(format!("did you mean `{candidate}`?"));
    }
    let all: Vec<String> = candidates.into_iter().map(|candidate| format!("`{candidate}`")).collect();
    match all.len() {
        0 => None,
        1..=MOST_NAMED => Some(format!("known here: {}", all.join(", "))),
        count => Some(format!("known here: {}, and {} more", all[..MOST_NAMED].join(", "), count - MOST_NAMED)),
    }
}
