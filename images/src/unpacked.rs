//! The behaviour of the kind `unpacked-image`: images in the folder that a sandbox runs them from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use engine::{Context, Failure, Gone, Held, Observation, Resource};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::image::explain_store;
use crate::unpack::{UnpackError, unpack};
use crate::{SharedStore, declare};

/// The file in the folder that says which image has which name.
const REFERENCES: &str = "references.json";

/// Unpacks images.
pub(crate) struct UnpackedImages {
    store: SharedStore,
    /// One change of the names at a time; between processes the deployment's lock sees to that.
    names: Mutex<()>,
}

#[derive(Deserialize)]
struct Inputs {
    #[serde(flatten)]
    place: Place,
    reference: String,
    digest: String,
}

/// What is known of it even before its image is made.
#[derive(Deserialize)]
struct Place {
    deployment: String,
    name: String,
    folder: PathBuf,
}

type Names = BTreeMap<String, String>;

impl UnpackedImages {
    pub(crate) fn new(store: SharedStore) -> Self {
        Self { store, names: Mutex::default() }
    }

    fn put(&self, inputs: &Inputs) -> Result<(), Failure> {
        let store = self.store.get().map_err(explain_store)?;
        let (manifest, descriptor) = store
            .manifest(&inputs.digest)
            .map_err(|error| explain_store(error).hint("run the same command again: the image is then made anew"))?;
        let hex = unpack(&store, &manifest, &descriptor, &inputs.place.folder).map_err(|error| match error {
            UnpackError::Store(error) => explain_store(error),
            UnpackError::Files(error) => Failure::from(error),
        })?;
        self.rename(&inputs.place, Some((inputs.reference.clone(), hex)))
    }

    /// Gives the image of a place its new name, takes the old ones away, and removes what has no name any more.
    fn rename(&self, place: &Place, version: Option<(String, String)>) -> Result<(), Failure> {
        let _one = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = read_names(&place.folder)?;
        let prefix = prefix(place);
        names.retain(|name, _| !name.starts_with(&prefix));
        names.extend(version);
        if place.folder.is_dir() {
            let fresh = place.folder.join(format!("{REFERENCES}.new"));
            fs::write(&fresh, serde_json::to_string_pretty(&names)?)?;
            fs::rename(&fresh, place.folder.join(REFERENCES))?;
        }
        Ok(())
    }
}

/// What the names of one image's versions begin with.
fn prefix(place: &Place) -> String {
    format!("{}@", declare::repository(&place.deployment, &place.name))
}

fn read_names(folder: &Path) -> Result<Names, Failure> {
    match fs::read(folder.join(REFERENCES)) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Names::default()),
        Err(error) => Err(error.into()),
    }
}

fn look(inputs: &Value) -> Result<Observation, Failure> {
    let inputs = Inputs::deserialize(inputs)?;
    let names = read_names(&inputs.place.folder)?;
    let is_there =
        names.get(&inputs.reference).is_some_and(|hex| inputs.place.folder.join(hex).join("config.json").is_file());
    Ok(if is_there { Observation::AsRecorded } else { Observation::Absent })
}

#[async_trait]
impl Resource for UnpackedImages {
    fn parallelism(&self) -> usize {
        4
    }

    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        let looks = held.iter().map(|held| look(&held.node.inputs));
        looks.map(|look| look.unwrap_or_else(|failure| Observation::Unknown(failure.causes().join(": ")))).collect()
    }

    async fn create(&self, _context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        tokio::task::block_in_place(|| self.put(&inputs))?;
        Ok(json!({ "reference": inputs.reference }))
    }

    async fn delete(&self, _context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let place = Place::deserialize(inputs)?;
        let prefix = prefix(&place);
        let ours: Names =
            read_names(&place.folder)?.into_iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
        self.rename(&place, None)?;
        let named: Vec<String> = read_names(&place.folder)?.into_values().collect();
        for hex in ours.into_values().filter(|hex| !named.contains(hex)) {
            ::unpack::remove(&place.folder.join(hex))?;
        }
        Ok(vec![Gone::new("unpacked image", declare::repository(&place.deployment, &place.name))])
    }
}
