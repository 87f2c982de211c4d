//! Layers with their weights, put together into a model.

use lapidary_core::model::{Model, ModelError, TaskShape};
use lapidary_core::registry::{BuildError, Info};
use lapidary_core::samples::Task;
use lapidary_core::tensor::{DType, Dense};
use lapidary_graph::build::GraphBuilder;
use lapidary_graph::ops::{self, Operator};
use lapidary_model::GraphModel;
use ndarray::{ArrayD, IxDyn};

use crate::init::Init;
use crate::settings::{Activation, Normalization};

/// The most elements all weights of a model may have: 256 MiB of `f32`.
const MOST_PARAMS: usize = 1 << 26;

/// A value of the graph under construction and the shape it has for one sample.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    name: String,
    pub shape: Vec<usize>,
}

/// A square convolution with padding that keeps the map's size at stride 1.
pub(crate) struct Conv {
    pub channels: usize,
    /// Odd extent of the kernel.
    pub kernel: usize,
    pub stride: usize,
    /// One kernel for each channel instead of one for each pair of channels.
    pub depthwise: bool,
    pub bias: bool,
    pub init: Init,
}

/// A graph under construction whose weights are drawn from a seed.
pub(crate) struct Net {
    builder: GraphBuilder,
    info: &'static Info,
    seed: u64,
    /// Layers with drawn weights so far.
    layers: u64,
    params: usize,
}

impl Net {
    /// An empty graph of the family that `info` describes, and its input.
    ///
    /// # Errors
    /// When a sample holds nothing or there is nothing to predict.
    pub(crate) fn new(
        info: &'static Info,
        task: &TaskShape,
        seed: u64,
    ) -> Result<(Self, Value), BuildError> {
        let mut net = Self {
            builder: GraphBuilder::new(info.name),
            info,
            seed,
            layers: 0,
            params: 0,
        };
        if net.product(&task.sample)? == 0 {
            return Err(net.unfit(format!("samples of shape {:?} hold nothing", task.sample)));
        }
        if outputs(task) == 0 {
            return Err(net.unfit("there is nothing to predict: 0 classes or values"));
        }
        let name = net.builder.input(&task.input, DType::F32, &task.sample);
        let shape = task.sample.clone();
        Ok((net, Value { name, shape }))
    }

    /// The error that the family cannot be built as asked.
    pub(crate) fn unfit(&self, reason: impl Into<String>) -> BuildError {
        BuildError::Unfit {
            name: self.info.name,
            reason: reason.into(),
        }
    }

