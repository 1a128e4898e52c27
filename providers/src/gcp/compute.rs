//! Networks, addresses, disks and quotas of Compute Engine.
//!
//! What the API takes and gives is Google's own [`model`]. Calls that make or delete something return when their operation is done.
//! Each carries an ID, so that Google does it once however often it is sent.

use std::fmt::Write as _;

use google_cloud_compute_v1::client;
pub use google_cloud_compute_v1::model;
use google_cloud_gax::retry_policy::NeverRetry;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::call::Repeat;
use super::container::found;
use super::operation::ComputeOperation;
use super::{Error, Gcp, Service};

/// Google's clients, each made when it is first used: to make one takes the certificates of this machine to be read.
macro_rules! clients {
    ($($field:ident: $client:ident),* $(,)?) => {
        #[derive(Debug, Default)]
        pub(super) struct Clients {
            $($field: OnceCell<client::$client>,)*
        }

        impl Clients {
            $(async fn $field(&self, gcp: &Gcp) -> Result<&client::$client, Error> {
                let build = || async {
                    let builder = client::$client::builder()
                        .with_credentials(gcp.shared.tokens.clone())
                        .with_retry_policy(NeverRetry)
                        .with_endpoint(gcp.base(Service::Compute));
                    Box::pin(builder.build()).await.map_err(|error| Error::Protocol(Box::new(error)))
                };
                self.$field.get_or_try_init(build).await
            })*
        }
    };
}

clients! {
    networks: Networks,
    subnetworks: Subnetworks,
    routers: Routers,
    addresses: Addresses,
    disks: Disks,
    regions: Regions,
    projects: Projects,
    machine_types: MachineTypes,
}

/// Looks at, makes and deletes things of one sort; the last words are the setters of where it is.
macro_rules! resource {
    ($sort:literal, $get:ident, $insert:ident, $delete:ident, $client:ident, $model:ident, $set_name:ident
     $(, $scope:ident, $set_scope:ident, $scopes:literal)?) => {
        impl Gcp {
            #[doc = concat!("The ", $sort, ", where it is there.")]
            pub async fn $get(&self, $($scope: &str,)? name: &str) -> Result<Option<Box<model::$model>>, Error> {
                let client = self.shared.compute.$client(self).await?;
                found(self.sdk(Service::Compute, Repeat::Safe, || {
                    client.get().set_project(&*self.project)$(.$set_scope($scope))?.$set_name(name).send()
                }).await)
            }

            #[doc = concat!("Makes a ", $sort, ".")]
            pub async fn $insert(&self, $($scope: &str,)? body: &model::$model) -> Result<(), Error> {
                let (client, id) = (self.shared.compute.$client(self).await?, request_id());
                let begun = self.sdk(Service::Compute, Repeat::Safe, || {
                    client.insert().set_project(&*self.project)$(.$set_scope($scope))?
                        .set_request_id(&id).set_body(body.clone()).send()
                }).await?;
                let scope = String::from("global");
                $(let scope = format!(concat!($scopes, "/{}"), { let _ = scope; $scope });)?
                self.wait_for_compute(&ComputeOperation { scope, name: begun.name.unwrap_or_default() }).await
            }

            #[doc = concat!("Deletes a ", $sort, "; that it is not there is success.")]
            pub async fn $delete(&self, $($scope: &str,)? name: &str) -> Result<(), Error> {
                let (client, id) = (self.shared.compute.$client(self).await?, request_id());
                let begun = found(self.sdk(Service::Compute, Repeat::Safe, || {
                    client.delete().set_project(&*self.project)$(.$set_scope($scope))?
                        .set_request_id(&id).$set_name(name).send()
                }).await)?;
                let Some(begun) = begun else { return Ok(()) };
                let scope = String::from("global");
                $(let scope = format!(concat!($scopes, "/{}"), { let _ = scope; $scope });)?
                let operation = ComputeOperation { scope, name: begun.name.unwrap_or_default() };
                found(self.wait_for_compute(&operation).await).map(|_| ())
            }
        }
    };
}

resource!("network", network, create_network, delete_network, networks, Network, set_network);
resource!(
    "subnetwork",
    subnetwork,
    create_subnetwork,
    delete_subnetwork,
    subnetworks,
    Subnetwork,
    set_subnetwork,
    region,
    set_region,
    "regions"
);
resource!("router", router, create_router, delete_router, routers, Router, set_router, region, set_region, "regions");
resource!(
    "static address",
    address,
    create_address,
    delete_address,
    addresses,
    Address,
    set_address,
    region,
    set_region,
    "regions"
);
resource!("disk", disk, create_disk, delete_disk, disks, Disk, set_disk, zone, set_zone, "zones");

impl Gcp {
    /// Makes a disk larger; it never becomes smaller.
    pub async fn resize_disk(&self, zone: &str, name: &str, gigabytes: u32) -> Result<(), Error> {
        let (disks, id) = (self.shared.compute.disks(self).await?, request_id());
        let size = model::DisksResizeRequest::new().set_size_gb(i64::from(gigabytes));
        let begun = self.sdk(Service::Compute, Repeat::Safe, || {
            let call = disks.resize().set_project(&*self.project).set_zone(zone).set_disk(name);
            call.set_request_id(&id).set_body(size.clone()).send()
        });
        let name = begun.await?.name.unwrap_or_default();
        self.wait_for_compute(&ComputeOperation { scope: format!("zones/{zone}"), name }).await
    }

