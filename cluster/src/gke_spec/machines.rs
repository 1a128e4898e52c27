//! Machine types of Compute Engine: which one has as much as is asked for, and what it counts against.

/// A machine type that is chosen by size.
struct Machine {
    name: &'static str,
    cpus: u32,
    memory_gibibytes: u32,
}

const fn machine(name: &'static str, cpus: u32, memory_gibibytes: u32) -> Machine {
    Machine { name, cpus, memory_gibibytes }
}

/// From the cheapest to the dearest of what E2 and N2 offer, by their list prices in `us-central1`: a CPU costs about as much as
/// 7.5 GiB of memory.
const BY_PRICE: &[Machine] = &[
    machine("e2-highcpu-2", 2, 2),
    machine("e2-standard-2", 2, 8),
    machine("e2-highmem-2", 2, 16),
    machine("e2-highcpu-4", 4, 4),
    machine("e2-standard-4", 4, 16),
    machine("e2-highmem-4", 4, 32),
    machine("e2-highcpu-8", 8, 8),
    machine("e2-standard-8", 8, 32),
    machine("e2-highmem-8", 8, 64),
    machine("e2-highcpu-16", 16, 16),
    machine("e2-standard-16", 16, 64),
    machine("e2-highmem-16", 16, 128),
    machine("e2-highcpu-32", 32, 32),
    machine("e2-standard-32", 32, 128),
    machine("n2-highmem-32", 32, 256),
    machine("n2-standard-48", 48, 192),
    machine("n2-highmem-48", 48, 384),
    machine("n2-standard-64", 64, 256),
    machine("n2-highmem-64", 64, 512),
    machine("n2-standard-80", 80, 320),
    machine("n2-highmem-80", 80, 640),
    machine("n2-standard-128", 128, 512),
    machine("n2-highmem-128", 128, 864),
];

/// What a node has where nobody asks for more: room for what GKE itself runs on it, and as much again.
pub const USUAL: &str = "e2-standard-4";

/// The cheapest machine type with at least so much; none where there is none.
pub fn smallest(cpus: u32, memory_mebibytes: u64) -> Option<&'static str> {
    let fits =
        |machine: &&Machine| machine.cpus >= cpus && u64::from(machine.memory_gibibytes) * 1024 >= memory_mebibytes;
    BY_PRICE.iter().find(fits).map(|machine| machine.name)
}

/// Smaller machine types of the same shape, the largest first.
pub fn smaller(machine_type: &str) -> Vec<(String, u32)> {
    let Some((shape, cpus)) = machine_type.rsplit_once('-') else { return Vec::new() };
    let cpus: u32 = cpus.parse().unwrap_or(0);
    let sizes = [128, 96, 80, 64, 48, 32, 16, 8, 4, 2];
    sizes.into_iter().filter(|size| *size < cpus).map(|size| (format!("{shape}-{size}"), size)).collect()
}

/// The metric of the quota that CPUs of a machine type count against, besides `CPUS_ALL_REGIONS`: most families have one of their own.
pub fn cpu_metric(machine_type: &str, spot: bool) -> String {
    let family = machine_type.split('-').next().unwrap_or_default().to_uppercase();
    match family.as_str() {
        // One quota for all of them.
        "E2" | "N1" | "F1" | "G1" | "" if spot => "PREEMPTIBLE_CPUS".to_owned(),
        "E2" | "N1" | "F1" | "G1" | "" => "CPUS".to_owned(),
        // Their CPUs come with their GPUs.
        family => format!("{family}_CPUS"),
    }
}

/// The metric of the quota that GPUs of a type count against.
pub fn gpu_metric(kind: &str, spot: bool) -> String {
    let name = kind.trim_start_matches("nvidia-").trim_start_matches("tesla-").to_uppercase().replace('-', "_");
    let name = match name.as_str() {
        "H100_80GB" => "H100",
        "A100_40GB" => "A100",
        other => other,
    };
    if spot { format!("PREEMPTIBLE_NVIDIA_{name}_GPUS") } else { format!("NVIDIA_{name}_GPUS") }
}

/// The metric of the quota that a disk counts against.
pub fn disk_metric(disk_type: Option<&str>) -> &'static str {
    match disk_type.unwrap_or("pd-balanced") {
        "pd-balanced" | "pd-ssd" => "SSD_TOTAL_GB",
        "hyperdisk-balanced" => "HDB_TOTAL_GB",
        _ => "DISKS_TOTAL_GB",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_machine_that_has_enough_is_taken() {
        assert_eq!(smallest(1, 1024), Some("e2-highcpu-2"));
        assert_eq!(smallest(2, 4096), Some("e2-standard-2"));
        assert_eq!(smallest(3, 20 * 1024), Some("e2-highmem-4"));
        assert_eq!(smallest(200, 1024), None);
    }

    #[test]
    fn quotas_are_called_as_google_calls_them() {
        assert_eq!(cpu_metric("e2-standard-2", false), "CPUS");
        assert_eq!(cpu_metric("n2-standard-2", false), "N2_CPUS");
        assert_eq!(cpu_metric("c2d-standard-8", true), "C2D_CPUS");
        assert_eq!(gpu_metric("nvidia-tesla-t4", false), "NVIDIA_T4_GPUS");
        assert_eq!(gpu_metric("nvidia-l4", true), "PREEMPTIBLE_NVIDIA_L4_GPUS");
        assert_eq!((disk_metric(None), disk_metric(Some("pd-standard"))), ("SSD_TOTAL_GB", "DISKS_TOTAL_GB"));
        assert_eq!(smaller("e2-standard-8")[0], ("e2-standard-4".to_owned(), 4));
    }
}
