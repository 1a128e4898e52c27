//! What a cluster on Google Kubernetes Engine is made of, in the words of a scenario. It needs nothing of Google's.

mod finding;
pub(crate) mod machines;
pub(crate) mod names;
mod spec;
mod told;

pub use finding::{Finding, Level};
pub use machines::{USUAL as USUAL_MACHINE_TYPE, smallest as smallest_machine_type};
pub use names::{LABEL, image_repository, name, part};
pub use spec::{
    Channel, Declared, Disk, FileServer, FileTier, Gpu, GpuDriver, Network, NodePool, OtherZones, Place, PoolSize,
    Registry, Spec, Taint, TaintEffect, is_zone, region_of,
};
pub use told::{AddressStatus, Cloud, ClusterStatus, Data, PoolStatus};

/// The kind of disks that stand alone.
pub const DISK: &str = "gcp-disk";
