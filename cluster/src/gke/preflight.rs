//! Whether a cluster can be had: asked before the first create, all at once, without changing anything.

mod quotas;

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use futures::future::{join, join_all};
use providers::gcp::compute::model::{MachineType, Region};
use providers::gcp::container::model::ServerConfig;
use providers::gcp::{Error, Gcp};

use super::whereabouts::{self, Whereabouts};
use super::{COMPUTE, Finding, Level, Network, NodePool, Owner, Place, Spec, disk, filestore, names};
use super::{network, things::Found, things::Thing};

impl Finding {
    /// What a question that failed means. Without the API the question is for later; without the right it cannot be answered.
    fn of_error(about: &'static str, error: &Error) -> Option<Self> {
        let (level, about) = match error {
            Error::ApiDisabled { .. } if about != "apis" => return None,
            Error::Permission { .. } => (Level::Warning, about),
            Error::Unauthenticated { .. } => (Level::Error, "credentials"),
            _ => (Level::Error, about),
        };
        let mut what = error.to_string();
        if let Some(cause) = std::error::Error::source(error) {
            what = format!("{what}: {cause}");
        }
        Some(Self { level, about, what, hint: error.hint() })
    }
}

/// Looks whether everything that the cluster needs is allowed and can be had. Reads only; takes seconds; all questions at once.
///
/// An empty answer says that nothing stands in the way. What is there already of this deployment counts as had.
pub async fn preflight(gcp: &Gcp, spec: &Spec) -> Vec<Finding> {
    let gcp = gcp.for_project(&spec.project);
    // Without a token every question would have the same answer.
    if let Err(error) = gcp.token().await {
        return Finding::of_error("credentials", &error).into_iter().collect();
    }
    let look = Look { gcp: &gcp, spec };
    let looks = [
        look.project().boxed(),
        look.billing().boxed(),
        look.apis().boxed(),
        look.permissions().boxed(),
        look.names().boxed(),
        look.places().boxed(),
        look.version().boxed(),
    ];
    let mut findings: Vec<Finding> = join_all(looks).await.into_iter().flatten().collect();
    // A token that is refused, or a project that is not there, makes all other answers worthless.
    for reason in ["credentials", "project"] {
        let is_reason = |finding: &Finding| finding.about == reason && finding.level == Level::Error;
        if findings.iter().any(is_reason) {
            findings.retain(is_reason);
        }
    }
    findings.sort_by(|one, other| (one.level, one.about, &one.what).cmp(&(other.level, other.about, &other.what)));
    findings.dedup_by(|one, other| one.what == other.what);
    findings
}

struct Look<'a> {
    gcp: &'a Gcp,
    spec: &'a Spec,
}

