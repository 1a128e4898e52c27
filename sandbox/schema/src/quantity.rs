//! Kubernetes quantities: `500m`, `1Gi`, `1e3`.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};

/// Amounts by the name of the resource, such as `cpu` or `requests.memory`.
pub type Resources = BTreeMap<String, Quantity>;

/// A quantity with billionths as its smallest unit. Two are equal when their amounts are, however they are written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity {
    nanos: i128,
    style: Style,
}

/// How a quantity is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Style {
    /// `500m`, `2k`
    #[default]
    Decimal,
    /// `1Ki`
    Binary,
    /// `1e3`
    Exponent,
}

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It is not a number with a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Form,
    /// The suffix is none of those that exist.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

const NANOS: i128 = 1_000_000_000;
/// The largest amount: the API server caps there, too.
const MAXIMUM: i128 = i64::MAX as i128 * NANOS;
const DECIMAL_SUFFIXES: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY_SUFFIXES: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// Reads a quantity. More than nine decimals are rounded up, too large amounts are capped.
pub fn parse(text: &str) -> Result<Quantity, QuantityError> {
    let (negative, rest) = match text.as_bytes().first() {
        None => return Err(QuantityError::Form),
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        Some(_) => (false, text),
    };
    let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') || !is_suffix(suffix) {
        return Err(QuantityError::Form);
    }
    let (style, exponent, shift) = read_suffix(suffix)?;
    let amount = scale(whole, fraction, exponent, shift);
    let style = if style == Style::Binary && amount > 0 && amount < NANOS { Style::Decimal } else { style };
    Ok(Quantity { nanos: if negative { -amount } else { amount }, style })
}

fn is_suffix(suffix: &str) -> bool {
    let rest = suffix.trim_start_matches(|character| "eEinumkKMGTP".contains(character));
    let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// The style, the power of ten and the power of two that a suffix stands for.
fn read_suffix(suffix: &str) -> Result<(Style, i32, u32), QuantityError> {
    if let Some((_, exponent)) = DECIMAL_SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Ok((Style::Decimal, *exponent, 0));
    }
    if let Some((_, shift)) = BINARY_SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Ok((Style::Binary, 0, *shift));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).and_then(|digits| digits.parse().ok());
    exponent.map(|exponent| (Style::Exponent, exponent, 0)).ok_or(QuantityError::Suffix)
}

/// The amount in billionths, rounded up and capped.
fn scale(whole: &str, fraction: &str, exponent: i32, shift: u32) -> i128 {
    let fraction = fraction.trim_end_matches('0');
    let mut digits: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        digits = digits.saturating_mul(10).saturating_add(i128::from(digit - b'0'));
    }
    if digits == 0 {
        return 0;
    }
    let digits = digits.saturating_mul(1 << shift);
    let places = i64::from(exponent) + 9 - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let power = 10_i128.checked_pow(u32::try_from(places.unsigned_abs()).unwrap_or(u32::MAX));
    let nanos = match (places >= 0, power) {
        (true, Some(power)) => digits.saturating_mul(power),
        (true, None) => MAXIMUM,
        (false, Some(power)) => digits / power + i128::from(digits % power != 0),
        (false, None) => 1,
    };
    nanos.min(MAXIMUM)
}

/// Reads a quantity from an object: a text or a plain number.
pub fn from_value(value: &Value) -> Result<Quantity, QuantityError> {
    match value {
        Value::String(text) => parse(text.trim()),
        Value::Number(number) => parse(&number.to_string()),
        _ => Err(QuantityError::Form),
    }
}

/// Reads a map of amounts, such as `resources.requests`. What is no quantity is left out.
pub fn resources(value: &Value) -> Resources {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(name, amount)| Some((name.clone(), from_value(amount).ok()?))).collect()
}

/// A map of amounts as an object has it.
pub fn to_value(resources: &Resources) -> Value {
    resources.iter().map(|(name, amount)| (name.clone(), Value::String(amount.to_string()))).collect()
}

/// Adds each amount to that of the same name.
pub fn add(total: &mut Resources, more: &Resources) {
    for (name, amount) in more {
        *total.entry(name.clone()).or_default() += *amount;
    }
}

/// Raises each amount to at least that of the same name.
pub fn raise(total: &mut Resources, least: &Resources) {
    for (name, amount) in least {
        let entry = total.entry(name.clone()).or_insert(*amount);
        *entry = (*entry).max(*amount);
    }
}

impl Quantity {
    /// No amount.
    pub const ZERO: Quantity = Quantity { nanos: 0, style: Style::Decimal };

    /// A whole number of units, written with decimal suffixes.
    pub fn from_units(units: i64) -> Quantity {
        Quantity { nanos: i128::from(units) * NANOS, style: Style::Decimal }
    }

    /// A number of thousandths, written with decimal suffixes.
    pub fn from_millis(millis: i64) -> Quantity {
        Quantity { nanos: i128::from(millis) * 1_000_000, style: Style::Decimal }
    }

    /// A number of bytes, written with binary suffixes.
    pub fn from_bytes(bytes: i64) -> Quantity {
        Quantity { nanos: i128::from(bytes) * NANOS, style: Style::Binary }
    }

