use std::fmt::{self, Write as _};
use std::path::PathBuf;

use serde::Serialize;

/// Something that is wrong, or looks wrong, at one place of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as it was named by whoever asked.
    pub file: PathBuf,
    /// The line, counted from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// The column in characters, counted from 1; 0 where the file as a whole is meant.
    pub column: usize,
    /// How many characters are meant, at least 1.
    pub length: usize,
    /// The text of the line, where there is one.
    pub source_line: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl Problem {
    /// A problem of a file as a whole.
    pub(crate) fn of_file(file: impl Into<PathBuf>, message: impl Into<String>, help: Option<String>) -> Self {
        Self { file: file.into(), line: 0, column: 0, length: 1, source_line: None, message: message.into(), help }
    }

    /// `file:line:column`, or only the file where it is meant as a whole.
    pub fn place(&self) -> String {
        let file = crate::files::shown(&self.file);
        if self.line == 0 { file } else { format!("{file}:{}:{}", self.line, self.column) }
    }

    /// The problem as plain text: `label: message`, the place, the line with a caret below, and the help.
    pub fn render(&self, label: &str) -> String {
        let number = if self.line == 0 { String::new() } else { self.line.to_string() };
        let margin = " ".repeat(number.len());
        let mut text = format!("{label}: {}\n{margin}--> {}\n", self.message, self.place());
        if let Some(line) = &self.source_line {
            let (excerpt, before, length) = excerpt(line, self.column, self.length);
            let caret = " ".repeat(before) + &"^".repeat(length);
            let _ = write!(text, "{margin} |\n{number} | {excerpt}\n{margin} | {caret}\n");
        }
        if let Some(help) = &self.help {
            let _ = writeln!(text, "{margin} = help: {help}");
        }
        text
    }
}

/// The part of a line around a column that fits on a screen, where the column stands in it, and how many characters are meant.
fn excerpt(line: &str, column: usize, length: usize) -> (String, usize, usize) {
    const WIDTH: usize = 120;
    let characters: Vec<char> =
        line.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    let at = column.saturating_sub(1).min(characters.len());
    let from = if at < WIDTH { 0 } else { at - WIDTH / 4 };
    let shown: String = characters[from..].iter().take(WIDTH).collect();
    let room = shown.chars().count().saturating_sub(at - from).max(1);
    (shown.trim_end().to_owned(), at - from, length.clamp(1, room))
}

/// Why a scenario cannot be used: every problem that was found, in the order of the files and their lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What is wrong; never empty in a report that [`crate::load`] returns.
    pub problems: Vec<Problem>,
    /// What looks wrong but does not stand in the way.
    pub warnings: Vec<Problem>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(formatter, "{}", problem.render("error"))?;
        }
        for warning in &self.warnings {
            writeln!(formatter, "{}", warning.render("warning"))?;
        }
        match (self.problems.len(), self.warnings.len()) {
            (0, 1) => write!(formatter, "1 warning"),
            (0, count) => write!(formatter, "{count} warnings"),
            (1, _) => write!(formatter, "1 problem"),
            (count, _) => write!(formatter, "{count} problems"),
        }
    }
}

impl std::error::Error for Report {}
