//! Where a story gets its choices from: every sequence of choices in turn, or a seed.

/// Answers every question "which of so many?".
pub enum Choices {
    /// One sequence out of all.
    Every(Every),
    /// A sequence that follows from a seed.
    Seeded(Seeded),
}

/// All sequences of choices, one after the other, like counting with digits of which each has its own base.
///
/// The last digit that can grow grows, and what follows it is forgotten: later questions may be others after another answer.
#[derive(Debug, Default)]
pub struct Every {
    /// Each answer with the number of possible ones.
    digits: Vec<(usize, usize)>,
    position: usize,
}

impl Every {
    /// Goes to the next sequence; false after the last one.
    pub fn advance(&mut self) -> bool {
        self.position = 0;
        while let Some((answer, bound)) = self.digits.pop() {
            if answer + 1 < bound {
                self.digits.push((answer + 1, bound));
                return true;
            }
        }
        false
    }

    fn below(&mut self, bound: usize) -> usize {
        if self.position == self.digits.len() {
            self.digits.push((0, bound));
        }
        let (answer, before) = self.digits[self.position];
        assert_eq!(before, bound, "the same answers led to another question: the story is not deterministic");
        self.position += 1;
        answer
    }
}

/// Numbers that follow from a seed (`SplitMix64`).
pub struct Seeded(u64);

impl Seeded {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(bound).expect("a bound is small");
        usize::try_from((mixed ^ (mixed >> 31)) % bound).expect("smaller than the bound")
    }
}

impl Choices {
    /// One of `0..bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        match self {
            Self::Every(every) => every.below(bound),
            Self::Seeded(seeded) => seeded.below(bound),
        }
    }

    /// Yes, once in so many times. When every sequence is tried, both answers are.
    pub fn one_in(&mut self, times: usize) -> bool {
        match self {
            Self::Every(every) => every.below(2) == 1,
            Self::Seeded(seeded) => seeded.below(times) == 0,
        }
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

/// Counts the permutations of four letters.
pub fn every_sequence_is_tried_once() -> Result<(), String> {
    let mut choices = Every::default();
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let mut pool = vec!['a', 'b', 'c', 'd'];
        let mut permutation = String::new();
        while !pool.is_empty() {
            permutation.push(pool.swap_remove(choices.below(pool.len())));
        }
        if !seen.insert(permutation.clone()) {
            return Err(format!("{permutation} comes twice"));
        }
        if !choices.advance() {
            break;
        }
    }
    if seen.len() == 24 { Ok(()) } else { Err(format!("{} of 24 permutations", seen.len())) }
}
