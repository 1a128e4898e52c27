//! `infra images`: what the image cache holds, and its cleaning.

use std::path::Path;
use std::time::SystemTime;

use images::{KeptImage, Pruned, Store, StoreError, Usage};
use serde_json::json;

use crate::arguments::{ImagesCommand, Prune};
use crate::report::{Exit, Problem};
use crate::settings::{Settings, shown};
use crate::view::{bytes, count, style};

/// Runs the command.
pub async fn run(command: Option<&ImagesCommand>, settings: &Settings) -> Result<Exit, Problem> {
    match command {
        None | Some(ImagesCommand::List) => list(settings),
        Some(ImagesCommand::Prune(prune)) => self::prune(prune, settings).await,
    }
}

fn list(settings: &Settings) -> Result<Exit, Problem> {
    let folder = settings.images();
    let store = Store::open(&folder).map_err(problem)?;
    let (images, usage) = (store.images().map_err(problem)?, store.usage().map_err(problem)?);
    if settings.json {
        for image in &images {
            println!("{}", row(image));
        }
        println!("{}", json!({ "folder": folder, "bytes": usage.bytes, "unused_bytes": usage.unused_bytes }));
    } else {
        print(&images, usage, &folder);
    }
    Ok(Exit::Done)
}

async fn prune(prune: &Prune, settings: &Settings) -> Result<Exit, Problem> {
    let store = Store::open(&settings.images()).map_err(problem)?;
    let deployments = settings.state.deployments().await?;
    let is_wanted = |name: &str| !prune.all && deployments.iter().any(|deployment| deployment.name() == name);
    let Pruned { images, files, bytes: freed } = store.prune(is_wanted).map_err(problem)?;
    let left = store.usage().map_err(problem)?.bytes;
    if settings.json {
        println!("{}", json!({ "images": images, "files": files, "bytes": freed, "left_bytes": left }));
    } else if files + images == 0 {
        anstream::println!("nothing to remove; {} are in use", bytes(left));
    } else {
        anstream::println!(
            "{} {} and {}: {} freed, {} left",
            style::good("removed"),
            count(images, "image"),
            count(files, "file"),
            bytes(freed),
            bytes(left)
        );
    }
    Ok(Exit::Done)
}

fn problem(error: StoreError) -> Problem {
    let in_use = matches!(error, StoreError::InUse { .. });
    let mut problem = Problem::from(error);
    if in_use {
        return problem.exit(Exit::Locked).hint("wait until no other infra works, and run the same command again");
    }
    problem.causes.insert(0, "look after the image cache".to_owned());
    problem.hint("`--cache` or XDG_CACHE_HOME puts it elsewhere")
}

fn row(image: &KeptImage) -> serde_json::Value {
    json!({
        "deployment": image.deployment,
        "name": image.name,
        "digest": image.digest,
        "layers": image.layers,
        "bytes": image.bytes,
        "age_seconds": age_seconds(image),
    })
}

/// How long ago it was made; 0 when the clock was set back since.
fn age_seconds(image: &KeptImage) -> u64 {
    SystemTime::now().duration_since(image.made).map_or(0, |age| age.as_secs())
}

/// An age in its largest unit.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h", seconds / 3600),
        _ => count(usize::try_from(seconds / 86400).unwrap_or(usize::MAX), "day"),
    }
}

fn print(images: &[KeptImage], usage: Usage, folder: &Path) {
    let name = |image: &KeptImage| format!("{}/{}", image.deployment, image.name);
    let width = images.iter().map(|image| name(image).len()).max().unwrap_or(0).max(5);
    if !images.is_empty() {
        let heading = format!("{:width$}  {:<19}  {:>6}  {:>9}  MADE", "IMAGE", "DIGEST", "LAYERS", "SIZE");
        anstream::println!("{}", style::dim(heading));
    }
    for image in images {
        // As many digits as people are used to from Docker.
        let digest = image.digest.get(..19).unwrap_or(&image.digest);
        let made = format!("{} ago", age(age_seconds(image)));
        anstream::println!(
            "{:width$}  {digest:<19}  {:>6}  {:>9}  {made}",
            name(image),
            image.layers,
            bytes(image.bytes)
        );
    }
    let unused = match usage.unused_bytes {
        0 => String::new(),
        unused => format!(", {} unused: `infra images prune` removes them", bytes(unused)),
    };
    anstream::println!("{}", style::dim(format!("{} in {}{unused}", bytes(usage.bytes), shown(folder))));
}
