//! Columns of the tables that kubectl prints.

/// A column, as in the `columnDefinitions` of a Table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Heading in kubectl's own case, such as `Nominated Node`.
    pub name: &'static str,
    /// `string`, `integer`, `date`, `boolean` or `number`.
    pub kind: &'static str,
    /// `name` for the object's name; else empty.
    pub format: &'static str,
    /// One sentence for those who read the Table itself.
    pub description: &'static str,
    /// 0 is always shown, 1 only by `-o wide`.
    pub priority: i32,
}
