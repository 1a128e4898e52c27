//! Every way in which a file can be wrong is told apart, and the carried digits are right.

use std::io::Write;
use std::path::{Path, PathBuf};

use datasets::{Error, Name, Part, Split, find, read_images, read_labels};
use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

fn images(count: u32, rows: u32, columns: u32, pixels: &[u8]) -> Vec<u8> {
    let header = [0x0803, count, rows, columns].map(u32::to_be_bytes);
    [header.as_flattened(), pixels].concat()
}

fn labels(count: u32, labels: &[u8]) -> Vec<u8> {
    [[0x0801, count].map(u32::to_be_bytes).as_flattened(), labels].concat()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("some-idx-ubyte");
    std::fs::write(&path, bytes).expect("a small file");
    (folder, path)
}

fn image_error(bytes: &[u8]) -> Error {
    let (_folder, path) = file(bytes);
    read_images(&path).expect_err("the file is wrong")
}

fn carried() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data")
}

#[test]
fn the_carried_digits_are_whole_and_balanced() {
    let mnist = find(Name::Mnist, &[carried()]).expect("the project carries MNIST");
    for (split, count, least_per_class) in [(Split::Train, 5_000, 500), (Split::Test, 10_000, 892)] {
        let examples = mnist.read(split).expect("the carried files are whole");
        assert_eq!((examples.len(), examples.images.rows, examples.images.columns), (count, 28, 28));
        for class in 0..10 {
            let of_this_class = (0..count).filter(|&index| examples.labels[index] == class);
            assert!(of_this_class.count() >= least_per_class);
        }
    }
}

#[test]
fn plain_and_packed_files_read_alike() {
    let bytes = images(2, 1, 3, &[1, 2, 3, 4, 5, 6]);
    let (_plain_folder, plain) = file(&bytes);
    let (_packed_folder, packed) = file(&packed(&bytes));
    let read = read_images(&plain).expect("a right file");
    assert_eq!(read.image(1), [4, 5, 6]);
    assert_eq!(read, read_images(&packed).expect("a right file"));
}

#[test]
fn a_file_of_another_kind_is_named_by_its_magic_number() {
    assert!(matches!(image_error(&labels(1, &[3])), Error::Magic { expected: 0x0803, found: 0x0801, .. }));
    assert!(matches!(image_error(b"\x89PNG\r\n\x1a\n----------------"), Error::Magic { found: 0x8950_4e47, .. }));
}

#[test]
fn a_short_file_says_how_much_lacks() {
    assert!(matches!(image_error(&images(2, 2, 2, &[0; 7])), Error::Short { expected: 24, found: 23, .. }));
    assert!(matches!(image_error(&packed(&images(2, 2, 2, &[0; 7]))), Error::Short { expected: 24, found: 23, .. }));
    assert!(matches!(image_error(&[0, 0, 8, 3, 0, 0]), Error::Short { expected: 8, found: 6, .. }));
    assert!(matches!(image_error(&[]), Error::Short { expected: 4, found: 0, .. }));
}

#[test]
fn what_follows_the_last_image_is_an_error() {
    assert!(matches!(image_error(&images(1, 2, 2, &[0; 5])), Error::Trailing { expected: 20, .. }));
}

#[test]
fn damaged_gzip_is_told_apart_from_a_wrong_idx_file() {
    let whole = packed(&images(1, 28, 28, &[7; 784]));
    assert!(matches!(image_error(&whole[..whole.len() / 2]), Error::Gzip { .. }));
    let mut wrong_checksum = whole.clone();
    let place = wrong_checksum.len() - 6;
    wrong_checksum[place] ^= 1;
    assert!(matches!(image_error(&wrong_checksum), Error::Gzip { .. }));
    let with_tail = [whole.as_slice(), b"tail"].concat();
    assert!(matches!(image_error(&with_tail), Error::Gzip { .. }));
}

