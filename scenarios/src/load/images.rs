use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{existing_file, existing_folder, existing_path};
use crate::files::shown;
use crate::problems::did_you_mean;
use crate::reader::{Field, Marked, Reader, Table};
use crate::scenario::{CopiedFiles, Image, ImageSource};
use crate::words::{dns_label, image_name, image_path, push_target};
use crate::workspace::{self, Package};
use crate::yaml::{Data, Mark};

/// An image with the places of the names in it that are looked up later.
pub(super) struct ReadImage {
    pub image: Image,
    pub mark: Mark,
    pub datasets: Vec<Marked<String>>,
}

/// Reads `images:`.
pub(super) fn read(reader: &mut Reader<'_>, field: &Field<'_>, folder: &Path) -> Vec<ReadImage> {
    let mut images = Vec::new();
    for (name, field) in reader.named(field) {
        let name = image_name(reader, name);
        let image = image(reader, &field, folder);
        if let (Some(name), Some((mut image, datasets))) = (name, image) {
            image.name = name.value;
            images.push(ReadImage { image, mark: name.mark, datasets });
        }
    }
    images
}

/// Reads one image, all but its name.
fn image(reader: &mut Reader<'_>, field: &Field<'_>, folder: &Path) -> Option<(Image, Vec<Marked<String>>)> {
    let mut table = reader.table(field)?;
    let source = source(reader, &mut table, folder);
    let datasets: Vec<Marked<String>> = match table.field(reader, "datasets") {
        Some(field) => reader.items(&field).iter().filter_map(|item| dns_label(reader, item)).collect(),
        None => Vec::new(),
    };
    let files: Vec<CopiedFiles> = match table.field(reader, "files") {
        Some(field) => reader.items(&field).iter().filter_map(|item| copied_files(reader, item, folder)).collect(),
        None => Vec::new(),
    };
    let user = table.optional(reader, "user", user);
    let environment = table.field(reader, "environment").map(|field| texts(reader, &field)).unwrap_or_default();
    let push = table.optional(reader, "push", push_target);
    table.close(reader);
    let image = Image {
        name: String::new(),
        source: source?,
        datasets: datasets.iter().map(|dataset| dataset.value.clone()).collect(),
        files,
        user,
        environment,
        push,
    };
    Some((image, datasets))
}

/// What the image is built from: exactly one of `cargo` and `dockerfile`.
fn source(reader: &mut Reader<'_>, table: &mut Table<'_>, folder: &Path) -> Option<ImageSource> {
    let both = table.has("cargo") && table.has("dockerfile");
    let neither = !table.has("cargo") && !table.has("dockerfile");
    let cargo = table.optional(reader, "cargo", |reader, field| cargo(reader, field, folder));
    let dockerfile = table.optional(reader, "dockerfile", |reader, field| dockerfile(reader, field, folder));
    if both {
        let message = format!("{} has both `cargo` and `dockerfile`", table.called());
        return reader.problem(table.key_mark("dockerfile"), message, "an image is built from one of them".to_owned());
    }
    if neither {
        let message = format!("{} has neither `cargo` nor `dockerfile`", table.called());
        let help = "say what it is built from: `cargo: PACKAGE` or `dockerfile: FOLDER/Dockerfile`; an image that is pulled is not listed";
        return reader.problem(table.mark, message, help.to_owned());
    }
    cargo.or(dockerfile)
}

fn cargo(reader: &mut Reader<'_>, field: &Field<'_>, folder: &Path) -> Option<ImageSource> {
    if let Data::Scalar { .. } = field.node.data {
        let package = reader.text(field)?;
        let workspace = found_workspace(reader, package.mark, folder)?;
        check_package(reader, &package, &workspace, &[])?;
        let source = ImageSource::Cargo {
            package: package.value,
            workspace,
            binary: None,
            profile: None,
            features: Vec::new(),
            target_cpu: None,
        };
        return Some(source);
    }
    let mut table = reader.table(field)?;
    let package = table.required(reader, "package", "server", Reader::text);
    let named = table.has("workspace");
    let workspace = table.optional(reader, "workspace", |reader, field| {
        let path = existing_folder(reader, field, folder)?;
        if path.join("Cargo.toml").is_file() {
            return Some(path);
        }
        let help =
            "name the folder of a cargo workspace, or leave it out: it is found upwards from the scenario".to_owned();
        reader.problem(field.node.mark, "this folder has no `Cargo.toml`", help)
    });
    let binary = table.optional(reader, "binary", Reader::text).map(|text| text.value);
    let profile = table.optional(reader, "profile", Reader::text).map(|text| text.value);
    let features: Vec<Marked<String>> = match table.field(reader, "features") {
        Some(field) => reader.items(&field).iter().filter_map(|item| reader.text(item)).collect(),
        None => Vec::new(),
    };
    let target_cpu = table.optional(reader, "target_cpu", Reader::text).map(|text| text.value);
    table.close(reader);
    let package = package?;
    let workspace = if named { workspace? } else { found_workspace(reader, package.mark, folder)? };
    check_package(reader, &package, &workspace, &features)?;
    let features = features.into_iter().map(|feature| feature.value).collect();
    Some(ImageSource::Cargo { package: package.value, workspace, binary, profile, features, target_cpu })
}

