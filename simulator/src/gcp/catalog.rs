//! What Google offers where: regions, zones, machine types, GPUs and disk types, and what they cost.
//!
//! The numbers are those of Google's pages on machine families, GPU locations and list prices in us-central1.

use serde_json::{Value, json};

/// Regions with the letters of their zones.
pub(crate) const REGIONS: [(&str, &str); 6] = [
    ("asia-east1", "abc"),
    ("europe-west1", "bcd"),
    ("europe-west4", "abc"),
    ("us-central1", "abcf"),
    ("us-east1", "bcd"),
    ("us-west1", "abc"),
];

/// Types of disks, with US dollars for a GiB and month.
pub(crate) const DISK_TYPES: [(&str, f64); 4] =
    [("pd-balanced", 0.10), ("pd-extreme", 0.125), ("pd-ssd", 0.17), ("pd-standard", 0.04)];

/// Hours of a month in Google's prices.
pub(crate) const HOURS_OF_MONTH: f64 = 730.0;

/// Types of GPUs, with their name for people, US dollars an hour, and the zones without them.
const ACCELERATORS: [(&str, &str, f64, &[&str]); 5] = [
    ("nvidia-tesla-t4", "NVIDIA T4", 0.35, &["asia-east1-b", "us-east1-b", "us-west1-c"]),
    ("nvidia-l4", "NVIDIA L4", 0.56, &["europe-west1-d", "us-central1-f"]),
    ("nvidia-tesla-a100", "NVIDIA A100 40GB", 2.933, &ONLY_A100),
    (
        "nvidia-tesla-v100",
        "NVIDIA V100",
        2.48,
        &[
            "asia-east1-a",
            "asia-east1-b",
            "europe-west1-b",
            "europe-west1-c",
            "europe-west1-d",
            "us-east1-b",
            "us-east1-c",
            "us-east1-d",
            "us-west1-c",
        ],
    ),
    (
        "nvidia-tesla-p100",
        "NVIDIA Tesla P100",
        1.46,
        &[
            "asia-east1-b",
            "europe-west1-c",
            "europe-west4-b",
            "europe-west4-c",
            "us-central1-a",
            "us-central1-b",
            "us-east1-d",
            "us-west1-c",
        ],
    ),
];
const ONLY_A100: [&str; 11] = [
    "asia-east1-b",
    "europe-west1-b",
    "europe-west1-c",
    "europe-west1-d",
    "europe-west4-c",
    "us-east1-b",
    "us-east1-c",
    "us-east1-d",
    "us-west1-a",
    "us-west1-c",
    "asia-east1-a",
];

