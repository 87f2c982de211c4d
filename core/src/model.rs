//! The model: a graph with a signature, layers and weights that can be run, measured, changed and trained.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::ArrayD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::fit::{FitContext, FitPlan, Fitted};
use crate::json::Json;
use crate::outputs;
use crate::samples::{Inputs, Samples, Task};
use crate::tensor::{DType, Dense, Tensor, TensorError};

/// One extent of a shape: known, or named and only known at run time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// A known extent.
    Fixed(usize),
    /// A named or (empty name) unknown extent.
    Symbol(String),
}

/// A named input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Name of the value.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape; the first axis is the sample. Empty where the rank is unknown.
    pub shape: Vec<Dim>,
    /// Of an output, the activation that made its numbers of logits; `None` where they are logits or other numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
}

/// A function that makes outputs of logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Probabilities of classes that exclude each other.
    Softmax,
    /// Their logarithms.
    LogSoftmax,
    /// A probability for each output by itself.
    Sigmoid,
}

impl Activation {
    /// Whether it gives probabilities.
    pub fn gives_probabilities(self) -> bool {
        matches!(self, Self::Softmax | Self::Sigmoid)
    }

    /// Logits of `outputs`; those of a softmax are found up to a constant for each sample.
    pub fn logits(self, outputs: ArrayD<f32>) -> ArrayD<f32> {
        /// Smallest probability whose logarithm is taken: what f32 softmax gives for the least likely class.
        const FLOOR: f32 = 1e-12;
        let log = |p: f32| p.max(FLOOR).ln();
        match self {
            Self::Softmax => outputs.mapv_into(log),
            Self::LogSoftmax => outputs,
            Self::Sigmoid => outputs.mapv_into(|p| log(p) - log(1.0 - p)),
        }
    }
}

/// What a model takes and gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Inputs, in the model's order.
    pub inputs: Vec<Port>,
    /// Outputs, in the model's order.
    pub outputs: Vec<Port>,
}

impl Signature {
    /// The activation that the output of this name comes of.
    pub fn activation(&self, output: &str) -> Option<Activation> {
        let port = self.outputs.iter().find(|port| port.name == output)?;
        port.activation
    }
}

/// The name of a value in a model's graph.
pub type ValueId = String;

/// One operation of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Unique name.
    pub name: String,
    /// Operator, for example `Conv`.
    pub op: String,
    /// Values read; an empty name is an omitted optional.
    pub inputs: Vec<ValueId>,
    /// Values written.
    pub outputs: Vec<ValueId>,
}

/// An operation with weights, or a product of activations: what `inspect` lists and what a recipe's globs select by name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    /// Name of the node.
    pub name: String,
    /// Operator, for example `Conv`.
    pub kind: String,
    /// Shape of the output for one sample, where it could be inferred (the sample axis is 1).
    pub shape: Option<Vec<usize>>,
    /// Name of the main weight, where there is one.
    pub weight: Option<String>,
    /// Axis of the main weight that counts output channels.
    #[serde(skip)]
    pub channel_axis: usize,
    /// How input and main weight are multiplied, where the layer is a product of the two.
    #[serde(skip)]
    pub product: Option<Product>,
    /// Name of the bias, where there is one.
    #[serde(skip)]
    pub bias: Option<String>,
    /// Value whose activations the layer reads.
    #[serde(skip)]
    pub input: ValueId,
    /// Value the layer writes.
    #[serde(skip)]
    pub output: ValueId,
    /// Elements of all weights of the layer.
    pub params: usize,
    /// Bytes of all weights of the layer as stored.
    pub bytes: usize,
    /// Multiply-accumulates for one sample, where they could be inferred.
    pub macs: Option<u64>,
    /// Bits of the main weight's elements.
    pub bits: usize,
    /// Share of zeros in the main weight, in [0, 1].
    pub sparsity: f64,
}

/// How a layer multiplies its input by its main weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Product {
    /// As matrices.
    Matrix,
    /// As maps and kernels.
    Convolution,
}

