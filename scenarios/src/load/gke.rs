//! Reads `cluster.gke:`, whose fields are spelled as gcloud spells its flags.

mod pools;

use cluster::gke_spec::{Channel, Disk, FileServer, FileTier};

use self::pools::node_pool;
use super::Names;
use super::services::Services;
use crate::manifest::Manifest;
use crate::problems::did_you_mean;
use crate::reader::{Field, Marked, Reader, Table};
use crate::scenario::{BoundDisk, BoundFilestore, GkePart, Object, StaticAddress, WantedZones};
use crate::words::{self, choice, dns_label, gigabytes};

const CHANNELS: [(&str, Channel); 5] = [
    ("rapid", Channel::Rapid),
    ("regular", Channel::Regular),
    ("stable", Channel::Stable),
    ("extended", Channel::Extended),
    ("none", Channel::None),
];

const TIERS: [(&str, FileTier); 5] = [
    ("basic-hdd", FileTier::BasicHdd),
    ("basic-ssd", FileTier::BasicSsd),
    ("zonal", FileTier::Zonal),
    ("regional", FileTier::Regional),
    ("enterprise", FileTier::Enterprise),
];

pub(super) fn read(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    manifests: &[&Manifest],
    services: &Services,
) -> Option<GkePart> {
    let mut table = reader.table(field)?;
    let mut part = GkePart { default_pool: pools::default_pool(reader, &mut table), ..GkePart::default() };
    place(reader, &mut table, &mut part);
    network(reader, &mut table, &mut part);
    part.project = table.optional(reader, "project", words::project);
    part.version = table.optional(reader, "cluster-version", words::version);
    part.channel = table.optional(reader, "release-channel", |reader, field| choice(reader, field, &CHANNELS));
    part.workload_identity = table.optional(reader, "workload-identity", Reader::truth).unwrap_or(false);
    part.service_account = table.optional(reader, "service-account", |reader, field| Some(reader.text(field)?.value));
    part.registry_location =
        table.optional(reader, "registry-location", |reader, field| Some(dns_label(reader, field)?.value));
    if let Some(field) = table.field(reader, "node-pools") {
        let mut names = Names::of("node pools");
        let items = reader.items(&field);
        part.node_pools = items.iter().filter_map(|item| node_pool(reader, item, &mut names)).collect();
    }
    storage(reader, &mut table, manifests, &mut part);
    if let Some(field) = table.field(reader, "addresses") {
        let mut names = Names::of("addresses");
        let items = reader.items(&field);
        part.addresses = items.iter().filter_map(|item| address(reader, item, &mut names, services)).collect();
    }
    table.close(reader);
    Some(part)
}

/// Disks and file servers, with the claims that they serve.
fn storage(reader: &mut Reader<'_>, table: &mut Table<'_>, manifests: &[&Manifest], part: &mut GkePart) {
    if let Some(field) = table.field(reader, "disks") {
        let mut names = Names::of("disks");
        let items = reader.items(&field);
        part.disks = items.iter().filter_map(|item| disk(reader, item, &mut names, manifests)).collect();
    }
    if let Some(field) = table.field(reader, "filestores") {
        let mut names = Names::of("filestores");
        let items = reader.items(&field);
        part.filestores = items.iter().filter_map(|item| filestore(reader, item, &mut names, manifests)).collect();
        let served = part.disks.iter().filter_map(|bound| bound.claim.as_ref());
        let served: Vec<&Object> = served.collect();
        for bound in part.filestores.iter().filter(|bound| served.contains(&&bound.claim)) {
            let Object { namespace, name } = &bound.claim;
            let message = format!("the claim `{namespace}/{name}` is served by a disk and by a Filestore instance");
            reader.problem::<()>(table.key_mark("filestores"), message, "take it from one of them".to_owned());
        }
    }
}

/// Where it runs: `zone` or `region`, and which zones besides.
fn place(reader: &mut Reader<'_>, table: &mut Table<'_>, part: &mut GkePart) {
    part.zone = table.optional(reader, "zone", words::zone);
    part.region = table.optional(reader, "region", words::region);
    if part.zone.is_some() && part.region.is_some() {
        let mark = table.key_mark("region");
        let help = "a cluster runs in one zone, or in a whole region".to_owned();
        reader.problem::<()>(mark, format!("{} has both `zone` and `region`", table.called()), help);
    }
    let zones = table.optional(reader, "zones", |reader, field| {
        if field.node.text() == Some("any") {
            return Some(WantedZones::Any);
        }
        let items = reader.items(field);
        Some(WantedZones::Named(items.iter().filter_map(|item| words::zone(reader, item)).collect()))
    });
    part.zones = zones.unwrap_or_default();
}

