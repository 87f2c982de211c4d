//! The family `convnet`: convolutions over images.

use lapidary_core::json::Json;
use lapidary_core::model::{Model, TaskShape};
use lapidary_core::registry::{BuildError, Entry, Factory, Info, Linked};
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::{Checked, Schema, Settings};
use lapidary_core::space::Axis;
use serde::{Deserialize, Serialize};

use crate::init::Init;
use crate::net::{Conv, Net, Value};
use crate::settings::{Activation, Normalization, Pooling};
use crate::space::{choice, int};

/// Settings of a `convnet`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Convnet {
    /// Stages; each after the first halves height and width.
    #[schemars(range(min = 1, max = 6))]
    pub stages: usize,
    /// Blocks in a stage.
    #[schemars(range(min = 1, max = 32))]
    pub depth: usize,
    /// Channels of the first stage.
    #[schemars(range(min = 1, max = 4096))]
    pub width: usize,
    /// Factor on the channels from stage to stage.
    #[schemars(range(min = 0.25, max = 4.0))]
    pub growth: f64,
    /// Height and width of the kernels.
    #[schemars(extend("enum" = [1, 3, 5, 7, 9, 11, 13, 15]), example = 5)]
    pub kernel: usize,
    /// Nonlinearity behind every convolution.
    pub activation: Activation,
    /// Normalisation before the nonlinearity.
    #[schemars(extend("enum" = ["none", "batch"]))]
    pub normalization: Normalization,
    /// Whether blocks (of two convolutions then) add their input to their output.
    pub skip: bool,
    /// Whether a block's convolutions are split into one for each channel and one across channels.
    pub separable: bool,
    /// What stands before the last layer: the mean of each channel's map, or nothing.
    pub pooling: Pooling,
}

impl Settings for Convnet {}

impl Default for Convnet {
    fn default() -> Self {
        Self {
            stages: 2,
            depth: 1,
            width: 16,
            growth: 2.0,
            kernel: 3,
            activation: Activation::Relu,
            normalization: Normalization::Batch,
            skip: false,
            separable: false,
            pooling: Pooling::Average,
        }
    }
}

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "convnet",
        summary: "convolutions in stages of halving resolution, plain or residual, for images",
        docs: "A first convolution to `width` channels, then `stages` stages of `depth` blocks; the first block of every \
               stage but the first has stride 2, and the channels grow by `growth`. A plain block is convolution, \
               normalization, activation. With skip, a block is the basic block of He et al. (\"Deep Residual Learning \
               for Image Recognition\", 2016): two convolutions, since a skip around a single one could be folded into \
               it, and a 1x1 convolution on the skip where the shape changes. Separable convolutions follow Howard et \
               al. (\"MobileNets\", 2017). The mean of each channel's map (or, with pooling \"flatten\", the map) goes \
               into a last Gemm that gives `logits` or `values`. Maps are padded with zeros, so that any kernel fits \
               any map.",
        settings: Schema::of::<Convnet>(),
        promises: &[],
    },
    factory: Factory::Family { make: &build, axes },
};

lapidary_core::inventory::submit!(Linked(&ENTRY));

/// The axes to search where a study names none.
fn axes() -> Vec<Axis> {
    vec![
        int("stages", 1, 3, false),
        int("depth", 1, 2, false),
        int("width", 4, 32, true),
        choice("kernel", &[3, 5]),
        choice("activation", &["relu", "leaky_relu", "gelu", "hardswish"]),
        choice("normalization", &["none", "batch"]),
        choice("skip", &[false, true]),
        choice("separable", &[false, true]),
    ]
}

impl Convnet {
    /// Channels of stage number `stage`, from 0.
    fn channels(&self, stage: usize) -> usize {
        let scale = (0..stage).fold(1.0, |s, _| s * self.growth);
        ((self.width as f64 * scale).round() as usize).max(1)
    }