/// What a model is made of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Topology {
    /// All operations, in an order in which values are written before they are read.
    pub nodes: Vec<NodeInfo>,
    /// The operations with weights or products, in the same order.
    pub layers: Vec<Layer>,
}

/// Weights by name, shared until changed.
pub type Weights = BTreeMap<String, Arc<Tensor>>;

/// Parameters of a uniform quantizer for activations: `value ≈ (code − zero_point) · scale`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Affine {
    /// Step between codes, at least `f32::MIN_POSITIVE`.
    pub scale: f32,
    /// The code of zero, 0 ≤ zero_point ≤ 255.
    pub zero_point: u8,
}

/// A change to a model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Edit {
    /// Replaces a weight by a tensor of the same shape, dense or quantized.
    SetWeight {
        /// Name of the weight.
        name: String,
        /// Its new value.
        tensor: Arc<Tensor>,
    },
    /// Rounds a value to 8-bit codes for the layer `node` that reads it (a quantize–dequantize pair before the node).
    QuantizeValue {
        /// Name of the node that reads the value.
        node: String,
        /// Name of the value.
        value: ValueId,
        /// The quantizer.
        affine: Affine,
    },
    /// Keeps the listed channels of a channel group and removes the others everywhere they appear.
    CutChannels {
        /// Id of the group, as listed by [`Structural::groups`].
        group: usize,
        /// Channels to keep, rising, not empty.
        keep: Vec<usize>,
    },
    /// Gives a value another name, inputs and outputs of the model included.
    RenameValue {
        /// Name of the value.
        from: ValueId,
        /// Its new name, which no other value or weight bears.
        to: ValueId,
    },
}

/// Receives the values that [`Model::observe`] was asked for, batch by batch.
pub trait Tap {
    /// Called once a batch for each value asked for.
    fn value(&mut self, id: &str, value: &Dense);
}

/// Where the channels of a group stand in one weight: along `axis`, each channel taking `repeat`
/// consecutive indices from `offset` on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelSlice {
    /// Name of the weight.
    pub weight: String,
    /// Axis of the weight along which channels lie.
    pub axis: usize,
    /// First index.
    pub offset: usize,
    /// Indices a channel takes (more than one behind a Flatten).
    pub repeat: usize,
    /// Whether the weight writes the channels (as opposed to reading them).
    pub produces: bool,
}

/// Channels that only can be removed together: all weights along one path of the graph, skips included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelGroup {
    /// Id for [`Edit::CutChannels`]; valid for this model only.
    pub id: usize,
    /// Number of channels.
    pub channels: usize,
    /// Layers (node names) that write the channels.
    pub producers: Vec<String>,
    /// All places where the channels stand.
    pub slices: Vec<ChannelSlice>,
}

/// A model whose channels and neurons can be removed.
pub trait Structural {
    /// The groups of channels that can be cut; channels that reach an input or output of the model are not among them.
    fn groups(&self) -> Vec<ChannelGroup>;
}

/// A model that can be trained.
pub trait Trainable {
    /// Trains a copy and returns it with the history of the run; the same plan and seed give the same bits.
    ///
    /// # Errors
    /// When an operation has no gradient (the error names the node), shapes do not fit, or the loss is not finite.
    fn fit(
        &self,
        plan: &FitPlan,
        train: &Samples,
        valid: Option<&Samples>,
        cx: &FitContext<'_>,
    ) -> Result<Fitted, ModelError>;
}

