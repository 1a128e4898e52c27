//! The trainer as a pod sees it: flags in, lines and a model out, killed at any moment.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use mnist_rnn_model::{Store, Stored};
use tempfile::TempDir;

const EPOCHS: usize = 4;

fn carried() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data")
}

/// A training that is small enough for unoptimised code, and large enough to learn something.
fn learning(output: &Path) -> Command {
    training(output, 240, 200)
}

/// A training that only goes the whole way.
fn small_training(output: &Path) -> Command {
    training(output, 96, 20)
}

fn training(output: &Path, train_images: usize, test_images: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mnist-rnn-trainer"));
    command.env_clear().arg("--data").arg(carried()).arg("--output").arg(output);
    command.args([format!("--train-limit={train_images}"), format!("--test-limit={test_images}")]);
    command.args(["--hidden-size=16", "--batch-size=12"]);
    command.args([format!("--epochs={EPOCHS}"), "--learning-rate=0.03".to_owned()]);
    command
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the trainer starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn newest(output: &Path) -> Stored {
    Store::new(output.to_owned()).newest().expect("the store is whole").expect("a model was stored")
}

fn weights(output: &Path) -> Vec<u8> {
    newest(output).classifier.to_bytes().expect("the weights are whole")
}

/// Starts a training and waits for a line that starts like this.
fn run_until(command: &mut Command, start: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the trainer starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output is piped"));
    let mut line = String::new();
    while !line.starts_with(start) {
        line.clear();
        assert_ne!(lines.read_line(&mut line).expect("its output is text"), 0, "it ended before {start:?}");
    }
    (child, lines)
}

fn uninterrupted() -> TempDir {
    let output = TempDir::new().expect("a temporary folder");
    let run = run(&mut small_training(output.path()));
    assert!(run.status.success(), "{}", text(&run.stderr));
    output
}

#[test]
fn a_small_training_learns_and_stores_what_it_reports() {
    let output = TempDir::new().expect("a temporary folder");
    let run = run(&mut learning(output.path()));
    assert!(run.status.success(), "{}", text(&run.stderr));
    let Stored { version, metrics, .. } = newest(output.path());
    assert!(metrics.test_accuracy > 0.4, "guessing gives 0.1, and it has {}", metrics.test_accuracy);
    assert!(metrics.epochs.last().expect("epochs").loss < 0.7 * metrics.epochs[0].loss);
    assert_eq!((metrics.epochs.len(), metrics.train_images, metrics.test_images), (EPOCHS, 240, 200));
    let lines = text(&run.stdout);
    for epoch in 1..=EPOCHS {
        assert!(lines.contains(&format!("epoch {epoch}/{EPOCHS}: loss ")), "{lines}");
    }
    assert!(lines.contains(&format!("test accuracy {:.4} on 200 images", metrics.test_accuracy)), "{lines}");
    assert!(lines.contains(&version), "{lines}");
    let mut names = std::fs::read_dir(output.path())
        .expect("it is there")
        .map(|entry| entry.expect("an entry").file_name())
        .collect::<Vec<_>>();
    names.sort();
    assert_eq!(names, ["manifest.json", "versions"]);
}

#[test]
fn a_killed_run_goes_on_and_ends_with_the_same_weights() {
    let whole = uninterrupted();
    let output = TempDir::new().expect("a temporary folder");
    let (mut child, _lines) = run_until(&mut small_training(output.path()), "epoch 2/");
    child.kill().expect("it still runs");
    child.wait().expect("it was started here");
    let resumed = run(&mut small_training(output.path()));
    assert!(text(&resumed.stdout).contains("going on after epoch"), "{}", text(&resumed.stdout));
    assert!(!text(&resumed.stdout).contains("epoch 1/"), "{}", text(&resumed.stdout));
    assert!(weights(whole.path()) == weights(output.path()), "the weights differ");
    assert_eq!(newest(output.path()).metrics.epochs.len(), EPOCHS);
}

#[test]
fn another_seed_gives_other_weights() {
    let one = uninterrupted();
    let other = TempDir::new().expect("a temporary folder");
    assert!(run(small_training(other.path()).arg("--seed=2")).status.success());
    assert!(weights(one.path()) != weights(other.path()));
}

#[test]
fn sigterm_stops_between_batches_and_keeps_the_checkpoint() {
    let output = TempDir::new().expect("a temporary folder");
    let (mut child, mut lines) = run_until(small_training(output.path()).arg("--epochs=1000"), "epoch 1/");
    let kill = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().expect("kill is there");
    assert!(kill.success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("its output is text");
    assert_eq!(child.wait().expect("it was started here").code(), Some(143));
    assert!(rest.contains("stopped in epoch"), "{rest}");
    assert!(output.path().join("checkpoint").is_file());
    assert!(Store::new(output.path().to_owned()).newest().expect("an empty store is whole").is_none());
}

/// The output of a run that finds the checkpoint of an interrupted one, after `change` was done to it.
fn rerun_after(change: impl FnOnce(&Path), flags: &[&str]) -> String {
    let output = TempDir::new().expect("a temporary folder");
    let (mut child, _lines) = run_until(&mut small_training(output.path()), "epoch 2/");
    child.kill().expect("it still runs");
    child.wait().expect("it was started here");
    change(&output.path().join("checkpoint"));
    let rerun = run(small_training(output.path()).args(flags));
    assert!(rerun.status.success(), "{}", text(&rerun.stderr));
    text(&rerun.stdout)
}

#[test]
fn a_checkpoint_of_other_hyperparameters_is_not_gone_on_from() {
    let lines = rerun_after(|_| {}, &["--learning-rate=0.02", "--seed=7"]);
    assert!(
        lines.contains("starting over: there is a checkpoint, but it is of a run with another learning rate, seed"),
        "{lines}"
    );
    assert!(lines.contains("epoch 1/"), "{lines}");
}

#[test]
fn a_damaged_checkpoint_is_not_gone_on_from() {
    let damage = |path: &Path| {
        let mut bytes = std::fs::read(path).expect("there is a checkpoint");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).expect("it can be written");
    };
    let lines = rerun_after(damage, &[]);
    assert!(lines.contains("starting over: there is a checkpoint, but it is damaged"), "{lines}");
    assert!(lines.contains("epoch 1/"), "{lines}");
}

#[test]
fn wrong_data_and_wrong_flags_end_with_the_code_that_says_do_not_try_again() {
    let output = TempDir::new().expect("a temporary folder");
    let nothing = output.path().join("nothing");
    let missing = run(small_training(output.path()).arg("--data").arg(&nothing));
    assert_eq!(missing.status.code(), Some(2));
    assert!(
        text(&missing.stderr).starts_with("error: failed to find the data set mnist: none of its files is in "),
        "{}",
        text(&missing.stderr)
    );
    let flags = ["--epochs=0", "--batch-size=0", "--learning-rate=2", "--hidden-size=many"];
    for flag in flags {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mnist-rnn-trainer"));
        assert_eq!(run(command.env_clear().arg(flag)).status.code(), Some(2), "{flag}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_mnist-rnn-trainer"));
    let unknown = run(command.env_clear().env("DATASET", "mnits"));
    assert!(text(&unknown.stderr).contains("did you mean mnist?"), "{}", text(&unknown.stderr));
}

#[test]
fn an_output_folder_that_cannot_be_made_is_worth_another_attempt() {
    let folder = TempDir::new().expect("a temporary folder");
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, "").expect("a small file");
    let run = run(&mut small_training(&in_the_way));
    assert_eq!(run.status.code(), Some(1));
    assert!(text(&run.stderr).contains("make the output folder"), "{}", text(&run.stderr));
}
