//! What things of a deployment are called in Google Cloud.

use sha2::{Digest, Sha256};

/// The label of everything in Google Cloud that carries labels; its value is the deployment's name.
pub const LABEL: &str = "infra-deployment";

/// The longest name of a GKE cluster.
const CLUSTER: usize = 40;
/// The longest ID of a service account.
const SERVICE_ACCOUNT: usize = 30;
/// The longest name of most other things.
const USUAL: usize = 63;

/// The name of the cluster, its network, subnetwork, router, repository and context.
pub fn name(deployment: &str) -> String {
    fitted(&format!("infra-{deployment}"), CLUSTER)
}

/// The ID of the service account of the nodes.
pub fn service_account_id(deployment: &str) -> String {
    fitted(&format!("infra-{deployment}"), SERVICE_ACCOUNT)
}

/// The address of the service account of the nodes.
pub fn service_account(project: &str, deployment: &str) -> String {
    // `example.com:project` has its domain last.
    let host = match project.split_once(':') {
        Some((domain, project)) => format!("{project}.{domain}"),
        None => project.to_owned(),
    };
    format!("{}@{host}.iam.gserviceaccount.com", service_account_id(deployment))
}

/// The name of a thing of which there may be several.
pub fn part(deployment: &str, name: &str) -> String {
    fitted(&format!("infra-{deployment}-{name}"), USUAL)
}

/// The description of what carries no labels: by it, it is known as the deployment's.
pub fn mark(deployment: &str) -> String {
    format!("{LABEL}={deployment}")
}

/// The repository of an image as manifests name it.
pub fn image_repository(location: &str, project: &str, deployment: &str, image: &str) -> String {
    let project = project.replace(':', "/");
    format!("{location}-docker.pkg.dev/{project}/{}/{image}", name(deployment))
}

/// The name, where it is short enough; else its beginning with a digest of the whole.
fn fitted(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_owned();
    }
    let digest = Sha256::digest(name);
    let start = name[..most - 7].trim_end_matches('-');
    format!("{start}-{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_what_google_allows_and_apart() {
        let long = "a-name-that-is-as-long-as-it-may-be-here";
        assert_eq!(name("demo"), "infra-demo");
        assert_eq!((name(long).len(), service_account_id(long).len()), (40, 30));
        assert_ne!(name(long), name(&format!("{}x", &long[..39])));
        assert!(part(long, "a-disk-with-a-long-name-of-its-own").len() <= 63);
    }

    #[test]
    fn a_project_of_a_domain_is_written_as_each_api_wants_it() {
        assert_eq!(service_account("example.com:p", "demo"), "infra-demo@p.example.com.iam.gserviceaccount.com");
        assert_eq!(
            image_repository("us", "example.com:p", "demo", "web"),
            "us-docker.pkg.dev/example.com/p/infra-demo/web"
        );
    }
}
