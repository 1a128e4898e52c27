//! Many deployments of one project at once.

use std::sync::Arc;

use futures::future::join_all;
use simulator::{Identity, Options, Project, Rate};

use crate::kubernetes::Empty;
use crate::world::{PROJECT, World, failures, steps};
use crate::{NOTHING, wanted};

const CLUSTERS: usize = 50;

#[tokio::test(start_paused = true)]
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
    (options.speed, options.rate_limits, options.projects) = (1.0, true, vec![project]);
    options.tokens = vec![Identity { token: "known".into(), email: "me@example.com".into() }];
    let running = Arc::new(simulator::start(options).await.expect("a simulator"));
    tokio::spawn(steps());
    // Each as if it were a process of its own: they know nothing of each other.
    let deployments = (0..CLUSTERS).map(|number| World::beside(&running, &format!("demo-{number}")));
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
    let above: Vec<_> = ledger.rates.iter().filter(|rate| rate.limit.is_some_and(|limit| rate.most > limit)).collect();
    assert!(above.is_empty(), "{above:?}");
    for service in ["compute", "container", "serviceusage", "iam"] {
        let is_known = |rate: &&Rate| rate.service == service && rate.limit.is_some();
        assert!(ledger.rates.iter().any(|rate| is_known(&rate)), "{service}");
    }
    assert_eq!(ledger.entries.iter().filter(|entry| entry.kind == "clusters").count(), CLUSTERS);
}
