use std::collections::BTreeMap;

use bollard::query_parameters::{ListImagesOptions, RemoveImageOptions};

use super::container::exists;
use super::{Docker, Error};

/// An image of the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The digest of its configuration, `sha256:...`.
    pub id: String,
    /// Its references by tag, for example `web:1.2`.
    pub tags: Vec<String>,
    /// The digests of its uncompressed layers, lowest first. Empty in a listing.
    pub layers: Vec<String>,
    /// Its size with all layers.
    pub size_bytes: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its platform, for example `linux/amd64`. Empty in a listing.
    pub platform: String,
}

impl Docker {
    /// The image of this reference or identifier, if there is one.
    pub async fn image(&self, reference: &str) -> Result<Option<Image>, Error> {
        let found = self.client().await?.inspect_image(reference).await;
        let image = match found.map_err(|error| Error::new(format!("inspect image {reference}"), error)) {
            Err(error) if error.is_missing() => return Ok(None),
            image => image?,
        };
        let labels = image.config.and_then(|config| config.labels).unwrap_or_default();
        Ok(Some(Image {
            id: image.id.unwrap_or_default(),
            tags: image.repo_tags.unwrap_or_default(),
            layers: image.root_fs.and_then(|root| root.layers).unwrap_or_default(),
            size_bytes: image.size.unwrap_or_default().try_into().unwrap_or_default(),
            labels: labels.into_iter().collect(),
            platform: format!("{}/{}", image.os.unwrap_or_default(), image.architecture.unwrap_or_default()),
        }))
    }

    /// All images with this label (`key` or `key=value`), by identifier.
    pub async fn images(&self, label: &str) -> Result<Vec<Image>, Error> {
        let filters = [("label".to_owned(), vec![label.to_owned()])].into();
        let options = ListImagesOptions { filters: Some(filters), ..Default::default() };
        let found =
            self.client().await?.list_images(Some(options)).await.map_err(|error| Error::new("list images", error))?;
        let mut images: Vec<Image> = found
            .into_iter()
            .map(|image| Image {
                id: image.id,
                tags: image.repo_tags,
                size_bytes: image.size.try_into().unwrap_or_default(),
                labels: image.labels.into_iter().collect(),
                ..Image::default()
            })
            .collect();
        images.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(images)
    }

    /// Removes a reference, and the image with it when that was its last one. One that is not there is fine.
    pub async fn remove_image(&self, reference: &str) -> Result<(), Error> {
        let options = RemoveImageOptions { force: false, noprune: false, ..Default::default() };
        let removed = self.client().await?.remove_image(reference, Some(options), None).await;
        exists(removed.map_err(|error| Error::new(format!("remove image {reference}"), error))).map(|_| ())
    }
}