    /// Whole units, rounded up.
    pub fn units(self) -> i64 {
        self.rounded_up(NANOS)
    }

    /// Thousandths, rounded up.
    pub fn millis(self) -> i64 {
        self.rounded_up(1_000_000)
    }

    /// The next whole number of thousandths.
    #[must_use]
    pub fn rounded_up_to_millis(self) -> Quantity {
        let rest = self.nanos.rem_euclid(1_000_000);
        Quantity { nanos: self.nanos + if rest == 0 { 0 } else { 1_000_000 - rest }, ..self }
    }

    /// Whether there is nothing.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether it is less than nothing.
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Whether it is a whole number of units.
    pub fn is_whole(self) -> bool {
        self.nanos % NANOS == 0
    }

    /// Whether it is a whole number of thousandths.
    pub fn is_whole_millis(self) -> bool {
        self.nanos % 1_000_000 == 0
    }

    fn rounded_up(self, unit: i128) -> i64 {
        let up = i128::from(self.nanos > 0 && self.nanos % unit != 0);
        i64::try_from(self.nanos / unit + up).unwrap_or(if self.nanos > 0 { i64::MAX } else { i64::MIN })
    }
}

impl fmt::Display for Quantity {
    /// The one way in which the API server writes this quantity.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        if self.nanos == 0 {
            return formatter.write_str("0");
        }
        if self.style == Style::Binary && self.is_whole() && self.nanos.abs() >= 1024 * NANOS {
            let units = self.nanos / NANOS;
            let fits = BINARY_SUFFIXES.iter().rev().find(|(_, shift)| units % (1_i128 << shift) == 0);
            return match fits {
                Some((suffix, shift)) => write!(formatter, "{}{suffix}", units >> shift),
                None => write!(formatter, "{units}"),
            };
        }
        let (mut amount, mut place) = (self.nanos, 0);
        while amount % 1000 == 0 && place + 1 < DECIMAL_SUFFIXES.len() {
            amount /= 1000;
            place += 1;
        }
        let (suffix, exponent) = DECIMAL_SUFFIXES[place];
        match (self.style, exponent) {
            (Style::Exponent, 0) => write!(formatter, "{amount}"),
            (Style::Exponent, exponent) => write!(formatter, "{amount}e{exponent}"),
            _ => write!(formatter, "{amount}{suffix}"),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Add for Quantity {
    type Output = Quantity;

    /// The sum is written as the first one is, unless that is nothing.
    fn add(self, other: Quantity) -> Quantity {
        let style = if self.nanos == 0 { other.style } else { self.style };
        Quantity { nanos: self.nanos + other.nanos, style }
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Quantity) {
        *self = *self + other;
    }
}

impl Sub for Quantity {
    type Output = Quantity;

    fn sub(self, other: Quantity) -> Quantity {
        self + Quantity { nanos: -other.nanos, style: other.style }
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Quantity) {
        *self = *self - other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> String {
        parse(text).map_or_else(|error| error.to_string(), |quantity| quantity.to_string())
    }

    #[test]
    fn quantities_are_written_in_one_way() {
        let cases = [
            ("0", "0"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.3Gi", "322122547200m"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("1E", "1E"),
            ("1000000", "1M"),
            ("512Ki", "512Ki"),
            ("1023Ki", "1023Ki"),
            ("0.5Ki", "512"),
            ("-1.5", "-1500m"),
            ("+2", "2"),
            ("1n", "1n"),
            ("0.0000000001", "1n"),
            ("99999999999999999999E", "9223372036854775807"),
            ("1500.0", "1500"),
            (".5", "500m"),
            ("5.", "5"),
            ("12e-1", "1200e-3"),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "a", "1 Gi", "1..2", "-", "--1", "1Gib", "."] {
            assert_eq!(parse(text), Err(QuantityError::Form), "{text}");
        }
        for text in ["1K", "1ki", "1mm", "1e", "1Gi1"] {
            assert_eq!(parse(text), Err(QuantityError::Suffix), "{text}");
        }
    }

    #[test]
    fn whole_units_are_rounded_up() {
        assert_eq!(parse("100m").unwrap().units(), 1);
        assert_eq!(parse("1500u").unwrap().millis(), 2);
        assert_eq!(parse("2Gi").unwrap().units(), 2 << 30);
    }

    proptest! {
        #[test]
        fn the_canonical_text_is_the_same_quantity(number in 0_u64..1 << 40, fraction in 0_u32..1000, place in 0_usize..16) {
            let suffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "e3", "e-3", "E2"];
            let quantity = parse(&format!("{number}.{fraction:03}{}", suffixes[place])).unwrap();
            let again = parse(&quantity.to_string()).unwrap();
            prop_assert_eq!(quantity, again);
            prop_assert_eq!(quantity.to_string(), again.to_string());
        }

        #[test]
        fn sums_are_those_of_the_amounts(first in 0_i64..1 << 40, second in 0_i64..1 << 40) {
            let (one, two) = (Quantity::from_bytes(first), Quantity::from_millis(second));
            prop_assert_eq!((one + two - two).units(), first);
            prop_assert_eq!(one + two, two + one);
            prop_assert_eq!(one + two >= one, second >= 0);
        }
    }
}
