//! The journal as a file: what survives, what is refused.

use crate::world::{at, thing};
use engine::{Change, Inventory, Journal, JournalError, Operation, Remains, State};
use futures::executor::block_on;
use proptest::prelude::*;
use serde_json::{Value, json};

fn began(name: &str) -> (engine::Address, Change) {
    (at(name), Change::Began { operation: Operation::Create, node: Some(Box::new(thing(name, "1", &[]))) })
}

fn ended(name: &str, operation: Operation) -> (engine::Address, Change) {
    (at(name), Change::Ended { operation, outputs: json!({ "id": name }) })
}

fn written() -> (tempfile::TempDir, std::path::PathBuf, Inventory) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let mut journal = Journal::open(&path).unwrap();
    block_on(journal.append(vec![began("a"), began("b")])).unwrap();
    block_on(journal.append(vec![ended("a", Operation::Create)])).unwrap();
    let failed = Change::Failed { operation: Operation::Create, remains: Remains::Nothing, error: "no".to_owned() };
    block_on(journal.append(vec![(at("b"), failed)])).unwrap();
    let inventory = journal.inventory().clone();
    (folder, path, inventory)
}

#[test]
fn what_was_appended_is_what_is_read() {
    let (_folder, path, inventory) = written();
    let read = Journal::read(&path).unwrap();
    assert_eq!(read, inventory);
    assert_eq!(read.get(&at("a")).unwrap().state, State::Present);
    assert_eq!(read.get(&at("a")).unwrap().outputs, json!({ "id": "a" }));
    assert!(read.get(&at("b")).is_none());
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, path, _) = written();
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_last_line_torn_at_any_byte_is_cut_off_and_the_rest_is_kept() {
    let (_folder, path, _) = written();
    let whole = std::fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for length in last..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.inventory().last_number(), 3, "cut at byte {length}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), last as u64);
        block_on(journal.append(vec![ended("b", Operation::Create)])).unwrap();
        assert_eq!(Journal::read(&path).unwrap().get(&at("b")).unwrap().state, State::Present);
    }
}

#[test]
fn a_flipped_bit_anywhere_is_noticed_the_last_end_of_a_line_included() {
    let (_folder, path, _) = written();
    let whole = std::fs::read(&path).unwrap();
    for position in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        assert!(Journal::read(&path).is_err(), "bit flipped in byte {position}");
    }
}

#[test]
fn a_damaged_line_is_named() {
    let (_folder, path, _) = written();
    let text = std::fs::read_to_string(&path).unwrap().replacen("thing b", "thing c", 1);
    std::fs::write(&path, text).unwrap();
    let error = Journal::read(&path).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { line: 2, .. }), "{error}");
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let (_folder, path, _) = written();
    let body = std::fs::read_to_string(&path).unwrap().lines().next().unwrap().replacen("\"v\":1", "\"v\":3", 1);
    let body = body.rsplit_once(",\"crc\"").unwrap().0;
    let line = format!("{body},\"crc\":\"{:08x}\"}}\n", crc32fast::hash(body.as_bytes()));
    std::fs::write(&path, line).unwrap();
    assert!(matches!(Journal::read(&path).unwrap_err(), JournalError::Newer { found: 3, .. }));
}

#[test]
fn an_illegal_transition_is_refused_and_breaks_the_journal_for_this_run() {
    let (_folder, path, _) = written();
    let mut journal = Journal::open(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(
        block_on(journal.append(vec![ended("a", Operation::Create)])).unwrap_err(),
        JournalError::Illegal { .. }
    ));
    assert!(matches!(block_on(journal.append(vec![began("c")])).unwrap_err(), JournalError::Broken(_)));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

fn any_change() -> impl Strategy<Value = (usize, Change)> {
    let operation = prop_oneof![Just(Operation::Create), Just(Operation::Update), Just(Operation::Delete)];
    let remains = prop_oneof![Just(Remains::Nothing), Just(Remains::Something), Just(Remains::Unknown)];
    (0..4usize, operation, remains, 0..4u8).prop_map(|(name, operation, remains, what)| {
        let name_text = format!("n{name}");
        let mut node = thing(&name_text, "1", &[]);
        if name > 1 {
            node.within = Some(at("n0"));
        }
        let node = Box::new(node);
        let change = match what {
            0 if operation == Operation::Delete => Change::Began { operation, node: None },
            0 => Change::Began { operation, node: Some(node) },
            1 => Change::Ended { operation, outputs: Value::Null },
            2 => Change::Failed { operation, remains, error: String::new() },
            _ => Change::Found { node, outputs: Value::Null },
        };
        (name, change)
    })
}

proptest! {
    /// Whatever is appended, what is read back is the same fold; nothing illegal reaches the file.
    #[test]
    fn reading_folds_to_what_writing_held(changes in proptest::collection::vec(any_change(), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut expected = Inventory::default();
        for (name, change) in changes {
            let mut journal = Journal::open(&path).unwrap();
            if block_on(journal.append(vec![(at(&format!("n{name}")), change)])).is_ok() {
                expected = journal.inventory().clone();
            }
            prop_assert_eq!(&Journal::read(&path).unwrap(), &expected);
        }
    }
}