fn found_workspace(reader: &mut Reader<'_>, mark: Mark, folder: &Path) -> Option<PathBuf> {
    match workspace::find(folder) {
        Some(workspace) => Some(workspace),
        None => reader.problem(
            mark,
            "there is no cargo workspace upwards from the scenario",
            "name its folder: `cargo: { package: NAME, workspace: FOLDER }`".to_owned(),
        ),
    }
}

/// Checks that the workspace has the package, with a program and these features.
fn check_package(
    reader: &mut Reader<'_>,
    package: &Marked<String>,
    workspace: &Path,
    features: &[Marked<String>],
) -> Option<()> {
    let packages = match workspace::packages(workspace) {
        Ok(packages) => packages,
        Err(reason) => {
            let message = format!("the cargo workspace `{}` cannot be read: {reason}", shown(workspace));
            return reader.problem(package.mark, message, None);
        }
    };
    let Some(Package { features: known, has_program }) = packages.get(&package.value) else {
        let message = format!("the cargo workspace `{}` has no package `{}`", shown(workspace), package.value);
        return reader.problem(
            package.mark,
            message,
            did_you_mean(&package.value, packages.keys().map(String::as_str)),
        );
    };
    if !has_program {
        let message = format!("the package `{}` makes no program", package.value);
        return reader.problem(package.mark, message, "name a package with a `src/main.rs`".to_owned());
    }
    let mut sound = Some(());
    for feature in features.iter().filter(|feature| !known.contains(&feature.value) && !feature.value.contains('/')) {
        let message = format!("the package `{}` has no feature `{}`", package.value, feature.value);
        sound = reader.problem(feature.mark, message, did_you_mean(&feature.value, known.iter().map(String::as_str)));
    }
    sound
}

fn dockerfile(reader: &mut Reader<'_>, field: &Field<'_>, folder: &Path) -> Option<ImageSource> {
    if let Data::Scalar { .. } = field.node.data {
        let file = existing_file(reader, field, folder)?;
        let context = file.parent().map(Path::to_owned).unwrap_or_default();
        return Some(ImageSource::Dockerfile { file, context, arguments: BTreeMap::new(), target: None });
    }
    let mut table = reader.table(field)?;
    let (names_file, names_context) = (table.has("file"), table.has("context"));
    let file = table.optional(reader, "file", |reader, field| existing_file(reader, field, folder));
    let context = table.optional(reader, "context", |reader, field| existing_folder(reader, field, folder));
    let arguments = table.field(reader, "arguments").map(|field| texts(reader, &field)).unwrap_or_default();
    let target = table.optional(reader, "target", Reader::text).map(|text| text.value);
    table.close(reader);
    let (file, context) = match (names_file, names_context) {
        (true, true) => (file?, context?),
        (true, false) => {
            let file = file?;
            let context = file.parent().map(Path::to_owned).unwrap_or_default();
            (file, context)
        }
        (false, _) => {
            let context = if names_context { context? } else { folder.to_owned() };
            let file = context.join("Dockerfile");
            if !file.is_file() {
                let message = format!("there is no `{}`", shown(&file));
                return reader.problem(field.node.mark, message, "name it: `file: FOLDER/Dockerfile`".to_owned());
            }
            (file, context)
        }
    };
    Some(ImageSource::Dockerfile { file, context, arguments, target })
}

/// Build arguments, or an environment. Numbers and truth values are taken as they are written.
fn texts(reader: &mut Reader<'_>, field: &Field<'_>) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for (name, field) in reader.named(field) {
        match field.node.text() {
            Some(text) => {
                texts.insert(name.value, text.to_owned());
            }
            None => {
                reader.wrong::<()>(&field, "a text", None);
            }
        }
    }
    texts
}

fn copied_files(reader: &mut Reader<'_>, field: &Field<'_>, folder: &Path) -> Option<CopiedFiles> {
    let mut table = reader.table(field)?;
    let from = table.required(reader, "from", "some/folder", |reader, field| existing_path(reader, field, folder));
    let to = table.required(reader, "to", "/data/x", image_path);
    table.close(reader);
    Some(CopiedFiles { from: from?, to: to? })
}

/// A user in numbers, because a name means nothing where no file of users is.
fn user(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let text = field.node.text().filter(|text| !text.is_empty());
    let numeric = |part: &str| part.parse::<u32>().is_ok() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text {
        Some(text) if text.split(':').count() <= 2 && text.split(':').all(numeric) => Some(text.to_owned()),
        _ => reader.wrong(
            field,
            "a user in numbers",
            "write for example `65532`, or `\"65532:65532\"` with a group".to_owned(),
        ),
    }
}
