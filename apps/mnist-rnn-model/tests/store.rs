//! A reader of the store sees a whole model, an older whole model, or an error that names the file.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use mnist_rnn_model::{CLASSES, Classifier, EpochMetrics, Metrics, PIXELS, Random, Store, StoreError};
use tempfile::TempDir;

const HIDDEN_SIZE: usize = 8;

fn metrics(seed: u64) -> Metrics {
    let epoch = EpochMetrics { loss: 0.5, train_seconds: 1.5, test_accuracy: 0.75, test_images: 4 };
    Metrics {
        dataset: "mnist".to_owned(),
        hidden_size: HIDDEN_SIZE,
        batch_size: 2,
        learning_rate: 0.01,
        seed,
        train_images: 8,
        test_images: 4,
        test_accuracy: 0.75,
        train_seconds: 1.5,
        finished_at_unix_seconds: 1,
        epochs: vec![epoch],
    }
}

fn classifier(seed: u64) -> Classifier {
    Classifier::new(HIDDEN_SIZE, seed, &Device::flex())
}

fn store() -> (TempDir, Store) {
    let folder = TempDir::new().expect("a temporary folder");
    let store = Store::new(folder.path().join("made/on/demand"));
    (folder, store)
}

fn versions(store: &Store) -> Vec<PathBuf> {
    let folder = store.manifest_path().with_file_name("versions");
    fs::read_dir(folder).expect("there are versions").map(|entry| entry.expect("an entry").path()).collect()
}

/// The error of a store in which one file was changed.
fn error_after(change: impl FnOnce(&Path)) -> StoreError {
    let (_folder, store) = store();
    let version = store.publish(&classifier(1), &metrics(1)).expect("it can be written");
    change(&store.manifest_path().with_file_name("versions").join(version));
    store.newest().expect_err("it was damaged")
}

#[test]
fn what_was_published_comes_out_again() {
    let (_folder, store) = store();
    assert!(store.newest().expect("an empty store is whole").is_none());
    let version = store.publish(&classifier(1), &metrics(1)).expect("it can be written");
    let stored = store.newest().expect("it is whole").expect("it is there");
    assert_eq!((stored.version, &stored.metrics), (version, &metrics(1)));
    let picture = [128; PIXELS];
    assert_eq!(stored.classifier.predict(&[&picture]), classifier(1).predict(&[&picture]));
}

#[test]
fn the_newest_and_the_one_before_it_are_kept() {
    let (_folder, store) = store();
    let versions_made =
        (1..=3).map(|seed| store.publish(&classifier(seed), &metrics(seed)).expect("it can be written"));
    let versions_made = versions_made.collect::<Vec<_>>();
    let mut kept = versions(&store);
    kept.sort();
    let mut wanted = versions_made[1..].iter().map(|version| kept[0].with_file_name(version)).collect::<Vec<_>>();
    wanted.sort();
    assert_eq!(kept, wanted);
    assert_eq!(store.newest().expect("it is whole").expect("it is there").version, versions_made[2]);
}

#[test]
fn equal_models_are_equal_files_and_one_version() {
    let (_folder, store) = store();
    let one = store.publish(&classifier(1), &metrics(1)).expect("it can be written");
    let other = store.publish(&classifier(1), &metrics(1)).expect("it can be written");
    assert_eq!((one, versions(&store).len()), (other, 1));
}

#[test]
fn damaged_weights_are_told_by_their_checksum() {
    let error = error_after(|version| fs::write(version.join("weights.bpk"), b"nonsense").expect("it can be written"));
    assert!(error.to_string().ends_with("weights.bpk: its SHA-256 is not the one in the manifest"), "{error}");
}

#[test]
fn a_manifest_of_another_format_is_not_guessed_at() {
    let error = error_after(|version| {
        let manifest = version.join("../../manifest.json");
        let text = fs::read_to_string(&manifest).expect("it is there").replace("\"format\": 1", "\"format\": 2");
        fs::write(manifest, text).expect("it can be written");
    });
    assert!(error.to_string().ends_with("it has format 2, and this program reads format 1"), "{error}");
}

#[test]
fn a_missing_file_and_one_that_is_not_json_are_named() {
    let error = error_after(|version| fs::remove_file(version.join("metrics.json")).expect("it is there"));
    assert!(matches!(&error, StoreError::Read { path, .. } if path.ends_with("metrics.json")), "{error}");
    let error = error_after(|version| fs::write(version.join("metrics.json"), "{").expect("it can be written"));
    assert!(matches!(&error, StoreError::Corrupt { path, .. } if path.ends_with("metrics.json")), "{error}");
}

#[test]
fn weights_of_another_size_are_refused() {
    let bytes = classifier(1).to_bytes().expect("weights have bytes");
    let error = Classifier::from_bytes(bytes, HIDDEN_SIZE + 1, &Device::flex()).expect_err("they do not fit");
    assert!(error.to_string().starts_with("read the weights: "), "{error}");
}

#[test]
fn a_picture_is_predicted_alike_alone_and_among_many() {
    let mut random = Random::new(5);
    let pictures = (0..300).map(|_| (0..PIXELS).map(|_| random.next_bits().to_le_bytes()[0]).collect::<Vec<_>>());
    let pictures = pictures.collect::<Vec<_>>();
    let all = pictures.iter().map(Vec::as_slice).collect::<Vec<_>>();
    let classifier = classifier(3);
    let together = classifier.predict(&all);
    for index in [0, 249, 250, 299] {
        let alone = classifier.predict(&[&pictures[index]])[0];
        let difference = (0..CLASSES).map(|class| (alone[class] - together[index][class]).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-5, "picture {index} differs by {difference}");
        assert!((alone.iter().sum::<f32>() - 1.0).abs() < 1e-4);
    }
}

#[test]
fn a_permutation_has_every_number_once_and_depends_on_the_seed() {
    let permutation = |seed| Random::new(seed).permutation(1_000);
    let mut sorted = permutation(1);
    sorted.sort_unstable();
    assert_eq!(sorted, (0..1_000).collect::<Vec<_>>());
    assert_eq!(permutation(1), permutation(1));
    assert_ne!(permutation(1), permutation(2));
}
