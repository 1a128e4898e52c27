//! What controllers in a cluster make in Compute Engine: of many sorts, of which only names, marks and links matter.
//!
//! One list and one deletion for all of them, instead of a client of Google's crate for each.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde_json::Value;

use super::error::Error;
use super::operation::ComputeOperation;
use super::{Gcp, Service};

/// A sort of thing that controllers make, in the order in which they can be deleted: each is used by those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeftKind {
    /// What an address and port of a load balancer leads to.
    ForwardingRule,
    /// Of an Ingress.
    TargetHttpProxy,
    /// Of an Ingress with a certificate.
    TargetHttpsProxy,
    /// Of an Ingress.
    UrlMap,
    /// Of an Ingress or a newer load balancer.
    BackendService,
    /// Of an older load balancer: the machines behind it.
    TargetPool,
    /// The pods behind an Ingress.
    NetworkEndpointGroup,
    /// The machines behind a load balancer.
    InstanceGroup,
    /// Of a backend service.
    HealthCheck,
    /// Of a target pool.
    HttpHealthCheck,
    /// Of an Ingress.
    SslCertificate,
    /// What lets packets through to machines.
    Firewall,
    /// A reserved address.
    Address,
    /// A disk of a claim.
    Disk,
    /// A way out of a network.
    Router,
    /// A part of a network. Controllers make none.
    Subnetwork,
}

impl LeftKind {
    /// All that controllers make, in the order in which they can be deleted.
    pub const ALL: [Self; 15] = [
        Self::ForwardingRule,
        Self::TargetHttpProxy,
        Self::TargetHttpsProxy,
        Self::UrlMap,
        Self::BackendService,
        Self::TargetPool,
        Self::NetworkEndpointGroup,
        Self::InstanceGroup,
        Self::HealthCheck,
        Self::HttpHealthCheck,
        Self::SslCertificate,
        Self::Firewall,
        Self::Address,
        Self::Disk,
        Self::Router,
    ];

    /// Its name in paths.
    pub fn collection(self) -> &'static str {
        match self {
            Self::ForwardingRule => "forwardingRules",
            Self::TargetHttpProxy => "targetHttpProxies",
            Self::TargetHttpsProxy => "targetHttpsProxies",
            Self::UrlMap => "urlMaps",
            Self::BackendService => "backendServices",
            Self::TargetPool => "targetPools",
            Self::NetworkEndpointGroup => "networkEndpointGroups",
            Self::InstanceGroup => "instanceGroups",
            Self::HealthCheck => "healthChecks",
            Self::HttpHealthCheck => "httpHealthChecks",
            Self::SslCertificate => "sslCertificates",
            Self::Firewall => "firewalls",
            Self::Address => "addresses",
            Self::Disk => "disks",
            Self::Router => "routers",
            Self::Subnetwork => "subnetworks",
        }
    }

    /// What a person calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::ForwardingRule => "forwarding rule",
            Self::TargetHttpProxy => "target HTTP proxy",
            Self::TargetHttpsProxy => "target HTTPS proxy",
            Self::UrlMap => "URL map",
            Self::BackendService => "backend service",
            Self::TargetPool => "target pool",
            Self::NetworkEndpointGroup => "network endpoint group",
            Self::InstanceGroup => "instance group",
            Self::HealthCheck => "health check",
            Self::HttpHealthCheck => "HTTP health check",
            Self::SslCertificate => "SSL certificate",
            Self::Firewall => "firewall rule",
            Self::Address => "address",
            Self::Disk => "disk",
            Self::Router => "router",
            Self::Subnetwork => "subnetwork",
        }
    }

    /// Whether there is a list of all regions and zones; the others are of the whole project.
    fn is_aggregated(self) -> bool {
        !matches!(self, Self::Firewall | Self::HttpHealthCheck)
    }
}

