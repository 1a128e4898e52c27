//! `.dockerignore` as the Docker Engine understands it.
//!
//! One pattern a line: `#` starts a comment line, `!` brings back what an earlier line left out, the last line that matches
//! decides. `*` and `?` stay within a path segment, `**` crosses any number of them, `[a-z]` and `[^a-z]` are sets, `\` takes
//! the next character literally. A pattern that matches a folder holds for everything below.

/// The lines of a `.dockerignore` file.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    brings_back: bool,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Character(char),
    /// `?`: one character, not a slash.
    One,
    /// `*`: any number of characters, no slash.
    Segment,
    /// `**/` and `**` before something: any number of whole segments, none too.
    Segments,
    /// `**` at the end: anything.
    Anything,
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// A line that is no pattern.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {pattern:?} is no pattern: {reason}")]
pub struct InvalidPattern {
    /// The line, from 1.
    pub line: usize,
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Rules {
    /// Reads the text of a `.dockerignore` file.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let mut rules = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let invalid = |reason| InvalidPattern { line: index + 1, pattern: line.trim().to_owned(), reason };
            let (brings_back, pattern) = match line.trim().strip_prefix('!') {
                Some(pattern) => (true, pattern.trim()),
                None => (false, line.trim()),
            };
            if pattern.is_empty() {
                return Err(invalid("`!` stands alone"));
            }
            let pattern = clean(pattern);
            // The whole context cannot be left out: Docker ignores this line.
            if pattern != "." && !pattern.is_empty() {
                rules.push(Rule { brings_back, tokens: tokens(&pattern).map_err(invalid)? });
            }
        }
        Ok(Self { rules })
    }

    /// Whether a path of the context (with `/`, relative) is left out.
    pub fn excludes(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        let ends: Vec<usize> = (0..path.len()).filter(|at| path[*at] == '/').chain([path.len()]).collect();
        let mut excluded = false;
        for rule in &self.rules {
            if rule.brings_back == excluded && ends.iter().any(|end| matches(&rule.tokens, &path[..*end])) {
                excluded = !rule.brings_back;
            }
        }
        excluded
    }

    /// Whether nothing below an excluded folder can be brought back, so that it need not be walked.
    pub fn only_excludes(&self) -> bool {
        self.rules.iter().all(|rule| !rule.brings_back)
    }
}

/// A path without `.`, `..`, double slashes and slashes at its ends.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            // There is nothing above the context.
            ".." if pattern.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

fn tokens(pattern: &str) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        tokens.push(match character {
            '*' if rest.next_if_eq(&'*').is_some() => {
                // `**name` at the start is a plain suffix, unless there are more wild cards; so it is in Docker.
                let is_suffix =
                    tokens.is_empty() && rest.peek() != Some(&'/') && !rest.clone().any(|next| "*?[]\\".contains(next));
                rest.next_if_eq(&'/');
                if is_suffix || rest.peek().is_none() { Token::Anything } else { Token::Segments }
            }
            '*' => Token::Segment,
            '?' => Token::One,
            '[' => set(&mut rest)?,
            '\\' => Token::Character(rest.next().ok_or("it ends with `\\`")?),
            character => Token::Character(character),
        });
    }
    Ok(tokens)
}

fn set(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, &'static str> {
    let open = "a `[` has no `]`";
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let first = match rest.next().ok_or(open)? {
            ']' if ranges.is_empty() => return Err("`[]` is empty"),
            ']' => return Ok(Token::Set { negated, ranges }),
            '\\' => rest.next().ok_or(open)?,
            character => character,
        };
        let mut last = first;
        if rest.next_if_eq(&'-').is_some() {
            last = match rest.next().ok_or(open)? {
                '\\' => rest.next().ok_or(open)?,
                ']' => return Err("a range in `[` has no end"),
                character => character,
            };
        }
        ranges.push((first, last));
    }
}

