use std::io;
use std::path::PathBuf;

/// Why a scenario cannot be brought to a target.
#[derive(Debug, thiserror::Error)]
pub enum LowerError {
    /// This program cannot make clusters of Google Cloud.
    #[cfg(not(feature = "gcp"))]
    #[error("use Google Cloud: this program was built without it")]
    WithoutGoogle,
    /// A file that was there when the scenario was read is not there any more.
    #[error("find {}", path.display())]
    Path {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A data set is nowhere on this machine and could not be downloaded.
    #[error("get the data set {name}")]
    Download {
        /// The data set.
        name: String,
        /// The folders that were looked into.
        looked_in: Vec<PathBuf>,
        /// Why.
        #[source]
        source: datasets::DownloadError,
    },
    /// The folder of a data set does not hold it.
    #[error("use the data set {name}")]
    Dataset {
        /// The data set.
        name: String,
        /// Why.
        #[source]
        source: datasets::Error,
    },
    /// The program of the file server cannot be put where it is built.
    #[error("write {}", path.display())]
    Program {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The cache of images cannot be used.
    #[error("open the cache of images")]
    Store(#[from] images::StoreError),
    /// What goes into an image cannot be looked at.
    #[error("look at what goes into the image {image}")]
    Image {
        /// The image.
        image: String,
        /// Why.
        #[source]
        source: images::FingerprintError,
    },
    /// The deployment's key cannot be read or made.
    #[error("open the key {}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The manifests do not make a graph.
    #[error("make a graph of the manifests")]
    Manifests(#[from] workloads::DeclareError),
    /// The parts do not make a graph.
    #[error("make a graph of the scenario")]
    Graph(#[from] engine::GraphError),
    /// Nobody says in which project of Google Cloud it shall run.
    #[error("run the scenario on GKE: nobody says in which project")]
    NoProject,
    /// Nobody says in which zone or region it shall run.
    #[error("run the scenario on GKE: nobody says in which zone or region")]
    NoPlace,
    /// No machine type is large enough.
    #[error("find a machine type with {cpus} CPUs and {memory_gibibytes} GiB of memory: there is none")]
    NoMachine {
        /// CPUs.
        cpus: u32,
        /// Memory.
        memory_gibibytes: u32,
    },
}

impl LowerError {
    /// What the person can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Download { name, looked_in, .. } => {
                let folders: Vec<String> = looked_in.iter().map(|folder| folder.display().to_string()).collect();
                Some(format!(
                    "put its four files into one of {}, or name their folder in the scenario: `datasets: {{ {name}: {{ folder: FOLDER }} }}`",
                    folders.join(", ")
                ))
            }
            Self::Image { source, .. } => source.hint(),
            #[cfg(not(feature = "gcp"))]
            Self::WithoutGoogle => Some("build it with its default features".to_owned()),
            Self::NoProject => Some(
                "say it in the scenario, as `cluster: { gke: { project: PROJECT-ID } }`, or on the command line"
                    .to_owned(),
            ),
            Self::NoPlace => Some(
                "say it in the scenario, as `cluster: { gke: { zone: us-central1-a } }`, or on the command line"
                    .to_owned(),
            ),
            Self::NoMachine { .. } => {
                Some("ask for less, or name one: `cluster: { gke: { machine-type: TYPE } }`".to_owned())
            }
            _ => None,
        }
    }
}
