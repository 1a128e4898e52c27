//! How a run ends: what was done, where it answers, where the time went; and the receipt of a destroy.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cluster::gke_spec::Data;
use engine::{Gone, Outcome, Timing};

use crate::view::progress::TOLD_NOT_TRIED;
use crate::view::{count, duration, style};

/// Steps that took less of the chain than this are not told.
const TOLD_SECONDS: f64 = 0.25;

/// Where the time went: the chain of steps that each had to wait for the one before.
pub fn timing(timing: &Timing) -> String {
    let mut text = format!("{}\n", style::dim("where the time went"));
    let short: f64 = timing.chain.iter().filter(|link| link.seconds < TOLD_SECONDS).map(|link| link.seconds).sum();
    for link in timing.chain.iter().filter(|link| link.seconds >= TOLD_SECONDS) {
        let _ = writeln!(text, "  {:<50} {:>8}", link.title, duration(link.seconds));
    }
    if short >= TOLD_SECONDS {
        let _ = writeln!(text, "  {:<50} {:>8}", "short steps", duration(short));
    }
    let _ = writeln!(text, "  {:<50} {:>8}", style::bold(format!("{:<50}", "in all")), duration(timing.total_seconds));
    text
}

/// What a failed or stopped run leaves open; `again` says, after a semicolon, what else can be done.
pub fn unfinished(outcome: &Outcome, again: &str) -> String {
    let mut text = String::new();
    if !outcome.not_tried.is_empty() {
        let all = outcome.not_tried.len();
        let more = if all > TOLD_NOT_TRIED { ", the first of them are listed" } else { "" };
        let _ = writeln!(text, "{} not tried{more}", count(all, "step"));
    }
    let _ = writeln!(text, "{} the same command goes on from here{again}", style::hint("next:"));
    text
}

/// Everything that was looked up and found gone, by sort.
pub fn receipt(gone: &[Gone]) -> String {
    let mut by_sort: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for item in gone {
        by_sort.entry(&item.what).or_default().push(&item.name);
    }
    let mut text = format!("{}\n", style::bold("receipt: looked up and found gone"));
    for (what, mut names) in by_sort {
        names.sort_unstable();
        names.dedup();
        let shown = names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(3);
        let shown = if more == 0 { shown } else { format!("{shown} and {more} more") };
        let _ = writeln!(text, "  {} {:>4} {what:<18} {}", style::good("✓"), names.len(), style::dim(shown));
    }
    text
}

/// What a destroy is about to keep; empty where that is nothing.
pub fn to_be_kept(data: &[Data]) -> String {
    if data.is_empty() {
        return String::new();
    }
    format!("\n  {}\n{}", style::dim("kept, with the data on it"), disks(data, "    "))
}

/// What a destroy kept, what it costs, and what becomes of it.
pub fn kept(name: &str, data: &[Data]) -> String {
    let mut text = format!("{}\n", style::bold("kept, as --keep-data says; everything else is gone"));
    text.push_str(&disks(data, "  "));
    for disk in data {
        let _ = writeln!(text, "    {}", style::dim(&disk.deletion));
    }
    let _ = writeln!(text, "\n{} infra destroy --name {name} --provider gke removes it, too", style::hint("next:"));
    if data.iter().any(|disk| disk.claim.is_none()) {
        let _ = writeln!(text, "      infra apply of the same scenario takes disks that stand alone up again");
    }
    text
}

/// Disks in lines of their own: name, size, zone, claim, price; and the sum of the prices.
pub fn disks(data: &[Data], indent: &str) -> String {
    let name = data.iter().map(|disk| disk.name.len()).max().unwrap_or(0);
    let zone = data.iter().map(|disk| disk.zone.len()).max().unwrap_or(0);
    let mut text = String::new();
    for disk in data {
        let price = disk.dollars_per_month.map_or("an unknown price".to_owned(), price);
        let claim = disk.claim.as_ref().map(|claim| format!("  of the claim {claim}")).unwrap_or_default();
        let size = disk.size_gigabytes;
        let _ = writeln!(text, "{indent}= {:name$}  {size:>6} GB  {:zone$}  {price}{claim}", disk.name, disk.zone);
    }
    if data.len() > 1 {
        let sum: f64 = data.iter().filter_map(|disk| disk.dollars_per_month).sum();
        let _ = writeln!(text, "{indent}{}", style::dim(format!("{} in all", price(sum))));
    }
    text
}

fn price(dollars: f64) -> String {
    format!("{dollars:.2} USD a month")
}
