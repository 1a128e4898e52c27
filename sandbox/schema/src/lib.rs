//! The sandbox's kinds as data: fields, types, list keys, required fields.
