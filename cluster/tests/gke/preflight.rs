//! What stands in the way is said before anything is made.

use cluster::gke::{Gpu, GpuDriver, Place, preflight};
use providers::gcp::Credentials;
use simulator::Project;

use crate::world::{World, client};

/// What a preflight says, as lines.
async fn said(world: &World, change: impl FnOnce(&mut cluster::gke::Spec)) -> String {
    let mut spec = world.spec();
    change(&mut spec);
    let findings = preflight(&world.gcp, &spec).await;
    let lines = findings.iter().map(|finding| {
        let hint = finding.hint.as_ref().map(|hint| format!("\n    {hint}")).unwrap_or_default();
        format!("{:?} {}: {}{hint}", finding.level, finding.about, finding.what)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Nothing but what every new project has is enabled.
pub fn fresh(project: &mut Project) {
    let first = ["cloudbilling", "cloudresourcemanager", "iam", "serviceusage"];
    project.services = first.map(|name| format!("{name}.googleapis.com")).into();
}

async fn of_project(change: impl FnOnce(&mut Project)) -> String {
    let world = World::with(simulator::Faults::default(), change).await;
    said(&world, |_| ()).await
}

#[tokio::test(start_paused = true)]
async fn where_nothing_stands_in_the_way_nothing_is_said_and_nothing_is_made() {
    let world = World::new().await;
    let said = said(&world, |_| ()).await;
    assert!(!said.contains("Error") && !said.contains("Warning"), "{said}");
    assert_eq!(world.left(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn each_obstacle_is_said_with_what_to_do() {
    let world = World::new().await;
    let place = |zone: &str| Place::Zone { zone: zone.to_owned(), others: cluster::gke::OtherZones::None };
    let project = said(&world, |spec| spec.project = "other-project".to_owned()).await;
    let zone = said(&world, |spec| spec.place = place("us-central1-z")).await;
    let region = said(&world, |spec| spec.place = place("us-centrall1-a")).await;
    let machine = said(&world, |spec| spec.node_pools[0].machine_type = "e9-standard-2".to_owned()).await;
    let version = said(&world, |spec| spec.version = Some("1.3".to_owned())).await;
    let network = said(&world, |spec| {
        spec.network = cluster::gke::Network::Given { network: "nowhere".to_owned(), subnetwork: None };
    })
    .await;
    let gpu = said(&world, |spec| {
        spec.node_pools[0].gpu = Some(Gpu { kind: "nvidia-tesla-x9".to_owned(), count: 1, driver: GpuDriver::Default });
    })
    .await;
    insta::assert_snapshot!("unknown_project", project);
    insta::assert_snapshot!("unknown_zone", zone);
    insta::assert_snapshot!("unknown_region", region);
    insta::assert_snapshot!("unknown_machine_type", machine);
    insta::assert_snapshot!("unknown_version", version);
    insta::assert_snapshot!("unknown_network", network);
    insta::assert_snapshot!("unknown_gpu", gpu);
}

#[tokio::test(start_paused = true)]
async fn what_the_project_lacks_is_said_with_what_to_do() {
    insta::assert_snapshot!("no_billing", of_project(|project| project.billing = false).await);
    let quota = of_project(|project| project.quotas.extend([("CPUS".to_owned(), 2.0)])).await;
    insta::assert_snapshot!("short_quota", quota);
    let denied = of_project(|project| project.denied.extend(["container.clusters.create".to_owned()])).await;
    insta::assert_snapshot!("denied_permission", denied);
    insta::assert_snapshot!("disabled_apis", of_project(fresh).await);
    let none = of_project(|project| project.services.clear()).await;
    insta::assert_snapshot!("no_api_at_all", none);
}

#[tokio::test(start_paused = true)]
async fn without_credentials_only_that_is_said() {
    let mut world = World::new().await;
    world.gcp = client(&world.running, Credentials::Metadata { host: Some("127.0.0.1:9".to_owned()) });
    insta::assert_snapshot!("no_credentials", said(&world, |_| ()).await);
    world.gcp = client(&world.running, Credentials::Token("unknown".to_owned()));
    insta::assert_snapshot!("refused_token", said(&world, |_| ()).await);
}
