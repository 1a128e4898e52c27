use std::time::Instant;

use burn::module::Module;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use datasets::Examples;
use digits::Random;
use serde::{Deserialize, Serialize};

use crate::cutting::Cut;
use crate::failure::Failure;
use crate::network::{Network, batch, best};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::stop::Stop;

/// How much of the step before is in each step.
const MOMENTUM: f64 = 0.9;

/// How a training ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The model is in the shared folder.
    Done,
    /// It was told to stop, and did so between two steps. The next one starts over, with the same result.
    Stopped,
}

/// How the model of a part was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// The number of the part.
    pub part: usize,
    /// Number of its images.
    pub images: usize,
    /// What the part is known by.
    pub part_sha256: String,
    /// What the training was made with.
    pub settings: Settings,
    /// Time spent on learning, in seconds.
    pub train_seconds: f64,
    /// Each epoch in turn.
    pub epochs: Vec<LearnedEpoch>,
}

/// One pass over the images of a part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LearnedEpoch {
    /// Mean loss over the images, as they were learned.
    pub loss: f64,
    /// Part of the images that were recognised before they were learned from, 0 to 1.
    pub accuracy: f64,
}

/// Learns from one part and keeps the model. Equal settings give equal weights, however often it was begun before.
pub fn train(shared: &Shared, part: usize, settings: Settings, stop: &Stop) -> Result<Outcome, Failure> {
    let cut = Cut::read(shared, settings.workers)?;
    let Some(of_cut) = cut.parts.get(part) else {
        let reason = format!("the parts are 0 to {}", cut.parts.len() - 1);
        return Err(Failure::Unfit { what: format!("part {part}"), reason });
    };
    let examples = shared.read_part(part, &of_cut.sha256)?;
    let Settings { workers, epochs, batch_size, learning_rate, seed } = settings;
    println!(
        "part {part} of {workers}: {} images; {epochs} epochs, batch size {batch_size}, learning rate {learning_rate}, seed {seed}",
        examples.len(),
    );
    let start = Instant::now();
    let mut worker = Learner::new(part, settings, examples);
    let mut learned_epochs = Vec::new();
    for epoch in 0..epochs {
        let Some(learned) = worker.epoch(epoch, stop) else {
            println!("stopped in epoch {}; the next one starts over", epoch + 1);
            return Ok(Outcome::Stopped);
        };
        println!("epoch {}/{epochs}: loss {:.4}, accuracy {:.4}", epoch + 1, learned.loss, learned.accuracy);
        if !learned.loss.is_finite() {
            return Err(Failure::Diverged { epoch: epoch + 1 });
        }
        learned_epochs.push(learned);
    }
    let learned = Learned {
        part,
        images: worker.examples.len(),
        part_sha256: of_cut.sha256.clone(),
        settings,
        train_seconds: (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        epochs: learned_epochs,
    };
    let version = shared.part_model(part).publish(&worker.network.valid().to_bytes()?, &learned)?;
    println!("model {version} of part {part} is there after {:.1} s of training", learned.train_seconds);
    Ok(Outcome::Done)
}

/// A network with what it takes to learn on.
struct Learner {
    part: usize,
    settings: Settings,
    examples: Examples,
    device: Device,
    network: Network,
    optimizer: ModuleOptimizer,
}

impl Learner {
    fn new(part: usize, settings: Settings, examples: Examples) -> Self {
        let device = Device::flex().autodiff();
        let network = Network::new(settings.seed, &device);
        // Steps that follow the slope as it is keep workers near each other; those of optimizers that scale each weight by itself do not.
        let momentum = MomentumConfig::new().with_momentum(MOMENTUM).with_dampening(0.0);
        let optimizer = SgdConfig::new().with_momentum(Some(momentum)).init();
        Self { part, settings, examples, device, network, optimizer }
    }

    /// One pass over the images, or none if told to stop.
    fn epoch(&mut self, epoch: usize, stop: &Stop) -> Option<LearnedEpoch> {
        let Settings { epochs, batch_size, learning_rate, seed, .. } = self.settings;
        let of_epoch = seed.wrapping_add(1 + (epoch + self.part * epochs) as u64);
        let order = Random::new(of_epoch).permutation(self.examples.len());
        let batches = order.chunks(batch_size);
        let (done, steps) = (epoch * batches.len(), epochs * batches.len());
        let (mut loss, mut right) = (0.0, 0);
        for (step, indices) in batches.enumerate() {
            if stop.is_asked_for() {
                return None;
            }
            #[expect(clippy::cast_precision_loss, reason = "a count of steps")]
            let rate = learning_rate * (1.0 - (done + step) as f64 / steps as f64);
            let (of_batch, recognised) = self.step(indices, rate);
            loss += of_batch;
            right += recognised;
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of images")]
        let images = self.examples.len() as f64;
        Some(LearnedEpoch { loss: loss / images, accuracy: f64::from(right) / images })
    }

    /// Learns from these images; returns the sum of their losses, and how many were recognised before.
    fn step(&mut self, indices: &[usize], rate: f64) -> (f64, u32) {
        let pictures = indices.iter().map(|&index| self.examples.images.image(index)).collect::<Vec<_>>();
        let labels = indices.iter().map(|&index| self.examples.labels[index]).collect::<Vec<_>>();
        let wanted = labels.iter().map(|&label| i32::from(label)).collect::<Vec<_>>();
        let wanted = Tensor::<1, Int>::from_data(TensorData::new(wanted, [labels.len()]), &self.device);
        let scores = activation::log_softmax(self.network.forward(batch(&pictures, &self.device)), 1);
        let flat = scores.clone().into_data().iter::<f32>().collect::<Vec<_>>();
        let guesses = flat.chunks(flat.len() / labels.len()).map(best);
        let right = guesses.zip(&labels).filter(|(guess, label)| guess == *label).count();
        let loss = scores.gather(1, wanted.unsqueeze_dim::<2>(1)).mean().neg();
        #[expect(clippy::cast_precision_loss, reason = "a count of images")]
        let sum = f64::from(loss.clone().into_scalar::<f32>()) * labels.len() as f64;
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        self.network = self.optimizer.step(rate, self.network.clone(), gradients);
        (sum, u32::try_from(right).unwrap_or(u32::MAX))
    }
}