impl Look<'_> {
    fn owner(&self) -> Owner {
        Owner { project: self.spec.project.clone(), deployment: self.spec.deployment.clone() }
    }

    async fn project(&self) -> Vec<Finding> {
        let project = &self.spec.project;
        match self.gcp.project_info().await {
            Ok(info) if info.active => Vec::new(),
            Ok(_) => vec![Finding::error("project", format!("the project {project} is being deleted"))],
            Err(Error::NotFound(_) | Error::Permission { .. }) => {
                let what = format!("there is no project {project}, or the account may not see it");
                let hint = "is it the project's ID (not its name), and does `gcloud projects list` show it?";
                vec![Finding::error("project", what).hint(hint)]
            }
            Err(error) => Finding::of_error("project", &error).into_iter().collect(),
        }
    }

    async fn billing(&self) -> Vec<Finding> {
        match self.gcp.billing().await {
            Ok(billing) if billing.enabled => Vec::new(),
            Ok(_) => {
                let error = Error::BillingDisabled {
                    project: self.spec.project.clone(),
                    message: "nothing that costs money can be made".to_owned(),
                };
                Finding::of_error("billing", &error).into_iter().collect()
            }
            // Who may not see it may use it all the same.
            Err(Error::Permission { .. } | Error::NotFound(_) | Error::ApiDisabled { .. }) => Vec::new(),
            Err(error) => Finding::of_error("billing", &error).into_iter().collect(),
        }
    }

    async fn apis(&self) -> Vec<Finding> {
        let looks =
            self.spec.services().into_iter().map(|api| async move { (api, self.gcp.api_is_enabled(api).await) });
        let mut disabled = Vec::new();
        let mut findings = Vec::new();
        for (api, enabled) in join_all(looks).await {
            match enabled {
                Ok(true) | Err(Error::Permission { .. } | Error::NotFound(_)) => {}
                Ok(false) => disabled.push(api),
                Err(error) => findings.extend(Finding::of_error("apis", &error)),
            }
        }
        if !disabled.is_empty() {
            let what = format!("these APIs will be enabled, which takes about half a minute: {}", disabled.join(", "));
            findings.push(Finding::new(Level::Note, "apis", what));
        }
        findings
    }

    async fn permissions(&self) -> Vec<Finding> {
        let wanted = permissions(self.spec);
        match self.gcp.missing_permissions(&wanted).await {
            Ok(missing) if missing.is_empty() => Vec::new(),
            Ok(missing) => {
                let hint = format!(
                    "let an owner grant them, for example with the roles {}",
                    roles_for(&missing).into_iter().collect::<Vec<_>>().join(", ")
                );
                let what = format!("the account lacks {}", missing.join(", "));
                vec![Finding::error("permissions", what).hint(hint)]
            }
            Err(Error::NotFound(_) | Error::Permission { .. }) => Vec::new(),
            Err(error) => Finding::of_error("permissions", &error).into_iter().collect(),
        }
    }

    /// Whether what shall be made finds its names free.
    async fn names(&self) -> Vec<Finding> {
        let (owner, name) = (self.owner(), self.spec.name());
        let cluster = async {
            match whereabouts::look(self.gcp, &owner, &self.spec.place, &name).await {
                Ok(Whereabouts::Foreign(whose)) => Some(taken("GKE cluster", &name, &whose)),
                // That the place does not exist is said elsewhere.
                Ok(_) | Err(Error::Invalid { .. }) => None,
                Err(error) => Finding::of_error("names", &error),
            }
        };
        let network = async {
            match &self.spec.network {
                Network::Own { .. } => {
                    let inputs = network::Inputs { owner: owner.clone(), name: name.clone() };
                    self.is_free(&inputs).await
                }
                Network::Given { network, subnetwork } => self.given(network, subnetwork.as_deref()).await,
            }
        };
        let disks = join_all(self.spec.disks.iter().map(|wanted| {
            let inputs = disk::Inputs {
                owner: owner.clone(),
                zone: wanted.zone.clone().unwrap_or_else(|| self.spec.place.location().to_owned()),
                name: names::part(&self.spec.deployment, &wanted.name),
                size_gigabytes: wanted.size_gigabytes,
                disk_type: String::new(),
                snapshot: false,
            };
            async move { self.is_free(&inputs).await }
        }));
        let servers = join_all(self.spec.file_servers.iter().map(|wanted| {
            let inputs = filestore::Inputs {
                owner: owner.clone(),
                location: wanted.location(&self.spec.place),
                name: names::part(&self.spec.deployment, &wanted.name),
                tier: wanted.tier.api_name().to_owned(),
                capacity_gibibytes: wanted.capacity_gibibytes,
                network: String::new(),
            };
            async move { self.is_free(&inputs).await }
        }));
        let ((disks, servers), (cluster, network)) = join(join(disks, servers), join(cluster, network)).await;
        disks.into_iter().chain(servers).chain([cluster, network]).flatten().collect()
    }

    async fn is_free<T: Thing>(&self, thing: &T) -> Option<Finding> {
        match thing.look(self.gcp).await {
            Ok(Found::Foreign(whose)) => Some(taken(T::SORT, thing.name(), &whose)),
            Ok(_) => None,
            Err(error) => Finding::of_error("names", &error),
        }
    }

    /// Whether a network that shall be used is there.
    async fn given(&self, network: &str, subnetwork: Option<&str>) -> Option<Finding> {
        let region = self.spec.place.region();
        let missing = match self.gcp.network(network).await {
            Ok(None) => format!("there is no network {network} in the project"),
            Ok(Some(_)) => match subnetwork {
                Some(name) => match self.gcp.subnetwork(region, name).await {
                    Ok(None) => format!("the network {network} has no subnetwork {name} in {region}"),
                    Ok(Some(_)) => return None,
                    Err(error) => return Finding::of_error("names", &error),
                },
                None => return None,
            },
            Err(error) => return Finding::of_error("names", &error),
        };
        let hint = "correct its name in the scenario, or leave `network` out to have one made";
        Some(Finding::error("names", missing).hint(hint))
    }

    /// Zones, what they offer, and quotas.
    async fn places(&self) -> Vec<Finding> {
        let regions = match self.gcp.regions().await {
            Ok(regions) => regions,
            Err(Error::ApiDisabled { .. }) => return vec![unread()],
            Err(error) => return Finding::of_error("zones", &error).into_iter().collect(),
        };
        if let Some(finding) = self.place_exists(&regions) {
            return vec![finding];
        }
        let mut findings = Vec::new();
        let mut cpus = BTreeMap::new();
        let pools = self.spec.node_pools.iter().map(|pool| self.offers(pool, &regions));
        for (pool, (machine, found)) in self.spec.node_pools.iter().zip(join_all(pools).await) {
            findings.extend(found);
            let known = machine.and_then(|machine| machine.guest_cpus).and_then(|cpus| u32::try_from(cpus).ok());
            cpus.insert(pool.machine_type.clone(), known.unwrap_or_else(|| quotas::cpus_of(&pool.machine_type)));
        }
        let owner = self.owner();
        let existing = whereabouts::look(self.gcp, &owner, &self.spec.place, &self.spec.name()).await;
        if matches!(existing, Ok(Whereabouts::Ours(_))) {
            // What it needs it has.
            return findings;
        }
        match self.gcp.project_quotas().await {
            Ok(global) => findings.extend(quotas::findings(self.spec, &cpus, &regions, &global)),
            Err(error) => findings.extend(Finding::of_error("quotas", &error)),
        }
        findings
    }

    fn place_exists(&self, regions: &[Region]) -> Option<Finding> {
        let region = self.spec.place.region();
        let names: Vec<&str> = regions.iter().filter_map(|region| region.name.as_deref()).collect();
        let Some(found) = regions.iter().find(|found| found.name.as_deref() == Some(region)) else {
            let near: Vec<&str> = alike(region, &names);
            let what = format!("there is no region {region}");
            return Some(Finding::error("zones", what).hint(format!("there are {}", near.join(", "))));
        };
        let zones = zones_of(found);
        let wanted = match &self.spec.place {
            Place::Zone { zone, .. } => vec![zone.clone()],
            Place::Region { zones, .. } => zones.clone(),
        };
        let pools = self.spec.node_pools.iter().flat_map(|pool| pool.zones.clone());
        let disks = self.spec.disks.iter().filter_map(|disk| disk.zone.clone());
        let servers = self.spec.file_servers.iter().filter_map(|server| server.zone.clone());
        let all: Vec<String> = wanted.into_iter().chain(pools).chain(disks).chain(servers).collect();
        let missing = all.into_iter().find(|zone| !zones.contains(zone))?;
        let what = format!("there is no zone {missing} in {region}");
        Some(Finding::error("zones", what).hint(format!("there are {}", zones.join(", "))))
    }

    /// Whether the zones of a pool offer its machines and GPUs.
    async fn offers(&self, pool: &NodePool, regions: &[Region]) -> (Option<Box<MachineType>>, Vec<Finding>) {
        let zones = self.zones_of_pool(pool, regions);
        let Some(zone) = zones.first() else { return (None, Vec::new()) };
        let gpu = async {
            let gpu = pool.gpu.as_ref()?;
            Some((gpu, self.gcp.zones_with("acceleratorTypes", &gpu.kind).await))
        };
        let (machine, gpu) = join(self.gcp.machine_type(zone, &pool.machine_type), gpu).await;
        let mut findings = Vec::new();
        let machine = match machine {
            Ok(Some(machine)) => Some(machine),
            Ok(None) => {
                let others = self.gcp.zones_with("machineTypes", &pool.machine_type).await.unwrap_or_default();
                findings.push(not_offered(zone, "machine type", &pool.machine_type, &others));
                None
            }
            Err(error) => {
                findings.extend(Finding::of_error("machines", &error));
                None
            }
        };
        match gpu {
            Some((gpu, Ok(offering))) => {
                let lacking = zones.iter().find(|zone| !offering.contains(zone));
                findings.extend(lacking.map(|zone| not_offered(zone, "GPU", &gpu.kind, &offering)));
            }
            Some((_, Err(error))) => findings.extend(Finding::of_error("machines", &error)),
            None => {}
        }
        (machine, findings)
    }

    fn zones_of_pool(&self, pool: &NodePool, regions: &[Region]) -> Vec<String> {
        if !pool.zones.is_empty() {
            return pool.zones.clone();
        }
        match &self.spec.place {
            Place::Zone { zone, .. } => vec![zone.clone()],
            Place::Region { zones, .. } if !zones.is_empty() => zones.clone(),
            Place::Region { region, .. } => {
                let found = regions.iter().find(|found| found.name.as_deref() == Some(region));
                found.map(zones_of).unwrap_or_default().into_iter().take(1).collect()
            }
        }
    }

    async fn version(&self) -> Vec<Finding> {
        let Some(version) = &self.spec.version else { return Vec::new() };
        match self.gcp.server_config(self.spec.place.location()).await {
            Ok(config) => is_offered(version, &config).into_iter().collect(),
            // That the place does not exist is said elsewhere.
            Err(Error::NotFound(_) | Error::Invalid { .. }) => Vec::new(),
            Err(error) => Finding::of_error("version", &error).into_iter().collect(),
        }
    }
}