    fn product(&self, shape: &[usize]) -> Result<usize, BuildError> {
        (shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)))
            .filter(|&n| n <= MOST_PARAMS)
            .ok_or_else(|| {
                self.unfit(format!(
                    "shape {shape:?} is too large; at most {MOST_PARAMS} elements"
                ))
            })
    }

    /// Counts a weight of `shape` before it is made.
    fn count(&mut self, shape: &[usize]) -> Result<(), BuildError> {
        self.params += self.product(shape)?;
        if self.params > MOST_PARAMS {
            return Err(self.unfit(format!(
                "the model would have more than {MOST_PARAMS} weights; choose a smaller depth or width"
            )));
        }
        Ok(())
    }

    fn drawn(&mut self, name: &str, shape: &[usize], init: Init) -> Result<String, BuildError> {
        self.count(shape)?;
        let dense = init.draw(shape, self.seed, self.layers);
        self.layers += 1;
        Ok(self.builder.weight(name, dense))
    }

    fn filled(&mut self, name: &str, extent: usize, value: f32) -> Result<String, BuildError> {
        self.count(&[extent])?;
        let dense = Dense::from(ArrayD::from_elem(IxDyn(&[extent]), value));
        Ok(self.builder.weight(name, dense))
    }

    /// A convolution over `[channels, height, width]`.
    pub(crate) fn conv(&mut self, x: &Value, name: &str, conv: Conv) -> Result<Value, BuildError> {
        let inputs = x.shape[0];
        let (read, groups) = if conv.depthwise {
            (1, inputs)
        } else {
            (inputs, 1)
        };
        let shape = [conv.channels, read, conv.kernel, conv.kernel];
        let mut operands = vec![
            x.name.clone(),
            self.drawn(&format!("{name}.weight"), &shape, conv.init)?,
        ];
        if conv.bias {
            operands.push(self.filled(&format!("{name}.bias"), conv.channels, 0.0)?);
        }
        let (kernel, stride, pad) = (
            conv.kernel as i64,
            conv.stride as i64,
            (conv.kernel / 2) as i64,
        );
        let attributes = [
            ("group", (groups as i64).into()),
            ("kernel_shape", [kernel; 2].into()),
            ("pads", [pad; 4].into()),
            ("strides", [stride; 2].into()),
        ];
        let map = |extent: usize| (extent - 1) / conv.stride + 1;
        Ok(Value {
            name: self.node(&ops::CONV, name, &operands, attributes),
            shape: vec![conv.channels, map(x.shape[1]), map(x.shape[2])],
        })
    }

    /// A fully connected layer over `[features]`.
    pub(crate) fn gemm(
        &mut self,
        x: &Value,
        name: &str,
        features: usize,
        bias: bool,
        init: Init,
    ) -> Result<Value, BuildError> {
        let shape = [features, x.shape[0]];
        let mut operands = vec![
            x.name.clone(),
            self.drawn(&format!("{name}.weight"), &shape, init)?,
        ];
        if bias {
            operands.push(self.filled(&format!("{name}.bias"), features, 0.0)?);
        }
        Ok(Value {
            name: self.node(&ops::GEMM, name, &operands, [("transB", 1.into())]),
            shape: vec![features],
        })
    }

    /// Normalises the channels (or features) of `x`; without normalisation `x` itself.
    pub(crate) fn normalize(
        &mut self,
        x: &Value,
        name: &str,
        normalization: Normalization,
    ) -> Result<Value, BuildError> {
        let op = match normalization {
            Normalization::None => return Ok(x.clone()),
            Normalization::Batch => &ops::BATCH_NORMALIZATION,
            Normalization::Layer => &ops::LAYER_NORMALIZATION,
        };
        let extent = x.shape[0];
        let mut operands = vec![
            x.name.clone(),
            self.filled(&format!("{name}.scale"), extent, 1.0)?,
            self.filled(&format!("{name}.bias"), extent, 0.0)?,
        ];
        if normalization == Normalization::Batch {
            operands.push(self.filled(&format!("{name}.mean"), extent, 0.0)?);
            operands.push(self.filled(&format!("{name}.var"), extent, 1.0)?);
        }
        Ok(Value {
            name: self.node(op, name, &operands, []),
            shape: x.shape.clone(),
        })
    }

    /// Applies `activation` element by element.
    pub(crate) fn activate(&mut self, x: &Value, name: &str, activation: Activation) -> Value {
        let op = match activation {
            Activation::Relu => &ops::RELU,
            Activation::LeakyRelu => &ops::LEAKY_RELU,
            Activation::Tanh => &ops::TANH,
            Activation::Sigmoid => &ops::SIGMOID,
            Activation::Gelu => &ops::GELU,
            Activation::Hardswish => &ops::HARD_SWISH,
            Activation::Silu => {
                let gate = self.unary(&ops::SIGMOID, x, &format!("{name}.gate"));
                return self.binary(&ops::MUL, x, &gate, name);
            }
        };
        self.unary(op, x, name)
    }

    fn unary(&mut self, op: &Operator, x: &Value, name: &str) -> Value {
        Value {
            name: self.builder.node(op, name, &[&x.name], []),
            shape: x.shape.clone(),
        }
    }

    fn binary(&mut self, op: &Operator, a: &Value, b: &Value, name: &str) -> Value {
        Value {
            name: self.builder.node(op, name, &[&a.name, &b.name], []),
            shape: a.shape.clone(),
        }
    }

    /// The sum of two values of the same shape.
    pub(crate) fn add(&mut self, a: &Value, b: &Value, name: &str) -> Value {
        self.binary(&ops::ADD, a, b, name)
    }

    /// The mean over the map of each channel, `[channels, 1, 1]`.
    pub(crate) fn global_average(&mut self, x: &Value, name: &str) -> Value {
        let mut pooled = self.unary(&ops::GLOBAL_AVERAGE_POOL, x, name);
        pooled.shape[1..].fill(1);
        pooled
    }

    /// All elements of a sample as one axis; where they are so already, `x` itself.
    pub(crate) fn flatten(&mut self, x: &Value, name: &str) -> Value {
        if x.shape.len() == 1 {
            return x.clone();
        }
        Value {
            shape: vec![x.shape.iter().product()],
            ..self.unary(&ops::FLATTEN, x, name)
        }
    }

    fn node<const N: usize>(
        &mut self,
        op: &Operator,
        name: &str,
        operands: &[String],
        attributes: [(&str, lapidary_graph::Attribute); N],
    ) -> String {
        let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
        self.builder.node(op, name, &operands, attributes)
    }

    /// Ends the graph with a fully connected layer for the task: `logits` `[batch, classes]` or `values`
    /// `[batch, values]`.
    pub(crate) fn finish(
        mut self,
        x: &Value,
        task: &TaskShape,
        opset: i64,
    ) -> Result<Box<dyn Model>, BuildError> {
        let name = match task.task {
            Task::Classification { .. } => "logits",
            Task::Regression { .. } => "values",
        };
        let flat = self.flatten(x, "flatten");
        let y = self.gemm(&flat, name, outputs(task), true, Init::Glorot)?;
        self.builder.output(&y.name, DType::F32, &y.shape);
        let model = self.builder.finish(opset).and_then(GraphModel::from_graph);
        Ok(Box::new(model.map_err(ModelError::from)?))
    }
}

fn outputs(task: &TaskShape) -> usize {
    match task.task {
        Task::Classification { classes } => classes,
        Task::Regression { values } => values,
    }
}
