//! What the texts of the repository do not say.

use tidy::tree;

/// Written in pieces, so that this file does not hold them itself.
const WORDS: [&[&str]; 12] = [
    &["FIX", "ME"],
    &["TO", "DO"],
    &["not ", "implemented"],
    &["not yet ", "implemented"],
    &["/wo", "rk/"],
    &["/ro", "ot/"],
    &["blazing", "ly"],
    &["seam", "less"],
    &["effort", "less"],
    &["cutting-", "edge"],
    &["state-of-", "the-art"],
    &["game ", "changer"],
];

/// Files whose words are not ours.
const FOREIGN: [&str; 5] = ["LICENSE", "Cargo.lock", "go.mod", "go.sum", "data/"];

/// The forbidden words of a text, each with its line, from 1.
fn forbidden(text: &str) -> Vec<(usize, String)> {
    let words: Vec<String> = WORDS.iter().map(|pieces| pieces.concat()).collect();
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        found.extend(words.iter().filter(|word| line.contains(*word)).map(|word| (number + 1, word.clone())));
    }
    found
}

#[test]
fn a_forbidden_word_is_found_with_its_line() {
    let text = format!("fine\n// {}{} later\n", "TO", "DO");
    assert_eq!(forbidden(&text), [(2, ["TO", "DO"].concat())]);
}

#[test]
fn no_text_has_a_forbidden_word() {
    let mut places = Vec::new();
    for path in tree::files() {
        if FOREIGN.iter().any(|foreign| path.contains(foreign)) {
            continue;
        }
        let found = forbidden(&tree::text(&path).unwrap_or_default());
        places.extend(found.into_iter().map(|(line, word)| format!("{path}:{line}: {word}")));
    }
    assert!(places.is_empty(), "say it in another way, or do it:\n{}", places.join("\n"));
}

#[test]
fn long_dashes_stay_rare() {
    let prose = tree::files_with(&["md", "rs"]).into_iter();
    let count = |path: &str| tree::text(path).map_or(0, |text| text.matches('\u{2014}').count());
    let many: Vec<(String, usize)> =
        prose.map(|path| (count(&path), path)).filter(|it| it.0 > 3).map(|(n, p)| (p, n)).collect();
    assert!(many.is_empty(), "more than three in a file: {many:?}");
}
