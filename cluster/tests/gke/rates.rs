//! Many deployments of one project at once.

use std::sync::Arc;

use futures::future::join_all;
use simulator::{Identity, Options, Project};

use crate::kubernetes::Empty;
use crate::world::{PROJECT, World, failures};
use crate::{NOTHING, wanted};

const CLUSTERS: usize = 50;
/// Slow enough that this machine is not what keeps the calls apart.
const SPEED: f64 = 20.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clusters_at_once_stay_within_the_rates_of_a_project() {
    let mut project = Project::new(PROJECT);
    let plenty = [
        "CPUS",
        "SSD_TOTAL_GB",
        "IN_USE_ADDRESSES",
        "INSTANCE_GROUPS",
        "INSTANCES",
        "INSTANCE_GROUP_MANAGERS",
        "StandardStorageGbPerRegion",
    ];
    let of_project = ["NETWORKS", "SUBNETWORKS", "FIREWALLS", "ROUTES", "INSTANCE_TEMPLATES", "CPUS_ALL_REGIONS"];
    project.quotas.extend(plenty.map(|metric| (metric.to_owned(), 1e6)));
    project.quotas.extend(of_project.map(|metric| (format!("global/{metric}"), 1e6)));
    let mut options = Options::new(Arc::new(Empty::start().await));
    (options.speed, options.rate_limits, options.projects) = (SPEED, true, vec![project]);
    options.tokens = vec![Identity { token: "known".into(), email: "me@example.com".into() }];
    let running = Arc::new(simulator::start(options).await.expect("a simulator"));
    let deployments = (0..CLUSTERS).map(|number| World::beside(&running, &format!("demo-{number}"), SPEED));
    let stories = deployments.map(async |mut world| {
        let spec = wanted(&world);
        let mut said = failures(&world.run(Some(&spec)).await);
        said.extend(failures(&world.run(None).await));
        said
    });
    let said: Vec<String> = join_all(stories).await.into_iter().flatten().collect();
    assert_eq!(said, NOTHING);
    let ledger = running.ledger();
    for rate in &ledger.rates {
        println!("{} {}: {} of {:?} in the busiest minute", rate.service, rate.metric, rate.most, rate.limit);
    }
    // Google's pages tell these limits. That of Kubernetes Engine is the simulator's assumption: it refuses what is above it, and every
    // deployment gets there all the same.
    let known = ledger.rates.iter().filter(|rate| matches!(rate.service.as_str(), "compute" | "serviceusage"));
    let above: Vec<_> = known.filter(|rate| rate.limit.is_some_and(|limit| rate.most > limit)).collect();
    assert!(above.is_empty(), "{above:?}");
    assert_eq!(ledger.entries.iter().filter(|entry| entry.kind == "clusters").count(), CLUSTERS);
}
