//! What controllers in a cluster make in the cloud: load balancers for Services, disks for volumes.
//!
//! They watch the cluster's real Kubernetes. When the cluster is deleted they end at once, and what they made stays or goes as
//! the faults say.

mod balancers;
mod volumes;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::Event;
use tokio_util::sync::CancellationToken;

use super::Gcp;
use super::book::Maker;
use super::prices::last;

/// A cluster that is looked after.
#[derive(Clone)]
struct Cluster {
    gcp: Arc<Gcp>,
    client: Client,
    id: String,
    project: String,
    location: String,
    stop: CancellationToken,
}

/// Begins to look after a cluster, if there is a Kubernetes to look into.
pub(super) fn begin(gcp: &Arc<Gcp>, id: String, key: &str) {
    let stop = gcp.stop.child_token();
    let mut world = gcp.world();
    let kubeconfig = world.kubernetes.get(&id).map(|kubernetes| kubernetes.kubeconfig.clone()).unwrap_or_default();
    if kubeconfig.is_empty() {
        return;
    }
    world.watchers.insert(id.clone(), stop.clone());
    let part = |place| key.split('/').nth(place).unwrap_or_default().to_owned();
    let (project, location, gcp) = (part(2), part(4), Arc::clone(gcp));
    drop(world);
    let tasks = gcp.tasks.clone();
    tasks.spawn(async move {
        let client = match connect(&kubeconfig).await {
            Ok(client) => client,
            Err(error) => {
                gcp.world().problems.insert(format!("the controllers of cluster {id} cannot reach it: {error}"));
                return;
            }
        };
        let cluster = Cluster { gcp, client, id, project, location, stop };
        tokio::join!(balancers::follow(cluster.clone()), volumes::follow(cluster));
    });
}

async fn connect(kubeconfig: &str) -> Result<Client, String> {
    let parsed = Kubeconfig::from_yaml(kubeconfig).map_err(|error| error.to_string())?;
    let config = kube::Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await;
    Client::try_from(config.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

/// What is wanted of one object, when it changes.
#[derive(Debug, Clone)]
enum Change<K> {
    Wanted(K),
    Unwanted(K),
}

/// Tells the changes of what is wanted, one after the other, until the cluster is looked after no more. What the watch missed is
/// found when it begins again.
async fn changes<K, F>(
    cluster: &Cluster,
    events: impl Stream<Item = Result<Event<K>, impl Debug>>,
    wanted: fn(&K) -> bool,
    mut act: impl FnMut(Change<K>) -> F,
) where
    K: kube::Resource + Clone,
    F: Future<Output = ()>,
{
    let mut known: BTreeMap<String, K> = BTreeMap::new();
    let mut fresh: Option<BTreeMap<String, K>> = None;
    let mut events = Box::pin(events);
    loop {
        let event = tokio::select! {
            () = cluster.stop.cancelled() => return,
            event = events.next() => event,
        };
        let mut told = Vec::new();
        match event {
            None => return,
            // The stream begins again by itself, later each time.
            Some(Err(_)) => {}
            Some(Ok(Event::Init)) => fresh = Some(BTreeMap::new()),
            Some(Ok(Event::InitApply(object))) => {
                if let Some(fresh) = &mut fresh {
                    fresh.insert(uid(&object), object.clone());
                }
                told.push((object, true));
            }
            Some(Ok(Event::InitDone)) => {
                let fresh = fresh.take().unwrap_or_default();
                told.extend(
                    known.values().filter(|old| !fresh.contains_key(&uid(*old))).map(|old| (old.clone(), false)),
                );
            }
            Some(Ok(Event::Apply(object))) => told.push((object, true)),
            Some(Ok(Event::Delete(object))) => told.push((object, false)),
        }
        for (object, there) in told {
            let wants = there && wanted(&object);
            let uid = uid(&object);
            match (known.contains_key(&uid), wants) {
                (false, true) => {
                    known.insert(uid, object.clone());
                    act(Change::Wanted(object)).await;
                }
                (true, false) => {
                    known.remove(&uid);
                    act(Change::Unwanted(object)).await;
                }
                _ => {}
            }
        }
    }
}

fn uid<K: kube::Resource>(object: &K) -> String {
    object.meta().uid.clone().unwrap_or_default()
}

impl Cluster {
    /// Waits for what takes this long there. Gives false when the cluster is looked after no more.
    async fn pause(&self, kind: &str, target: &str) -> bool {
        let takes = super::operations::time(self.gcp.world().seed, kind, target);
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(self.gcp.clock.real(takes)) => true,
        }
    }

    /// Changes the world in the name of the controllers.
    fn change<T>(&self, purpose: &str, change: impl FnOnce(&mut super::World) -> T) -> T {
        let mut world = self.gcp.world();
        world.maker = Maker { by: "kubernetes".into(), purpose: purpose.to_owned() };
        change(&mut world)
    }

    /// Makes a resource of Compute Engine that the cluster is known to have made.
    fn make(&self, world: &mut super::World, path: &str, kind: &'static str, body: serde_json::Value) {
        let key = format!("compute/{path}");
        if !world.has(&key) {
            super::compute::make(world, path, kind, body);
        }
        world.made_in.entry(self.id.clone()).or_default().insert(key);
    }

    /// Removes a resource that the cluster made.
    fn unmake(&self, world: &mut super::World, key: &str) {
        world.remove(key);
        if let Some(made) = world.made_in.get_mut(&self.id) {
            made.remove(key);
        }
    }

    /// The region of the cluster.
    fn region(&self) -> &str {
        super::catalog::region_of(&self.location)
    }

    /// The zones of the cluster's machines.
    fn zones(&self, world: &super::World) -> Vec<String> {
        let key = self.key(world);
        let body = key.and_then(|key| world.things.get(&key)).map(|thing| thing.body["locations"].clone());
        let zones = body.iter().flat_map(|zones| zones.as_array().into_iter().flatten());
        zones.map(|zone| last(zone).to_owned()).collect()
    }

    /// The key of the cluster, as long as it is there.
    fn key(&self, world: &super::World) -> Option<String> {
        let prefix = format!("container/projects/{}/locations/{}/clusters/", self.project, self.location);
        let mut all = world.things.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        all.find(|(_, thing)| thing.body["id"] == self.id.as_str()).map(|(key, _)| key.clone())
    }
}
