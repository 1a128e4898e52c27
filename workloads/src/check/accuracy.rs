use std::path::{Path, PathBuf};

use engine::Context;
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::http::{Asked, send, start};
use super::{CheckError, Passed};

/// So many images go in one request.
const BATCH: usize = 50;
/// So many requests are on their way at once.
const IN_FLIGHT: usize = 4;

/// Sends test images as JSON pixels and counts the right answers.
///
/// A request is `{"images": [[0..255 per pixel], ...]}`, its answer a list with a member `digit` for each image.
pub(super) async fn ask(
    context: &Context,
    asked: &Asked,
    folder: &Path,
    count: usize,
    at_least: f64,
) -> Result<Passed, CheckError> {
    let (images, labels) = read(folder.to_owned(), count).await?;
    let total = labels.len();
    context.progress(format!("asking {total} images"));
    let mut batches = Vec::new();
    for (images, labels) in images.chunks(BATCH).zip(labels.chunks(BATCH)) {
        batches.push(batch(asked, images, labels));
    }
    let answers = futures::stream::iter(batches).buffered(IN_FLIGHT);
    let right: usize = answers.try_fold(0, |sum, right| async move { Ok(sum + right) }).await?;
    let detail = format!("{} of {} (at least {at_least:.2})", share(right, total), thousands(total));
    if (as_float(right) / as_float(total)) < at_least {
        return Err(CheckError::Wrong { service: asked.service.clone(), difference: format!("accuracy {detail}") });
    }
    Ok(Passed {
        detail,
        figures: json!({"right": right, "images": total, "accuracy": as_float(right) / as_float(total)}),
    })
}

/// The first test images of a folder with their labels. A set that has fewer gives what it has.
async fn read(folder: PathBuf, count: usize) -> Result<(Vec<Vec<u8>>, Vec<u8>), CheckError> {
    let read = move || -> Result<_, datasets::Error> {
        let images = datasets::read_images(&file(&folder, "t10k-images-idx3-ubyte"))?;
        let labels = datasets::read_labels(&file(&folder, "t10k-labels-idx1-ubyte"))?;
        let count = count.min(images.count).min(labels.len());
        let pictures = (0..count).map(|index| images.image(index).to_vec()).collect::<Vec<_>>();
        Ok((pictures, labels[..count].to_vec()))
    };
    let read = tokio::task::spawn_blocking(read).await.map_err(|error| CheckError::Images(error.into()))?;
    read.map_err(|error| CheckError::Images(error.into()))
}

fn file(folder: &Path, name: &str) -> PathBuf {
    let zipped = folder.join(format!("{name}.gz"));
    if zipped.exists() { zipped } else { folder.join(name) }
}

/// How many of these images the service knows.
async fn batch(asked: &Asked, images: &[Vec<u8>], labels: &[u8]) -> Result<usize, CheckError> {
    let wrong = |difference: String| CheckError::Wrong { service: asked.service.clone(), difference };
    let body = json!({ "images": images });
    let (status, text) = send(asked, || asked.client.post(&asked.url).json(&body), None).await?;
    if !status.is_success() {
        return Err(wrong(format!("wanted a success, got {status}: {}", start(&text))));
    }
    let answer: Value = serde_json::from_str(&text)
        .map_err(|error| wrong(format!("the answer is not JSON ({error}): {}", start(&text))))?;
    let digits: Option<Vec<u64>> =
        answer.as_array().map(|list| list.iter().filter_map(|item| item["digit"].as_u64()).collect());
    let digits = digits.filter(|digits| digits.len() == labels.len()).ok_or_else(|| {
        wrong(format!("wanted a list of {} objects with a digit, got {}", labels.len(), start(&text)))
    })?;
    Ok(digits.iter().zip(labels).filter(|(digit, label)| **digit == u64::from(**label)).count())
}

/// Three digits, never rounded up: a check that fails must not look as if it had passed.
fn share(right: usize, total: usize) -> String {
    let thousandths = right * 1000 / total.max(1);
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

fn thousands(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}

#[allow(clippy::cast_precision_loss, reason = "there are far fewer images than a float can count")]
fn as_float(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_rounded_up() {
        assert_eq!(share(953, 1000), "0.953");
        assert_eq!(share(8999, 10_000), "0.899");
        assert_eq!(share(10, 10), "1.000");
        assert_eq!(thousands(10_000), "10,000");
    }
}