/// Whether the tokens match the whole path. Tries every split of a wild card; patterns and paths are short.
fn matches(tokens: &[Token], path: &[char]) -> bool {
    let Some((token, others)) = tokens.split_first() else { return path.is_empty() };
    let first = path.first().copied();
    match token {
        Token::Character(character) => first == Some(*character) && matches(others, &path[1..]),
        Token::One => first.is_some_and(|character| character != '/') && matches(others, &path[1..]),
        Token::Set { negated, ranges } => {
            let inside = |character| ranges.iter().any(|(from, to)| (*from..=*to).contains(&character));
            first.is_some_and(|character| inside(character) != *negated) && matches(others, &path[1..])
        }
        Token::Segment => {
            let longest = path.iter().position(|character| *character == '/').unwrap_or(path.len());
            (0..=longest).any(|length| matches(others, &path[length..]))
        }
        Token::Segments => {
            let starts = (0..path.len()).filter(|at| path[*at] == '/').map(|at| at + 1);
            std::iter::once(0).chain(starts).any(|start| matches(others, &path[start..]))
        }
        Token::Anything => (0..=path.len()).any(|length| matches(others, &path[length..])),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn excluded(text: &str, path: &str) -> bool {
        Rules::parse(text).unwrap().excludes(path)
    }

    #[test]
    fn patterns_mean_what_docker_says() {
        let table = [
            ("a", "a", true),
            ("a", "a/b/c", true),
            ("a", "b/a", false),
            ("/a", "a", true),
            ("a/", "a", true),
            ("./a//b/../c", "a/c", true),
            ("*", "a/b", true),
            ("*.md", "README.md", true),
            ("*.md", "docs/README.md", false),
            ("**/*.md", "README.md", true),
            ("**/*.md", "docs/deep/README.md", true),
            ("*/temp*", "some/temporary.txt", true),
            ("*/temp*", "temporary.txt", false),
            ("*/*/temp*", "a/b/temp", true),
            ("temp?", "tempa", true),
            ("temp?", "temp", false),
            ("temp?", "temp/a", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**/", "a/b", true),
            ("a/**/d", "a/d", true),
            ("a/**/d", "a/b/c/d", true),
            ("**", "anything/at/all", true),
            ("**/node_modules", "web/node_modules/x/y.js", true),
            ("a**b", "a/x/b", true),
            ("a**b", "axb", false),
            ("**b", "a/xb", true),
            ("**b?", "a/xbc", false),
            ("a[^b]c", "a/c", true),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[^a-c]x", "dx", true),
            ("[^a-c]x", "ax", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a.b", "axb", false),
            ("#a", "#a", false),
            ("  a  ", "a", true),
            ("*\n!keep", "keep", false),
            ("*\n!keep", "keep/inside", false),
            ("*\n!keep\nkeep/not", "keep/not/this", true),
            ("!a\na", "a", true),
            ("a\n!a/b", "a/b/c", false),
            ("a\n!a/b", "a/c", true),
            ("a\n! a", "a", false),
            (".", "a", false),
            ("/", "a", false),
            ("../a", "a", false),
            ("/../a", "a", true),
            ("\u{feff}a", "a", true),
            ("ü*", "über/x", true),
        ];
        for (text, path, wanted) in table {
            assert_eq!(excluded(text, path), wanted, "pattern {text:?}, path {path:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_named_with_its_line() {
        let table = [("a\n!\n", 2), ("[a", 1), ("\n# c\na\\", 3), ("[]", 1), ("[a-]", 1)];
        for (text, line) in table {
            assert_eq!(Rules::parse(text).unwrap_err().line, line, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_path_without_wild_cards_excludes_itself_and_what_is_below(path in "[a-z]{1,4}(/[a-z]{1,4}){0,3}", below in "[a-z]{1,4}") {
            prop_assert!(excluded(&path, &path));
            let inside = format!("{path}/{below}");
            prop_assert!(excluded(&path, &inside));
            let other = format!("{path}x");
            prop_assert!(!excluded(&path, &other));
        }

        #[test]
        fn a_later_exception_always_wins(lines in proptest::collection::vec("[a-z*?/]{1,6}", 0..6), path in "[a-z]{1,4}(/[a-z]{1,4}){0,3}") {
            let text = format!("{}\n!{path}", lines.join("\n"));
            prop_assert!(!excluded(&text, &path));
        }
    }
}
