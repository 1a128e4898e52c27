/// The JSON schema (draft 2020-12) of `scenario.yaml`, for editors and other programs.
///
/// It knows the fields, their types and their limits, and is never stricter than [`load`](crate::load()). What the file alone
/// does not tell, such as whether a path exists, only `load` knows. A test holds the two against each other: every field that
/// `load` knows is in the schema, and the reverse.
pub const SCHEMA: &str = include_str!("schema.json");
