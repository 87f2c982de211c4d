//! The family `mlp`: fully connected layers.

use lapidary_core::json::Json;
use lapidary_core::model::{Model, TaskShape};
use lapidary_core::registry::{BuildError, Entry, Factory, Info, Linked};
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::{Checked, Schema, Settings};
use lapidary_core::space::Axis;
use serde::{Deserialize, Serialize};

use crate::init::Init;
use crate::net::Net;
use crate::settings::{Activation, Normalization};
use crate::space::{choice, int};

/// Settings of an `mlp`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mlp {
    /// Hidden layers.
    #[schemars(range(max = 64))]
    pub depth: usize,
    /// Neurons of a hidden layer.
    #[schemars(range(min = 1, max = 65536))]
    pub width: usize,
    /// Nonlinearity of the hidden layers.
    pub activation: Activation,
    /// Normalisation before the nonlinearity.
    pub normalization: Normalization,
    /// Whether every hidden layer but the first adds its input to its output
    /// (He et al., "Deep Residual Learning for Image Recognition", 2016).
    pub skip: bool,
}

impl Settings for Mlp {}

impl Default for Mlp {
    fn default() -> Self {
        Self {
            depth: 2,
            width: 128,
            activation: Activation::Relu,
            normalization: Normalization::None,
            skip: false,
        }
    }
}

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "mlp",
        summary: "fully connected layers of equal width; images are flattened",
        docs: "Each hidden layer is Gemm, normalization, activation; with skip, every hidden layer but the first adds \
               its input behind the activation. A last Gemm gives `logits` or `values`. Weights start as He et al. \
               (2015) before rectifiers and as Glorot and Bengio (2010) elsewhere.",
        settings: Schema::of::<Mlp>(),
        promises: &[],
    },
    factory: Factory::Family { make: &build, axes },
};

lapidary_core::inventory::submit!(Linked(&ENTRY));

/// The axes to search where a study names none.
fn axes() -> Vec<Axis> {
    vec![
        int("depth", 1, 4, false),
        int("width", 16, 256, true),
        choice("activation", &["relu", "leaky_relu", "tanh", "gelu"]),
        choice("normalization", &["none", "batch", "layer"]),
        choice("skip", &[false, true]),
    ]
}

fn build(settings: &Json, task: &TaskShape, seed: u64) -> Result<Box<dyn Model>, BuildError> {
    let mlp: Checked<Mlp> = ENTRY.info.read_settings(settings)?;
    let (mut net, input) = Net::new(&ENTRY.info, task, seed)?;
    let mut x = net.flatten(&input, "flatten");
    let bias = mlp.normalization == Normalization::None;
    for layer in 1..=mlp.depth {
        let name = format!("hidden{layer}");
        let init = Init::before(mlp.activation);
        let mut h = net.gemm(&x, &name, mlp.width, bias, init)?;
        h = net.normalize(&h, &format!("{name}.norm"), mlp.normalization)?;
        h = net.activate(&h, &format!("{name}.act"), mlp.activation);
        if mlp.skip && layer > 1 {
            h = net.add(&h, &x, &format!("{name}.sum"));
        }
        x = h;
    }
    net.finish(&x, task, mlp.activation.opset())
}
