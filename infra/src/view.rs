//! What a person reads: plan, progress, summary, receipt. The only place that knows a terminal.

pub mod change;
pub mod page;
pub mod plan;
pub mod progress;
pub mod story;
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

/// A size as a person reads it, in decimal units as Docker and registries have them.
#[allow(clippy::cast_precision_loss, reason = "it is shown with one decimal")]
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// `1 node`, `2 nodes`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
