use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use datasets::Name;

use super::{LowerError, absolute};
use crate::scenario::{CheckKind, Scenario};

/// The folder of each data set that the scenario uses, absolute.
pub(super) type Folders = BTreeMap<String, PathBuf>;

/// Finds every data set that an image or a check uses: in the folder that the scenario names, in a folder `data/NAME` beside or
/// above the scenario, in the cache, or else by downloading it into the cache.
pub(super) async fn locate(scenario: &Scenario, cache: &Path) -> Result<Folders, LowerError> {
    let in_images = scenario.images.iter().flat_map(|image| &image.datasets);
    let in_checks = scenario.checks.iter().filter_map(|check| match &check.kind {
        CheckKind::Accuracy { dataset, .. } => Some(dataset),
        CheckKind::Http { .. } => None,
    });
    let used: BTreeSet<&String> = in_images.chain(in_checks).collect();
    let mut folders = Folders::new();
    for name in used {
        folders.insert(name.clone(), folder(scenario, name, cache).await?);
    }
    Ok(folders)
}

async fn folder(scenario: &Scenario, name: &str, cache: &Path) -> Result<PathBuf, LowerError> {
    let named = scenario.datasets.get(name).map(|folder| absolute(folder)).transpose()?;
    // A set of the scenario's own: its folder is taken as it is.
    let Ok(known) = name.parse::<Name>() else {
        return named.ok_or_else(|| unknown(name));
    };
    if let Some(folder) = named {
        let failed = |source| LowerError::Dataset { name: name.to_owned(), source };
        return Ok(datasets::find(known, &[folder]).map_err(failed)?.folder().to_owned());
    }
    let cached = cache.join("datasets").join(name);
    let mut looked_in: Vec<PathBuf> =
        absolute(&scenario.folder)?.ancestors().map(|folder| folder.join("data").join(name)).collect();
    looked_in.retain(|folder| folder.is_dir());
    looked_in.push(cached.clone());
    if let Ok(located) = datasets::find(known, &looked_in) {
        return Ok(located.folder().to_owned());
    }
    match datasets::download(&known.origin(), &cached).await {
        Ok(_) => Ok(cached),
        Err(source) => Err(LowerError::Download { name: name.to_owned(), looked_in, source }),
    }
}

fn unknown(name: &str) -> LowerError {
    let source = name.parse::<Name>().map(|_| ()).expect_err("a known name has another way").into();
    LowerError::Dataset { name: name.to_owned(), source }
}
