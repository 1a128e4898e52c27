//! What the sandbox knows of each kind: names, defaults, validation, table columns.
