use burn::module::{Module, Param, ParamId};
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Device, Tensor, TensorData, activation};
use datasets::Examples;
use digits::{CLASSES, PIXELS, Random, StoreError};

/// Number of hidden units.
const HIDDEN: usize = 128;
/// Mean and deviation of the pixels of MNIST, as parts of 255.
const PIXEL_MEAN: f32 = 0.1307;
const PIXEL_DEVIATION: f32 = 0.3081;
/// Pictures predicted at once: enough to fill the vector units, few enough to stay in the cache.
const PREDICTION_BATCH: usize = 250;

/// A feed-forward network with one hidden layer.
///
/// Models that begin with the same weights and learn from parts of the same data stay near enough to each other that the mean of
/// their weights is a model that is as good, or better.
#[derive(Module, Debug)]
pub struct Network {
    hidden: Param<Tensor<2>>,
    hidden_bias: Param<Tensor<1>>,
    output: Param<Tensor<2>>,
    output_bias: Param<Tensor<1>>,
}

impl Network {
    /// A network that has learned nothing. The same seed gives the same weights.
    pub fn new(seed: u64, device: &Device) -> Self {
        let mut random = Random::new(seed);
        let mut weights = |inputs: usize, outputs: usize| {
            #[expect(clippy::cast_precision_loss, reason = "a count of inputs")]
            let scale = (3.0 / inputs as f32).sqrt();
            (0..inputs * outputs).map(|_| scale * random.signed_unit()).collect::<Vec<_>>()
        };
        let (hidden, output) = (weights(PIXELS, HIDDEN), weights(HIDDEN, CLASSES));
        Self::of([hidden, vec![0.0; HIDDEN], output, vec![0.0; CLASSES]], device)
    }

    /// A network with these weights and biases, of the hidden layer and of the output.
    fn of([hidden, hidden_bias, output, output_bias]: [Vec<f32>; 4], device: &Device) -> Self {
        Self {
            hidden: parameter(1, hidden, [PIXELS, HIDDEN], device),
            hidden_bias: parameter(2, hidden_bias, [HIDDEN], device),
            output: parameter(3, output, [HIDDEN, CLASSES], device),
            output_bias: parameter(4, output_bias, [CLASSES], device),
        }
    }

    /// The scores of the classes for each picture of a [`batch`], before the softmax.
    pub fn forward(&self, pictures: Tensor<2>) -> Tensor<2> {
        let hidden = pictures.matmul(self.hidden.val()) + self.hidden_bias.val().unsqueeze::<2>();
        activation::relu(hidden).matmul(self.output.val()) + self.output_bias.val().unsqueeze::<2>()
    }

    /// The probability of each digit for each picture. A picture is [`PIXELS`] bytes, 0 is the background.
    pub fn predict(&self, pictures: &[&[u8]]) -> Vec<[f32; CLASSES]> {
        let device = Device::flex();
        let probabilities = |pictures: &[&[u8]]| {
            let scores = self.forward(batch(pictures, &device));
            let flat = activation::softmax(scores, 1).into_data().iter::<f32>().collect::<Vec<_>>();
            flat.as_chunks::<CLASSES>().0.to_vec()
        };
        pictures.chunks(PREDICTION_BATCH).flat_map(probabilities).collect()
    }

    /// Part of the examples that the network recognises, 0 to 1.
    pub fn accuracy(&self, examples: &Examples) -> f64 {
        let pictures = (0..examples.len()).map(|index| examples.images.image(index)).collect::<Vec<_>>();
        let predictions = self.predict(&pictures);
        let right = predictions.iter().zip(&examples.labels).filter(|(scores, label)| best(&scores[..]) == **label);
        #[expect(clippy::cast_precision_loss, reason = "a count of images")]
        let part = right.count() as f64 / examples.len() as f64;
        part
    }