fn taken(sort: &str, name: &str, whose: &str) -> Finding {
    let what = format!("the name {name} is taken: there is a {sort} of this name, and {whose}");
    Finding::error("names", what).hint("choose another deployment name with `--name`")
}

fn not_offered(zone: &str, sort: &str, name: &str, others: &[String]) -> Finding {
    let finding = Finding::error("machines", format!("{zone} does not offer the {sort} {name}"));
    if others.is_empty() {
        return finding.hint(format!("no zone does: is `{name}` spelled right?"));
    }
    let same_region = |other: &&String| super::region_of(other) == super::region_of(zone);
    let (near, far): (Vec<&String>, Vec<&String>) = others.iter().partition(same_region);
    let named: Vec<&str> = near.into_iter().chain(far).take(6).map(String::as_str).collect();
    finding.hint(format!("these zones do: {}", named.join(", ")))
}

fn is_offered(version: &str, config: &ServerConfig) -> Option<Finding> {
    let fits = |offered: &String| {
        version == "latest"
            || offered == version
            || offered.starts_with(&format!("{version}."))
            || offered.starts_with(&format!("{version}-"))
    };
    if config.valid_master_versions.iter().any(fits) {
        return None;
    }
    let minors: BTreeSet<String> = config
        .valid_master_versions
        .iter()
        .map(|version| version.split('.').take(2).collect::<Vec<_>>().join("."))
        .collect();
    let what = format!("GKE does not offer version {version} there");
    let offered = minors.into_iter().collect::<Vec<_>>().join(", ");
    Some(
        Finding::error("version", what)
            .hint(format!("it offers {offered}; without a version, {}", config.default_cluster_version)),
    )
}

