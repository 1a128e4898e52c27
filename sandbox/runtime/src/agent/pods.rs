//! Pods: namespaces and a folder, no processes.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use super::network::Connection;
use super::{Agent, check_id, failed, files};
use crate::config::{PodConfig, PodHandle};
use crate::error::NodeError;

/// A pod that has its network.
#[derive(Debug)]
pub struct Pod {
    pub connection: Connection,
    /// With the files that its containers find in `/etc`.
    pub folder: PathBuf,
}

impl Agent {
    pub(super) fn start_pod(&self, config: &PodConfig) -> Result<PodHandle, NodeError> {
        check_id(&config.id)?;
        if let Some(pod) = self.pods.borrow().get(&config.id) {
            return Ok(PodHandle { address: pod.connection.address });
        }
        let connected = self.network.borrow_mut().connect(config);
        let connection = connected.map_err(failed(format!("make the network of pod {:?}", config.id)))?;
        let folder = self.folder.join("pods").join(&config.id);
        let pod = Pod { connection, folder };
        let address = pod.connection.address;
        if let Err(error) = write_files(&pod, config) {
            self.network.borrow_mut().disconnect(&pod.connection);
            return Err(failed(format!("write the files of pod {:?}", config.id))(error));
        }
        self.pods.borrow_mut().insert(config.id.clone(), Rc::new(pod));
        Ok(PodHandle { address })
    }

    pub(super) async fn stop_pod(&self, id: &str) -> Result<(), NodeError> {
        self.give_up_starting(|_, pod| pod == id);
        let containers: Vec<String> = {
            let containers = self.containers.borrow();
            containers.values().filter(|each| each.config.pod_id == id).map(|each| each.config.id.clone()).collect()
        };
        for container in containers {
            self.remove_container(&container).await?;
        }
        let Some(pod) = self.pods.borrow_mut().remove(id) else { return Ok(()) };
        self.network.borrow_mut().disconnect(&pod.connection);
        files::remove(&pod.folder).map_err(failed(format!("remove {}", pod.folder.display())))
    }
}

fn write_files(pod: &Pod, config: &PodConfig) -> io::Result<()> {
    use std::fmt::Write as _;
    fs::create_dir_all(&pod.folder)?;
    let mut hosts = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    let _ = writeln!(hosts, "{}\t{}", pod.connection.address, config.hostname);
    if !config.hosts.is_empty() {
        hosts.push_str("\n# Entries added by HostAliases.\n");
    }
    for (address, names) in &config.hosts {
        let _ = writeln!(hosts, "{address}\t{}", names.join("\t"));
    }
    fs::write(pod.folder.join("hosts"), hosts)?;
    fs::write(pod.folder.join("hostname"), format!("{}\n", config.hostname))?;
    fs::write(pod.folder.join("resolv.conf"), &config.resolv_conf)
}
