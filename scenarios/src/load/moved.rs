use engine::Address;

use crate::problems::did_you_mean;
use crate::reader::{Field, Marked, Reader};

/// The kinds of what can be called otherwise and stay what it is.
const MOVABLE: [&str; 2] = ["check", "node-folder"];

/// Kinds whose names are a part of what their things are, with what happens instead.
const FIXED: [(&str, &str); 4] = [
    ("object", "a Kubernetes object is what its name says, so that another name means another object"),
    ("image", "an image is kept under its name"),
    ("ready", "a wait has the name of what it waits for"),
    ("kind-cluster", "a cluster has the name of its deployment"),
];

/// Reads `moved:`, the addresses before and now. `checks` are the names of the checks.
pub(super) fn read(reader: &mut Reader<'_>, field: &Field<'_>, checks: &[&str]) -> Vec<(Address, Address)> {
    let mut moves: Vec<(Marked<Address>, Marked<Address>)> = Vec::new();
    for item in reader.items(field) {
        let Some((from, to)) = entry(reader, &item) else { continue };
        is_renamed(reader, checks, &from, &to);
        let told = |reader: &mut Reader<'_>, earlier: &Marked<Address>, this: &Marked<Address>| {
            let help = format!("the other entry is on line {}: an address is moved once", earlier.mark.line);
            reader.problem::<()>(this.mark, format!("`{}` stands in two entries", this.value), help);
        };
        for (earlier_from, earlier_to) in &moves {
            if earlier_from.value == from.value {
                told(reader, earlier_from, &from);
            }
            if earlier_to.value == to.value {
                told(reader, earlier_to, &to);
            }
        }
        moves.push((from, to));
    }
    moves.into_iter().map(|(from, to)| (from.value, to.value)).collect()
}

fn entry(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<(Marked<Address>, Marked<Address>)> {
    let mut table = reader.table(field)?;
    let from = table.required(reader, "from", "check/page", address);
    let to = table.required(reader, "to", "check/front", address);
    table.close(reader);
    let (from, to) = (movable(reader, from?)?, to?);
    if from.value.kind() != to.value.kind() {
        let message = format!("`{}` cannot become `{}`", from.value, to.value);
        return reader.problem(to.mark, message, "only the name changes: both are of one kind".to_owned());
    }
    if from.value == to.value {
        let message = format!("`{}` has this name already", to.value);
        return reader.problem(to.mark, message, "say under `from` what it was called before".to_owned());
    }
    Some((from, to))
}

/// What is wanted has the name of today, and no other thing the one before.
fn is_renamed(reader: &mut Reader<'_>, checks: &[&str], from: &Marked<Address>, to: &Marked<Address>) {
    if to.value.kind() != "check" {
        return;
    }
    if !checks.contains(&to.value.name()) {
        let message = format!("there is no check `{}`", to.value.name());
        reader.problem::<()>(to.mark, message, did_you_mean(to.value.name(), checks.iter().copied()));
    }
    if checks.contains(&from.value.name()) {
        let message = format!("there still is a check `{}`", from.value.name());
        reader.problem::<()>(from.mark, message, "say under `from` what is called otherwise today".to_owned());
    }
}

fn address(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Marked<Address>> {
    let text = reader.text(field)?;
    let Ok(address) = text.value.parse::<Address>() else {
        let help = "write its kind and its name, for example `check/page`".to_owned();
        return reader.problem(text.mark, format!("`{}` is no address", text.value), help);
    };
    Some(Marked { value: address, mark: text.mark })
}

/// The address of something that stays what it is under another name.
fn movable(reader: &mut Reader<'_>, address: Marked<Address>) -> Option<Marked<Address>> {
    let Marked { value: address, mark } = address;
    if MOVABLE.contains(&address.kind()) {
        return Some(Marked { value: address, mark });
    }
    let message = format!("`{address}` cannot be moved");
    let help = match FIXED.iter().find(|(kind, _)| *kind == address.kind()) {
        Some((_, why)) => format!("{why}; without this entry the old one is removed and the new one made"),
        None => did_you_mean(address.kind(), MOVABLE).unwrap_or_default(),
    };
    reader.problem(mark, message, help)
}
