//! Random numbers that are the same everywhere for the same seed.

/// A `SplitMix64` generator: not for secrets, and equal on every machine and in every thread.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator whose numbers depend on the seed alone.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub const fn next_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number between -1 and 1.
    #[expect(clippy::cast_precision_loss, reason = "24 bits are exact in an f32")]
    pub const fn signed_unit(&mut self) -> f32 {
        (self.next_bits() >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    }

    /// The numbers from 0 to `count - 1` in random order.
    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order = (0..count).collect::<Vec<_>>();
        for last in (1..count).rev() {
            // The bias of the remainder is far below what a shuffle of images could show.
            let other = usize::try_from(self.next_bits() % (last as u64 + 1)).unwrap_or_default();
            order.swap(last, other);
        }
        order
    }
}