    /// Convolution and normalisation.
    fn layer(&self, net: &mut Net, x: &Value, name: &str, conv: Conv) -> Result<Value, BuildError> {
        let y = net.conv(x, name, conv)?;
        net.normalize(&y, &format!("{name}.norm"), self.normalization)
    }

    fn conv(&self, channels: usize, kernel: usize, stride: usize) -> Conv {
        Conv {
            channels,
            kernel,
            stride,
            depthwise: false,
            bias: self.normalization == Normalization::None,
            init: Init::before(self.activation),
        }
    }

    /// A convolution and normalisation within a block, split in two where convolutions are separable.
    fn spatial(
        &self,
        net: &mut Net,
        x: &Value,
        name: &str,
        conv: Conv,
    ) -> Result<Value, BuildError> {
        if !self.separable {
            return self.layer(net, x, name, conv);
        }
        let each = Conv {
            depthwise: true,
            ..self.conv(x.shape[0], conv.kernel, conv.stride)
        };
        let name_each = format!("{name}.depthwise");
        let mut h = self.layer(net, x, &name_each, each)?;
        h = net.activate(&h, &format!("{name_each}.act"), self.activation);
        let across = Conv {
            kernel: 1,
            stride: 1,
            ..conv
        };
        self.layer(net, &h, &format!("{name}.pointwise"), across)
    }

    fn block(
        &self,
        net: &mut Net,
        x: &Value,
        name: &str,
        channels: usize,
        stride: usize,
    ) -> Result<Value, BuildError> {
        let first = self.conv(channels, self.kernel, stride);
        if !self.skip {
            let h = self.spatial(net, x, &format!("{name}.conv"), first)?;
            return Ok(net.activate(&h, &format!("{name}.act"), self.activation));
        }
        let mut h = self.spatial(net, x, &format!("{name}.conv1"), first)?;
        h = net.activate(&h, &format!("{name}.act1"), self.activation);
        let mut second = self.conv(channels, self.kernel, 1);
        if let (Normalization::None, Init::He { .. }) = (self.normalization, second.init) {
            // Without normalisation every block would double the variance (Zhang et al., "Fixup Initialization", 2019).
            let blocks = (self.stages * self.depth) as f32;
            second.init = Init::He {
                gain: 1.0 / blocks.sqrt(),
            };
        }
        h = self.spatial(net, &h, &format!("{name}.conv2"), second)?;
        let skip = if x.shape == h.shape {
            x.clone()
        } else {
            self.layer(
                net,
                x,
                &format!("{name}.skip"),
                self.conv(channels, 1, stride),
            )?
        };
        h = net.add(&h, &skip, &format!("{name}.sum"));
        Ok(net.activate(&h, &format!("{name}.act2"), self.activation))
    }
}

fn build(settings: &Json, task: &TaskShape, seed: u64) -> Result<Box<dyn Model>, BuildError> {
    let convnet: Checked<Convnet> = ENTRY.info.read_settings(settings)?;
    let (mut net, input) = Net::new(&ENTRY.info, task, seed)?;
    if input.shape.len() != 3 {
        return Err(net.unfit(format!(
            "samples of shape {:?} are no images; it takes [channels, height, width] (`mlp` takes any shape)",
            input.shape
        )));
    }
    let stem = convnet.conv(convnet.width, convnet.kernel, 1);
    let mut x = convnet.layer(&mut net, &input, "stem", stem)?;
    x = net.activate(&x, "stem.act", convnet.activation);
    for stage in 0..convnet.stages {
        for block in 0..convnet.depth {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let name = format!("stage{}.block{}", stage + 1, block + 1);
            x = convnet.block(&mut net, &x, &name, convnet.channels(stage), stride)?;
        }
    }
    if convnet.pooling == Pooling::Average {
        x = net.global_average(&x, "pool");
    }
    net.finish(&x, task, convnet.activation.opset())
}