    /// The mean of networks, each with the weight that stands beside it.
    ///
    /// # Panics
    /// If there are none, or if all weights are 0.
    pub fn mean(networks: &[(Self, usize)], device: &Device) -> Self {
        let total = networks.iter().map(|(_, weight)| *weight).sum::<usize>();
        assert!(total > 0, "there is something to take the mean of");
        let values = networks.iter().map(|(network, weight)| (network.values(), *weight)).collect::<Vec<_>>();
        Self::of(
            [0, 1, 2, 3].map(|parameter| {
                let length = values[0].0[parameter].len();
                let mean = |index: usize| {
                    #[expect(clippy::cast_precision_loss, reason = "a count of images")]
                    let sum = values.iter().map(|(it, weight)| f64::from(it[parameter][index]) * *weight as f64);
                    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "weights are f32")]
                    let mean = (sum.sum::<f64>() / total as f64) as f32;
                    mean
                };
                (0..length).map(mean).collect()
            }),
            device,
        )
    }

    /// The numbers of all parameters, in a fixed order.
    fn values(&self) -> [Vec<f32>; 4] {
        let flat = |data: TensorData| data.iter::<f32>().collect();
        [
            flat(self.hidden.val().into_data()),
            flat(self.hidden_bias.val().into_data()),
            flat(self.output.val().into_data()),
            flat(self.output_bias.val().into_data()),
        ]
    }

    /// The weights in burn's file format.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self.clone().into_record().into_bytes().map_err(|error| unusable("new", error))?.to_vec())
    }

    /// A network from weights that [`Self::to_bytes`] made; the version is for messages.
    pub fn from_bytes(bytes: Vec<u8>, version: &str, device: &Device) -> Result<Self, StoreError> {
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes));
        let record = record.map_err(|error| unusable(version, error))?;
        Self::new(0, device).try_load_record(record).map_err(|error| unusable(version, error))
    }
}

fn unusable(version: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Model { version: version.to_owned(), source: error.to_string().into() }
}

/// A parameter with a fixed identity, so that equal weights are equal files.
fn parameter<const D: usize>(id: u64, values: Vec<f32>, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let tensor = Tensor::from_data(TensorData::new(values, shape), device);
    let tensor = if device.is_autodiff() { tensor.require_grad() } else { tensor };
    Param::initialized(ParamId::from(id), tensor)
}

/// Pictures as the network reads them: a row of pixels each.
///
/// # Panics
/// If a picture is not [`PIXELS`] long.
pub fn batch(pictures: &[&[u8]], device: &Device) -> Tensor<2> {
    let normalised = |pixel: &u8| (f32::from(*pixel) / 255.0 - PIXEL_MEAN) / PIXEL_DEVIATION;
    let values = pictures.iter().flat_map(|picture| picture.iter().map(normalised)).collect::<Vec<_>>();
    Tensor::from_data(TensorData::new(values, [pictures.len(), PIXELS]), device)
}

/// The class with the highest score.
pub fn best(scores: &[f32]) -> u8 {
    (0_u8..).zip(scores).max_by(|(_, one), (_, other)| one.total_cmp(other)).map_or(0, |(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_networks_is_that_of_their_weights() {
        let device = Device::flex();
        let [one, other] = [1, 2].map(|seed| Network::new(seed, &device));
        let mean = Network::mean(&[(one.clone(), 1), (other.clone(), 3)], &device).values();
        let (of_one, of_other) = (one.values(), other.values());
        for parameter in 0..4 {
            let wanted =
                of_one[parameter].iter().zip(&of_other[parameter]).map(|(one, other)| 0.25 * one + 0.75 * other);
            let differs = mean[parameter].iter().zip(wanted).any(|(mean, wanted)| (mean - wanted).abs() > 1e-6);
            assert!(!differs, "parameter {parameter}");
        }
        let alone = Network::mean(&[(one.clone(), 5)], &device);
        assert_eq!(alone.to_bytes().expect("it can be written"), one.to_bytes().expect("it can be written"));
    }

    #[test]
    fn the_same_seed_gives_the_same_weights_and_bytes_give_the_network_again() {
        let device = Device::flex();
        let bytes = Network::new(7, &device).to_bytes().expect("it can be written");
        assert_eq!(bytes, Network::new(7, &device).to_bytes().expect("it can be written"));
        let again = Network::from_bytes(bytes, "test", &device).expect("it can be read");
        assert_eq!(again.predict(&[&[9; PIXELS]]), Network::new(7, &device).predict(&[&[9; PIXELS]]));
        assert!(Network::from_bytes(vec![1, 2, 3], "test", &device).is_err());
    }
}
