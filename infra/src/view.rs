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

/// A number of bytes as a person reads it (decimal units, as registries and Docker use them).
pub fn bytes(count: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let value = count as f64;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.0} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", value / 1e6),
        _ => format!("{:.2} GB", value / 1e9),
    }
}

/// `1 node`, `2 nodes`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
