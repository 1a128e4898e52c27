//! Which method a request is for.

use std::collections::BTreeMap;

use super::{Method, TABLES};

/// A method and what the path says of what it is about.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub method: &'static Method,
    /// The parameters of the path by their names in the singular: `project`, `zone`, `cluster`.
    pub parameters: BTreeMap<String, String>,
}

/// All methods that a verb and a path can be for. Several interfaces share some paths.
pub(crate) fn routes(verb: &str, path: &str) -> Vec<Route> {
    let parts: Vec<String> = path.trim_start_matches('/').split('/').map(decode).collect();
    let methods = TABLES.iter().flat_map(|(_, table)| &table.methods).filter(|method| method.verb == verb);
    let found = methods.filter_map(|method| Some(Route { method, parameters: parameters(&method.segments, &parts)? }));
    found.collect()
}

/// The parameters of a path, or nothing where it does not follow the template.
fn parameters(template: &[String], parts: &[String]) -> Option<BTreeMap<String, String>> {
    if template.len() != parts.len() {
        return None;
    }
    let mut parameters = BTreeMap::new();
    for (segment, part) in template.iter().zip(parts) {
        let Some(rest) = segment.strip_prefix('{') else {
            if segment != part {
                return None;
            }
            continue;
        };
        let (name, verb) = rest.split_once('}')?;
        let value = part.strip_suffix(verb)?;
        // A verb of its own after a colon: `clusters/NAME:setResourceLabels` is never a cluster of that name.
        if value.is_empty() || (verb.is_empty() && value.contains(':') && !value.contains("sha256:")) {
            return None;
        }
        parameters.insert(singular(name), value.to_owned());
    }
    Some(parameters)
}

/// `projectsId` and `projectId` are both the `project`.
fn singular(name: &str) -> String {
    let name = name.strip_suffix("Id").unwrap_or(name);
    match name {
        "repositories" => "repository".to_owned(),
        "address" | "v1" => name.to_owned(),
        _ => name.strip_suffix('s').unwrap_or(name).to_owned(),
    }
}

/// A text with its percent signs resolved. What is not UTF-8 afterwards is left as it was.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(verb: &str, path: &str) -> Vec<String> {
        routes(verb, path).iter().map(|route| route.method.id.clone()).collect()
    }

    #[test]
    fn a_path_finds_its_method() {
        let path = "/v1/projects/p/locations/us-central1-a/clusters";
        assert_eq!(ids("POST", path), ["container.projects.locations.clusters.create"]);
        assert_eq!(ids("GET", "/compute/v1/projects/p/zones/z/disks/d"), ["compute.disks.get"]);
        assert_eq!(ids("POST", "/v1/projects/p/services/x.googleapis.com:enable"), ["serviceusage.services.enable"]);
        assert!(ids("GET", "/v1/projects/p/nothing").is_empty());
    }

    #[test]
    fn a_verb_after_a_colon_is_no_name() {
        let found = routes("POST", "/v1/projects/p/locations/l/clusters/c/nodePools/n:setSize");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].parameters["nodePool"], "n");
        assert!(ids("GET", "/v1/projects/p:getIamPolicy").is_empty());
    }

    #[test]
    fn one_path_is_shared_by_the_operations_of_several_interfaces() {
        assert_eq!(ids("GET", "/v1/projects/p/locations/l/operations/o").len(), 3);
    }
}
