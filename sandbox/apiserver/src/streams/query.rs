//! The query of a request.

use crate::Status;

/// Names and values of a query, decoded, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the question mark.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(a, b)| (decode(a), decode(b))).collect(),
        )
    }

    /// Every value of a name.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let name = name.to_owned();
        self.0.iter().filter(move |(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a name that is not empty.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// Whether it is set, and to neither `false` nor `0`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.all(name).next().is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        let Some(text) = self.first(name) else { return Ok(None) };
        let parsed = text.parse().map(Some);
        parsed.map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax")))
    }
}

/// Takes percent signs and plus signs away; what is no UTF-8 then is replaced.
fn decode(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match code.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => bytes.push(byte),
            None => bytes.push(if *first == b'+' { b' ' } else { *first }),
        }
        rest = if code.is_some_and(|two| u8::from_str_radix(two, 16).is_ok()) { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_keeps_its_order() {
        let query =
            Query::parse("command=sh&command=-c&command=echo+%22a%26b%22+100%&stdin=true&tty=0&stderr=false&stdout");
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["sh", "-c", "echo \"a&b\" 100%"]);
        assert_eq!(
            ["stdin", "tty", "stderr", "stdout", "none"].map(|name| query.flag(name)),
            [true, false, false, true, false]
        );
    }

    #[test]
    fn a_number_that_is_none_is_refused_with_its_text() {
        let query = Query::parse("tailLines=ten&limitBytes=7");
        assert_eq!(query.number("limitBytes"), Ok(Some(7)));
        assert_eq!(query.number("sinceSeconds"), Ok(None));
        let refused = query.number("tailLines").unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (400, "strconv.ParseInt: parsing \"ten\": invalid syntax")
        );
    }
}
