//! Models, and what an optimizer asks its host for.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::model::{
    Affine, Edit, Layer, ModelError, ModelSpec, NodeInfo, Product, Signature, Topology,
};
use lapidary_core::optimizer::OptimizeError;
use lapidary_core::tensor::{Granularity, Quantized, Tensor};
use lapidary_core::trial::Metrics;
use lapidary_core::wire::Number;
use serde::{Deserialize, Serialize};

use super::fit::{PlanForm, SamplesForm};
use super::message::{Message, Piece};

/// What an optimizer is to do: model 0 is the one it works on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// Seed of all random numbers.
    pub seed: u64,
    /// Whether the work was cancelled before it began.
    pub cancelled: bool,
}

/// What an optimizer gives back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Done {
    /// The number of the new model.
    pub model: u64,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// What a host can be asked for. Models go by numbers, tensors by their place beside the text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are those of the model's functions")]
pub enum HostCall {
    /// [`Description`].
    Describe { model: u64 },
    /// `{name: TensorForm}`.
    Weights { model: u64 },
    /// A number of bytes.
    FileBytes { model: u64 },
    /// A list of [`ChannelGroup`](lapidary_core::model::ChannelGroup).
    Groups { model: u64 },
    /// The number of the changed model.
    Apply { model: u64, edits: Vec<EditForm> },
    /// A list of tensors.
    Forward {
        model: u64,
        inputs: BTreeMap<String, usize>,
    },
    /// A list of names with tensors, in the order they were seen.
    Observe {
        model: u64,
        inputs: BTreeMap<String, usize>,
        values: Vec<String>,
    },
    /// The number of the trained model, and the epochs.
    Fit {
        model: u64,
        plan: Box<PlanForm>,
        train: SamplesForm,
        valid: Option<SamplesForm>,
    },
    /// As [`HostCall::Fit`], of the run that was paused last: the trained model keeps its number.
    GoOn { pause: Option<usize> },
    /// Metrics.
    Measure { model: u64 },
    /// Whether metrics meet the goal.
    Accept { metrics: Metrics },
    /// The number of a model.
    Build { spec: SpecForm },
    /// `train`, `valid` or `calibration` as [`SamplesForm`]; null where there are none.
    Samples { part: String },
    /// Whether the work was cancelled.
    Progress { share: f64, text: String },
    /// Nothing: the model is not used any more.
    Release { model: u64 },
}

/// What a model is made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the model")]
pub struct Description {
    pub signature: Signature,
    pub nodes: Vec<NodeInfo>,
    layers: Vec<Whole>,
    pub structural: bool,
    pub trainable: bool,
}

/// A layer in full; what `inspect` prints of it is less.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Whole(#[serde(with = "LayerForm")] Layer);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Layer")]
struct LayerForm {
    name: String,
    kind: String,
    shape: Option<Vec<usize>>,
    weight: Option<String>,
    channel_axis: usize,
    product: Option<Product>,
    bias: Option<String>,
    input: String,
    output: String,
    params: usize,
    bytes: usize,
    macs: Option<u64>,
    bits: usize,
    sparsity: f64,
}

impl Description {
    /// Describes a model.
    pub fn of(model: &dyn lapidary_core::model::Model) -> Self {
        let topology = model.topology();
        Self {
            signature: model.signature().clone(),
            nodes: topology.nodes.clone(),
            layers: topology.layers.iter().cloned().map(Whole).collect(),
            structural: model.structure().is_some(),
            trainable: model.trainable().is_some(),
        }
    }

    /// Its operations and layers.
    pub fn topology(&self) -> Topology {
        Topology {
            nodes: self.nodes.clone(),
            layers: self.layers.iter().map(|layer| layer.0.clone()).collect(),
        }
    }
}

/// A weight: tensors beside the text, by number.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are those of the tensor")]
pub enum TensorForm {
    Dense(usize),
    Quantized {
        codes: usize,
        bits: u8,
        signed: bool,
        granularity: Granularity,
        scales: usize,
        zero_points: usize,
    },
}

