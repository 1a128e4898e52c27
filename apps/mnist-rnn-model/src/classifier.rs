//! The network: an LSTM over the 28 rows of a picture, and ten scores from its last state.

use burn::module::{Module, Param, ParamId};
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::{Bytes, Device, Tensor, TensorData, activation};
use digits::{CLASSES, Random, SIDE};

/// Number of gates: forget, input, output and candidate, in this order.
const GATES: usize = 4;
/// The pixels of a row and a constant one, which carries the bias of the gates.
const ROW_FEATURES: usize = SIDE + 1;
/// Mean and deviation of the pixels of MNIST, as parts of 255.
const PIXEL_MEAN: f32 = 0.1307;
const PIXEL_DEVIATION: f32 = 0.3081;
/// Pictures predicted at once: enough to fill the vector units, few enough to stay in the cache.
const PREDICTION_BATCH: usize = 250;

/// A model that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read the weights: {0}")]
pub struct ModelError(String);

impl From<RecordError> for ModelError {
    fn from(error: RecordError) -> Self {
        Self(error.to_string())
    }
}

/// The network and its weights.
///
/// All four gates of all hidden units are one matrix product and one sigmoid. The candidate's tanh is taken as
/// `2 sigmoid(2x) - 1`, with the inner 2 in the weights, because a sigmoid costs a third of a tanh here.
#[derive(Module, Debug)]
pub struct Classifier {
    input: Param<Tensor<2>>,
    recurrent: Param<Tensor<2>>,
    output: Param<Tensor<2>>,
    output_bias: Param<Tensor<1>>,
}

impl Classifier {
    /// A network that has learned nothing. The same seed gives the same weights.
    pub fn new(hidden_size: usize, seed: u64, device: &Device) -> Self {
        let mut random = Random::new(seed);
        #[expect(clippy::cast_precision_loss, reason = "a hidden size is small")]
        let scale = 1.0 / (hidden_size as f32).sqrt();
        let columns = GATES * hidden_size;
        let gate = |index: usize| index % columns / hidden_size;
        let mut gates = |rows: usize| {
            let scale_of = |index| if gate(index) == GATES - 1 { 2.0 * scale } else { scale };
            (0..rows * columns).map(|index| scale_of(index) * random.signed_unit()).collect::<Vec<_>>()
        };
        let mut input = gates(ROW_FEATURES);
        for (index, bias) in input[SIDE * columns..].iter_mut().enumerate() {
            // A forget gate that starts open lets the first rows be remembered.
            *bias = if gate(index) == 0 { 1.0 } else { 0.0 };
        }
        let recurrent = gates(hidden_size);
        let output = (0..hidden_size * CLASSES).map(|_| scale * random.signed_unit()).collect();
        Self {
            input: parameter(1, input, [ROW_FEATURES, columns], device),
            recurrent: parameter(2, recurrent, [hidden_size, columns], device),
            output: parameter(3, output, [hidden_size, CLASSES], device),
            output_bias: parameter(4, vec![0.0; CLASSES], [CLASSES], device),
        }
    }

    /// The scores of the classes for each picture of a [`batch`], before the softmax.
    pub fn forward(&self, rows: Vec<Tensor<2>>) -> Tensor<2> {
        let (input, recurrent) = (self.input.val(), self.recurrent.val());
        let hidden_size = recurrent.dims()[0];
        let mut state: Option<(Tensor<2>, Tensor<2>)> = None;
        for row in rows {
            let mut gates = row.matmul(input.clone());
            if let Some((hidden, _)) = &state {
                gates = gates + hidden.clone().matmul(recurrent.clone());
            }
            let gates = activation::sigmoid(gates);
            let gate = |index: usize| gates.clone().narrow(1, index * hidden_size, hidden_size);
            let candidate = gate(3) * 2.0 - 1.0;
            let cell = match state {
                Some((_, cell)) => gate(0) * cell + gate(1) * candidate,
                None => gate(1) * candidate,
            };
            let hidden = gate(2) * (activation::sigmoid(cell.clone() * 2.0) * 2.0 - 1.0);
            state = Some((hidden, cell));
        }
        let (hidden, _) = state.expect("a picture has rows");
        hidden.matmul(self.output.val()) + self.output_bias.val().unsqueeze::<2>()
    }

    /// The probability of each digit for each picture. A picture is [`PIXELS`](digits::PIXELS) bytes, 0 is the background.
    pub fn predict(&self, pictures: &[&[u8]]) -> Vec<[f32; CLASSES]> {
        let device = Device::flex();
        let probabilities = |pictures: &[&[u8]]| {
            let scores = self.forward(batch(pictures, &device));
            let flat = activation::softmax(scores, 1).into_data().iter::<f32>().collect::<Vec<_>>();
            flat.as_chunks::<CLASSES>().0.to_vec()
        };
        pictures.chunks(PREDICTION_BATCH).flat_map(probabilities).collect()
    }

    /// The weights in burn's file format.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        Ok(self.clone().into_record().into_bytes()?.to_vec())
    }

    /// A network from weights that [`Self::to_bytes`] made with the same hidden size.
    pub fn from_bytes(bytes: Vec<u8>, hidden_size: usize, device: &Device) -> Result<Self, ModelError> {
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes))?;
        Ok(Self::new(hidden_size, 0, device).try_load_record(record)?)
    }
}

/// A parameter with a fixed identity, so that equal weights are equal files.
fn parameter<const D: usize>(id: u64, values: Vec<f32>, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let tensor = Tensor::from_data(TensorData::new(values, shape), device);
    let tensor = if device.is_autodiff() { tensor.require_grad() } else { tensor };
    Param::initialized(ParamId::from(id), tensor)
}

/// Pictures as the network reads them: 28 tensors, each one row of every picture.
///
/// # Panics
/// If a picture is not [`PIXELS`](digits::PIXELS) long.
pub fn batch(pictures: &[&[u8]], device: &Device) -> Vec<Tensor<2>> {
    let normalised = |pixel: u8| (f32::from(pixel) / 255.0 - PIXEL_MEAN) / PIXEL_DEVIATION;
    let row = |index: usize| {
        let features = |picture: &&[u8]| {
            let pixels = picture[index * SIDE..][..SIDE].iter().copied().map(normalised);
            pixels.chain([1.0]).collect::<Vec<_>>()
        };
        let values = pictures.iter().flat_map(features).collect::<Vec<_>>();
        Tensor::from_data(TensorData::new(values, [pictures.len(), ROW_FEATURES]), device)
    };
    (0..SIDE).map(row).collect()
}
