//! What programs about pictures of digits share: sizes, random numbers that can be repeated, and the folder in which models are kept.

mod random;
mod store;

pub use random::Random;
pub use store::{Kept, Store, StoreError, read, sha256, write_atomically};

/// Height and width of a picture, in pixels.
pub const SIDE: usize = 28;
/// Number of pixels of a picture.
pub const PIXELS: usize = SIDE * SIDE;
/// Number of classes: the digits.
pub const CLASSES: usize = 10;
