//! Sets of completion indexes, written as `1,3-5`.

use std::collections::BTreeSet;
use std::fmt;

/// A set of indexes as intervals in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Indexes(Vec<(usize, usize)>);

impl Indexes {
    /// Reads the written form; what is not below `completions` or not a number is left out.
    pub fn parse(text: &str, completions: usize) -> Self {
        let interval = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
            (first < completions).then(|| (first, last.min(completions - 1)))
        };
        Self::joined(text.split(',').filter_map(interval).collect())
    }

    /// This set and these indexes.
    pub fn with(&self, indexes: &BTreeSet<usize>) -> Self {
        self.and(&Self(indexes.iter().map(|index| (*index, *index)).collect()))
    }

    /// The union of two sets.
    pub fn and(&self, other: &Self) -> Self {
        Self::joined(self.0.iter().chain(&other.0).copied().collect())
    }

    fn joined(mut intervals: Vec<(usize, usize)>) -> Self {
        intervals.sort_unstable();
        let mut joined: Vec<(usize, usize)> = Vec::with_capacity(intervals.len());
        for (first, last) in intervals {
            match joined.last_mut() {
                Some(before) if first <= before.1 + 1 => before.1 = before.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }

    /// How many indexes there are in it.
    pub fn total(&self) -> usize {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether this index is in it.
    pub fn has(&self, index: usize) -> bool {
        let after = self.0.partition_point(|(_, last)| *last < index);
        self.0.get(after).is_some_and(|(first, _)| *first <= index)
    }

    /// How many of its indexes are in the other set, too.
    pub fn shared_with(&self, other: &Self) -> usize {
        self.total() + other.total() - self.and(other).total()
    }

    /// The first `count` indexes below `completions` that are not in it.
    pub fn first_missing(&self, count: usize, completions: usize) -> Vec<usize> {
        let mut missing = Vec::with_capacity(count.min(completions));
        let mut candidate = 0;
        let end = [(completions, completions)];
        for (first, last) in self.0.iter().chain(&end) {
            let until = (*first).min(completions);
            while candidate < until && missing.len() < count {
                missing.push(candidate);
                candidate += 1;
            }
            candidate = candidate.max(last + 1);
        }
        missing
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (first, last)) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            match last - first {
                0 => write!(formatter, "{comma}{first}")?,
                1 => write!(formatter, "{comma}{first},{last}")?,
                _ => write!(formatter, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_neighbours_are_written_with_a_comma_and_more_with_a_dash() {
        assert_eq!(Indexes::parse("0,1,3-5,7,8", 100).to_string(), "0,1,3-5,7,8");
        assert_eq!(Indexes::parse("0,1,2", 100).to_string(), "0-2");
    }

    #[test]
    fn indexes_beyond_the_completions_are_cut_off() {
        assert_eq!(Indexes::parse("0-9,12", 5).to_string(), "0-4");
        assert_eq!(Indexes::parse("", 5), Indexes::default());
        assert_eq!(Indexes::parse("3", 0), Indexes::default());
    }

    proptest! {
        #[test]
        fn a_set_says_the_same_as_its_members(some in prop::collection::btree_set(0_usize..40, 0..20), count in 0_usize..50) {
            let indexes = Indexes::default().with(&some);
            prop_assert_eq!(indexes.total(), some.len());
            prop_assert!((0..45).all(|index| indexes.has(index) == some.contains(&index)));
            prop_assert_eq!(&Indexes::parse(&indexes.to_string(), 100), &indexes);
            let missing: Vec<usize> = (0..40).filter(|index| !some.contains(index)).take(count).collect();
            prop_assert_eq!(indexes.first_missing(count, 40), missing);
        }

        #[test]
        fn shared_members_are_counted(one in prop::collection::btree_set(0_usize..40, 0..20), other in prop::collection::btree_set(0_usize..40, 0..20)) {
            let of = |set: &BTreeSet<usize>| Indexes::default().with(set);
            prop_assert_eq!(of(&one).shared_with(&of(&other)), one.intersection(&other).count());
        }
    }
}
