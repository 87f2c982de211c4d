//! A node about to run, and the pass it runs in.

use lapidary_core::rng::Rng;
use ndarray::ArrayD;

use super::{Statistics, Tape, Value, Var};
use crate::graph::Node;

/// What a node gives, or the reason why it cannot run.
pub type Outputs = Result<Vec<Value>, String>;

/// Runs a node of one operator.
pub type Forward = fn(&mut Call<'_>) -> Outputs;

/// A single float output: how most operators end, without an error.
pub fn one(x: Var) -> Outputs {
    Ok(vec![Value::Float(x)])
}

/// A single output of integers, without an error.
pub fn whole(array: ArrayD<i64>) -> Outputs {
    Ok(vec![Value::Int(array)])
}

/// What a pass through the graph is for.
#[derive(Debug)]
pub enum Pass {
    /// Evaluation: running statistics, no dropout.
    Evaluate,
    /// Training: statistics of the batch, which are collected, and dropout.
    Train {
        /// Draws dropout masks.
        rng: Box<Rng>,
        /// What the batch normalizations saw, in the order they ran.
        batches: Vec<BatchStatistics>,
    },
}

/// What a batch normalization saw.
#[derive(Debug)]
pub struct BatchStatistics {
    /// Slots of running mean and variance.
    pub slots: [usize; 2],
    /// Share of the running value that is kept.
    pub momentum: f32,
    /// Mean and variance of the batch.
    pub values: Statistics,
}

/// A node about to run.
pub struct Call<'a> {
    /// The node.
    pub node: &'a Node,
    /// The device it runs on.
    pub tape: &'a dyn Tape,
    /// Its inputs; moved in where nothing else needs them any more.
    pub inputs: Vec<Option<Value>>,
    /// Where its inputs come from.
    pub slots: &'a [Option<usize>],
    /// Version of the standard operator set.
    pub opset: i64,
    /// Whether codes the node writes are signed.
    pub signed: bool,
    /// What the pass is for.
    pub pass: &'a mut Pass,
    /// Samples in this batch, and the number that the graph's input declares where that is fixed.
    pub batch: (usize, Option<usize>),
}

impl Call<'_> {
    /// Input `index`, of whatever kind, which must be there.
    ///
    /// # Errors
    /// Where it is not.
    pub fn value(&mut self, index: usize) -> Result<Value, String> {
        self.inputs
            .get_mut(index)
            .and_then(Option::take)
            .ok_or_else(|| format!("input {index} is missing"))
    }

    /// The float input `index`, where given.
    ///
    /// # Errors
    /// Where it holds integers.
    pub fn optional(&mut self, index: usize) -> Result<Option<Var>, String> {
        match self.inputs.get_mut(index).and_then(Option::take) {
            None => Ok(None),
            Some(Value::Float(x)) => Ok(Some(x)),
            Some(Value::Int(_)) => Err(format!(
                "input {index} holds integers where floats are needed"
            )),
        }
    }

    /// The float input `index`, which must be there.
    ///
    /// # Errors
    /// Where it is not, or holds integers.
    pub fn float(&mut self, index: usize) -> Result<Var, String> {
        self.optional(index)?
            .ok_or_else(|| format!("input {index} is missing"))
    }

    /// The integers of input `index`, where given.
    ///
    /// # Errors
    /// Where it holds floats.
    pub fn ints(&mut self, index: usize) -> Result<Option<ArrayD<i64>>, String> {
        match self.inputs.get_mut(index).and_then(Option::take) {
            None => Ok(None),
            Some(Value::Int(a)) => Ok(Some(a)),
            Some(Value::Float(_)) => Err(format!(
                "input {index} holds floats where integers are needed"
            )),
        }
    }

    /// Integers given as the attribute `name` (older operator sets) or as input `index`.
    ///
    /// # Errors
    /// Where the input holds floats.
    pub fn list(&mut self, name: &str, index: usize) -> Result<Option<Vec<i64>>, String> {
        if let Some(values) = self.node.ints(name) {
            return Ok(Some(values.to_vec()));
        }
        Ok(self.ints(index)?.map(|a| a.iter().copied().collect()))
    }

    /// The single number of the float input `index`, where given; nothing is differentiated by it.
    ///
    /// # Errors
    /// Where it holds integers, or not one element.
    pub fn scalar(&mut self, index: usize) -> Result<Option<f32>, String> {
        let Some(x) = self.optional(index)? else {
            return Ok(None);
        };
        match x.shape().iter().product() {
            1usize => Ok(self.tape.read(&x).first().copied()),
            many => Err(format!(
                "input {index} has {many} elements where one is needed"
            )),
        }
    }
}
