//! What a person reads: plan, progress, summary, receipt. The only place that knows a terminal.

pub mod plan;
pub mod progress;
pub mod style;
pub mod summary;

/// A duration in seconds as a person reads it.
pub fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 100.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{} min {:02} s", (seconds / 60.0).floor(), (seconds % 60.0).floor())
    }
}

/// `1 node`, `2 nodes`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
