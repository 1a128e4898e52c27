use std::collections::{BTreeMap, HashMap};

use bollard::body_try_stream;
use bollard::query_parameters::BuildImageOptions;
use bytes::Bytes;
use futures::{Stream, TryStreamExt};

use super::{Credentials, Docker, Error};

/// How many lines the error of a failed build shows.
const KEPT_LINES: usize = 30;

/// What an image is built with, besides its context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// The reference that the image gets.
    pub tag: String,
    /// The Dockerfile's path in the context.
    pub dockerfile: String,
    /// Build arguments.
    pub arguments: BTreeMap<String, String>,
    /// The stage to build; empty for the last one.
    pub target: String,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
}

impl Docker {
    /// Builds an image from a context, a tar archive, and tags it. Every line that the build prints goes to `line`.
    ///
    /// The engine's classic builder is used, which every engine has; a Dockerfile that needs `BuildKit` fails with
    /// [`Error::Build`]. `credentials` are for base images, by registry. Dropping the future ends the build.
    pub async fn build_image(
        &self,
        build: &Build,
        credentials: &BTreeMap<String, Credentials>,
        context: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
        mut line: impl FnMut(&str),
    ) -> Result<(), Error> {
        let options = BuildImageOptions {
            dockerfile: build.dockerfile.clone(),
            t: Some(build.tag.clone()),
            buildargs: Some(build.arguments.clone().into_iter().collect()),
            labels: Some(build.labels.clone().into_iter().collect()),
            target: build.target.clone(),
            rm: true,
            forcerm: true,
            ..Default::default()
        };
        let credentials: HashMap<_, _> =
            credentials.iter().map(|(registry, known)| (registry.clone(), known.for_engine(registry))).collect();
        let failed = |error| Error::new(format!("build image {}", build.tag), error);
        let mut answers = self.client().await?.build_image(options, Some(credentials), Some(body_try_stream(context)));
        let mut last_lines: Vec<String> = Vec::new();
        loop {
            let answer = match answers.try_next().await.map_err(failed) {
                Ok(Some(answer)) => answer,
                Ok(None) => return Ok(()),
                Err(Error::Refused { message, .. }) => {
                    return Err(Error::Build { tag: build.tag.clone(), message, last_lines });
                }
                Err(error) => return Err(error),
            };
            for text in
                answer.stream.iter().flat_map(|text| text.lines()).filter(|text| !matches!(text.trim(), "" | "--->"))
            {
                last_lines.drain(..(last_lines.len() + 1).saturating_sub(KEPT_LINES));
                last_lines.push(text.to_owned());
                line(text);
            }
        }
    }
}
