//! Reads node pools: the first one, which gcloud's flags describe, and those of `node-pools`.

use std::collections::BTreeMap;

use cluster::gke_spec::{Gpu, GpuDriver, Taint, TaintEffect};

use crate::load::Names;
use crate::reader::{Field, Reader, Table};
use crate::scenario::{PoolPart, WantedPoolSize};
use crate::words::{self, choice, dns_label, gigabytes};

/// The most nodes of a pool in one zone.
const MAX_NODES: u64 = 1000;
/// The most GPUs of a node.
const MAX_GPUS: u64 = 16;

const DRIVERS: [(&str, GpuDriver); 3] =
    [("default", GpuDriver::Default), ("latest", GpuDriver::Latest), ("disabled", GpuDriver::Disabled)];

const EFFECTS: [(&str, TaintEffect); 3] = [
    ("NoSchedule", TaintEffect::NoSchedule),
    ("PreferNoSchedule", TaintEffect::PreferNoSchedule),
    ("NoExecute", TaintEffect::NoExecute),
];

/// The pool that the flags of `gcloud container clusters create` describe; none where none of them is said.
pub(super) fn default_pool(reader: &mut Reader<'_>, table: &mut Table<'_>) -> Option<PoolPart> {
    let words = ["num-nodes", "machine-type", "image-type", "disk-type", "disk-size", "spot", "min-nodes", "max-nodes"];
    let said = words.into_iter().any(|word| table.has(word));
    let mut pool = PoolPart { name: "default-pool".to_owned(), ..PoolPart::default() };
    machine(reader, table, &mut pool);
    said.then_some(pool)
}

/// One item of `node-pools`.
pub(super) fn node_pool(reader: &mut Reader<'_>, field: &Field<'_>, names: &mut Names) -> Option<PoolPart> {
    let mut table = reader.table(field)?;
    let name = names.read(reader, &mut table, "gpu");
    let mut pool = PoolPart::default();
    machine(reader, &mut table, &mut pool);
    pool.gpu = table.optional(reader, "accelerator", gpu);
    pool.labels = table.optional(reader, "labels", labels).unwrap_or_default();
    if let Some(field) = table.field(reader, "taints") {
        let items = reader.items(&field);
        pool.taints = items.iter().filter_map(|item| taint(reader, item)).collect();
    }
    if let Some(field) = table.field(reader, "zones") {
        let items = reader.items(&field);
        pool.zones = items.iter().filter_map(|item| words::zone(reader, item)).collect();
    }
    table.close(reader);
    let name = name?;
    if name.value.len() > 40 {
        let help = format!("it may have 40 characters, and has {}", name.value.len());
        return reader.problem(name.mark, format!("`{}` is too long for the name of a node pool", name.value), help);
    }
    pool.name = name.value;
    Some(pool)
}

/// What both sorts of pools say.
fn machine(reader: &mut Reader<'_>, table: &mut Table<'_>, pool: &mut PoolPart) {
    pool.size = size(reader, table);
    pool.machine_type = table.optional(reader, "machine-type", |reader, field| Some(dns_label(reader, field)?.value));
    pool.image_type = table.optional(reader, "image-type", |reader, field| Some(reader.text(field)?.value));
    pool.disk_type = table.optional(reader, "disk-type", |reader, field| Some(dns_label(reader, field)?.value));
    pool.disk_size_gigabytes = table.optional(reader, "disk-size", gigabytes);
    pool.spot = table.optional(reader, "spot", Reader::truth).unwrap_or(false);
}

/// `num-nodes`, or `min-nodes` and `max-nodes`.
fn size(reader: &mut Reader<'_>, table: &mut Table<'_>) -> Option<WantedPoolSize> {
    let count = table.optional(reader, "num-nodes", |reader, field| nodes(reader, field, 0));
    let min = table.optional(reader, "min-nodes", |reader, field| nodes(reader, field, 0));
    let max = table.optional(reader, "max-nodes", |reader, field| nodes(reader, field, 1));
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        let help = "`max-nodes` is at least `min-nodes`".to_owned();
        return reader.problem(table.key_mark("min-nodes"), format!("{min} is more than {max}"), help);
    }
    if table.has("min-nodes") && !table.has("max-nodes") {
        let help = "add `max-nodes: 3`, or say a fixed number as `num-nodes`".to_owned();
        return reader.problem(table.key_mark("min-nodes"), "`min-nodes` without `max-nodes` has no bound", help);
    }
    match (count, max) {
        (count, Some(max)) => Some(WantedPoolSize { first: count, min: min.unwrap_or(0), max: Some(max) }),
        (Some(count), None) => Some(WantedPoolSize { first: Some(count), min: 0, max: None }),
        (None, None) => None,
    }
}

fn nodes(reader: &mut Reader<'_>, field: &Field<'_>, least: u64) -> Option<u32> {
    u32::try_from(reader.whole_number(field, least..=MAX_NODES)?).ok()
}

fn gpu(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Gpu> {
    let mut table = reader.table(field)?;
    let kind = table.required(reader, "type", "nvidia-tesla-t4", |reader, field| Some(dns_label(reader, field)?.value));
    let count = table.optional(reader, "count", |reader, field| reader.whole_number(field, 1..=MAX_GPUS));
    let driver = table.optional(reader, "gpu-driver-version", |reader, field| choice(reader, field, &DRIVERS));
    table.close(reader);
    let count = count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    Some(Gpu { kind: kind?, count, driver: driver.unwrap_or_default() })
}

fn labels(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for (name, field) in reader.named(field) {
        labels.insert(name.value, reader.text(&field)?.value);
    }
    Some(labels)
}

fn taint(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Taint> {
    let mut table = reader.table(field)?;
    let key = table.required(reader, "key", "dedicated", |reader, field| Some(reader.text(field)?.value));
    let value = table.optional(reader, "value", |reader, field| Some(reader.text(field)?.value));
    let effect = table.required(reader, "effect", "NoSchedule", |reader, field| choice(reader, field, &EFFECTS));
    table.close(reader);
    Some(Taint { key: key?, value: value.unwrap_or_default(), effect: effect? })
}