fn zones_of(region: &Region) -> Vec<String> {
    region.zones.iter().filter_map(|link| link.rsplit('/').next().map(str::to_owned)).collect()
}

/// The names that begin like this one, else a few.
fn alike<'n>(name: &str, names: &[&'n str]) -> Vec<&'n str> {
    let start = name.split('-').next().unwrap_or_default();
    let same: Vec<&str> = names.iter().copied().filter(|other| other.starts_with(start)).take(8).collect();
    if same.is_empty() { names.iter().copied().take(8).collect() } else { same }
}

/// What is said of quotas that nobody can read yet.
fn unread() -> Finding {
    let what = format!("quotas, zones and machine types cannot be read while {COMPUTE} is off");
    Finding::new(Level::Note, Finding::UNREAD, what).hint("apply enables it and looks at them before it makes anything")
}

/// Enables the API that quotas are read with.
///
/// # Errors
///
/// Where it cannot be enabled. Nothing was made then.
pub async fn enable_compute(gcp: &Gcp, spec: &Spec) -> Result<(), Error> {
    gcp.for_project(&spec.project).enable_api(COMPUTE).await
}

/// What the account must be allowed for everything that is made, changed and deleted.
fn permissions(spec: &Spec) -> Vec<&'static str> {
    let mut all = vec![
        "compute.firewalls.delete",
        "compute.firewalls.list",
        "compute.forwardingRules.list",
        "compute.machineTypes.get",
        "compute.projects.get",
        "compute.regions.list",
        "container.clusters.create",
        "container.clusters.delete",
        "container.clusters.get",
        "container.clusters.list",
        "container.clusters.update",
        "container.operations.get",
        "container.operations.list",
        "iam.serviceAccounts.actAs",
        "serviceusage.services.enable",
        "serviceusage.services.get",
    ];
    if matches!(spec.network, Network::Own { .. }) {
        all.extend(["compute.networks.create", "compute.networks.delete", "compute.networks.get"]);
        all.extend(["compute.subnetworks.create", "compute.subnetworks.delete", "compute.subnetworks.get"]);
    }
    if spec.private_nodes {
        all.extend(["compute.routers.create", "compute.routers.delete", "compute.routers.get"]);
    }
    if !spec.disks.is_empty() {
        all.extend(["compute.disks.create", "compute.disks.delete", "compute.disks.get"]);
    }
    if !spec.file_servers.is_empty() {
        all.extend(["file.instances.create", "file.instances.delete", "file.instances.get"]);
    }
    if !spec.addresses.is_empty() {
        all.extend(["compute.addresses.create", "compute.addresses.delete", "compute.addresses.get"]);
    }
    if spec.registry.is_some() {
        all.extend(["artifactregistry.repositories.create", "artifactregistry.repositories.delete"]);
        all.extend(["artifactregistry.repositories.get", "artifactregistry.repositories.uploadArtifacts"]);
    }
    if spec.service_account.is_none() {
        all.extend(["iam.serviceAccounts.create", "iam.serviceAccounts.delete", "iam.serviceAccounts.get"]);
        all.extend(["resourcemanager.projects.getIamPolicy", "resourcemanager.projects.setIamPolicy"]);
    }
    all
}

/// Roles that hold the permissions.
fn roles_for(permissions: &[String]) -> BTreeSet<&'static str> {
    let role = |permission: &String| match permission.split('.').next().unwrap_or_default() {
        "container" => "roles/container.admin",
        "compute" => "roles/compute.admin",
        "artifactregistry" => "roles/artifactregistry.admin",
        "file" => "roles/file.editor",
        "serviceusage" => "roles/serviceusage.serviceUsageAdmin",
        "iam" if permission.ends_with("actAs") => "roles/iam.serviceAccountUser",
        "iam" => "roles/iam.serviceAccountAdmin",
        _ => "roles/resourcemanager.projectIamAdmin",
    };
    permissions.iter().map(role).collect()
}
