//! Where the sandbox answers otherwise than a real cluster, by decision: one table, `differences.toml`.

use serde::Deserialize;

use crate::recording::Difference;

/// One decision.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The statement, as `area::name`.
    pub statement: String,
    /// The labels of the observations that differ; `*` stands for every one.
    pub seen: Vec<String>,
    /// What differs, for people.
    pub what: String,
    /// Why.
    pub why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    difference: Vec<Decision>,
}

/// Reads the table.
pub fn read(text: &str) -> Result<Vec<Decision>, toml::de::Error> {
    Ok(toml::from_str::<Table>(text)?.difference)
}

/// What is wrong with a statement's differences: those that nobody decided, and decisions that do not differ any more.
pub fn undecided(statement: &str, found: &[Difference], decisions: &[Decision]) -> Vec<String> {
    let ours: Vec<&Decision> = decisions.iter().filter(|decision| decision.statement == statement).collect();
    let covers = |pattern: &str, label: &str| pattern == "*" || pattern == label;
    let decided = |label: &str| ours.iter().any(|decision| decision.seen.iter().any(|pattern| covers(pattern, label)));
    let mut wrong: Vec<String> =
        found.iter().filter(|difference| !decided(&difference.label)).map(ToString::to_string).collect();
    for pattern in ours.iter().flat_map(|decision| &decision.seen) {
        if !found.iter().any(|difference| covers(pattern, &difference.label)) {
            wrong.push(format!("{pattern}\n  is listed as a difference and does not differ any more: take it out\n"));
        }
    }
    wrong
}

/// The table for people, in Markdown: one row for each text of what and why, with its statements.
pub fn table(decisions: &[Decision]) -> String {
    let mut rows: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for decision in decisions {
        match rows.iter_mut().find(|(what, why, _)| *what == decision.what && *why == decision.why) {
            Some((_, _, statements)) => statements.push(&decision.statement),
            None => rows.push((&decision.what, &decision.why, vec![&decision.statement])),
        }
    }
    let lines = rows.into_iter().map(|(what, why, statements)| {
        let statements: Vec<String> = statements.iter().map(|statement| format!("`{statement}`")).collect();
        format!("| {} | {} | {} |\n", cell(what), cell(why), statements.join(", "))
    });
    let head = "| what differs | why | statements |\n|---|---|---|\n".to_owned();
    std::iter::once(head).chain(lines).collect()
}

/// A text that cannot end its cell.
fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|").replace('\n', " ")
}

/// What stands before the table in a page.
const BEGIN: &str = "<!-- The table of differences begins. It is made of sandbox/contract/differences.toml. -->\n";
/// What stands after it.
const END: &str = "<!-- The table of differences ends. -->\n";

/// The page with this table in its place; none when the page has no place for it.
pub fn page(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn difference(label: &str) -> Difference {
        Difference { label: label.to_owned(), truth: Some(json!(1)), now: Some(json!(2)) }
    }

    fn decisions() -> Vec<Decision> {
        read(
            r#"
            [[difference]]
            statement = "pods::a_pod_runs"
            seen = ["node"]
            what = "the node's name"
            why = "there is one"
            "#,
        )
        .unwrap()
    }

    #[test]
    fn what_is_decided_is_no_problem_and_what_is_not_is() {
        assert!(undecided("pods::a_pod_runs", &[difference("node")], &decisions()).is_empty());
        assert_eq!(undecided("pods::a_pod_runs", &[difference("node"), difference("phase")], &decisions()).len(), 1);
        assert_eq!(undecided("pods::another", &[difference("node")], &decisions()).len(), 1);
    }

    #[test]
    fn a_decision_that_does_not_differ_any_more_is_a_problem() {
        assert!(undecided("pods::a_pod_runs", &[], &decisions())[0].contains("does not differ any more"));
    }

    #[test]
    fn decisions_with_the_same_words_share_a_row() {
        let mut twice = decisions();
        twice.push(Decision { statement: "pods::another".to_owned(), ..twice[0].clone() });
        assert!(table(&twice).ends_with("| the node's name | there is one | `pods::a_pod_runs`, `pods::another` |\n"));
    }

    #[test]
    fn a_page_keeps_everything_but_the_table() {
        let before = format!("# Page\n\n{BEGIN}old\n{END}\nMore.\n");
        let after = page(&before, "| new |\n").unwrap();
        assert_eq!(after, format!("# Page\n\n{BEGIN}\n| new |\n\n{END}\nMore.\n"));
        assert_eq!(page(&after, "| new |\n"), Some(after));
        assert_eq!(page("# Page\n", ""), None);
    }

    #[test]
    fn a_text_stays_in_its_cell() {
        assert_eq!(cell("this | that\n"), "this \\| that");
    }
}