/// One thing that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    /// What sort of thing.
    pub kind: LeftKind,
    /// `global`, `regions/R` or `zones/Z`.
    pub scope: String,
    /// Its name.
    pub name: String,
    /// Its description, in which controllers say what it is for.
    pub description: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The name of its network, where it tells that.
    pub network: Option<String>,
    /// The names of machines that it is for: tags of firewall rules.
    pub tags: Vec<String>,
    /// What it leads to, as links: target, backends, health checks.
    pub leads_to: Vec<String>,
    /// Who uses it, as links.
    pub users: Vec<String>,
    /// For a disk, its size in GB.
    pub size_gigabytes: Option<u64>,
}

impl Gcp {
    /// Everything of one sort in the project.
    pub async fn left(&self, kind: LeftKind) -> Result<Vec<Left>, Error> {
        Ok(self.left_with_data(kind).await?.into_iter().map(|(left, _)| left).collect())
    }

    /// The same, each with all that Google tells of it.
    pub async fn left_with_data(&self, kind: LeftKind) -> Result<Vec<(Left, Value)>, Error> {
        let collection = kind.collection();
        let place = if kind.is_aggregated() { "aggregated" } else { "global" };
        let path = format!("/compute/v1/projects/{}/{place}/{collection}", self.project);
        let pages = self.pages(Service::Compute, &path, &[("maxResults", "500")]).await?;
        let mut all = Vec::new();
        for page in &pages {
            if let Some(items) = page["items"].as_array() {
                all.extend(items.iter().map(|item| (left(kind, "global", item), item.clone())));
            }
            for (scope, found) in page["items"].as_object().into_iter().flatten() {
                let items = found[collection].as_array().into_iter().flatten();
                all.extend(items.map(|item| (left(kind, scope, item), item.clone())));
            }
        }
        Ok(all)
    }

    /// Everything of all sorts in the project: asked for at once.
    pub async fn all_left(&self) -> Result<Vec<Left>, Error> {
        let lists = try_join_all(LeftKind::ALL.map(|kind| self.left(kind))).await?;
        Ok(lists.into_iter().flatten().collect())
    }

    /// Whether the thing is still there.
    pub async fn is_left(&self, left: &Left) -> Result<bool, Error> {
        Ok(self.find(Service::Compute, &self.path_of(left)).await?.is_some())
    }

    /// Deletes it, and returns when it is deleted; that it is not there is success.
    pub async fn delete_left(&self, left: &Left) -> Result<(), Error> {
        let Some(begun) = self.remove(Service::Compute, &self.path_of(left), &[]).await? else { return Ok(()) };
        let name = begun["name"].as_str().unwrap_or_default().to_owned();
        let done = self.wait_for_compute(&ComputeOperation { scope: left.scope.clone(), name }).await;
        match done {
            Ok(()) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn path_of(&self, left: &Left) -> String {
        let collection = left.kind.collection();
        format!("/compute/v1/projects/{}/{}/{collection}/{}", self.project, left.scope, left.name)
    }
}

fn left(kind: LeftKind, scope: &str, item: &Value) -> Left {
    let text = |name: &str| item[name].as_str().map(str::to_owned);
    let list = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let labels = item["labels"].as_object().into_iter().flatten();
    let mut leads_to: Vec<String> =
        ["target", "backendService", "urlMap", "defaultService"].iter().filter_map(|name| text(name)).collect();
    leads_to.extend(list(&item["healthChecks"]));
    let backends = item["backends"].as_array().into_iter().flatten();
    leads_to.extend(backends.filter_map(|backend| backend["group"].as_str().map(str::to_owned)));
    leads_to.extend(list(&item["instances"]));
    Left {
        kind,
        scope: scope.to_owned(),
        name: text("name").unwrap_or_default(),
        description: text("description").unwrap_or_default(),
        labels: labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect(),
        network: text("network").and_then(|link| link.rsplit('/').next().map(str::to_owned)),
        tags: list(&item["targetTags"]),
        leads_to,
        users: list(&item["users"]),
        size_gigabytes: item["sizeGb"].as_str().and_then(|size| size.parse().ok()),
    }
}
