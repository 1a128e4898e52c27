//! What is done outside of the world, because it takes real time: the clusters' Kubernetes, and the controllers in them.

use std::sync::Arc;

use super::world::{Controllers, Work};
use super::{Gcp, controllers};

impl Gcp {
    /// Has done what the world asks for.
    pub(super) fn work(self: &Arc<Self>) {
        let (work, changed) = {
            let mut world = self.world();
            (std::mem::take(&mut world.work), std::mem::take(&mut world.controllers))
        };
        for (name, work) in work {
            let gcp = Arc::clone(self);
            self.tasks.spawn(async move {
                let stop = gcp.stop.clone();
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = gcp.one(name, work) => {}
                }
            });
        }
        for change in changed {
            match change {
                Controllers::Begin(id, key) => controllers::begin(self, id, &key),
                Controllers::End(id) => self.world().watchers.retain(|known, stop| {
                    if *known == id {
                        stop.cancel();
                    }
                    *known != id
                }),
            }
        }
    }

    async fn one(self: &Arc<Self>, name: String, work: Work) {
        let result = match work {
            Work::Start(shape) => match self.clusters.start(&shape).await {
                Ok(kubernetes) => {
                    self.world().kubernetes.insert(shape.id, kubernetes);
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Work::SetNodes(id, nodes) => self.clusters.set_nodes(&id, &nodes).await,
            Work::Stop(id) => self.clusters.stop(&id).await,
        };
        let mut world = self.world();
        world.done(&name, result.map_err(|error| error.to_string()));
        let now = world.now;
        world.advance(now);
        drop(world);
        // What ended now may have more to do.
        self.work_later();
    }

    /// The same as [`Gcp::work`], from a place where nobody waits for it.
    fn work_later(self: &Arc<Self>) {
        let gcp = Arc::clone(self);
        self.tasks.spawn(async move { gcp.work() });
    }
}
