//! What a look at the cloud found before anything is made.

use serde::Serialize;

/// How much something weighs that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// It stands in the way.
    Error,
    /// It may stand in the way, or could not be looked at.
    Warning,
    /// It is good to know.
    Note,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it weighs.
    pub level: Level,
    /// What was looked at, in a word: `credentials`, `project`, `billing`, `apis`, `permissions`, `names`, `zones`, `machines`,
    /// `version` or `quotas`.
    pub about: &'static str,
    /// What was found.
    pub what: String,
    /// What the person can do.
    pub hint: Option<String>,
}

impl Finding {
    /// What [`Finding::is_unread`] is about.
    pub(crate) const UNREAD: &str = "quotas";

    /// Whether it says that quotas could not be read yet, because the API for it is off.
    pub fn is_unread(&self) -> bool {
        self.about == Self::UNREAD && self.level == Level::Note
    }

    pub(crate) fn new(level: Level, about: &'static str, what: impl Into<String>) -> Self {
        Self { level, about, what: what.into(), hint: None }
    }

    pub(crate) fn error(about: &'static str, what: impl Into<String>) -> Self {
        Self::new(Level::Error, about, what)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
