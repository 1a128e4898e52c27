//! Names, links to other resources, and ranges of addresses.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{collections, link, path_of_link};
use crate::gcp::refusal::Refusal;
use crate::gcp::world::World;

/// Fields that link to other resources.
const LINKS: [&str; 14] = [
    "network",
    "subnetwork",
    "target",
    "backendService",
    "urlMap",
    "defaultService",
    "healthChecks",
    "sourceSnapshot",
    "sourceDisk",
    "group",
    "service",
    "nextHopInstance",
    "natIps",
    "sslCertificates",
];

/// Refuses a name that is none.
pub(super) fn name(name: &str) -> Result<(), Refusal> {
    let fits = (1..=63).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '-');
    if fits {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "Invalid value for field 'resource.name': '{name}'. Must be a match of regex '(?:[a-z](?:[-a-z0-9]{{0,61}}[a-z0-9])?)'"
    )))
}

/// Refuses labels that are none.
pub(super) fn labels(labels: &Value) -> Result<(), Refusal> {
    let sign = |sign: char| {
        sign.is_lowercase()
            || sign.is_numeric()
            || sign == '_'
            || sign == '-'
            || sign.is_alphabetic() && !sign.is_uppercase()
    };
    for (key, value) in labels.as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        if key.is_empty() || key.len() > 63 || !key.starts_with(char::is_lowercase) || !key.chars().all(sign) {
            return Err(Refusal::invalid(format!(
                "Invalid value for field 'resource.labels': '{labels}'. Label key '{key}' violates format constraints. The key must start \
                 with a lowercase character, can only contain lowercase letters, numeric characters, underscores and dashes. The key can \
                 be at most 63 characters long."
            )));
        }
        if value.len() > 63 || !value.chars().all(sign) {
            return Err(Refusal::invalid(format!(
                "Invalid value for field 'resource.labels': '{labels}'. Label value '{value}' violates format constraints. The value can \
                 only contain lowercase letters, numeric characters, underscores and dashes. The value can be at most 63 characters long."
            )));
        }
    }
    Ok(())
}

/// Makes every link in a body a full one, and refuses links to what is not there.
pub(super) fn links(world: &World, project: &str, body: &mut Value) -> Result<(), Refusal> {
    match body {
        Value::Object(fields) => {
            for (name, value) in fields {
                let router = name == "name" && value.as_str().is_some_and(|text| text.contains("/subnetworks/"));
                if !LINKS.contains(&name.as_str()) && !router {
                    links(world, project, value)?;
                } else if let Value::Array(all) = value {
                    all.iter_mut().try_for_each(|one| single(world, project, name, one))?;
                } else {
                    single(world, project, name, value)?;
                }
            }
            Ok(())
        }
        Value::Array(all) => all.iter_mut().try_for_each(|one| links(world, project, one)),
        _ => Ok(()),
    }
}

fn single(world: &World, project: &str, name: &str, value: &mut Value) -> Result<(), Refusal> {
    let Some(text) = value.as_str().filter(|text| !text.is_empty()).map(str::to_owned) else {
        return links(world, project, value);
    };
    let Some(full) = full(project, &text) else {
        let message = format!("Invalid value for field 'resource.{name}': '{text}'. The URL is malformed.");
        return Err(Refusal::invalid(message));
    };
    let known = collections().any(|collection| full.split('/').rev().nth(1) == Some(collection.segment));
    if known && world.find(&format!("compute/{full}")).is_none() {
        return Err(Refusal::not_found(format!("The resource '{full}' was not found")));
    }
    *value = json!(link(&full));
    Ok(())
}

/// The path of a link, which may be a part of one.
pub(super) fn full(project: &str, text: &str) -> Option<String> {
    let path = path_of_link(text).unwrap_or(text).trim_start_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    match first {
        "projects" => Some(path.to_owned()),
        "global" | "regions" | "zones" => Some(format!("projects/{project}/{path}")),
        _ => None,
    }
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    first: u32,
    last: u32,
}

impl Range {
    /// The range of `10.0.0.0/24`; nothing where that is none, or where its first address is not that of the range.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (address, bits): (Ipv4Addr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        let size = 1_u64.checked_shl(32_u32.checked_sub(bits)?)?;
        let first = u32::from(address);
        let last = u32::try_from(u64::from(first) + size - 1).ok()?;
        (u64::from(first) % size == 0).then_some(Self { first, last })
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// The address at a place of the range.
    pub fn at(self, place: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.first.saturating_add(place).min(self.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_overlap_where_they_share_an_address() {
        let range = |text| Range::parse(text).unwrap();
        assert!(range("10.0.0.0/16").overlaps(range("10.0.4.0/24")));
        assert!(!range("10.0.0.0/24").overlaps(range("10.0.1.0/24")));
        assert_eq!(Range::parse("10.0.0.1/24"), None);
        assert_eq!(range("10.0.0.0/24").at(1).to_string(), "10.0.0.1");
    }

    #[test]
    fn a_part_of_a_link_is_made_whole() {
        assert_eq!(full("p", "global/networks/n").unwrap(), "projects/p/global/networks/n");
        let whole = "https://compute.googleapis.com/compute/v1/projects/q/zones/z/disks/d";
        assert_eq!(full("p", whole).unwrap(), "projects/q/zones/z/disks/d");
        assert_eq!(full("p", "n"), None);
    }

    #[test]
    fn names_and_labels_follow_their_rules() {
        assert!(name("a-1").is_ok());
        assert!(name("A").is_err() && name("a.b").is_err() && name("-a").is_err() && name("").is_err());
        assert!(labels(&json!({"infra-deployment": "x_1"})).is_ok());
        assert!(labels(&json!({"infra.deployment": "x"})).is_err() && labels(&json!({"a": "b.c"})).is_err());
    }
}