/// A graph with a signature, layers and weights.
///
/// ```
/// # mod linear { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/linear.rs")); }
/// # use linear::Linear;
/// use std::sync::Arc;
///
/// use lapidary_core::model::{Edit, Model, Size};
/// use lapidary_core::samples::Inputs;
/// use lapidary_core::tensor::{Dense, Tensor};
///
/// // Any model; this one is y = x · w.
/// let model: Box<dyn Model> = Box::new(Linear::new([0.5, -2.0]));
/// assert_eq!(model.signature().inputs[0].name, "x");
/// assert_eq!(model.topology().layers[0].kind, "Linear");
/// assert_eq!(Size::of(model.as_ref()).params, 2);
///
/// let x = Dense::f32(&[1, 2], vec![4.0, 1.0])?;
/// let inputs = Inputs::from([("x".to_owned(), x)]);
/// assert_eq!(model.forward(&inputs)?, [Dense::f32(&[1, 1], vec![0.0])?]);
///
/// // A changed copy; the model itself stays as it is.
/// let tensor = Arc::new(Tensor::Dense(Dense::f32(&[2, 1], vec![1.0, -2.0])?));
/// let changed = model.apply(&[Edit::SetWeight { name: "w".to_owned(), tensor }])?;
/// assert_eq!(changed.forward(&inputs)?, [Dense::f32(&[1, 1], vec![2.0])?]);
/// assert_eq!(model.forward(&inputs)?, [Dense::f32(&[1, 1], vec![0.0])?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Model: Send + Sync {
    /// Named inputs and outputs.
    fn signature(&self) -> &Signature;
    /// Operations and layers.
    fn topology(&self) -> &Topology;
    /// Weights by name.
    fn weights(&self) -> &Weights;
    /// A changed copy; weights that no edit touches are shared with it.
    ///
    /// # Errors
    /// When an edit names something that is not there or does not fit.
    fn apply(&self, edits: &[Edit]) -> Result<Box<dyn Model>, ModelError>;
    /// Runs the model on `inputs` (first axis: samples) and returns its outputs in the signature's order.
    ///
    /// # Errors
    /// When an input is missing or does not fit, or the engine lacks an operation.
    fn forward(&self, inputs: &Inputs) -> Result<Vec<Dense>, ModelError>;
    /// Runs the model and hands the named values to `tap`.
    ///
    /// # Errors
    /// As [`Model::forward`], and when a value is unknown.
    fn observe(
        &self,
        inputs: &Inputs,
        values: &[ValueId],
        tap: &mut dyn Tap,
    ) -> Result<(), ModelError>;
    /// Bytes of the model as a file, external data included.
    ///
    /// # Errors
    /// When the model cannot be written.
    fn file_bytes(&self) -> Result<u64, ModelError>;
    /// An independent handle to the same model; weights are shared.
    fn share(&self) -> Box<dyn Model>;
    /// Channel groups, where the model can be cut.
    fn structure(&self) -> Option<&dyn Structural>;
    /// Training, where the model can be trained.
    fn trainable(&self) -> Option<&dyn Trainable>;
    /// The value as its own type, for the engine that made it.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// Shape of the problem a model is built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskShape {
    /// Name of the input.
    pub input: String,
    /// Shape of one sample, for example `[1, 8, 8]` (channels, height, width) or `[64]`.
    pub sample: Vec<usize>,
    /// What is to be predicted.
    pub task: Task,
}

/// Which model to build.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelSpec {
    /// A family of the zoo with its settings.
    Family {
        /// Name of the family.
        name: String,
        /// Its settings.
        settings: Json,
    },
    /// An ONNX file.
    File(std::path::PathBuf),
}

/// Sizes of a model, measured from what it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Size {
    /// Elements of all float weights.
    pub params: usize,
    /// Multiply-accumulates for one sample, as far as they are known.
    pub macs: u64,
    /// Whether those of some layers are not known and missing.
    pub macs_partial: bool,
    /// Share of zeros among the layers' main weights, in [0, 1].
    pub sparsity: f64,
}