impl TensorForm {
    /// The form of a tensor, whose parts are put among `pieces`.
    pub fn of<'a>(tensor: &'a Tensor, pieces: &mut Vec<Piece<'a>>) -> Self {
        let mut put = |piece| {
            pieces.push(piece);
            pieces.len() - 1
        };
        match tensor {
            Tensor::Dense(dense) => Self::Dense(put(Piece::of(dense))),
            Tensor::Quantized(q) => Self::Quantized {
                codes: put(Piece::of_array(&q.codes)),
                bits: q.bits,
                signed: q.signed,
                granularity: q.granularity,
                scales: put(Piece::of_array(&q.scales)),
                zero_points: put(Piece::of_array(&q.zero_points)),
            },
        }
    }

    /// The tensor.
    ///
    /// # Errors
    /// When a part is missing or of another form.
    pub fn tensor(&self, message: &Message<'_>) -> Result<Tensor, String> {
        let wrong = |error: lapidary_core::tensor::TensorError| error.to_string();
        Ok(match self {
            Self::Dense(at) => Tensor::Dense(message.piece(*at)?.dense().map_err(wrong)?),
            Self::Quantized {
                codes,
                bits,
                signed,
                granularity,
                scales,
                zero_points,
            } => Tensor::Quantized(Quantized {
                codes: message.piece(*codes)?.array().map_err(wrong)?,
                bits: *bits,
                signed: *signed,
                granularity: *granularity,
                scales: message.piece(*scales)?.array().map_err(wrong)?.into_owned(),
                zero_points: message
                    .piece(*zero_points)?
                    .array()
                    .map_err(wrong)?
                    .into_owned(),
            }),
        })
    }
}

/// An edit of a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the variants are those of the edit")]
pub enum EditForm {
    SetWeight {
        name: String,
        tensor: TensorForm,
    },
    QuantizeValue {
        node: String,
        value: String,
        affine: Affine,
    },
    CutChannels {
        group: usize,
        keep: Vec<usize>,
    },
    RenameValue {
        from: String,
        to: String,
    },
}

impl EditForm {
    /// The form of an edit; `None` for one that cannot cross the border.
    pub fn of<'a>(edit: &'a Edit, pieces: &mut Vec<Piece<'a>>) -> Option<Self> {
        Some(match edit {
            Edit::SetWeight { name, tensor } => Self::SetWeight {
                name: name.clone(),
                tensor: TensorForm::of(tensor, pieces),
            },
            Edit::QuantizeValue {
                node,
                value,
                affine,
            } => Self::QuantizeValue {
                node: node.clone(),
                value: value.clone(),
                affine: *affine,
            },
            Edit::CutChannels { group, keep } => Self::CutChannels {
                group: *group,
                keep: keep.clone(),
            },
            Edit::RenameValue { from, to } => Self::RenameValue {
                from: from.clone(),
                to: to.clone(),
            },
            _ => return None,
        })
    }

    /// The edit.
    ///
    /// # Errors
    /// When a tensor of it is missing or of another form.
    pub fn edit(self, message: &Message<'_>) -> Result<Edit, String> {
        Ok(match self {
            Self::SetWeight { name, tensor } => Edit::SetWeight {
                name,
                tensor: Arc::new(tensor.tensor(message)?),
            },
            Self::QuantizeValue {
                node,
                value,
                affine,
            } => Edit::QuantizeValue {
                node,
                value,
                affine,
            },
            Self::CutChannels { group, keep } => Edit::CutChannels { group, keep },
            Self::RenameValue { from, to } => Edit::RenameValue { from, to },
        })
    }
}

/// Which model to build.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the variants are those of the specification")]
pub enum SpecForm {
    Family { name: String, settings: Json },
    File(String),
}

impl From<&ModelSpec> for SpecForm {
    fn from(spec: &ModelSpec) -> Self {
        match spec {
            ModelSpec::Family { name, settings } => Self::Family {
                name: name.clone(),
                settings: settings.clone(),
            },
            ModelSpec::File(path) => Self::File(path.to_string_lossy().into_owned()),
        }
    }
}

impl From<SpecForm> for ModelSpec {
    fn from(form: SpecForm) -> Self {
        match form {
            SpecForm::Family { name, settings } => Self::Family { name, settings },
            SpecForm::File(path) => Self::File(path.into()),
        }
    }
}

