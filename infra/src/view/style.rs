//! Colours. The streams of `anstream` take them out where the output is piped or `NO_COLOR` is set.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

fn painted(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Something is made, or went well.
pub fn good(text: impl Display) -> String {
    painted(AnsiColor::Green.on_default(), text)
}

/// Something changes, or is slow.
pub fn change(text: impl Display) -> String {
    painted(AnsiColor::Yellow.on_default(), text)
}

/// Something goes, or went wrong.
pub fn bad(text: impl Display) -> String {
    painted(AnsiColor::Red.on_default().bold(), text)
}

/// What to do next.
pub fn hint(text: impl Display) -> String {
    painted(AnsiColor::Cyan.on_default(), text)
}

/// Of less weight.
pub fn dim(text: impl Display) -> String {
    painted(Style::new().dimmed(), text)
}

/// A heading.
pub fn bold(text: impl Display) -> String {
    painted(Style::new().bold(), text)
}