#[test]
fn a_header_that_promises_too_much_or_nothing_is_refused_before_reading() {
    assert!(matches!(image_error(&images(u32::MAX, u32::MAX, u32::MAX, &[])), Error::TooLarge { .. }));
    assert!(matches!(image_error(&images(0, 28, 28, &[])), Error::Empty { count: 0, .. }));
    assert!(matches!(image_error(&images(3, 0, 28, &[])), Error::Empty { rows: 0, .. }));
}

#[test]
fn a_label_above_nine_is_pointed_at() {
    let (_folder, path) = file(&labels(3, &[9, 10, 0]));
    let error = read_labels(&path).expect_err("10 is no digit");
    assert!(matches!(error, Error::Label { index: 1, found: 10, .. }));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = read_images(Path::new("/nowhere/at/all")).expect_err("there is no such file");
    assert_eq!(error.to_string(), "read /nowhere/at/all");
}

/// A folder with all four files, where the test labels lack one.
fn set_with_a_label_too_few() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for split in Split::ALL {
        let count = if split == Split::Test { 1 } else { 2 };
        for (part, bytes) in
            [(Part::Images, images(2, 1, 1, &[0, 1])), (Part::Labels, labels(count, &[1, 2][..count as usize]))]
        {
            std::fs::write(folder.path().join(part.file_name(split)), bytes).expect("a small file");
        }
    }
    folder
}

#[test]
fn images_and_labels_that_do_not_pair_are_an_error() {
    let folder = set_with_a_label_too_few();
    let located = find(Name::Kmnist, &[folder.path().to_owned()]).expect("all four files are there");
    assert_eq!(located.read(Split::Train).expect("two and two").labels, [1, 2]);
    assert!(matches!(located.read(Split::Test), Err(Error::Count { images: 2, labels: 1, .. })));
}

#[test]
fn truncating_keeps_images_and_labels_paired() {
    let folder = set_with_a_label_too_few();
    let located = find(Name::Mnist, &[folder.path().to_owned()]).expect("all four files are there");
    let mut examples = located.read(Split::Train).expect("two and two");
    examples.truncate(1);
    assert_eq!((examples.len(), examples.images.count, examples.images.pixels.as_slice()), (1, 1, &[0][..]));
    examples.truncate(5);
    assert_eq!(examples.len(), 1);
}

#[test]
fn a_set_that_is_not_there_lists_where_it_was_looked_for() {
    let folder = TempDir::new().expect("a temporary folder");
    let error = find(Name::Kmnist, &[folder.path().to_owned()]).expect_err("the folder is empty");
    let text = error.to_string();
    let within = folder.path().join("kmnist");
    assert!(text.contains(&format!("none of its files is in {}", within.display())), "{text}");
}

#[test]
fn a_set_that_is_there_in_part_lists_what_lacks() {
    let folder = set_with_a_label_too_few();
    std::fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte")).expect("it was there");
    let error = find(Name::Mnist, &[folder.path().to_owned()]).expect_err("one file lacks");
    let Error::NotFound { missing, .. } = error else { panic!("another error: {error}") };
    assert_eq!(missing, [folder.path().join("t10k-labels-idx1-ubyte")]);
}

#[test]
fn a_folder_named_after_another_set_is_not_taken_for_this_one() {
    let error = find(Name::FashionMnist, &[carried().join("mnist")]).expect_err("the folder holds digits");
    assert!(matches!(error, Error::NotFound { .. }));
}

#[test]
fn a_mistyped_name_lists_the_sets_and_guesses() {
    let error = "fashion_mnits".parse::<Name>().expect_err("no such set");
    let text =
        "no data set is called \"fashion_mnits\"; known are mnist, fashion-mnist, kmnist (did you mean fashion-mnist?)";
    assert_eq!(error.to_string(), text);
    assert_eq!("cifar".parse::<Name>().expect_err("no such set").similar(), None);
    assert!(Name::ALL.into_iter().all(|name| name.as_str().parse() == Ok(name)));
}

#[test]
fn every_pinned_checksum_has_the_form_of_one() {
    for file in Name::ALL.into_iter().flat_map(|name| name.origin().files) {
        assert!(file.sha256.len() == 64 && file.sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    }
}
