//! Learning, epoch by epoch.

use std::f64::consts::PI;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use datasets::Examples;
use mnist_rnn_model::{Classifier, EpochMetrics, Metrics, Random, Store, batch};

use crate::arguments::Train;
use crate::checkpoint::{self, Found, Progress, Settings};
use crate::data::{self, Data};
use crate::report::{Failure, Outcome};
use crate::stop::Stop;

/// Parts of a batch that are computed at once. Fixed, because the order of additions decides the last bits.
const SHARDS: usize = 2;
/// Images of the test after each epoch but the last, which is tested with all.
const QUICK_TEST_IMAGES: usize = 1_000;
/// Part of all steps in which the learning rate rises.
const WARM_UP: f64 = 0.15;
/// First learning rate, as a part of the highest.
const FIRST_RATE: f64 = 0.1;
/// Last learning rate, as a part of the highest.
const LAST_RATE: f64 = 0.01;

/// Trains a model and stores it.
pub fn run(arguments: &Train) -> Result<Outcome, Failure> {
    let stop = Stop::listen()?;
    let data = data::load(arguments)?;
    let settings = settings(arguments, &data);
    println!(
        "{} training images, {} test images; {} epochs, batch size {}, hidden size {}, learning rate {}, seed {}",
        data.train.len(),
        data.test.len(),
        settings.epochs,
        settings.batch_size,
        settings.hidden_size,
        settings.learning_rate,
        settings.seed,
    );
    std::fs::create_dir_all(&arguments.output)
        .map_err(|source| Failure::System { doing: "make the output folder", source })?;
    let checkpoint = checkpoint::path(&arguments.output);
    let mut progress = begin_or_resume(&checkpoint, &settings);
    while progress.epochs.len() < settings.epochs as usize {
        let Some(epoch) = learn_epoch(&data, &settings, &mut progress, &stop) else {
            println!("stopped in epoch {}; the epochs before it are kept", progress.epochs.len() + 1);
            return Ok(Outcome::Stopped);
        };
        report_epoch(&epoch, &progress, &settings)?;
        progress.epochs.push(epoch);
        checkpoint::save(&checkpoint, &settings, &progress).map_err(Failure::Store)?;
    }
    let metrics = metrics(&settings, &data, progress.epochs);
    let version =
        Store::new(arguments.output.clone()).publish(&progress.classifier.valid(), &metrics).map_err(Failure::Store)?;
    // A checkpoint that stays would only make a later, equal run end at once; that is no harm.
    let _ = std::fs::remove_file(&checkpoint);
    println!(
        "test accuracy {:.4} on {} images after {:.1} s of training; model {version} is in {}",
        metrics.test_accuracy,
        metrics.test_images,
        metrics.train_seconds,
        arguments.output.display(),
    );
    Ok(Outcome::Done)
}

fn settings(arguments: &Train, data: &Data) -> Settings {
    Settings {
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        dataset: arguments.dataset.to_string(),
        data_fingerprint: data.fingerprint.clone(),
        epochs: arguments.epochs,
        batch_size: arguments.batch_size as usize,
        hidden_size: arguments.hidden_size as usize,
        learning_rate: arguments.learning_rate,
        seed: arguments.seed,
    }
}

fn begin_or_resume(checkpoint: &std::path::Path, settings: &Settings) -> Progress {
    let device = Device::flex().autodiff();
    match checkpoint::load(checkpoint, settings, &device, optimizer) {
        Found::Progress(progress) => {
            println!("going on after epoch {} of an interrupted run", progress.epochs.len());
            return *progress;
        }
        Found::Useless(reason) => println!("starting over: there is a checkpoint, but {reason}"),
        Found::Nothing => {}
    }
    Progress {
        classifier: Classifier::new(settings.hidden_size, settings.seed, &device),
        optimizer: optimizer(),
        epochs: Vec::new(),
    }
}

fn optimizer() -> ModuleOptimizer {
    AdamConfig::new().init()
}

/// One pass over the images and the test after it, or none if told to stop.
fn learn_epoch(data: &Data, settings: &Settings, progress: &mut Progress, stop: &Stop) -> Option<EpochMetrics> {
    let epoch = progress.epochs.len();
    let order = Random::new(settings.seed.wrapping_add(epoch as u64 + 1)).permutation(data.train.len());
    let batches = order.chunks(settings.batch_size);
    let (first_step, steps) = (epoch * batches.len(), settings.epochs as usize * batches.len());
    let (mut classifier, mut optimizer) = (progress.classifier.clone(), progress.optimizer.clone());
    let mut loss = 0.0;
    let start = Instant::now();
    for (step, indices) in batches.enumerate() {
        if stop.is_asked_for() {
            return None;
        }
        let (gradients, batch_loss) = gradients(&classifier, &data.train, indices);
        let rate = learning_rate(first_step + step, steps, settings.learning_rate);
        classifier = optimizer.step(rate, classifier, gradients);
        loss += batch_loss;
    }
    let train_seconds = seconds(start.elapsed());
    let is_last = epoch + 1 == settings.epochs as usize;
    let test_images = if is_last { data.test.len() } else { data.test.len().min(QUICK_TEST_IMAGES) };
    let test_accuracy = accuracy(&classifier.valid(), &data.test, test_images);
    progress.classifier = classifier;
    progress.optimizer = optimizer;
    #[expect(clippy::cast_precision_loss, reason = "a count of images")]
    let loss = loss / data.train.len() as f64;
    Some(EpochMetrics { loss, train_seconds, test_accuracy, test_images })
}

