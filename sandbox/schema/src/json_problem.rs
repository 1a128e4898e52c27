//! Texts that are no JSON.

/// What the API server's decoder says of a text that `serde_json` refused with this error.
pub fn json_problem(bytes: &[u8], error: &serde_json::Error) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start();
    for literal in ["null", "true", "false"].into_iter().filter(|literal| text.starts_with(&literal[..1])) {
        let wrong = text.chars().zip(literal.chars()).find(|(found, expected)| found != expected);
        if let Some((found, expected)) = wrong {
            return format!("invalid character '{found}' in literal {literal} (expecting '{expected}')");
        }
    }
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    let found = text.chars().nth(error.column().saturating_sub(1)).unwrap_or_default();
    format!("invalid character '{found}' looking for beginning of value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_json_is_told_in_the_decoders_words() {
        let problem = |text: &str| {
            let error = serde_json::from_str::<serde_json::Value>(text).expect_err("it is no JSON");
            json_problem(text.as_bytes(), &error)
        };
        assert_eq!(problem("no json"), "invalid character 'o' in literal null (expecting 'u')");
        assert_eq!(problem("{\"a\":"), "unexpected end of JSON input");
        assert_eq!(problem("what"), "invalid character 'w' looking for beginning of value");
    }
}
