//! Kubernetes quantities: `250m`, `1.5`, `512Mi`, `2G`.

use serde_json::Value;

/// The number that a quantity stands for, in its base unit (cores, bytes); none where it is not one.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let digits = text.find(|character: char| !character.is_ascii_digit() && !matches!(character, '.' | '+' | '-'));
    let (number, suffix) = text.split_at(digits.unwrap_or(text.len()));
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024_f64.powi(2),
        "Gi" => 1024_f64.powi(3),
        "Ti" => 1024_f64.powi(4),
        "Pi" => 1024_f64.powi(5),
        "Ei" => 1024_f64.powi(6),
        exponent => return format!("{number}{exponent}").parse().ok(),
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// The same for a JSON text or number.
pub(crate) fn of_value(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| parse(value.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_in_their_base_unit() {
        let cases = [("250m", 0.25), ("2", 2.0), ("1.5", 1.5), ("512Mi", 536_870_912.0), ("2G", 2e9), ("1e3", 1000.0)];
        for (text, wanted) in cases {
            let found = parse(text).expect("a quantity");
            assert!((found - wanted).abs() < 1e-9, "{text} is {found}");
        }
        assert_eq!(parse("many"), None);
    }
}