/// The network: one of its own, or one that exists.
fn network(reader: &mut Reader<'_>, table: &mut Table<'_>, part: &mut GkePart) {
    part.network = table.optional(reader, "network", |reader, field| Some(dns_label(reader, field)?.value));
    part.subnetwork = table.optional(reader, "subnetwork", |reader, field| Some(dns_label(reader, field)?.value));
    part.range = table.optional(reader, "range", words::network_range);
    part.private_nodes = table.optional(reader, "private-nodes", Reader::truth).unwrap_or(false);
    if part.network.is_none() && part.subnetwork.is_some() {
        let help = "say the network that exists, as `network: NAME`, or leave `subnetwork` out".to_owned();
        let mark = table.key_mark("subnetwork");
        reader.problem::<()>(mark, "`subnetwork` without `network` belongs to no network", help);
    }
    if part.network.is_some() && part.range.is_some() {
        let mark = table.key_mark("range");
        let help = "leave one of them out: a network that exists has its ranges".to_owned();
        reader.problem::<()>(mark, format!("{} has both `network` and `range`", table.called()), help);
    }
}

fn disk(reader: &mut Reader<'_>, field: &Field<'_>, names: &mut Names, manifests: &[&Manifest]) -> Option<BoundDisk> {
    let mut table = reader.table(field)?;
    let name = names.read(reader, &mut table, "data");
    let size = table.required(reader, "size", "100GB", gigabytes);
    let disk_type = table.optional(reader, "type", |reader, field| Some(dns_label(reader, field)?.value));
    let zone = table.optional(reader, "zone", words::zone);
    let snapshot = table.optional(reader, "snapshot-on-delete", Reader::truth).unwrap_or(false);
    let claim = table.optional(reader, "claim", |reader, field| claim(reader, field, manifests));
    table.close(reader);
    let disk = Disk { name: name?.value, size_gigabytes: size?, disk_type, zone, snapshot };
    Some(BoundDisk { disk, claim })
}

fn filestore(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    names: &mut Names,
    manifests: &[&Manifest],
) -> Option<BoundFilestore> {
    let mut table = reader.table(field)?;
    let name = names.read(reader, &mut table, "files");
    let tier = table.optional(reader, "tier", |reader, field| choice(reader, field, &TIERS));
    let tier = tier.unwrap_or(FileTier::BasicHdd);
    let least = tier.least_gibibytes();
    let size = table.optional(reader, "size", gigabytes).unwrap_or(least);
    let zone = table.optional(reader, "zone", words::zone);
    let claim = table.required(reader, "claim", "NAME", |reader, field| claim(reader, field, manifests));
    if size < least {
        let message = format!("{size} GB is less than an instance of this tier has");
        reader.problem::<()>(table.key_mark("size"), message, format!("write `{least}GB` or more"));
    }
    if tier.is_regional() && zone.is_some() {
        let message = "an instance of this tier is in no zone";
        reader.problem::<()>(
            table.key_mark("zone"),
            message,
            "leave `zone` out: it is in the cluster's region".to_owned(),
        );
    }
    table.close(reader);
    let server = FileServer { name: name?.value, tier, capacity_gibibytes: size, zone };
    Some(BoundFilestore { server, claim: claim? })
}

/// The claim that is written `NAME` or `NAMESPACE/NAME`, among those that the manifests declare.
fn claim(reader: &mut Reader<'_>, field: &Field<'_>, manifests: &[&Manifest]) -> Option<Object> {
    let written = reader.text(field)?;
    let claims = manifests.iter().map(|manifest| &manifest.identity);
    let claims: Vec<Object> = claims
        .filter(|identity| identity.kind == "PersistentVolumeClaim")
        .filter_map(|identity| Some(Object { namespace: identity.namespace.clone()?, name: identity.name.clone() }))
        .collect();
    let is_meant = |claim: &&Object| {
        let full = format!("{}/{}", claim.namespace, claim.name);
        written.value == full || written.value == claim.name
    };
    let found: Vec<&Object> = claims.iter().filter(is_meant).collect();
    match found.as_slice() {
        [only] => Some((*only).clone()),
        [] => {
            let known: Vec<&str> = claims.iter().map(|claim| claim.name.as_str()).collect();
            let message = format!("no manifest declares a PersistentVolumeClaim `{}`", written.value);
            reader.problem(written.mark, message, did_you_mean(&written.value, known))
        }
        _ => {
            let message = format!("there are several PersistentVolumeClaims `{}`", written.value);
            reader.problem(written.mark, message, "say which one, as `NAMESPACE/NAME`".to_owned())
        }
    }
}

fn address(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    names: &mut Names,
    services: &Services,
) -> Option<StaticAddress> {
    let mut table = reader.table(field)?;
    let name = names.read(reader, &mut table, "web");
    let service = table.required(reader, "service", "web", |reader, field| {
        let written: Marked<String> = reader.text(field)?;
        Some(services.find(reader, &written)?.object())
    });
    table.close(reader);
    Some(StaticAddress { name: name?.value, service: service? })
}