/// Name, cores in its sizes, GiB for each core, US dollars an hour for a core and for a GiB, quota.
type Family = (&'static str, &'static [u32], f64, f64, f64, &'static str);

/// Families of machines: name, cores in its sizes, GiB for each core, US dollars an hour for a core and for a GiB, and the
/// quota that its cores count for.
const FAMILIES: [Family; 16] = [
    ("e2-standard", &[2, 4, 8, 16, 32], 4.0, 0.021_811_59, 0.002_923_53, "CPUS"),
    ("e2-highmem", &[2, 4, 8, 16], 8.0, 0.021_811_59, 0.002_923_53, "CPUS"),
    ("e2-highcpu", &[2, 4, 8, 16, 32], 1.0, 0.021_811_59, 0.002_923_53, "CPUS"),
    ("n1-standard", &[1, 2, 4, 8, 16, 32, 64, 96], 3.75, 0.031_611, 0.004_237, "CPUS"),
    ("n1-highmem", &[2, 4, 8, 16, 32, 64, 96], 6.5, 0.031_611, 0.004_237, "CPUS"),
    ("n1-highcpu", &[2, 4, 8, 16, 32, 64, 96], 0.9, 0.031_611, 0.004_237, "CPUS"),
    ("n2-standard", &[2, 4, 8, 16, 32, 48, 64, 80, 96, 128], 4.0, 0.031_611, 0.004_237, "N2_CPUS"),
    ("n2-highmem", &[2, 4, 8, 16, 32, 48, 64, 80, 96, 128], 8.0, 0.031_611, 0.004_237, "N2_CPUS"),
    ("n2-highcpu", &[2, 4, 8, 16, 32, 48, 64, 80, 96], 1.0, 0.031_611, 0.004_237, "N2_CPUS"),
    ("n2d-standard", &[2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224], 4.0, 0.027_502, 0.003_686, "N2D_CPUS"),
    ("t2d-standard", &[1, 2, 4, 8, 16, 32, 48, 60], 4.0, 0.027_502, 0.003_686, "T2D_CPUS"),
    ("c2-standard", &[4, 8, 16, 30, 60], 4.0, 0.033_98, 0.004_55, "C2_CPUS"),
    ("c2d-standard", &[2, 4, 8, 16, 32, 56, 112], 4.0, 0.029_563, 0.003_959, "C2D_CPUS"),
    ("c3-standard", &[4, 8, 22, 44, 88, 176], 4.0, 0.033_98, 0.004_456, "C3_CPUS"),
    ("g2-standard", &[4, 8, 12, 16, 24, 32, 48, 96], 4.0, 0.024_988, 0.002_927, "CPUS"),
    ("a2-highgpu", &[12, 24, 48, 96], 85.0 / 12.0, 0.031_611, 0.004_237, "A2_CPUS"),
];

/// A type of machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Machine {
    pub name: String,
    pub cores: u32,
    pub memory_megabytes: u32,
    pub shared_core: bool,
    /// GPUs that it always has.
    pub accelerator: Option<(&'static str, u32)>,
    /// US dollars an hour, without its GPUs.
    pub price: f64,
    /// The quota that its cores count for.
    pub quota: &'static str,
}

impl Machine {
    fn new(name: String, cores: u32, gibibytes: f64, prices: (f64, f64), quota: &'static str) -> Self {
        let price = f64::from(cores) * prices.0 + gibibytes * prices.1;
        let memory_megabytes = megabytes(gibibytes);
        Self { name, cores, memory_megabytes, shared_core: false, accelerator: None, price, quota }
    }
}

fn megabytes(gibibytes: f64) -> u32 {
    // Sizes of machines are far below what a whole number of 32 bits holds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let megabytes = (gibibytes * 1024.0).round() as u32;
    megabytes
}

/// All types of machines that have a name of their own.
pub(crate) fn machines() -> Vec<Machine> {
    let mut all = Vec::new();
    for (name, gibibytes, share) in [("e2-micro", 1.0, 0.25), ("e2-small", 2.0, 0.5), ("e2-medium", 4.0, 1.0)] {
        let mut machine = Machine::new(name.into(), 2, gibibytes, (0.021_811_59 * share / 2.0, 0.002_923_53), "CPUS");
        machine.shared_core = true;
        all.push(machine);
    }
    for (family, sizes, memory, core, gibibyte, quota) in FAMILIES {
        for cores in sizes {
            let memory = f64::from(*cores) * memory;
            let (name, accelerator) = match family {
                "a2-highgpu" => (format!("{family}-{}g", cores / 12), Some(("nvidia-tesla-a100", cores / 12))),
                "g2-standard" => (format!("{family}-{cores}"), Some(("nvidia-l4", gpus_of_g2(*cores)))),
                _ => (format!("{family}-{cores}"), None),
            };
            let machine = Machine::new(name, *cores, memory, (core, gibibyte), quota);
            all.push(Machine { accelerator, ..machine });
        }
    }
    all
}

fn gpus_of_g2(cores: u32) -> u32 {
    match cores {
        24 => 2,
        48 => 4,
        96 => 8,
        _ => 1,
    }
}

/// A type of machine by its name, custom ones included, if the zone offers it.
pub(crate) fn machine(zone: &str, name: &str) -> Option<Machine> {
    let found = machines().into_iter().find(|machine| machine.name == name).or_else(|| custom(name))?;
    offered(zone, &found).then_some(found)
}

/// `e2-custom-4-8192` and `custom-2-4096` (of the family n1).
fn custom(name: &str) -> Option<Machine> {
    let (family, size) =
        if let Some(size) = name.strip_prefix("custom-") { ("n1", size) } else { name.split_once("-custom-")? };
    let (cores, memory) = size.split_once('-')?;
    let (cores, memory): (u32, u32) = (cores.parse().ok()?, memory.parse().ok()?);
    let (.., core, gibibyte, quota) = *FAMILIES.iter().find(|known| known.0 == format!("{family}-standard"))?;
    let fits = memory.is_multiple_of(256) && (1..=128).contains(&cores) && memory <= cores * 8192;
    // Custom machines cost a twentieth more.
    let prices = (core * 1.05, gibibyte * 1.05);
    fits.then(|| Machine::new(name.into(), cores, f64::from(memory) / 1024.0, prices, quota))
}

/// The types of machines of a zone.
pub(crate) fn machines_of(zone: &str) -> Vec<Machine> {
    machines().into_iter().filter(|machine| offered(zone, machine)).collect()
}

fn offered(zone: &str, machine: &Machine) -> bool {
    let gpu = machine.accelerator.is_none_or(|(accelerator, _)| accelerators_of(zone).contains(&accelerator));
    // Some zones are older than some families.
    let new = zone == "us-central1-f" && (machine.name.starts_with("c3-") || machine.name.starts_with("t2d-"));
    let far = zone.starts_with("asia-east1") && machine.name.starts_with("c2d-") && zone.ends_with('b');
    is_zone(zone) && gpu && !new && !far
}

/// The types of GPUs of a zone.
pub(crate) fn accelerators_of(zone: &str) -> Vec<&'static str> {
    let there = ACCELERATORS.iter().filter(|(.., without)| !without.contains(&zone));
    there.map(|known| known.0).collect()
}

