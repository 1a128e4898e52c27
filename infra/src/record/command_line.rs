//! What was typed, fit to be written down.

use std::ffi::OsStr;
use std::path::Path;

/// Words that name what nobody else may read.
const SECRET_WORDS: [&str; 5] = ["password", "secret", "token", "credential", "key"];
/// Stands for what was taken out.
const HIDDEN: &str = "***";

/// A command line without secrets: user and password of addresses, their queries, and the values of options that name a secret.
pub fn without_secrets(arguments: impl IntoIterator<Item = String>) -> String {
    let mut shown = Vec::new();
    let mut hides_next = false;
    for (index, argument) in arguments.into_iter().enumerate() {
        // Where the program lies says nothing of what was asked.
        let program = Path::new(&argument).file_name().filter(|_| index == 0).and_then(OsStr::to_str);
        let argument = program.map_or(argument.clone(), ToOwned::to_owned);
        let names_secret = argument.starts_with('-') && is_secret(argument.split('=').next().unwrap_or_default());
        shown.push(match argument.split_once('=') {
            _ if hides_next && !argument.starts_with('-') => HIDDEN.to_owned(),
            Some((name, _)) if names_secret => format!("{name}={HIDDEN}"),
            _ => without_login(&argument),
        });
        hides_next = names_secret && !argument.contains('=');
    }
    shown.iter().map(|argument| quoted(argument)).collect::<Vec<_>>().join(" ")
}

fn is_secret(option: &str) -> bool {
    let option = option.to_lowercase();
    SECRET_WORDS.iter().any(|word| option.contains(word))
}

/// `s3://user:password@host/path?signature=...` as `s3://***@host/path?***`.
fn without_login(argument: &str) -> String {
    let Some((scheme, rest)) = argument.split_once("://") else { return argument.to_owned() };
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?***"));
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit_once('@').map_or(host.to_owned(), |(_, host)| format!("{HIDDEN}@{host}"));
    let path = path.map_or(String::new(), |path| format!("/{path}"));
    format!("{scheme}://{host}{path}{query}")
}

/// As a shell takes it.
fn quoted(argument: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./:=,@%+*?".contains(letter);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(arguments: &[&str]) -> String {
        without_secrets(arguments.iter().map(ToString::to_string))
    }

    #[test]
    fn nothing_secret_of_a_command_line_is_written_down() {
        let state = "s3://me:pass@host/bucket/path?X-Signature=abc";
        assert_eq!(shown(&["infra", "apply", "--state", state]), "infra apply --state s3://***@host/bucket/path?***");
        assert_eq!(shown(&["infra", "--token", "abc", "--password=abc"]), "infra --token *** --password=***");
        assert_eq!(shown(&["/usr/bin/infra", "--state=s3://me@host"]), "infra --state=s3://***@host");
    }

    #[test]
    fn what_is_written_down_can_be_typed_again() {
        assert_eq!(shown(&["infra", "apply", "my folder", "it's", ""]), r"infra apply 'my folder' 'it'\''s' ''");
    }
}
