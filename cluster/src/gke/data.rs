//! What holds data and may outlive its cluster: disks that stand alone, and those that were made for claims.

use engine::{Address, Discovered, Held, Inventory, Node};
use futures::future::try_join_all;
use providers::gcp::{Error, Gcp, Left, LeftKind};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Data, Owner, disk, names, remains};
use crate::SECTION;

/// US dollars for a GB and month, by Google's list prices in us-central1. Other regions cost up to half as much more.
const PRICES: [(&str, f64); 5] = [
    ("hyperdisk-balanced", 0.08),
    ("pd-balanced", 0.10),
    ("pd-extreme", 0.125),
    ("pd-ssd", 0.17),
    ("pd-standard", 0.04),
];

/// The disks of a deployment that are there now: those that are held, and those that were made for claims of its cluster.
///
/// # Errors
///
/// Where Google cannot be asked; and where a claim has a disk of a whole region, which cannot be kept.
pub async fn data(gcp: &Gcp, inventory: &Inventory) -> Result<Vec<Data>, Error> {
    let alone = inventory.iter().filter(|held| held.node.address.kind() == disk::KIND);
    let mut all: Vec<Data> =
        try_join_all(alone.map(|held| standing_alone(gcp, held))).await?.into_iter().flatten().collect();
    for held in inventory.iter().filter(|held| held.node.address.kind() == remains::KIND) {
        let Ok(inputs) = remains::Inputs::deserialize(&held.node.inputs) else { continue };
        let found = gcp.for_project(&inputs.owner.project).left_with_data(LeftKind::Disk).await?;
        let disks: Vec<Left> = found.iter().map(|(left, _)| left.clone()).collect();
        for left in remains::ours(&inputs, &disks).into_iter().filter(|left| remains::is_data(&inputs, left)) {
            if !left.scope.starts_with("zones/") {
                let message = format!("the disk {} of a claim is of a whole region, and cannot be kept", left.name);
                return Err(Error::Failed { message });
            }
            let body = found.iter().find(|(other, _)| *other == left).map(|(_, body)| body.clone());
            let made = of_body(&inputs.owner, &left.name, &body.unwrap_or_default());
            // One that was kept before is held by now.
            if !all.iter().any(|known| (&known.name, &known.zone) == (&made.name, &made.zone)) {
                all.push(made);
            }
        }
    }
    Ok(all)
}

/// A disk that the journal holds, where it is there and the deployment's.
async fn standing_alone(gcp: &Gcp, held: &Held) -> Result<Option<Data>, Error> {
    let Ok(inputs) = disk::Inputs::deserialize(&held.node.inputs) else { return Ok(None) };
    let Some(body) = gcp.for_project(&inputs.owner.project).disk_body(&inputs.zone, &inputs.name).await? else {
        return Ok(None);
    };
    if body["labels"][names::LABEL] != inputs.owner.deployment.as_str() {
        return Ok(None);
    }
    let found = of_body(&inputs.owner, &inputs.name, &body);
    // What it was made with counts, where that is known.
    Ok(Some(Data { node: Node { kept: true, ..held.node.clone() }, ..found }))
}

/// A disk as Google tells it.
pub(super) fn of_body(owner: &Owner, name: &str, body: &Value) -> Data {
    let last =
        |field: &str| body[field].as_str().and_then(|link| link.rsplit('/').next()).unwrap_or_default().to_owned();
    let (zone, disk_type) = (last("zone"), last("type"));
    let size_gigabytes: u64 = body["sizeGb"].as_str().and_then(|size| size.parse().ok()).unwrap_or_default();
    let claim = claim(body["description"].as_str().unwrap_or_default());
    let inputs = disk::Inputs {
        owner: owner.clone(),
        zone: zone.clone(),
        name: name.to_owned(),
        size_gigabytes: u32::try_from(size_gigabytes).unwrap_or_default(),
        disk_type: disk_type.clone(),
        snapshot: false,
    };
    let of_claim = claim.as_ref().map(|claim| format!(", of the claim {claim}")).unwrap_or_default();
    let title = format!("disk {name} ({size_gigabytes} GB, {zone}{of_claim})");
    let mut node = Node::new(Address::new(disk::KIND, name), title, SECTION);
    node.inputs = json!(inputs);
    node.kept = true;
    let price = PRICES.iter().find(|(known, _)| *known == disk_type).map(|(_, price)| *price);
    #[expect(clippy::cast_precision_loss, reason = "no disk has so many GB")]
    let dollars_per_month = price.map(|price| price * size_gigabytes as f64);
    Data {
        name: name.to_owned(),
        project: owner.project.clone(),
        size_gigabytes,
        claim,
        dollars_per_month,
        deletion: format!("gcloud compute disks delete {name} --project {} --zone {zone}", owner.project),
        outputs: outputs(owner, name, &zone),
        zone,
        disk_type,
        node,
    }
}

/// The outputs of a disk's node.
pub(super) fn outputs(owner: &Owner, name: &str, zone: &str) -> Value {
    let handle = format!("projects/{}/zones/{zone}/disks/{name}", owner.project);
    json!({ "name": name, "zone": zone, "handle": handle })
}

/// The claim that a disk was made for: its driver writes that into its description.
fn claim(description: &str) -> Option<String> {
    let told: Value = serde_json::from_str(description).ok()?;
    let part = |name: &str| told[format!("kubernetes.io/created-for/pvc/{name}")].as_str().map(str::to_owned);
    Some(format!("{}/{}", part("namespace")?, part("name")?))
}

impl Data {
    /// The node with its outputs, as a place that is searched gives it.
    pub(super) fn discovered(self, kept: bool) -> Discovered {
        Discovered { node: Node { kept, ..self.node }, outputs: self.outputs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_tells_its_claim_its_price_and_how_it_is_deleted() {
        let owner = Owner { project: "p".to_owned(), deployment: "demo".to_owned() };
        let description =
            r#"{"kubernetes.io/created-for/pvc/name":"data","kubernetes.io/created-for/pvc/namespace":"ml"}"#;
        let body = json!({
            "zone": "https://h/compute/v1/projects/p/zones/us-central1-a", "sizeGb": "20", "description": description,
            "type": "https://h/compute/v1/projects/p/zones/us-central1-a/diskTypes/pd-ssd",
        });
        let disk = of_body(&owner, "pvc-1", &body);
        assert_eq!(disk.node.title, "disk pvc-1 (20 GB, us-central1-a, of the claim ml/data)");
        assert!((disk.dollars_per_month.unwrap() - 3.4).abs() < 1e-9);
        assert_eq!(disk.deletion, "gcloud compute disks delete pvc-1 --project p --zone us-central1-a");
        assert!(disk.node.kept);
    }

    #[test]
    fn a_price_that_is_not_known_is_not_told() {
        let owner = Owner { project: "p".to_owned(), deployment: "demo".to_owned() };
        let disk = of_body(
            &owner,
            "d",
            &json!({ "type": "z/diskTypes/new", "sizeGb": "1", "description": "infra-deployment=demo" }),
        );
        assert_eq!((disk.dollars_per_month, disk.claim), (None, None));
    }
}
