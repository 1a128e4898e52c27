//! The names of the sets and of their files.

use std::fmt;
use std::str::FromStr;

/// A set of images that is known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// Handwritten digits.
    Mnist,
    /// Articles of clothing.
    FashionMnist,
    /// Cursive Japanese characters.
    Kmnist,
}

impl Name {
    /// Every set, in the order in which messages list them.
    pub const ALL: [Self; 3] = [Self::Mnist, Self::FashionMnist, Self::Kmnist];

    /// The name as users write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Kmnist => "kmnist",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Name {
    type Err = UnknownName;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|name| name.as_str() == given).ok_or_else(|| UnknownName::new(given))
    }
}

/// A name that stands for no set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    given: String,
    similar: Option<Name>,
}

impl UnknownName {
    /// Words this much alike are taken for a slip of the pen.
    const LEAST_SIMILARITY: f64 = 0.7;

    fn new(given: &str) -> Self {
        let likeness = |name: &Name| strsim::jaro_winkler(&given.to_lowercase(), name.as_str());
        let similar = Name::ALL
            .into_iter()
            .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
            .filter(|name| likeness(name) >= Self::LEAST_SIMILARITY);
        Self { given: given.to_owned(), similar }
    }

    /// The set that was probably meant.
    pub const fn similar(&self) -> Option<Name> {
        self.similar
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Name::ALL.map(Name::as_str).join(", ");
        write!(formatter, "no data set is called {:?}; known are {known}", self.given)?;
        self.similar.map_or(Ok(()), |name| write!(formatter, " (did you mean {name}?)"))
    }
}

impl std::error::Error for UnknownName {}

/// One half of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// What a model learns from.
    Train,
    /// What it is judged by.
    Test,
}

impl Split {
    /// Both halves.
    pub const ALL: [Self; 2] = [Self::Train, Self::Test];
}

/// One file of a half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The pixels.
    Images,
    /// The classes.
    Labels,
}

impl Part {
    /// Both files of a half.
    pub const ALL: [Self; 2] = [Self::Images, Self::Labels];

    /// The name that the file has in every set, without `.gz`.
    pub const fn file_name(self, split: Split) -> &'static str {
        match (split, self) {
            (Split::Train, Self::Images) => "train-images-idx3-ubyte",
            (Split::Train, Self::Labels) => "train-labels-idx1-ubyte",
            (Split::Test, Self::Images) => "t10k-images-idx3-ubyte",
            (Split::Test, Self::Labels) => "t10k-labels-idx1-ubyte",
        }
    }
}