impl Size {
    /// Measures `model`. Layers whose MACs cannot be inferred count as none.
    pub fn of(model: &dyn Model) -> Self {
        let topology = model.topology();
        let params = topology.layers.iter().map(|l| l.params).sum();
        let macs = topology.layers.iter().filter_map(|l| l.macs).sum();
        let weights = model.weights();
        let (mut zeros, mut elements) = (0.0, 0.0);
        for layer in &topology.layers {
            if let Some(tensor) = layer.weight.as_ref().and_then(|w| weights.get(w)) {
                zeros += layer.sparsity * tensor.len() as f64;
                elements += tensor.len() as f64;
            }
        }
        Self {
            params,
            macs,
            macs_partial: topology.layers.iter().any(|l| l.macs.is_none()),
            sparsity: if elements > 0.0 {
                zeros / elements
            } else {
                0.0
            },
        }
    }
}

/// What can go wrong with a model.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum ModelError {
    #[error("no weight `{name}`; there are {}", crate::text::listed(known))]
    UnknownWeight { name: String, known: Vec<String> },
    #[error("no node `{name}`; there are {}", crate::text::listed(known))]
    UnknownNode { name: String, known: Vec<String> },
    #[error("no value `{name}` in the graph")]
    UnknownValue { name: String },
    #[error(
        "the model wants the input `{name}`; given were {}",
        crate::text::listed(given)
    )]
    MissingInput { name: String, given: Vec<String> },
    #[error("input `{name}` of shape {given:?} does not fit {wanted}")]
    InputShape {
        name: String,
        given: Vec<usize>,
        wanted: String,
    },
    #[error("weight `{weight}`: shape {given:?} where {wanted:?} is needed")]
    WeightShape {
        weight: String,
        given: Vec<usize>,
        wanted: Vec<usize>,
    },
    #[error("weight `{weight}` has {value} at index {index}; weights must be finite")]
    NonFinite {
        weight: String,
        index: usize,
        value: f64,
    },
    #[error("node `{node}` ({op}): {reason}")]
    Node {
        node: String,
        op: String,
        reason: String,
    },
    #[error("channel group {group}: {reason}")]
    Group { group: usize, reason: String },
    #[error("{engine} cannot run the model: {reason}")]
    Engine { engine: String, reason: String },
    #[error("the graph is not valid: {0}")]
    Graph(String),
    #[error("training: {0}")]
    Fit(String),
    #[error("measuring: {0}")]
    Measure(String),
    #[error("{0} is not supported by this model")]
    Unsupported(String),
    #[error("interrupted")]
    Cancelled,
    #[error(transparent)]
    Tensor(#[from] TensorError),
    #[error("{path}: {reason}")]
    File {
        path: std::path::PathBuf,
        reason: String,
    },
}

/// Refuses a model with a layer that has a NaN or infinite weight, naming it. Constants that are no layer's weights, such as a mask of
/// −∞, may be what they are.
///
/// # Errors
/// [`ModelError::NonFinite`] for the first such weight in the order of the layers.
pub fn check_finite(model: &dyn Model) -> Result<(), ModelError> {
    let topology = model.topology();
    let nodes: BTreeMap<&str, &NodeInfo> = (topology.nodes.iter())
        .map(|node| (node.name.as_str(), node))
        .collect();
    let weights = model.weights();
    for layer in topology.layers.iter().filter(|l| l.weight.is_some()) {
        let read = nodes
            .get(layer.name.as_str())
            .into_iter()
            .flat_map(|n| &n.inputs);
        for name in (layer.weight.iter()).chain(&layer.bias).chain(read) {
            if let Some((index, value)) = weights.get(name).and_then(|w| w.first_non_finite()) {
                return Err(ModelError::NonFinite {
                    weight: name.clone(),
                    index,
                    value,
                });
            }
        }
    }
    Ok(())
}

/// Predictions of a model over many samples: the output that fits their targets, run in batches and joined along the first axis, as
/// `f32` `[samples, …]`.
///
/// # Errors
/// When the model fails, has no float output, or has several and none of them fits the targets.
pub fn predict(
    model: &dyn Model,
    samples: &Samples,
    batch: usize,
) -> Result<Predicted, ModelError> {
    let task = samples.targets.as_ref().map(|t| t.task());
    let names = outputs::candidates(model.signature(), task.as_ref(), None)?;
    let mut run = |inputs: &Inputs| {
        let mut seen = Seen::default();
        model.observe(inputs, &names, &mut seen)?;
        Ok(seen.0)
    };
    predict_by(&mut run, &names, samples, batch)
}

