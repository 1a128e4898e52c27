//! The words of a scenario file: names, durations, paths.

use std::time::Duration;

use crate::problems::did_you_mean;
use crate::reader::{Field, Marked, Reader};

/// A name that Kubernetes takes as a label of the domain name system.
pub(crate) fn dns_label(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Marked<String>> {
    let text = reader.text(field)?;
    check_dns_label(reader, &field.name.clone(), text)
}

/// A name that leaves room for what is made of it: the names of containers, networks and contexts.
pub(crate) fn deployment_name(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Marked<String>> {
    const MAX_LENGTH: usize = 40;
    let name = dns_label(reader, field)?;
    if name.value.len() <= MAX_LENGTH {
        return Some(name);
    }
    let message = format!("`{}` is too long for the name of a deployment", name.value);
    reader.problem(name.mark, message, format!("it may have {MAX_LENGTH} characters, and has {}", name.value.len()))
}

/// The same, for a name that was read already, for example a key.
pub(crate) fn check_dns_label(reader: &mut Reader<'_>, what: &str, text: Marked<String>) -> Option<Marked<String>> {
    if is_dns_label(&text.value) {
        return Some(text);
    }
    let message = format!("`{}` is not a valid name for `{what}`", text.value);
    let fitting = fitting_dns_label(&text.value);
    let suggestion = if fitting.is_empty() { String::new() } else { format!(", for example `{fitting}`") };
    let rule = "lower-case letters, digits and `-`, at most 63, beginning and ending with a letter or digit";
    reader.problem(text.mark, message, format!("{rule}{suggestion}"))
}

fn is_dns_label(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inside) && !text.starts_with('-') && !text.ends_with('-')
}

/// The text with everything that does not fit replaced or cut off.
fn fitting_dns_label(text: &str) -> String {
    let replaced: String =
        text.to_lowercase().chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let cut: String = replaced.trim_matches('-').chars().take(63).collect();
    cut.trim_matches('-').to_owned()
}

/// A duration such as `90s`, `10m` or `1h30m`, longer than nothing and at most a day.
pub(crate) fn duration(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Duration> {
    const DAY_SECONDS: u64 = 24 * 60 * 60;
    let help = "write for example `90s`, `10m` or `1h30m`; at most `24h`".to_owned();
    let seconds = field.node.text().and_then(seconds);
    if let Some(seconds) = seconds.filter(|seconds| (1..=DAY_SECONDS).contains(seconds)) {
        return Some(Duration::from_secs(seconds));
    }
    reader.wrong(field, "a duration", help)
}

/// The seconds of `1h30m10s`; each unit at most once, the larger ones first.
fn seconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut seconds = 0u64;
    for (unit, unit_seconds) in [('h', 3600), ('m', 60), ('s', 1)] {
        let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        if digits > 0 && rest[digits..].starts_with(unit) {
            let count: u64 = rest[..digits].parse().ok()?;
            seconds = seconds.checked_add(count.checked_mul(unit_seconds)?)?;
            rest = &rest[digits + 1..];
        }
    }
    (rest.is_empty() && !text.is_empty()).then_some(seconds)
}

/// One of a few words.
pub(crate) fn choice<T: Copy>(reader: &mut Reader<'_>, field: &Field<'_>, choices: &[(&str, T)]) -> Option<T> {
    let text = reader.text(field)?;
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text.value) {
        return Some(*value);
    }
    let message = format!("there is no `{}` for `{}`", text.value, field.name);
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    reader.problem(text.mark, message, did_you_mean(&text.value, words))
}

