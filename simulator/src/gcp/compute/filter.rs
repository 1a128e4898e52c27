//! Filters of lists: `labels.a = b AND (status != DELETING) name eq "gke-.*"`.

use serde_json::Value;

use crate::gcp::refusal::Refusal;

/// What a list is narrowed by.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Filter {
    terms: Vec<Term>,
}

#[derive(Debug, PartialEq)]
struct Term {
    field: String,
    sign: Sign,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sign {
    Equal,
    Unequal,
    /// Contains, or begins with where the value ends with a star.
    Has,
    /// A regular expression for the whole, of which only `.*` is known.
    Matches,
    Differs,
}

impl Filter {
    /// The filter that a text says. Parentheses and `AND` only join; `OR` is not known.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let invalid =
            || Refusal::invalid(format!("Invalid value for field 'filter': '{text}'. Invalid list filter expression."));
        let words = words(text);
        if words.iter().any(|word| word == "OR") {
            return Err(invalid());
        }
        let mut words = words.into_iter().filter(|word| word != "AND").peekable();
        let mut terms = Vec::new();
        while let Some(field) = words.next() {
            let sign = words.next().ok_or_else(invalid)?;
            let sign = match sign.as_str() {
                "=" => Sign::Equal,
                "!=" => Sign::Unequal,
                ":" => Sign::Has,
                "eq" => Sign::Matches,
                "ne" => Sign::Differs,
                _ => return Err(invalid()),
            };
            terms.push(Term { field, sign, value: words.next().ok_or_else(invalid)? });
        }
        Ok(Self { terms })
    }

    /// Whether an item is wanted.
    pub fn fits(&self, item: &Value) -> bool {
        self.terms.iter().all(|term| term.fits(item))
    }
}

/// The words of a filter: names and values, and the signs between them.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), None);
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        match (quoted, sign) {
            (Some(quote), _) if sign == quote => {
                quoted = None;
                words.push(std::mem::take(&mut word));
            }
            (None, '"' | '\'') => quoted = Some(sign),
            (None, '!') if signs.peek() == Some(&'=') => {
                signs.next();
                words.push(std::mem::take(&mut word));
                words.push("!=".into());
            }
            (None, '=' | ':') => {
                words.push(std::mem::take(&mut word));
                words.push(sign.into());
            }
            (None, ' ' | '(' | ')') => words.push(std::mem::take(&mut word)),
            _ => word.push(sign),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

impl Term {
    fn fits(&self, item: &Value) -> bool {
        let found = self.field.split('.').try_fold(item, |value, part| value.get(part));
        let text = found.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let (text, value) = (text.as_deref(), self.value.as_str());
        match self.sign {
            Sign::Equal => text.is_some_and(|text| text.eq_ignore_ascii_case(value) || starred(text, value)),
            Sign::Unequal => text.is_none_or(|text| !text.eq_ignore_ascii_case(value)),
            Sign::Has if value == "*" => text.is_some(),
            Sign::Has => text.is_some_and(|text| starred(text, value) || text.contains(value)),
            Sign::Matches => text.is_some_and(|text| matches(text, value)),
            Sign::Differs => text.is_none_or(|text| !matches(text, value)),
        }
    }
}

fn starred(text: &str, value: &str) -> bool {
    value.strip_suffix('*').is_some_and(|start| text.starts_with(start))
}

/// Whether a text matches an expression whose only special part is `.*`.
fn matches(text: &str, expression: &str) -> bool {
    let expression = expression.trim_start_matches('^').trim_end_matches('$').replace(['(', ')'], "");
    expression.split('|').any(|one| {
        let mut rest = text;
        let mut parts = one.split(".*");
        let first = parts.next().unwrap_or_default();
        let Some(after) = rest.strip_prefix(first) else { return false };
        rest = after;
        let mut last_matched_end = !one.contains(".*");
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = if part.is_empty() { "" } else { &rest[at + part.len()..] };
            last_matched_end = true;
        }
        last_matched_end && rest.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fits(filter: &str) -> bool {
        let item = json!({"name": "gke-c-pool-1", "status": "READY", "labels": {"infra-deployment": "mnist"}});
        Filter::parse(filter).unwrap().fits(&item)
    }

    #[test]
    fn a_filter_goes_by_labels_names_and_states() {
        assert!(fits("") && fits("labels.infra-deployment=mnist") && fits("labels.infra-deployment:*"));
        assert!(!fits("labels.infra-deployment=other") && !fits("labels.none:*"));
        assert!(fits("(labels.infra-deployment = \"mnist\") AND (status != DELETING)"));
        assert!(fits("name eq \"gke-c-.*\"") && !fits("name eq gke-d-.*") && fits("name eq \".*(gke-c-pool-1|x).*\""));
        assert!(fits("name:gke-c*") && !fits("name = gke-c"));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        assert!(Filter::parse("name").is_err());
        assert!(Filter::parse("a = b OR c = d").is_err());
    }
}
