//! What the sandbox needs: a node is started for a moment, which is the only sure way to know.

use futures::future::{BoxFuture, FutureExt};
use sandbox::{Availability, Capabilities};

use super::{Check, Part, limited};
use crate::report::Problem;

/// Starts a node of a sandbox in a folder of its own and stops it again.
pub fn examine() -> BoxFuture<'static, Vec<Check>> {
    limited(Part::Sandbox, "namespaces", async {
        let tried = match tempfile::tempdir() {
            Ok(folder) => {
                sandbox::preflight(folder.path()).await.map_err(|error| Problem::from(error).causes.join(": "))
            }
            Err(error) => Err(error.to_string()),
        };
        match tried {
            Ok(capabilities) => checks(&capabilities),
            Err(error) => vec![Check::missing(Part::Sandbox, "namespaces", error)],
        }
    })
    .boxed()
}

fn checks(capabilities: &Capabilities) -> Vec<Check> {
    let parts = [
        ("limits of memory", &capabilities.memory_limits, "limits of memory do not hold"),
        ("limits of CPU", &capabilities.cpu_limits, "limits of CPU do not hold"),
        ("limits of processes", &capabilities.process_limits, "the number of processes is not limited"),
        ("users in pods", &capabilities.many_users, "all programs have one user"),
        ("root file systems", &capabilities.overlay, "images are copied for each container"),
    ];
    let works = Check::ok(Part::Sandbox, "namespaces", "pods are processes in namespaces of their own");
    let told = parts.into_iter().map(|(name, availability, without)| match availability {
        Availability::Yes(means) => Check::ok(Part::Sandbox, name, means.clone()),
        Availability::No(why) => Check::warning(Part::Sandbox, name, without).hint(why.clone()),
    });
    std::iter::once(works).chain(told).collect()
}
