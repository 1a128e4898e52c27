//! A call whose method is known and whose fields are in order.

use serde_json::Value;

use super::fields::Route;
use super::refusal::Refusal;

/// A call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub route: Route,
    pub query: Vec<(String, String)>,
    pub body: Value,
}

impl Call {
    /// A parameter of the path; empty where the path has none of that name.
    pub fn path(&self, name: &str) -> &str {
        self.route.parameters.get(name).map(String::as_str).unwrap_or_default()
    }

    /// A parameter of the query; empty where it is not given.
    pub fn query(&self, name: &str) -> &str {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// All values of a parameter of the query that may be repeated.
    pub fn queries<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The project; for interfaces whose path only says `projects` and something.
    pub fn project(&self) -> &str {
        ["project", "resource", "v1Id1"]
            .iter()
            .map(|name| self.path(name))
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    }

    /// The location, which older paths call the zone.
    pub fn location(&self) -> &str {
        ["location", "zone", "region"]
            .iter()
            .map(|name| self.path(name))
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    }

    /// The name that what is to be made gets.
    pub fn new_name(&self) -> &str {
        let body = ["/cluster/name", "/nodePool/name", "/name", "/accountId"];
        let named = body.iter().find_map(|pointer| self.body.pointer(pointer)?.as_str());
        let in_query = ["repositoryId", "instanceId"].map(|name| self.query(name));
        named.or_else(|| in_query.into_iter().find(|name| !name.is_empty())).unwrap_or_default()
    }

    /// What the call is about, for faults and the ledger: the values of its path, and the name of what it makes.
    pub fn target(&self) -> String {
        let mut order: Vec<&str> = ["project", "v1Id1", "resource", "location", "region", "zone"].to_vec();
        let rest = self.route.parameters.keys().map(String::as_str).filter(|name| !order.contains(name));
        let rest: Vec<&str> = rest.collect();
        order.extend(rest);
        let makes = matches!(self.route.method.action(), "create" | "insert" | "createSnapshot");
        let parts = order.into_iter().map(|name| self.path(name)).chain(makes.then(|| self.new_name()));
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
    }

    /// The permission that the method asks for, as far as it is the usual one.
    pub fn permission(&self) -> String {
        let id = &self.route.method.id;
        let (service, rest) = id.split_once('.').unwrap_or((id, ""));
        let rest = rest.trim_start_matches("projects.").trim_start_matches("locations.").trim_start_matches("zones.");
        let rest = rest.trim_start_matches("clusters.nodePools.");
        match service {
            "compute" => format!("compute.{}", rest.replace("insert", "create").replace("aggregatedList", "list")),
            "container" => {
                let action = self.route.method.action();
                let clusters = match action {
                    "create" | "delete" | "get" | "list" if id.contains("clusters.") && !id.contains("nodePools") => {
                        action
                    }
                    "get" | "list" => "get",
                    _ => "update",
                };
                if id.contains("operations") { rest.to_owned() } else { format!("container.clusters.{clusters}") }
            }
            "cloudresourcemanager" => format!("resourcemanager.{}", &id[service.len() + 1..]),
            "artifactregistry" => format!("artifactregistry.{}", rest.replace("patch", "update")),
            "file" => format!("file.{}", rest.replace("patch", "update")),
            "iam" => format!("iam.{rest}"),
            "serviceusage" => {
                format!("serviceusage.{}", rest.replace("batchEnable", "enable").replace("batchGet", "get"))
            }
            _ => id.clone(),
        }
    }

    /// A page of a list, by `pageSize` or `maxResults` and `pageToken`, with the token of the next one.
    pub fn page<T>(&self, all: Vec<T>) -> Result<(Vec<T>, Option<String>), Refusal> {
        let size = [self.query("pageSize"), self.query("maxResults")].into_iter().find(|size| !size.is_empty());
        let size = size.and_then(|size| size.parse::<usize>().ok()).filter(|size| *size > 0).unwrap_or(500);
        let token = self.query("pageToken");
        let from = if token.is_empty() {
            0
        } else {
            let wrong = || Refusal::invalid(format!("Invalid value for field 'pageToken': '{token}'."));
            token.strip_prefix("from-").and_then(|from| from.parse().ok()).ok_or_else(wrong)?
        };
        let next = (from + size < all.len()).then(|| format!("from-{}", from + size));
        Ok((all.into_iter().skip(from).take(size).collect(), next))
    }
}