/// US dollars an hour for a GPU.
pub(crate) fn accelerator_price(name: &str) -> f64 {
    ACCELERATORS.iter().find(|known| known.0 == name).map_or(0.0, |known| known.2)
}

/// The quota that a type of GPU counts for: `NVIDIA_T4_GPUS`.
pub(crate) fn accelerator_quota(name: &str) -> String {
    format!("{}_GPUS", name.replace("-tesla", "").replace('-', "_").to_uppercase())
}

/// A GPU as `acceleratorTypes` tells it.
pub(crate) fn accelerator(zone: &str, name: &str) -> Option<Value> {
    let known = ACCELERATORS.iter().find(|known| known.0 == name && !known.3.contains(&zone))?;
    let most = if name == "nvidia-tesla-t4" || name == "nvidia-tesla-p100" { 4 } else { 8 };
    Some(json!({"name": name, "description": known.1, "maximumCardsPerInstance": most}))
}

/// The zones of a region; none for an unknown one.
pub(crate) fn zones_of(region: &str) -> Vec<String> {
    let known = REGIONS.iter().find(|known| known.0 == region);
    known.map(|(_, letters)| letters.chars().map(|letter| format!("{region}-{letter}")).collect()).unwrap_or_default()
}

/// All zones.
pub(crate) fn zones() -> Vec<String> {
    REGIONS.iter().flat_map(|(region, _)| zones_of(region)).collect()
}

/// Whether there is such a zone.
pub(crate) fn is_zone(name: &str) -> bool {
    zones_of(region_of(name)).iter().any(|zone| zone == name)
}

/// Whether there is such a region.
pub(crate) fn is_region(name: &str) -> bool {
    REGIONS.iter().any(|(region, _)| *region == name)
}

/// The region of a zone; a region is its own.
pub(crate) fn region_of(location: &str) -> &str {
    if is_region(location) { location } else { location.rsplit_once('-').map_or(location, |parts| parts.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_the_size_that_its_name_says() {
        let machine = machine("us-central1-a", "e2-standard-4").unwrap();
        assert_eq!((machine.cores, machine.memory_megabytes), (4, 16384));
        assert!((machine.price - 0.134).abs() < 0.001, "{}", machine.price);
    }

    #[test]
    fn a_custom_machine_is_made_to_measure() {
        let machine = machine("us-central1-a", "n2-custom-6-20480").unwrap();
        assert_eq!((machine.cores, machine.memory_megabytes, machine.quota), (6, 20480, "N2_CPUS"));
    }

    #[test]
    fn not_every_zone_has_every_gpu() {
        assert!(machine("us-central1-a", "g2-standard-4").is_some());
        assert!(machine("us-central1-f", "g2-standard-4").is_none());
        assert!(machine("us-central1-z", "e2-medium").is_none());
        assert_eq!(accelerator_quota("nvidia-tesla-t4"), "NVIDIA_T4_GPUS");
    }
}
