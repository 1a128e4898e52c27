use async_trait::async_trait;
use providers::gcp::compute::model;
use providers::gcp::{Error, Gcp};
use serde::{Deserialize, Serialize};

use super::data::outputs;
use super::network::labelled;
use super::things::{Found, Thing, Things};
use super::{Owner, names};

/// The kind of a disk's node.
pub const KIND: &str = "gcp-disk";

/// What a `gcp-disk` node holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub owner: Owner,
    pub zone: String,
    pub name: String,
    pub size_gigabytes: u32,
    pub disk_type: String,
    /// Whether a snapshot is kept when it is deleted.
    pub snapshot: bool,
}

/// The behaviour of `gcp-disk`: a disk that stands alone.
pub(super) type Disks = Things<Inputs>;

impl Inputs {
    /// The name of the snapshot: that of the disk with its number, so that the disk that takes its place gets another one.
    fn snapshot_name(&self, disk: &model::Disk) -> String {
        names::part(&self.owner.deployment, &format!("{}-{}", self.name, disk.id.unwrap_or_default()))
    }
}

#[async_trait]
impl Thing for Inputs {
    const SORT: &'static str = "disk";
    const FIXED: &'static [&'static str] = &["name", "zone", "disk_type"];

    fn project(&self) -> &str {
        &self.owner.project
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn look(&self, gcp: &Gcp) -> Result<Found, Error> {
        let Some(found) = gcp.disk(&self.zone, &self.name).await? else { return Ok(Found::Nothing) };
        let outputs = outputs(&self.owner, &self.name, &self.zone);
        let size = found.size_gb.unwrap_or_default();
        let difference = (size != i64::from(self.size_gigabytes)).then(|| format!("it has {size} GB"));
        Ok(labelled(&self.owner, found.labels.get(names::LABEL).map(String::as_str), outputs, difference))
    }

    async fn make(&self, gcp: &Gcp) -> Result<(), Error> {
        let disk_type = format!("projects/{}/zones/{}/diskTypes/{}", self.owner.project, self.zone, self.disk_type);
        let disk = model::Disk::new()
            .set_name(&self.name)
            .set_description(names::mark(&self.owner.deployment))
            .set_labels([(names::LABEL, &self.owner.deployment)])
            .set_size_gb(i64::from(self.size_gigabytes))
            .set_type(disk_type);
        gcp.create_disk(&self.zone, &disk).await
    }

    /// A disk grows; it never shrinks, so one that is larger stays as it is.
    async fn adjust(&self, gcp: &Gcp) -> Result<(), Error> {
        let found = gcp.disk(&self.zone, &self.name).await?;
        let size = found.and_then(|found| found.size_gb).unwrap_or_default();
        if size < i64::from(self.size_gigabytes) {
            gcp.resize_disk(&self.zone, &self.name, self.size_gigabytes).await?;
        }
        Ok(())
    }

    async fn remove(&self, gcp: &Gcp) -> Result<Option<String>, Error> {
        let mut kept = None;
        if self.snapshot
            && let Some(disk) = gcp.disk(&self.zone, &self.name).await?
        {
            let name = self.snapshot_name(&disk);
            if gcp.snapshot(&name).await?.is_none() {
                let snapshot = model::Snapshot::new()
                    .set_name(&name)
                    .set_description(format!("disk {} of the deployment {}", self.name, self.owner.deployment))
                    .set_labels([(names::LABEL, &self.owner.deployment)]);
                gcp.snapshot_disk(&self.zone, &self.name, &snapshot).await?;
            }
            kept = Some(format!("what was on it is kept as the snapshot {name}"));
        }
        gcp.delete_disk(&self.zone, &self.name).await?;
        Ok(kept)
    }
}
