//! Numbers that look drawn and are not: the same words give the same number.

/// A number of a seed and words, well mixed.
pub(crate) fn number(seed: u64, words: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for word in words {
        for byte in word.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// A number from 0 up to 1, without 1.
pub(crate) fn fraction(seed: u64, words: &[&str]) -> f64 {
    let top = u32::try_from(number(seed, words) >> 32).unwrap_or_default();
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

/// Hexadecimal digits, at most 16.
pub(crate) fn hex(seed: u64, words: &[&str], digits: usize) -> String {
    format!("{:016x}", number(seed, words))[..digits.min(16)].to_owned()
}

/// Letters and digits as in the last part of a node's name.
pub(crate) fn letters(seed: u64, words: &[&str], count: usize) -> String {
    const SIGNS: &[u8] = b"0123456789bcdfghjklmnpqrstvwxz";
    let mut rest = number(seed, words);
    let mut next = || {
        let sign = SIGNS[usize::try_from(rest % 30).unwrap_or_default()];
        rest /= 30;
        char::from(sign)
    };
    (0..count.min(12)).map(|_| next()).collect()
}

/// A UUID.
pub(crate) fn uuid(seed: u64, words: &[&str]) -> String {
    let (a, b) = (number(seed, words), number(!seed, words));
    let digits = format!("{a:016x}{b:016x}");
    format!("{}-{}-4{}-a{}-{}", &digits[..8], &digits[8..12], &digits[13..16], &digits[17..20], &digits[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_give_the_same_number_and_others_another() {
        assert_eq!(number(1, &["a", "b"]), number(1, &["a", "b"]));
        assert_ne!(number(1, &["a", "b"]), number(1, &["ab"]));
        assert_ne!(number(1, &["a", "b"]), number(2, &["a", "b"]));
    }

    #[test]
    fn a_uuid_has_its_form() {
        let parts: Vec<usize> = uuid(7, &["x"]).split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
    }
}
