//! From what a person types to the address of a node.

use std::collections::BTreeSet;

use engine::{Address, Node};

use crate::report::Problem;

/// So many addresses are named where none is near to what was typed.
const NAMED: usize = 12;

/// The addresses that a person means, among these nodes.
pub fn find_all(typed: &[String], nodes: &[&Node]) -> Result<BTreeSet<Address>, Problem> {
    typed.iter().map(|typed| find(typed, nodes)).collect()
}

/// The address that a person means: as it stands in `--json`, as a plan names it (`Deployment default/web`), or as kubectl does
/// (`deployment/web`). Of an object and the wait for it, the object is meant.
fn find(typed: &str, nodes: &[&Node]) -> Result<Address, Problem> {
    let wanted = typed.trim().to_lowercase();
    let tests: [fn(&Node, &str) -> bool; 3] = [
        |node, wanted| node.address.to_string() == wanted,
        |node, wanted| node.title.to_lowercase() == wanted || node.address.name() == wanted,
        |node, wanted| is_short_for(wanted, node.address.name()),
    ];
    for test in tests {
        let mut found: Vec<&Node> = nodes.iter().copied().filter(|node| test(node, &wanted)).collect();
        if found.iter().any(|node| node.lasting) {
            found.retain(|node| node.lasting);
        }
        let addresses: BTreeSet<&Address> = found.iter().map(|node| &node.address).collect();
        match addresses.len() {
            0 => {}
            1 => return Ok(found[0].address.clone()),
            _ => return Err(ambiguous(typed, &addresses)),
        }
    }
    Err(unknown(typed, &wanted, nodes))
}

/// `deployment/web` is short for `deployment/default/web`, where it is the only one.
fn is_short_for(typed: &str, name: &str) -> bool {
    match (typed.split_once('/'), name.split_once('/')) {
        (Some((kind, typed)), Some((of_kind, rest))) => kind == of_kind && rest.rsplit('/').next() == Some(typed),
        _ => false,
    }
}

fn ambiguous(typed: &str, addresses: &BTreeSet<&Address>) -> Problem {
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    Problem::usage(format!("choose {typed:?}: there is more than one")).hint(format!("name one of {}", all.join(", ")))
}

fn unknown(typed: &str, wanted: &str, nodes: &[&Node]) -> Problem {
    let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for node in nodes {
        names.extend([node.address.to_string(), node.address.name().to_owned()]);
        if let Some((kind, rest)) = node.address.name().split_once('/') {
            names.insert(format!("{kind}/{}", rest.rsplit('/').next().unwrap_or(rest)));
        }
        addresses.insert(node.address.to_string());
    }
    let near = names.iter().map(|name| (strsim::damerau_levenshtein(wanted, name), name)).min();
    let near = near.filter(|(distance, name)| *distance <= 1 + name.len().min(wanted.len()) / 4);
    let all = || {
        let shown: Vec<&str> = addresses.iter().take(NAMED).map(String::as_str).collect();
        let more = addresses.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        format!("there are {}{more}", shown.join(", "))
    };
    let hint = near.map_or_else(all, |(_, name)| format!("did you mean {name}?"));
    Problem::usage(format!("find {typed:?} in the plan")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<Node> {
        let node = |address: &str, title: &str, lasting: bool| {
            let address: Address = address.parse().expect("an address");
            Node { lasting, ..Node::new(address, title, "objects") }
        };
        vec![
            node("object/deployment/default/web", "Deployment default/web", true),
            node("ready/deployment/default/web", "Deployment default/web", false),
            node("object/configmap/one/settings", "ConfigMap one/settings", true),
            node("object/configmap/two/settings", "ConfigMap two/settings", true),
            node("image/web", "image web (cargo)", true),
            node("check/page", "check page", false),
        ]
    }

    fn found(typed: &str) -> Result<String, String> {
        let nodes = nodes();
        match find(typed, &nodes.iter().collect::<Vec<_>>()) {
            Ok(address) => Ok(address.to_string()),
            Err(problem) => Err(problem.hint.unwrap_or_default()),
        }
    }

    #[test]
    fn an_address_is_found_by_all_its_names() {
        for typed in
            ["object/deployment/default/web", "Deployment default/web", "deployment/default/web", "deployment/web"]
        {
            assert_eq!(found(typed).as_deref(), Ok("object/deployment/default/web"), "{typed}");
        }
        assert_eq!(found("ready/deployment/default/web").as_deref(), Ok("ready/deployment/default/web"));
        assert_eq!(found("image/web").as_deref(), Ok("image/web"));
        assert_eq!(found("check page").as_deref(), Ok("check/page"));
    }

    #[test]
    fn what_could_be_several_is_not_guessed() {
        let hint = "name one of object/configmap/one/settings, object/configmap/two/settings";
        assert_eq!(found("configmap/settings"), Err(hint.to_owned()));
    }

    #[test]
    fn a_typing_mistake_is_answered_with_what_was_meant() {
        assert_eq!(found("deploymnet/web"), Err("did you mean deployment/web?".to_owned()));
        assert_eq!(found("image/wep"), Err("did you mean image/web?".to_owned()));
        assert!(found("nothing-like-it-at-all").is_err_and(|hint| hint.starts_with("there are check/page, image/web")));
    }
}
