//! Who asks.

use std::collections::BTreeMap;

/// A caller of the API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// Name, such as `system:serviceaccount:default:server`.
    pub name: String,
    /// Uid, of service accounts.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// What else the authenticator told.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A part of the sandbox itself, which may do everything. Its plain name is the field manager of what it writes.
    pub fn system(component: &str) -> Self {
        Self {
            name: format!("system:{component}"),
            groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
            ..Self::default()
        }
    }

    /// The field manager of this caller's writes unless they name one.
    pub fn manager(&self) -> &str {
        self.name.rsplit(':').next().unwrap_or_default()
    }
}