/// An amount of memory in whole GiB: `8Gi`.
pub(crate) fn gibibytes(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<u32> {
    let amount = field.node.text().and_then(|text| text.strip_suffix("Gi")?.parse::<u32>().ok());
    match amount.filter(|amount| (1..=12288).contains(amount)) {
        Some(amount) => Some(amount),
        None => reader.wrong(field, "an amount of memory in GiB", "write for example `8Gi`".to_owned()),
    }
}

/// The size of a disk in GB: `100`, `100GB` or `2TB`, as gcloud takes it.
pub(crate) fn gigabytes(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<u32> {
    let number = |text: &str| match text.strip_suffix("TB") {
        Some(terabytes) => terabytes.parse::<u32>().ok()?.checked_mul(1024),
        None => text.strip_suffix("GB").unwrap_or(text).parse::<u32>().ok(),
    };
    let size = field.node.text().and_then(number);
    match size.filter(|size| (10..=65536).contains(size)) {
        Some(size) => Some(size),
        None => reader.wrong(field, "the size of a disk, from 10GB to 64TB", "write for example `100GB`".to_owned()),
    }
}

/// The ID of a project of Google Cloud.
pub(crate) fn project(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let text = reader.text(field)?;
    let id = text.value.rsplit_once(':').map_or(text.value.as_str(), |(_, id)| id);
    if (6..=30).contains(&id.len()) && is_dns_label(id) && id.starts_with(|letter: char| letter.is_ascii_lowercase()) {
        return Some(text.value);
    }
    let help = "6 to 30 lower-case letters, digits and `-`; it is the project's ID, not its name or number".to_owned();
    reader.wrong(field, "the ID of a project", help)
}

/// A zone of Google Cloud: `us-central1-a`.
pub(crate) fn zone(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let text = reader.text(field)?;
    let parts = text.value.rsplit_once('-');
    let is_letter = |letter: &str| letter.len() == 1 && letter.bytes().all(|byte| byte.is_ascii_lowercase());
    if parts.is_some_and(|(region, letter)| is_region(region) && is_letter(letter)) {
        return Some(text.value);
    }
    reader.wrong(field, "a zone", "write for example `us-central1-a`".to_owned())
}

/// A region of Google Cloud: `us-central1`.
pub(crate) fn region(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let text = reader.text(field)?;
    if is_region(&text.value) {
        return Some(text.value);
    }
    reader.wrong(field, "a region", "write for example `us-central1`".to_owned())
}

fn is_region(text: &str) -> bool {
    let Some((area, place)) = text.split_once('-') else { return false };
    let name = place.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    is_word(area) && is_word(name) && name.len() < place.len()
}

/// A version of Kubernetes: `1.34`, `1.34.1-gke.1000`, `latest`.
pub(crate) fn version(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let text = reader.text(field)?;
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if text.value == "latest" || text.value.starts_with("1.") && text.value.bytes().all(inside) {
        return Some(text.value);
    }
    reader.wrong(field, "a version of Kubernetes", "write for example `\"1.34\"`".to_owned())
}

/// A range of private addresses: `10.0.0.0/20`.
pub(crate) fn network_range(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let text = reader.text(field)?;
    let parts = text.value.split_once('/');
    let is_range = parts.is_some_and(|(address, length)| {
        let private = address.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_private());
        private && length.parse::<u8>().is_ok_and(|length| (8..=29).contains(&length))
    });
    if is_range {
        return Some(text.value);
    }
    reader.wrong(field, "a range of private addresses", "write for example `10.0.0.0/20`".to_owned())
}

/// The name of an image as manifests write it: without tag and digest.
pub(crate) fn image_name(reader: &mut Reader<'_>, text: Marked<String>) -> Option<Marked<String>> {
    if is_repository(&text.value) {
        return Some(text);
    }
    let message = format!("`{}` is not a valid name for an image", text.value);
    let last = text.value.rfind('/').map_or(0, |slash| slash + 1);
    let help = if text.value.contains('@') || text.value[last..].contains(':') {
        "leave out the tag or digest: infra puts in the digest of what it built"
    } else {
        "lower-case letters and digits, with `-`, `_`, `.` or `/` between them"
    };
    reader.problem(text.mark, message, help.to_owned())
}

/// Where an image is pushed to: `registry/repository`.
pub(crate) fn push_target(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let text = reader.text(field)?;
    let valid = is_repository(&text.value)
        && text.value.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
    if valid {
        return Some(text.value);
    }
    let help = "write for example `registry.example.org/team/name`, without a tag".to_owned();
    reader.wrong(field, "a registry with a repository", help)
}

/// Whether it is a repository: an optional host with a port, and path parts of lower-case letters and digits.
fn is_repository(text: &str) -> bool {
    let (host, path) = match text.split_once('/') {
        Some((host, path)) if host.contains(':') => {
            let (name, port) = host.split_once(':').unwrap_or((host, ""));
            if port.parse::<u16>().is_err() {
                return false;
            }
            (Some(name), path)
        }
        _ => (None, text),
    };
    text.len() <= 200 && host.is_none_or(is_path_part) && path.split('/').all(is_path_part)
}

fn is_path_part(part: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.iter().all(|byte| word(*byte) || matches!(byte, b'.' | b'_' | b'-'))
        && bytes.first().is_some_and(|byte| word(*byte))
        && bytes.last().is_some_and(|byte| word(*byte))
}

/// A path inside an image: absolute, without `.` and `..`.
pub(crate) fn image_path(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let text = reader.text(field)?;
    let inner = text.value.strip_prefix('/').map(|inner| inner.trim_end_matches('/'));
    match inner {
        Some(inner) if inner.split('/').all(|part| !matches!(part, "" | "." | "..")) => Some(format!("/{inner}")),
        _ => reader.wrong(
            field,
            "a path inside the image that begins with `/`",
            "write for example `/data/labels`".to_owned(),
        ),
    }
}

/// The path of a request, with an optional query.
pub(crate) fn request_path(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let text = reader.text(field)?;
    if text.value.starts_with('/') && text.value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Some(text.value);
    }
    reader.wrong(
        field,
        "the path of a request",
        "begin with `/`, and write other characters than ASCII as `%..`".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_in_order() {
        let cases = [
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("1h30m", Some(5400)),
            ("1h0m5s", Some(3605)),
            ("90", None),
            ("", None),
            ("30m1h", None),
            ("1.5h", None),
            ("-5s", None),
            ("5 s", None),
            ("99999999999999999999h", None),
            ("18446744073709551615h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn an_image_name_is_a_repository_without_a_tag() {
        for name in ["server", "team/server", "localhost:5000/team/server", "ghcr.io/a/b_c"] {
            assert!(is_repository(name), "{name}");
        }
        for name in ["", "Server", "server:1", "a//b", "-a", "a/", "a@sha256:00", "localhost:x/a", "a b"] {
            assert!(!is_repository(name), "{name}");
        }
    }

    #[test]
    fn a_name_that_does_not_fit_gets_one_that_does() {
        assert_eq!(fitting_dns_label("My_Scenario!"), "my-scenario");
        assert_eq!(fitting_dns_label("--"), "");
    }
}
