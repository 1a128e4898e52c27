//! Options that several commands take.

use std::time::Duration;

use clap::Args;

/// What the scenario's variables are.
#[derive(Clone, Debug, Default, Args)]
pub struct Values {
    /// Give a variable of the scenario another value than its default; it stays so until it is said otherwise (repeatable)
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    parts.ok_or_else(|| "write NAME=VALUE, for example workers=5".to_owned())
}

/// How long to wait for another run of the same deployment.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Wait {
    /// Wait for another run that holds the deployment, at most so long if a duration is said: `--wait=10m`
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = duration)]
    #[allow(clippy::option_option, reason = "not said, said alone, said with a duration")]
    pub wait: Option<Option<Duration>>,
}

impl Wait {
    /// The longest time to wait.
    pub fn longest(self) -> Duration {
        match self.wait {
            None => Duration::ZERO,
            Some(None) => Duration::MAX,
            Some(Some(longest)) => longest,
        }
    }
}

/// A duration as a person writes it: `90s`, `10m`, `1h 30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let read = text.parse::<jiff::SignedDuration>().ok();
    let right = read.and_then(|duration| Duration::try_from(duration).ok());
    right.ok_or_else(|| "it is no duration; write for example 90s, 10m or 1h".to_owned())
}