    /// A disk with all that Google tells of it, where it is there.
    pub async fn disk_body(&self, zone: &str, name: &str) -> Result<Option<Value>, Error> {
        let path = format!("/compute/v1/projects/{}/zones/{zone}/disks/{name}", self.project);
        self.find(Service::Compute, &path).await
    }

    /// Gives a disk these labels, besides those that it has; that it is not there is success.
    pub async fn label_disk(&self, zone: &str, name: &str, labels: &[(&str, &str)]) -> Result<(), Error> {
        let Some(disk) = self.disk(zone, name).await? else { return Ok(()) };
        let (disks, id) = (self.shared.compute.disks(self).await?, request_id());
        let added = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let all = model::ZoneSetLabelsRequest::new()
            .set_labels(disk.labels.into_iter().chain(added))
            .set_or_clear_label_fingerprint(disk.label_fingerprint);
        let begun = self.sdk(Service::Compute, Repeat::Safe, || {
            let call = disks.set_labels().set_project(&*self.project).set_zone(zone).set_resource(name);
            call.set_request_id(&id).set_body(all.clone()).send()
        });
        let name = begun.await?.name.unwrap_or_default();
        self.wait_for_compute(&ComputeOperation { scope: format!("zones/{zone}"), name }).await
    }

    /// Keeps what is on a disk as a snapshot of this name.
    pub async fn snapshot_disk(&self, zone: &str, disk: &str, snapshot: &model::Snapshot) -> Result<(), Error> {
        let (disks, id) = (self.shared.compute.disks(self).await?, request_id());
        let begun = self.sdk(Service::Compute, Repeat::Safe, || {
            let call = disks.create_snapshot().set_project(&*self.project).set_zone(zone).set_disk(disk);
            call.set_request_id(&id).set_body(snapshot.clone()).send()
        });
        let name = begun.await?.name.unwrap_or_default();
        self.wait_for_compute(&ComputeOperation { scope: format!("zones/{zone}"), name }).await
    }

    /// A snapshot, where it is there.
    pub async fn snapshot(&self, name: &str) -> Result<Option<Value>, Error> {
        let path = format!("/compute/v1/projects/{}/global/snapshots/{name}", self.project);
        self.find(Service::Compute, &path).await
    }

    /// All regions, with their quotas and the links of their zones.
    pub async fn regions(&self) -> Result<Vec<model::Region>, Error> {
        let client = self.shared.compute.regions(self).await?;
        let mut regions = Vec::new();
        let mut page = String::new();
        loop {
            let listed = self.sdk(Service::Compute, Repeat::Safe, || {
                let call = client.list().set_project(&*self.project);
                if page.is_empty() { call.send() } else { call.set_page_token(&page).send() }
            });
            let listed = listed.await?;
            regions.extend(listed.items);
            match listed.next_page_token.filter(|token| !token.is_empty()) {
                Some(next) => page = next,
                None => return Ok(regions),
            }
        }
    }

    /// The zones of a region that work.
    pub async fn zones(&self, region: &str) -> Result<Vec<String>, Error> {
        let regions = self.shared.compute.regions(self).await?;
        let call = || regions.get().set_project(&*self.project).set_region(region).send();
        let found = self.sdk(Service::Compute, Repeat::Safe, call).await?;
        let names = found.zones.iter().filter_map(|link| link.rsplit('/').next());
        Ok(names.map(str::to_owned).collect())
    }

    /// The quotas of the project that belong to no region.
    pub async fn project_quotas(&self) -> Result<Vec<model::Quota>, Error> {
        let projects = self.shared.compute.projects(self).await?;
        let call = || projects.get().set_project(&*self.project).send();
        Ok(self.sdk(Service::Compute, Repeat::Safe, call).await?.quotas)
    }

    /// A machine type, where the zone offers it.
    pub async fn machine_type(&self, zone: &str, name: &str) -> Result<Option<Box<model::MachineType>>, Error> {
        let machine_types = self.shared.compute.machine_types(self).await?;
        let call = || machine_types.get().set_project(&*self.project).set_zone(zone).set_machine_type(name).send();
        found(self.sdk(Service::Compute, Repeat::Safe, call).await)
    }

    /// The zones that offer a machine type (`machineTypes`) or a GPU (`acceleratorTypes`).
    pub async fn zones_with(&self, sort: &str, name: &str) -> Result<Vec<String>, Error> {
        let path = format!("/compute/v1/projects/{}/aggregated/{sort}", self.project);
        let pages = self.pages(Service::Compute, &path, &[("filter", &format!("name={name}"))]).await?;
        let mut zones = Vec::new();
        for (scope, found) in pages.iter().filter_map(|page| page["items"].as_object()).flatten() {
            let named = found[sort].as_array().into_iter().flatten().any(|item| item["name"] == name);
            zones.extend(scope.strip_prefix("zones/").filter(|_| named).map(str::to_owned));
        }
        Ok(zones)
    }
}

/// An ID that no other request has, in the form of a UUID.
fn request_id() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let now = jiff::Timestamp::now().as_nanosecond();
    let digest = Sha256::digest(format!("{now} {} {number}", std::process::id()));
    let mut hex = String::new();
    for byte in digest.iter().take(16) {
        let _ = write!(hex, "{byte:02x}");
    }
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requests_have_one_id() {
        let (one, other) = (request_id(), request_id());
        assert_ne!(one, other);
        assert_eq!(one.len(), 36);
    }
}