/// Takes the values that are observed, in their order.
#[derive(Debug, Default)]
pub struct Seen(pub Vec<Dense>);

impl Tap for Seen {
    fn value(&mut self, _: &str, value: &Dense) {
        self.0.push(value.clone());
    }
}

/// Predictions, and which output they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted {
    /// Name of the output.
    pub output: String,
    /// What it is for each sample, `[samples, …]`.
    pub values: ArrayD<f32>,
}

/// As [`predict`], by whatever gives the outputs `names` for the inputs of a batch.
///
/// # Errors
/// As [`predict`].
pub fn predict_by(
    run: &mut dyn FnMut(&Inputs) -> Result<Vec<Dense>, ModelError>,
    names: &[String],
    samples: &Samples,
    batch: usize,
) -> Result<Predicted, ModelError> {
    let task = samples.targets.as_ref().map(|t| t.task());
    let mut parts = Vec::new();
    let mut chosen = None;
    let n = samples.len();
    for start in (0..n).step_by(batch.max(1)) {
        let rows = start..(start + batch.max(1)).min(n);
        let inputs = samples
            .inputs
            .iter()
            .map(|(name, t)| Ok((name.clone(), t.rows(rows.clone())?)))
            .collect::<Result<Inputs, TensorError>>()?;
        let outputs = run(&inputs)?;
        let index = match chosen {
            Some(index) => index,
            None => {
                let shapes: Vec<(&str, &[usize])> = (names.iter().zip(&outputs))
                    .map(|(name, output)| (name.as_str(), output.shape()))
                    .collect();
                *chosen.insert(outputs::fitting(&shapes, task.as_ref())?)
            }
        };
        let output = outputs
            .get(index)
            .and_then(Dense::to_f32)
            .ok_or_else(|| ModelError::Unsupported("prediction without a float output".into()))?;
        if output.shape().first() != Some(&rows.len()) {
            return Err(ModelError::Measure(format!(
                "output `{}` of shape {:?} has no axis of samples: {} were given",
                names[index],
                output.shape(),
                rows.len()
            )));
        }
        parts.push(output);
    }
    let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
    let output = names.get(chosen.unwrap_or(0)).cloned().unwrap_or_default();
    if views.is_empty() {
        let values = ArrayD::zeros(ndarray::IxDyn(&[0]));
        return Ok(Predicted { output, values });
    }
    let values = ndarray::concatenate(ndarray::Axis(0), &views).map_err(|_| {
        ModelError::Unsupported(
            "prediction with outputs whose shape changes between batches".into(),
        )
    })?;
    Ok(Predicted { output, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_are_what_an_activation_was_applied_to() {
        let rows = |values: [f32; 4]| {
            ArrayD::from_shape_vec(ndarray::IxDyn(&[2, 2]), values.to_vec()).expect("four values")
        };
        let logits = Activation::Softmax.logits(rows([0.25, 0.75, 1.0, 0.0]));
        assert!((logits[[0, 1]] - logits[[0, 0]] - 3f32.ln()).abs() < 1e-6);
        assert!(logits[[1, 0]] == 0.0 && logits[[1, 1]] < -20.0);
        let logits = Activation::Sigmoid.logits(rows([0.5, 0.75, 1.0, 0.0]));
        assert!(logits[[0, 0]] == 0.0 && (logits[[0, 1]] - 3f32.ln()).abs() < 1e-6);
        assert!(logits[[1, 0]] > 20.0 && logits[[1, 1]] < -20.0);
        let given = rows([-0.1, -2.0, -1.0, -1.0]);
        assert_eq!(Activation::LogSoftmax.logits(given.clone()), given);
    }
}
