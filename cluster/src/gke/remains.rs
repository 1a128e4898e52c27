//! What a cluster leaves behind in the cloud: found by its name, its marks and its links, and removed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use engine::{Class, Context, Failure, Gone, Resource};
use futures::future::join_all;
use providers::gcp::{Error, Gcp, Left, LeftKind};
use providers::wait::{Probe, WaitError, until};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::whereabouts::{self, Whereabouts};
use super::{Owner, Place, failure, names, region_of};

/// The kind of node.
pub(super) const KIND: &str = "gke-remains";

/// How long what is left may be in use.
const LIMIT: Duration = Duration::from_mins(15);
const PAUSE: Duration = Duration::from_secs(10);
/// Lists lag: it is believed that nothing is left when so many looks found nothing.
const EMPTY_LOOKS: u32 = 2;

/// The labels that GKE puts on what it makes for a cluster.
const CLUSTER_NAME: &str = "goog-k8s-cluster-name";
const CLUSTER_LOCATION: &str = "goog-k8s-cluster-location";
/// That of what belongs to a machine of a node pool.
const NODE: &str = "goog-gke-node";

/// What a `gke-remains` node holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub owner: Owner,
    pub cluster: String,
    pub place: Place,
    pub network: String,
    /// Whether the network is the deployment's: then everything in it is.
    pub own_network: bool,
}

/// The behaviour of `gke-remains`.
#[derive(Debug)]
pub(super) struct Leftovers {
    pub gcp: Gcp,
    /// Whether the disks of claims are data that is kept.
    pub keeps_data: bool,
}

#[async_trait]
impl Resource for Leftovers {
    async fn create(&self, _context: &Context, inputs: &Value) -> Result<Value, Failure> {
        Ok(json!({ "cluster": Inputs::deserialize(inputs)?.cluster }))
    }

    async fn delete(&self, context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        let gcp = self.gcp.for_project(&inputs.owner.project);
        let what = format!("remove what {} left behind", inputs.cluster);
        let located = whereabouts::look(&gcp, &inputs.owner, &inputs.place, &inputs.cluster).await;
        if let Whereabouts::Ours(_) = located.map_err(|error| failure::of(what.clone(), error))? {
            return Err(Failure::from(format!("{what}: the cluster is still there")));
        }
        Sweep { gcp: &gcp, context, inputs: &inputs, keeps_data: self.keeps_data }.run(what).await
    }
}

struct Sweep<'a> {
    gcp: &'a Gcp,
    context: &'a Context,
    inputs: &'a Inputs,
    keeps_data: bool,
}

impl Sweep<'_> {
    fn is_kept(&self, left: &Left) -> bool {
        self.keeps_data && is_data(self.inputs, left)
    }

    /// Marks kept disks as the deployment's, where only the cluster's name was on them: by that mark they are found from now on.
    async fn mark(&self, disks: &[Left]) -> Result<(), Error> {
        let owner = self.inputs.owner.deployment.as_str();
        for disk in disks.iter().filter(|disk| disk.labels.get(names::LABEL).is_none_or(|label| label != owner)) {
            let zone = disk.scope.trim_start_matches("zones/");
            self.gcp.label_disk(zone, &disk.name, &[(names::LABEL, owner)]).await?;
        }
        Ok(())
    }

    async fn run(&self, what: String) -> Result<Vec<Gone>, Failure> {
        let Self { gcp, context, inputs, .. } = self;
        let (empty, removed) = (AtomicU32::new(0), std::sync::Mutex::new(BTreeSet::new()));
        let swept = until("nothing to be left", LIMIT, gcp.pause(PAUSE), || async {
            let all = match gcp.all_left().await {
                Ok(all) => all,
                Err(error) if error.is_passing() => return Ok(Probe::Pending(error.to_string())),
                Err(error) => return Err(error),
            };
            let (kept, left): (Vec<Left>, Vec<Left>) =
                ours(inputs, &all).into_iter().partition(|left| self.is_kept(left));
            if left.is_empty() {
                self.mark(&kept).await?;
                let looks = empty.fetch_add(1, Ordering::Relaxed) + 1;
                let enough = looks >= EMPTY_LOOKS;
                return Ok(if enough { Probe::Ready(()) } else { Probe::Pending("a second look".to_owned()) });
            }
            empty.store(0, Ordering::Relaxed);
            context.progress(format!("removing {}", described(&left)));
            let stays = remove(gcp, &left).await?;
            let gone = left.iter().filter(|left| !stays.iter().any(|(stays, _)| *stays == *left));
            let gone = gone.map(|left| Gone::new(left.kind.title(), &left.name));
            removed.lock().expect("no panic while the lock is held").extend(gone);
            Ok(Probe::Pending(match stays.first() {
                Some((left, reason)) => format!("{} {}: {reason}", left.kind.title(), left.name),
                None => "a look whether all of it is gone".to_owned(),
            }))
        });
        match swept.await {
            Ok(()) => {
                let removed = removed.into_inner().expect("no panic while the lock is held").into_iter();
                // Each sort was asked for, twice, whether there was something of it or not.
                let looked_for = LeftKind::ALL.into_iter().filter(|kind| !self.keeps_data || *kind != LeftKind::Disk);
                Ok(removed.chain(looked_for.map(|kind| Gone::new("leftovers", kind.title()))).collect())
            }
            Err(WaitError::Stopped(error)) => Err(failure::of(what, error)),
            Err(timed_out) => {
                let hint = format!(
                    "look at it in https://console.cloud.google.com/home/dashboard?project={}, then destroy again",
                    inputs.owner.project
                );
                Err(Failure::from(format!("{what}: {timed_out}")).class(Class::Blocked).hint(hint))
            }
        }
    }
}

