use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::StartContainerOptions;
use bollard::query_parameters::{
    DownloadFromContainerOptions, ListContainersOptions, RemoveContainerOptions, RemoveVolumeOptions,
};
use futures::TryStreamExt;

use super::{Docker, Error, freezer};

/// A file that is read from a container may be this large.
const LARGEST_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// A container as a listing shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its full identifier.
    pub id: String,
    /// Its name, without a leading slash.
    pub name: String,
    /// The image's reference that it was made with.
    pub image: String,
    /// The image's digest.
    pub image_id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it runs.
    pub running: bool,
    /// Its state in the engine's words, for example `exited`.
    pub state: String,
    /// The ports of a running container that the machine publishes.
    pub ports: Vec<PublishedPort>,
    /// What is mounted into it.
    pub mounts: Vec<Mount>,
}

/// A port of a container that is reachable through one of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedPort {
    /// The machine's address, for example `127.0.0.1`.
    pub address: String,
    /// The machine's port.
    pub local_port: u16,
    /// The port inside the container.
    pub container_port: u16,
}

/// A folder, file or volume that is mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The volume's name; `None` for a folder or file of the machine.
    pub volume: Option<String>,
    /// The path on the machine.
    pub source: String,
    /// The path in the container.
    pub destination: String,
}

impl Docker {
    /// All containers, running or not, that carry every one of these labels (`key` or `key=value`), by name.
    pub async fn containers(&self, labels: &[&str]) -> Result<Vec<Container>, Error> {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let filters = HashMap::from([("label".to_owned(), labels)]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let found = self
            .client()
            .await?
            .list_containers(Some(options))
            .await
            .map_err(|error| Error::new("list containers", error))?;
        let mut containers: Vec<Container> = found.into_iter().map(Container::from).collect();
        containers.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(containers)
    }

    /// Whether there is a container of this name or identifier.
    pub async fn container_exists(&self, name: &str) -> Result<bool, Error> {
        let found = self.client().await?.inspect_container(name, None).await;
        exists(found.map_err(|error| Error::new(format!("inspect container {name}"), error)))
    }

    /// Starts a container; one that runs already is left as it is.
    pub async fn start_container(&self, name: &str) -> Result<(), Error> {
        let started = self.client().await?.start_container(name, None::<StartContainerOptions>).await;
        started.map_err(|error| Error::new(format!("start container {name}"), error))
    }

    /// Stops a container at once, if it runs, and removes it with its unnamed volumes. One that is not there is fine.
    ///
    /// Also returns when somebody else's removal of the same container is under way; look it up to know that it is gone.
    /// One that does not end because a part of it is frozen is thawed, where its whole id is given and this process may do that.
    pub async fn remove_container(&self, name: &str) -> Result<(), Error> {
        match self.force_removal(name).await {
            Err(Error::Refused { message, .. })
                if message.contains(freezer::NO_EXIT) && freezer::thaw(name).is_ok_and(|found| found) =>
            {
                self.force_removal(name).await
            }
            result => result,
        }
    }

    async fn force_removal(&self, name: &str) -> Result<(), Error> {
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        let removed = self.client().await?.remove_container(name, Some(options)).await;
        match removed.map_err(|error| Error::new(format!("remove container {name}"), error)) {
            Err(Error::Missing { .. }) => Ok(()),
            Err(Error::Refused { status: 409, message, .. }) if message.contains("already in progress") => Ok(()),
            result => result,
        }
    }

    /// Whether there is a volume of this name.
    pub async fn volume_exists(&self, name: &str) -> Result<bool, Error> {
        let found = self.client().await?.inspect_volume(name).await;
        exists(found.map_err(|error| Error::new(format!("inspect volume {name}"), error)))
    }

    /// Removes a volume that no container uses. One that is not there is fine.
    pub async fn remove_volume(&self, name: &str) -> Result<(), Error> {
        let removed = self.client().await?.remove_volume(name, None::<RemoveVolumeOptions>).await;
        exists(removed.map_err(|error| Error::new(format!("remove volume {name}"), error))).map(|_| ())
    }

    /// Reads a file of a container, which need not run. At most 16 MiB.
    pub async fn read_file(&self, container: &str, path: &str) -> Result<Vec<u8>, Error> {
        let action = format!("read {path} of container {container}");
        let options = DownloadFromContainerOptions { path: path.to_owned() };
        let mut archive = Vec::new();
        let mut stream = self.client().await?.download_from_container(container, Some(options));
        while let Some(bytes) = stream.try_next().await.map_err(|error| Error::new(&action, error))? {
            archive.extend_from_slice(&bytes);
            if archive.len() as u64 > LARGEST_FILE_BYTES {
                return Err(Error::Lost { action, source: "the file is larger than 16 MiB".into() });
            }
        }
        first_file(&archive).map_err(|source| Error::Lost { action, source: Box::new(source) })
    }
}

/// The content of the first member of a tar archive.
fn first_file(archive: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let mut member = archive.entries()?.next().ok_or(std::io::ErrorKind::UnexpectedEof)??;
    let mut content = Vec::new();
    member.read_to_end(&mut content)?;
    Ok(content)
}

/// Makes an answer of "it does not exist".
pub(super) fn exists<T>(found: Result<T, Error>) -> Result<bool, Error> {
    match found {
        Ok(_) => Ok(true),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}

impl From<ContainerSummary> for Container {
    fn from(summary: ContainerSummary) -> Self {
        let name = summary.names.into_iter().flatten().next().unwrap_or_default();
        let ports = summary.ports.into_iter().flatten().filter_map(|port| {
            let address = port.ip.unwrap_or_default();
            Some(PublishedPort { address, local_port: port.public_port?, container_port: port.private_port })
        });
        let mounts = summary.mounts.into_iter().flatten().map(|mount| Mount {
            volume: mount.name.filter(|name| !name.is_empty()),
            source: mount.source.unwrap_or_default(),
            destination: mount.destination.unwrap_or_default(),
        });
        Self {
            id: summary.id.unwrap_or_default(),
            name: name.trim_start_matches('/').to_owned(),
            image: summary.image.unwrap_or_default(),
            image_id: summary.image_id.unwrap_or_default(),
            labels: summary.labels.unwrap_or_default().into_iter().collect(),
            running: summary.state == Some(ContainerSummaryStateEnum::RUNNING),
            state: summary.state.map(|state| state.to_string()).unwrap_or_default(),
            ports: ports.collect(),
            mounts: mounts.collect(),
        }
    }
}
