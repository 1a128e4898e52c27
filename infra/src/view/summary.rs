//! How a run ends: what was done, where it answers, where the time went; and the receipt of a destroy.

use std::collections::BTreeMap;
use std::fmt::Write as _;

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

/// What a failed or stopped run leaves open.
pub fn unfinished(outcome: &Outcome, again: &str) -> String {
    let mut text = String::new();
    if !outcome.not_tried.is_empty() {
        let all = outcome.not_tried.len();
        let more = if all > TOLD_NOT_TRIED { ", the first of them are listed" } else { "" };
        let _ = writeln!(text, "{} not tried{more}", count(all, "step"));
    }
    let _ = writeln!(text, "{} the same command goes on from here; {again}", style::hint("next:"));
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
