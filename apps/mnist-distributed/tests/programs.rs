//! The programs as pods see them: flags in, lines and files out, killed at any moment.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use datasets::{read_images, read_labels};
use mnist_distributed::{Aggregated, Learned, Shared, newest, sizes};
use tempfile::TempDir;

fn carried() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data")
}

/// A place where the programs meet, and how many of them learn.
struct Place {
    folder: TempDir,
    workers: usize,
    epochs: usize,
}

impl Place {
    fn new(workers: usize, epochs: usize) -> Self {
        Self { folder: TempDir::new().expect("a temporary folder"), workers, epochs }
    }

    fn shared(&self) -> Shared {
        Shared::new(self.folder.path().to_owned())
    }

    /// A program with the environment of its pod.
    fn program(&self, role: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mnist-distributed"));
        command.env_clear().arg(role).env("SHARED_FOLDER", self.folder.path());
        command.env("WORKER_NUMBER", self.workers.to_string()).env("EPOCH", self.epochs.to_string());
        command.env("DATA_FOLDER", carried());
        command
    }

    fn trainer(&self, part: usize) -> Command {
        let mut command = self.program("train");
        command.env("JOB_COMPLETION_INDEX", part.to_string());
        command
    }

    fn train_all(&self) {
        (0..self.workers).for_each(|part| drop(must(&mut self.trainer(part))));
    }

    fn learned(&self, part: usize) -> Option<(Vec<u8>, Learned)> {
        let kept = self.shared().part_model(part).newest().expect("it is whole")?;
        Some((kept.weights, kept.metrics))
    }
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the program starts")
}

/// What a program prints that ends well.
fn must(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The exit code and the error of a program that ends otherwise.
fn refused(command: &mut Command) -> (Option<i32>, String) {
    let output = run(command);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Starts a program and waits for a line that begins like this.
fn run_until(command: &mut Command, start: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output is piped"));
    let mut line = String::new();
    while !line.starts_with(start) {
        line.clear();
        assert_ne!(lines.read_line(&mut line).expect("its output is text"), 0, "it ended before {start:?}");
    }
    (child, lines)
}

#[test]
fn workers_that_learn_from_a_part_each_make_an_average_that_is_as_good() {
    let place = Place::new(3, 2);
    let cut = must(&mut place.program("split"));
    assert!(cut.contains("part 0: 1667 images") && cut.contains("part 2: 1666 images"), "{cut}");
    place.train_all();
    let text = must(&mut place.program("aggregate"));
    let (version, network, made) = newest(&place.shared().model()).expect("it is whole").expect("it is there");
    assert!(text.contains(&made.table()) && text.contains(&version), "{text}");
    let Aggregated { workers, train_images, test_images, test_accuracy, parts, .. } = &made;
    assert_eq!((*workers, *train_images, *test_images, parts.len()), (3, 5_000, 10_000, 3));
    let worst = parts.iter().map(|part| part.test_accuracy).fold(1.0, f64::min);
    assert!(*test_accuracy > 0.85 && *test_accuracy >= worst, "{}", made.table());
    assert_eq!(network.predict(&[&[0; 784]]).len(), 1);
}

#[test]
fn a_number_of_workers_that_does_not_divide_the_images_leaves_none_out() {
    assert_eq!(sizes(5_000, 7), [715, 715, 714, 714, 714, 714, 714]);
    assert_eq!((sizes(3, 3), sizes(2, 3)), (vec![1, 1, 1], vec![1, 1, 0]));
    let place = Place::new(7, 1);
    must(&mut place.program("split"));
    let path = |part: usize, what: &str| place.folder.path().join(format!("parts/part-{part}-{what}-ubyte"));
    let mut pictures = Vec::new();
    let mut of_class = [0; 10];
    for part in 0..7 {
        let images = read_images(&path(part, "images-idx3")).expect("it is whole");
        pictures.extend((0..images.count).map(|index| images.image(index).to_vec()));
        read_labels(&path(part, "labels-idx1"))
            .expect("it is whole")
            .iter()
            .for_each(|it| of_class[usize::from(*it)] += 1);
    }
    let all = read_images(&carried().join("mnist/train-images-idx3-ubyte.gz")).expect("it is carried");
    let mut wanted: Vec<Vec<u8>> = (0..all.count).map(|index| all.image(index).to_vec()).collect();
    pictures.sort();
    wanted.sort();
    assert!(pictures == wanted, "each image is in one part");
    assert_eq!(of_class.iter().sum::<i32>(), 5_000);
}

#[test]
fn a_trainer_that_is_killed_starts_over_with_the_same_result() {
    let place = Place::new(3, 8);
    must(&mut place.program("split"));
    let (mut child, _lines) = run_until(&mut place.trainer(1), "epoch 2/8");
    child.kill().expect("it lives");
    child.wait().expect("it is a child");
    assert!(place.learned(1).is_none(), "a model appears whole or not at all");
    must(&mut place.trainer(1));
    let (after, of_after) = place.learned(1).expect("it is there");

    let other = Place::new(3, 8);
    must(&mut other.program("split"));
    must(&mut other.trainer(1));
    let (weights, learned) = other.learned(1).expect("it is there");
    assert!(after == weights && of_after.epochs == learned.epochs);
    assert!(learned.epochs[7].accuracy > 0.85, "{:?}", learned.epochs);
}

#[test]
fn a_trainer_that_is_told_to_stop_does_so_and_says_it() {
    let place = Place::new(3, 1000);
    must(&mut place.program("split"));
    let (mut child, _lines) = run_until(&mut place.trainer(0), "epoch 1/1000");
    let status = Command::new("kill").arg(child.id().to_string()).status().expect("there is a kill");
    assert!(status.success());
    assert_eq!(child.wait().expect("it is a child").code(), Some(143));
    assert!(place.learned(0).is_none());
}

#[test]
fn what_another_run_left_is_refused_until_it_is_made_anew() {
    let mut place = Place::new(3, 1);
    let (code, error) = refused(&mut place.trainer(0));
    assert!(code == Some(1) && error.contains("was not cut yet"), "{error}");
    must(&mut place.program("split"));
    let (code, error) = refused(&mut place.program("aggregate"));
    assert!(code == Some(1) && error.contains("the model of part 0: it was not trained yet"), "{error}");
    let (code, error) = refused(&mut place.trainer(3));
    assert!(code == Some(1) && error.contains("the parts are 0 to 2"), "{error}");
    place.train_all();
    place.epochs = 2;
    let (code, error) = refused(&mut place.program("aggregate"));
    assert!(code == Some(1) && error.contains("other settings"), "{error}");
    place.epochs = 1;
    must(place.program("split").env("SEED", "2"));
    let (code, error) = refused(&mut place.program("aggregate"));
    assert!(code == Some(1) && error.contains("another part"), "{error}");
    place.workers = 2;
    let (code, error) = refused(&mut place.trainer(0));
    assert!(code == Some(1) && error.contains("cut into 3 parts"), "{error}");
    must(&mut place.program("split"));
    assert!(place.learned(2).is_none(), "a part that there is no more has no model");
    let (code, error) = refused(place.program("split").env("DATA_FOLDER", "/nowhere"));
    assert!(code == Some(2), "{error}");
}