/// Why something could not be done, so that the other side has the same error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the variants are those of the errors")]
pub enum Trouble {
    Cancelled,
    Needs {
        optimizer: String,
        what: String,
    },
    Method {
        optimizer: String,
        reason: String,
    },
    NoLayer {
        glob: String,
        known: Vec<String>,
    },
    BadGlob {
        glob: String,
        reason: String,
    },
    UnknownWeight {
        name: String,
        known: Vec<String>,
    },
    UnknownNode {
        name: String,
        known: Vec<String>,
    },
    NonFinite {
        weight: String,
        index: usize,
        value: Number,
    },
    Node {
        node: String,
        op: String,
        reason: String,
    },
    Group {
        group: usize,
        reason: String,
    },
    Engine {
        engine: String,
        reason: String,
    },
    Fit(String),
    Measure(String),
    Unsupported(String),
    Graph(String),
}

impl From<&ModelError> for Trouble {
    fn from(error: &ModelError) -> Self {
        match error {
            ModelError::Cancelled => Self::Cancelled,
            ModelError::UnknownWeight { name, known } => Self::UnknownWeight {
                name: name.clone(),
                known: known.clone(),
            },
            ModelError::UnknownNode { name, known } => Self::UnknownNode {
                name: name.clone(),
                known: known.clone(),
            },
            ModelError::NonFinite {
                weight,
                index,
                value,
            } => Self::NonFinite {
                weight: weight.clone(),
                index: *index,
                value: Number(*value),
            },
            ModelError::Node { node, op, reason } => Self::Node {
                node: node.clone(),
                op: op.clone(),
                reason: reason.clone(),
            },
            ModelError::Group { group, reason } => Self::Group {
                group: *group,
                reason: reason.clone(),
            },
            ModelError::Engine { engine, reason } => Self::Engine {
                engine: engine.clone(),
                reason: reason.clone(),
            },
            ModelError::Fit(reason) => Self::Fit(reason.clone()),
            ModelError::Measure(reason) => Self::Measure(reason.clone()),
            ModelError::Unsupported(what) => Self::Unsupported(what.clone()),
            ModelError::Graph(reason) => Self::Graph(reason.clone()),
            other => Self::Graph(other.to_string()),
        }
    }
}

impl From<&OptimizeError> for Trouble {
    fn from(error: &OptimizeError) -> Self {
        match error {
            OptimizeError::Cancelled => Self::Cancelled,
            OptimizeError::Model(error) => error.into(),
            OptimizeError::Needs { optimizer, what } => Self::Needs {
                optimizer: optimizer.clone(),
                what: what.clone(),
            },
            OptimizeError::Method { optimizer, reason } => Self::Method {
                optimizer: optimizer.clone(),
                reason: reason.clone(),
            },
            OptimizeError::NoLayer { glob, known } => Self::NoLayer {
                glob: glob.clone(),
                known: known.clone(),
            },
            OptimizeError::BadGlob { glob, reason } => Self::BadGlob {
                glob: glob.clone(),
                reason: reason.clone(),
            },
            other => Self::Graph(other.to_string()),
        }
    }
}

impl From<Trouble> for ModelError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Cancelled => Self::Cancelled,
            Trouble::UnknownWeight { name, known } => Self::UnknownWeight { name, known },
            Trouble::UnknownNode { name, known } => Self::UnknownNode { name, known },
            Trouble::NonFinite {
                weight,
                index,
                value,
            } => Self::NonFinite {
                weight,
                index,
                value: value.0,
            },
            Trouble::Node { node, op, reason } => Self::Node { node, op, reason },
            Trouble::Group { group, reason } => Self::Group { group, reason },
            Trouble::Engine { engine, reason } => Self::Engine { engine, reason },
            Trouble::Fit(reason) => Self::Fit(reason),
            Trouble::Measure(reason) => Self::Measure(reason),
            Trouble::Unsupported(what) => Self::Unsupported(what),
            Trouble::Graph(reason) => Self::Graph(reason),
            other => Self::Graph(OptimizeError::from(other).to_string()),
        }
    }
}

impl From<Trouble> for OptimizeError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Cancelled => Self::Cancelled,
            Trouble::Needs { optimizer, what } => Self::Needs { optimizer, what },
            Trouble::Method { optimizer, reason } => Self::Method { optimizer, reason },
            Trouble::NoLayer { glob, known } => Self::NoLayer { glob, known },
            Trouble::BadGlob { glob, reason } => Self::BadGlob { glob, reason },
            other => Self::Model(other.into()),
        }
    }
}
