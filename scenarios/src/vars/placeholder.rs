/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// It stays as it is.
    Text(&'t str),
    /// The value of a variable goes here; what stands between the brackets.
    Variable(&'t str),
}

/// The parts of a text; `None` where it has no placeholder, and so stays as it is.
pub(super) fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut searched = 0;
    let mut has_any = false;
    while let Some(at) = rest[searched..].find("$<").map(|at| searched + at) {
        let inside = &rest[at + 2..];
        let Some(written) = inside.find('>').map(|end| &inside[..end]).filter(|written| is_name(written.trim())) else {
            searched = at + 2;
            continue;
        };
        has_any = true;
        let end = at + 2 + written.len() + 1;
        let before = &rest[..at];
        if let Some(before) = before.strip_suffix('$') {
            pieces.extend([Piece::Text(before), Piece::Text(&rest[at..end])]);
        } else {
            pieces.extend([Piece::Text(before), Piece::Variable(written)]);
        }
        (rest, searched) = (&rest[end..], 0);
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    has_any.then_some(pieces)
}

/// Whether it could be the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=63).contains(&text.len())
        && text.bytes().all(inside)
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::Piece::{Text, Variable};
    use super::*;

    #[test]
    fn only_a_name_between_the_brackets_is_a_placeholder() {
        let others = [
            "",
            "$",
            "a $< b",
            "$<>",
            "$<1>",
            "$(A)",
            "${A}",
            "{{ a }}",
            "cat <<EOF",
            "$<a b>",
            "$<a",
            "echo $((1<2))",
        ];
        for text in others {
            assert_eq!(pieces(text), None, "{text}");
        }
        assert_eq!(pieces("$<a>"), Some(vec![Variable("a")]));
        assert_eq!(pieces("$< a >"), Some(vec![Variable(" a ")]));
        assert_eq!(pieces("x$<a>é$<B_2-c>"), Some(vec![Text("x"), Variable("a"), Text("é"), Variable("B_2-c")]));
        assert_eq!(pieces("$<$<a>"), Some(vec![Text("$<"), Variable("a")]));
    }

    #[test]
    fn a_doubled_dollar_is_one_and_no_placeholder() {
        assert_eq!(pieces("$$<a> $<b>"), Some(vec![Text("$<a>"), Text(" "), Variable("b")]));
        assert_eq!(pieces("a$$<1>"), None);
    }
}
