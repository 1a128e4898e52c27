use std::collections::BTreeMap;
use std::pin::pin;

use bytes::Bytes;
use futures::TryStreamExt;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{Docker, Error};

impl Docker {
    /// How an image is run: user, entry point and so on, with the member names of the OCI image format. What is empty is left
    /// out.
    pub async fn image_configuration(&self, reference: &str) -> Result<BTreeMap<String, Value>, Error> {
        let failed = |error| Error::new(format!("inspect image {reference}"), error);
        let image = self.client().await?.inspect_image(reference).await.map_err(failed)?;
        let configuration = serde_json::to_value(image.config.unwrap_or_default()).unwrap_or_default();
        let Value::Object(members) = configuration else { return Ok(BTreeMap::new()) };
        Ok(members.into_iter().filter(|(_, member)| !is_empty(member)).collect())
    }

    /// Sends the image with all its layers, piece by piece: a tar archive in the format of `docker save`. When nobody receives
    /// any more, the rest is not exported.
    pub async fn export_image(&self, reference: &str, receiver: mpsc::Sender<Bytes>) -> Result<(), Error> {
        let failed = |error| Error::new(format!("export image {reference}"), error);
        let client = self.client().await?;
        let mut pieces = pin!(client.export_image(reference));
        while let Some(piece) = pieces.try_next().await.map_err(failed)? {
            if receiver.send(piece).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn is_empty(member: &Value) -> bool {
    match member {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
