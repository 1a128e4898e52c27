//! The text of label selectors, read as the real server does and with its words.

use crate::Status;

/// What is wanted of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    In,
    NotIn,
    Exists,
    Absent,
    Greater,
    Less,
}

/// One requirement: a label's name, what is wanted of it, and the values.
pub(crate) type Requirement = (String, Operator, Vec<String>);

const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";
const NAME: &str = "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
    an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
    start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

#[derive(Debug, Clone, PartialEq)]
enum Token {
    End,
    Word(String),
    Sign(&'static str),
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::End => "",
            Self::Word(text) => text,
            Self::Sign(text) => text,
        }
    }
}

/// Longer signs come first.
const SIGNS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

/// Reads a selector.
pub(crate) fn parse(text: &str) -> Result<Vec<Requirement>, Status> {
    let mut tokens = Tokens { rest: text };
    let mut requirements = Vec::new();
    loop {
        match tokens.peek() {
            Token::End if requirements.is_empty() => return Ok(requirements),
            Token::Word(_) | Token::Sign("!") => {}
            other => return Err(refused(&other, "!, identifier, or 'end of string'")),
        }
        let requirement = tokens.requirement();
        requirements
            .push(requirement.map_err(|why| Status::bad_request(format!("unable to parse requirement: {why}")))?);
        match tokens.next() {
            Token::End => return Ok(requirements),
            Token::Sign(",") => match tokens.peek() {
                Token::Word(_) | Token::Sign("!") => {}
                other => return Err(refused(&other, "identifier after ','")),
            },
            other => return Err(refused(&other, "',' or 'end of string'")),
        }
    }
}

fn refused(found: &Token, expected: &str) -> Status {
    Status::bad_request(unexpected(found, expected))
}

fn unexpected(found: &Token, expected: &str) -> String {
    format!("found '{}', expected: {expected}", found.text())
}

struct Tokens<'a> {
    rest: &'a str,
}

impl Tokens<'_> {
    fn peek(&self) -> Token {
        Tokens { rest: self.rest }.next()
    }

    fn next(&mut self) -> Token {
        self.rest = self.rest.trim_start();
        if let Some(sign) = SIGNS.into_iter().find(|sign| self.rest.starts_with(sign)) {
            self.rest = &self.rest[sign.len()..];
            return Token::Sign(sign);
        }
        let ends = |letter: char| letter.is_whitespace() || "=!(),<>".contains(letter);
        let (word, rest) = self.rest.split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        if word.is_empty() { Token::End } else { Token::Word(word.to_owned()) }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut first = self.next();
        let absent = first == Token::Sign("!");
        if absent {
            first = self.next();
        }
        let Token::Word(key) = first else { return Err(unexpected(&first, "identifier")) };
        if !is_name(&key) {
            return Err(format!("<nil>: Invalid value: {key:?}: {NAME}"));
        }
        if matches!(self.peek(), Token::End | Token::Sign(",")) {
            return Ok((key, if absent { Operator::Absent } else { Operator::Exists }, Vec::new()));
        }
        if absent {
            return Ok((key, Operator::Absent, Vec::new()));
        }
        let sign = self.next();
        let (operator, is_list) = match sign.text() {
            "in" => (Operator::In, true),
            "notin" => (Operator::NotIn, true),
            "=" | "==" => (Operator::In, false),
            "!=" => (Operator::NotIn, false),
            ">" | "gt" => (Operator::Greater, false),
            "<" | "lt" => (Operator::Less, false),
            _ => return Err(unexpected(&sign, OPERATORS)),
        };
        let values = if is_list { self.values()? } else { vec![self.value()?] };
        check(&values, operator)?;
        Ok((key, operator, values))
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.next();
        if open != Token::Sign("(") {
            return Err(format!("found '{}' expected: '('", open.text()));
        }
        let mut values = Vec::new();
        let mut after_comma = true;
        loop {
            match self.next() {
                Token::Word(value) if after_comma => values.push(value),
                Token::Sign(",") => {
                    if after_comma {
                        values.push(String::new());
                    }
                    after_comma = true;
                    continue;
                }
                Token::Sign(")") => {
                    if after_comma {
                        values.push(String::new());
                    }
                    return Ok(values);
                }
                other if values.is_empty() => return Err(unexpected(&other, "',', ')' or identifier")),
                other if after_comma => return Err(unexpected(&other, "',', or identifier")),
                other => return Err(unexpected(&other, "',' or ')'")),
            }
            after_comma = false;
        }
    }

    fn value(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::End | Token::Sign(",") => Ok(String::new()),
            Token::Word(value) => {
                self.next();
                Ok(value)
            }
            other @ Token::Sign(_) => Err(unexpected(&other, "identifier")),
        }
    }
}

fn check(values: &[String], operator: Operator) -> Result<(), String> {
    for (place, value) in values.iter().enumerate() {
        let is_comparison = matches!(operator, Operator::Greater | Operator::Less);
        if is_comparison && value.parse::<i64>().is_err() {
            return Err(format!(
                "values[{place}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
            ));
        }
        if value.len() > 63 {
            return Err(format!("values[{place}]: Invalid value: {value:?}: must be no more than 63 bytes"));
        }
        if !value.is_empty() && !is_word(value) {
            return Err(format!("values[{place}]: Invalid value: {value:?}: {VALUE}"));
        }
    }
    Ok(())
}

/// A label's name: perhaps a prefix, and a word.
fn is_name(key: &str) -> bool {
    let (prefix, word) = key.split_once('/').map_or((None, key), |(prefix, word)| (Some(prefix), word));
    let fine = |part: &str| {
        let ends = |letter: Option<char>| letter.is_some_and(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
        ends(part.chars().next()) && ends(part.chars().last()) && part.chars().all(|it| it == '-' || ends(Some(it)))
    };
    word.len() <= 63 && is_word(word) && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(fine))
}

fn is_word(text: &str) -> bool {
    let ends = |letter: Option<char>| letter.is_some_and(|it| it.is_ascii_alphanumeric());
    let inside = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    ends(text.chars().next()) && ends(text.chars().last()) && text.chars().all(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read() {
        let read = |text: &str| parse(text).expect(text);
        let one = |key: &str, operator, values: &[&str]| {
            (key.to_owned(), operator, values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(read(""), []);
        let all = "a=b, c == d,e!=,f in (x, y), !g,h,example.com/i notin (z),n>1";
        let expected = [
            one("a", Operator::In, &["b"]),
            one("c", Operator::In, &["d"]),
            one("e", Operator::NotIn, &[""]),
            one("f", Operator::In, &["x", "y"]),
            one("g", Operator::Absent, &[]),
            one("h", Operator::Exists, &[]),
            one("example.com/i", Operator::NotIn, &["z"]),
            one("n", Operator::Greater, &["1"]),
        ];
        assert_eq!(read(all), expected);
    }

    #[test]
    fn what_is_no_selector_is_refused_in_the_real_words() {
        let table = [
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
            ("a in", "unable to parse requirement: found '' expected: '('"),
            ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
            ("=", "found '=', expected: !, identifier, or 'end of string'"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("!!a", "unable to parse requirement: found '!', expected: identifier"),
        ];
        for (text, message) in table {
            assert_eq!(parse(text).expect_err(text).message, message, "{text}");
        }
    }
}
