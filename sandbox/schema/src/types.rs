//! What a field can be.

/// An object with named fields.
#[derive(Debug)]
pub struct Type {
    pub(crate) name: &'static str,
    pub(crate) fields: Box<[Field]>,
    pub(crate) required: Box<[&'static str]>,
    pub(crate) atomic: bool,
}

impl Type {
    /// The type's short name, such as `PodSpec`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        let index = self.fields.binary_search_by(|field| field.name.cmp(name)).ok()?;
        Some(&self.fields[index])
    }

    /// All fields, sorted by name.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The names of the fields that must be there.
    pub fn required(&self) -> &[&'static str] {
        &self.required
    }

    /// Whether one manager owns the whole object, as it does for a selector.
    pub fn is_atomic(&self) -> bool {
        self.atomic
    }
}

/// A field of an object.
#[derive(Debug)]
pub struct Field {
    /// The name in JSON.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Whether one manager owns the whole value; always false for lists, whose kind tells.
    pub atomic: bool,
    /// How a strategic merge patch treats it.
    pub strategy: Strategy,
    /// What becomes of it when it is empty.
    pub empty: Empty,
    /// What the API server fills in when it is missing, as JSON text; only told for simple values that are not their type's zero.
    pub default: Option<&'static str>,
    /// The decoder's name of its type, where the shape does not tell, such as `v1.PullPolicy`.
    pub(crate) decoded_as: Option<&'static str>,
}

/// What a value can be.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A text.
    String,
    /// A whole number of 32 bits.
    Integer32,
    /// A whole number of 64 bits.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An amount such as `100m` or `1Gi`; a text or a number.
    Quantity,
    /// A number or a text, such as a port.
    IntOrString,
    /// A time to the second.
    Time,
    /// A time to the microsecond.
    MicroTime,
    /// Base64 text.
    Bytes,
    /// Anything, unchecked.
    Any,
    /// An object with named fields.
    Object(&'static Type),
    /// An object with any keys.
    Map(&'static Shape),
    /// A list.
    List(&'static Shape, ListKind),
}

impl Shape {
    /// Whether one manager owns the whole value where no field says otherwise: in lists and maps.
    pub fn is_atomic(&self) -> bool {
        matches!(self, Self::Object(inner) if inner.atomic)
    }
}

/// How the elements of a list are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// Not at all: the list is one value.
    Atomic,
    /// By their values.
    Set,
    /// By these fields of each element.
    Map(&'static [&'static str]),
}

/// How a strategic merge patch treats a field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Strategy {
    /// The lists are merged instead of replaced.
    pub merge: bool,
    /// The key that tells list elements apart when they are merged; `None` for lists of simple values.
    pub key: Option<&'static str>,
    /// `$retainKeys` is honoured.
    pub retain_keys: bool,
}

/// What becomes of an empty field when an object is decoded and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// Zero and `""` are values; only `null` goes.
    Kept,
    /// Zero, `""`, `[]` and `{}` go, too.
    Dropped,
    /// It is always there: filled with zero, `""`, `{}` or `null`.
    Filled,
}