/// The gradients of the mean loss over these images, and the sum of their losses.
fn gradients(classifier: &Classifier, examples: &Examples, indices: &[usize]) -> (GradientsParams, f64) {
    let shards = indices.chunks(indices.len().div_ceil(SHARDS));
    let computed = std::thread::scope(|scope| {
        let computing = shards
            .map(|shard| scope.spawn(move || shard_gradients(classifier.clone(), examples, shard, indices.len())))
            .collect::<Vec<_>>();
        computing.into_iter().map(|thread| thread.join().expect("learning does not panic")).collect::<Vec<_>>()
    });
    let mut accumulator = GradientsAccumulator::new();
    let mut loss = 0.0;
    for (gradients, shard_loss) in computed {
        accumulator.accumulate(classifier, gradients);
        loss += shard_loss;
    }
    (accumulator.grads(), loss)
}

fn shard_gradients(
    classifier: Classifier,
    examples: &Examples,
    indices: &[usize],
    batch_size: usize,
) -> (GradientsParams, f64) {
    let device = Device::flex().autodiff();
    // Own leaves, so that the threads do not meet in one graph.
    let classifier = classifier.fork(&device);
    let pictures = indices.iter().map(|&index| examples.images.image(index)).collect::<Vec<_>>();
    let labels = indices.iter().map(|&index| i32::from(examples.labels[index])).collect::<Vec<_>>();
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [indices.len()]), &device);
    let log_probabilities = activation::log_softmax(classifier.forward(batch(&pictures, &device)), 1);
    let loss = log_probabilities.gather(1, labels.unsqueeze_dim::<2>(1)).sum().neg();
    let loss_value = f64::from(loss.clone().into_scalar::<f32>());
    #[expect(clippy::cast_precision_loss, reason = "a count of images")]
    let mean = loss / batch_size as f32;
    (GradientsParams::from_grads(mean.backward(), &classifier), loss_value)
}

/// Rises from a tenth of the highest rate, then falls along a cosine: few epochs need large steps and a calm end.
fn learning_rate(step: usize, steps: usize, highest: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count of steps")]
    let done = step as f64 / steps as f64;
    if done < WARM_UP {
        return highest * (FIRST_RATE + (1.0 - FIRST_RATE) * done / WARM_UP);
    }
    let falling = f64::midpoint(1.0, (PI * (done - WARM_UP) / (1.0 - WARM_UP)).cos());
    highest * (LAST_RATE + (1.0 - LAST_RATE) * falling)
}

/// Part of the first images that the network recognises.
fn accuracy(classifier: &Classifier, examples: &Examples, count: usize) -> f64 {
    let indices = (0..count).collect::<Vec<_>>();
    let right = |indices: &[usize]| {
        let pictures = indices.iter().map(|&index| examples.images.image(index)).collect::<Vec<_>>();
        let predictions = classifier.predict(&pictures);
        let best = |scores: &[f32; 10]| (0..10_u8).max_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]));
        indices
            .iter()
            .zip(&predictions)
            .filter(|&(&index, scores)| best(scores) == Some(examples.labels[index]))
            .count()
    };
    let right = std::thread::scope(|scope| {
        let halves =
            indices.chunks(count.div_ceil(SHARDS)).map(|half| scope.spawn(move || right(half))).collect::<Vec<_>>();
        halves.into_iter().map(|thread| thread.join().expect("predicting does not panic")).sum::<usize>()
    });
    #[expect(clippy::cast_precision_loss, reason = "a count of images")]
    let part = right as f64 / count as f64;
    part
}

fn report_epoch(epoch: &EpochMetrics, progress: &Progress, settings: &Settings) -> Result<(), Failure> {
    let number = u32::try_from(progress.epochs.len() + 1).unwrap_or(u32::MAX);
    println!(
        "epoch {number}/{}: loss {:.4}, {:.2} s, test accuracy {:.4} on {} images",
        settings.epochs, epoch.loss, epoch.train_seconds, epoch.test_accuracy, epoch.test_images,
    );
    if epoch.loss.is_finite() { Ok(()) } else { Err(Failure::Diverged { epoch: number }) }
}

fn metrics(settings: &Settings, data: &Data, epochs: Vec<EpochMetrics>) -> Metrics {
    let last = epochs.last().expect("there is at least one epoch");
    Metrics {
        dataset: settings.dataset.clone(),
        hidden_size: settings.hidden_size,
        batch_size: settings.batch_size,
        learning_rate: settings.learning_rate,
        seed: settings.seed,
        train_images: data.train.len(),
        test_images: last.test_images,
        test_accuracy: last.test_accuracy,
        train_seconds: epochs.iter().map(|epoch| epoch.train_seconds).sum(),
        finished_at_unix_seconds: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        epochs,
    }
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