/// Removes what can be removed now, each sort after those that use it; returns what stays, with the reason.
async fn remove<'l>(gcp: &Gcp, left: &'l [Left]) -> Result<Vec<(&'l Left, String)>, Error> {
    let mut stays = Vec::new();
    for kind in LeftKind::ALL {
        let of_kind: Vec<&Left> = left.iter().filter(|left| left.kind == kind).collect();
        let removals = of_kind.iter().map(|left| gcp.delete_left(left));
        for (left, result) in of_kind.iter().zip(join_all(removals).await) {
            match result {
                Ok(()) => {}
                Err(error @ (Error::InUse { .. } | Error::Incompatible { .. })) => {
                    stays.push((*left, error.to_string()));
                }
                Err(error) if error.is_passing() => stays.push((*left, error.to_string())),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(stays)
}

fn described(left: &[Left]) -> String {
    let named: Vec<String> = left.iter().take(4).map(|left| format!("{} {}", left.kind.title(), left.name)).collect();
    let more = left.len().saturating_sub(named.len());
    if more == 0 { named.join(", ") } else { format!("{} and {more} more", named.join(", ")) }
}

/// What of all that is there was made for the cluster, and by none of the graph's other nodes. Pure.
pub(super) fn ours(inputs: &Inputs, all: &[Left]) -> Vec<Left> {
    let mark = names::mark(&inputs.owner.deployment);
    // What nodes of the graph made says so; they remove it themselves.
    let candidates: Vec<&Left> = all.iter().filter(|left| left.description != mark).collect();
    let mut known: BTreeSet<usize> = BTreeSet::new();
    let balancers = balancers(inputs, &candidates);
    for (index, left) in candidates.iter().enumerate() {
        if is_marked(inputs, left) || is_of_balancer(left, &balancers) {
            known.insert(index);
        }
    }
    // What leads to something of ours, and what something of ours leads to, as far as controllers made it.
    loop {
        let linked: Vec<usize> = (0..candidates.len())
            .filter(|index| !known.contains(index) && is_made_by_controllers(candidates[*index]))
            .filter(|index| known.iter().any(|of_ours| are_linked(candidates[*index], candidates[*of_ours])))
            .collect();
        if linked.is_empty() {
            break;
        }
        known.extend(linked);
    }
    let mut ours: Vec<Left> = known.into_iter().map(|index| candidates[index].clone()).collect();
    ours.sort_by(|one, other| (one.kind, &one.scope, &one.name).cmp(&(other.kind, &other.scope, &other.name)));
    ours
}

/// Whether something of a cluster is a disk with data: of a claim, and not what a machine starts from.
pub(super) fn is_data(inputs: &Inputs, left: &Left) -> bool {
    let is_of_machine = left.labels.contains_key(NODE) || left.name.starts_with(&format!("gke-{}-", inputs.cluster));
    left.kind == LeftKind::Disk && !is_of_machine
}

/// Whether something says itself that it is of this cluster.
fn is_marked(inputs: &Inputs, left: &Left) -> bool {
    let label = |name: &str| left.labels.get(name).map(String::as_str);
    let here = |location: &str| location == inputs.place.region() || region_of(location) == inputs.place.region();
    let of_cluster = label(CLUSTER_NAME) == Some(&inputs.cluster) && label(CLUSTER_LOCATION).is_none_or(here);
    let in_network = inputs.own_network && left.network.as_deref() == Some(&inputs.network);
    of_cluster
        || in_network
        || label(names::LABEL) == Some(&inputs.owner.deployment)
        || is_of_cluster(&inputs.cluster, &left.name)
        || left.tags.iter().any(|tag| is_of_cluster(&inputs.cluster, tag))
}

/// `gke-CLUSTER-1a2b3c4d` or `gke-CLUSTER-1a2b3c4d-node`: with the digits, so that `infra-a` is not taken for `infra-a-b`.
fn is_of_cluster(cluster: &str, name: &str) -> bool {
    let Some(rest) = name.strip_prefix("gke-").and_then(|name| name.strip_prefix(cluster)?.strip_prefix('-')) else {
        return false;
    };
    let digits = rest.split('-').next().unwrap_or_default();
    digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The names of load balancers of the cluster: each has a firewall rule for the cluster's machines.
fn balancers(inputs: &Inputs, candidates: &[&Left]) -> BTreeSet<String> {
    let of_ours = candidates.iter().filter(|left| left.kind == LeftKind::Firewall && is_marked(inputs, left));
    let names = of_ours.filter_map(|left| left.name.strip_prefix("k8s-fw-"));
    names.map(|name| name.trim_start_matches("l7-").to_owned()).collect()
}

fn is_of_balancer(left: &Left, balancers: &BTreeSet<String>) -> bool {
    balancers.iter().any(|name| left.name == *name || left.name == format!("k8s-fw-{name}"))
}

/// The names that the controllers of Kubernetes give: `k8s-...`, `k8s1-...`, `k8s2-...`, and `a` with 31 digits of an object's uid.
fn is_made_by_controllers(left: &Left) -> bool {
    let is_balancer =
        |name: &str| name.len() == 32 && name.starts_with('a') && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let prefix = ["k8s-", "k8s1-", "k8s2-", "gke-"].iter().any(|prefix| left.name.starts_with(prefix));
    prefix || is_balancer(&left.name)
}

fn are_linked(one: &Left, other: &Left) -> bool {
    leads(one, other) || leads(other, one)
}

fn leads(from: &Left, to: &Left) -> bool {
    let end = format!("/{}/{}/{}", to.scope, to.kind.collection(), to.name);
    from.leads_to.iter().any(|link| link.ends_with(&end))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn inputs(own_network: bool) -> Inputs {
        Inputs {
            owner: Owner { project: "p".to_owned(), deployment: "a".to_owned() },
            cluster: "infra-a".to_owned(),
            place: Place::Region { region: "us-central1".to_owned(), zones: Vec::new() },
            network: if own_network { "infra-a" } else { "shared" }.to_owned(),
            own_network,
        }
    }

    fn left(kind: LeftKind, scope: &str, name: &str) -> Left {
        Left {
            kind,
            scope: scope.to_owned(),
            name: name.to_owned(),
            description: String::new(),
            labels: BTreeMap::new(),
            network: None,
            tags: Vec::new(),
            leads_to: Vec::new(),
            users: Vec::new(),
            size_gigabytes: None,
        }
    }

    fn found(inputs: &Inputs, all: &[Left]) -> Vec<String> {
        ours(inputs, all).iter().map(|left| left.name.clone()).collect()
    }

    #[test]
    fn a_load_balancer_is_found_through_the_firewall_rule_of_the_clusters_machines() {
        let name = format!("a{}", "0".repeat(31));
        let (other, region) = (format!("a{}", "1".repeat(31)), "regions/us-central1");
        let mut firewall = left(LeftKind::Firewall, "global", &format!("k8s-fw-{name}"));
        firewall.tags = vec!["gke-infra-a-0a1b2c3d-node".to_owned()];
        let mut foreign = left(LeftKind::Firewall, "global", &format!("k8s-fw-{other}"));
        foreign.tags = vec!["gke-infra-a-b-0a1b2c3d-node".to_owned()];
        let mut pool = left(LeftKind::TargetPool, region, &name);
        pool.leads_to = vec!["https://h/compute/v1/projects/p/global/httpHealthChecks/k8s-1234-node".to_owned()];
        let check = left(LeftKind::HttpHealthCheck, "global", "k8s-1234-node");
        let all = [
            firewall,
            foreign,
            pool,
            check,
            left(LeftKind::ForwardingRule, region, &name),
            left(LeftKind::ForwardingRule, region, &other),
            left(LeftKind::TargetPool, region, &other),
        ];
        let expected = [name.clone(), name.clone(), "k8s-1234-node".to_owned(), format!("k8s-fw-{name}")];
        assert_eq!(found(&inputs(false), &all), expected);
    }

    #[test]
    fn everything_in_the_deployments_own_network_is_its_own_and_nothing_in_a_shared_one() {
        let mut rule = left(LeftKind::Firewall, "global", "by-hand");
        rule.network = Some("infra-a".to_owned());
        assert_eq!(found(&inputs(true), std::slice::from_ref(&rule)), ["by-hand"]);
        rule.network = Some("shared".to_owned());
        assert_eq!(found(&inputs(false), &[rule]), [] as [&str; 0]);
    }

    #[test]
    fn disks_are_known_by_their_labels_and_those_of_the_graph_are_left_to_it() {
        let with = |name: &str, labels: &[(&str, &str)]| {
            let mut disk = left(LeftKind::Disk, "zones/us-central1-a", name);
            disk.labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            disk
        };
        let mut of_graph = with("infra-a-data", &[(names::LABEL, "a")]);
        of_graph.description = names::mark("a");
        let all = [
            with("pvc-1", &[(CLUSTER_NAME, "infra-a"), (CLUSTER_LOCATION, "us-central1-b")]),
            with("pvc-2", &[(CLUSTER_NAME, "infra-a"), (CLUSTER_LOCATION, "europe-west1")]),
            with("pvc-3", &[(names::LABEL, "a")]),
            with("pvc-4", &[(names::LABEL, "other")]),
            of_graph,
        ];
        assert_eq!(found(&inputs(true), &all), ["pvc-1", "pvc-3"]);
    }
}
