//! The model: a graph that is run by rten, differentiated by our engine, and stored as ONNX.

use std::any::Any;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use lapidary_core::fit::{FitContext, FitPlan, Fitted};
use lapidary_core::model::{
    ChannelGroup, Edit, Model, ModelError, Port, Signature, Structural, Tap, Topology, Trainable,
    ValueId, Weights,
};
use lapidary_core::samples::{Inputs, Samples};
use lapidary_core::tensor::Dense;
use lapidary_graph::ending::ending;
use lapidary_graph::opset::check_opset;
use lapidary_graph::{Graph, GraphError, ValueInfo, edit, layers, structure};
use lapidary_onnx::{Form, OnnxError};
use lapidary_runtime::rten::{Rten, RtenSession};
use lapidary_runtime::run::{RunnableGraph, Runner};

/// A model of a graph. Copies share weights and whatever was computed about the graph; models that come of it by edits or
/// training share what its engine has loaded, so that one with other values of the same weights loads nothing.
#[derive(Debug, Clone)]
pub struct GraphModel {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    graph: Arc<Graph>,
    signature: Signature,
    topology: OnceLock<Topology>,
    file_bytes: OnceLock<u64>,
    engine: Rten,
    runner: Runner<RtenSession>,
}

impl GraphModel {
    /// Reads a model from an ONNX file; data kept in further files is read from the same folder.
    ///
    /// # Errors
    /// [`OnnxError::File`] naming the file and what is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OnnxError> {
        lapidary_onnx::open(path.as_ref()).map(Self::stored)
    }

    /// Reads a model from the bytes of an ONNX file; `folder` is where data kept in further files is looked for.
    ///
    /// # Errors
    /// When the bytes are no ONNX model, or the model is wrong in itself.
    pub fn from_bytes(bytes: &[u8], folder: Option<&Path>) -> Result<Self, OnnxError> {
        lapidary_onnx::from_bytes(bytes, folder).map(Self::stored)
    }

    fn stored((graph, bytes): (Graph, u64)) -> Self {
        let model = Self::assemble(graph, Rten::default());
        // Until it is changed, a model takes what its file takes.
        let _ = model.inner.file_bytes.set(bytes);
        model
    }

    /// A new model of a graph. The graph's operator sets have to be given.
    ///
    /// # Errors
    /// When the graph is wrong in itself (see [`Graph::validate`]) or its operator set is too old.
    pub fn from_graph(graph: Graph) -> Result<Self, GraphError> {
        Self::with_engine(graph, Rten::default())
    }

    fn with_engine(mut graph: Graph, engine: Rten) -> Result<Self, GraphError> {
        check_opset(&graph)?;
        graph.validate()?;
        Ok(Self::assemble(graph, engine))
    }

    /// A model as one of this type, where it is one.
    pub fn of(model: &dyn Model) -> Option<&Self> {
        model.as_any().downcast_ref()
    }

    fn assemble(graph: Graph, engine: Rten) -> Self {
        let port = |v: &ValueInfo| Port {
            name: v.name.clone(),
            dtype: v.dtype,
            shape: v.shape.clone().unwrap_or_default(),
            activation: ending(&graph, &v.name).map(|ending| ending.activation),
        };
        let signature = Signature {
            inputs: graph.inputs.iter().map(port).collect(),
            outputs: graph.outputs.iter().map(port).collect(),
        };
        Self {
            inner: Arc::new(Inner {
                graph: Arc::new(graph),
                signature,
                topology: OnceLock::new(),
                file_bytes: OnceLock::new(),
                engine,
                runner: Runner::default(),
            }),
        }
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.inner.graph
    }

    /// The graph, shared with whatever runs it.
    pub(crate) fn shared_graph(&self) -> Arc<Graph> {
        self.inner.graph.clone()
    }

    /// What runs the model.
    pub fn engine(&self) -> &Rten {
        &self.inner.engine
    }

    fn run(&self) -> RunnableGraph<'_, Rten> {
        RunnableGraph {
            graph: &self.inner.graph,
            engine: &self.inner.engine,
            runner: &self.inner.runner,
        }
    }

    /// The model as the bytes of one ONNX file.
    ///
    /// # Errors
    /// When it takes more than the 2 GiB that one file can hold.
    pub fn to_bytes(&self) -> Result<Vec<u8>, OnnxError> {
        lapidary_onnx::to_bytes(&self.inner.graph, Form::Stored)
    }

    /// Writes the model to an ONNX file, which appears whole or not at all. A model that was read with external data, or
    /// that takes more than 2 GiB, gets a data file beside it, under a name that no file has.
    ///
    /// # Errors
    /// [`OnnxError::File`] when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), OnnxError> {
        lapidary_onnx::save(&self.inner.graph, path.as_ref())
    }
}

impl Model for GraphModel {
    fn signature(&self) -> &Signature {
        &self.inner.signature
    }

    fn topology(&self) -> &Topology {
        self.inner
            .topology
            .get_or_init(|| layers::topology(&self.inner.graph))
    }

    fn weights(&self) -> &Weights {
        &self.inner.graph.weights
    }

    fn apply(&self, edits: &[Edit]) -> Result<Box<dyn Model>, ModelError> {
        let graph = edit::apply(&self.inner.graph, edits)?;
        Ok(Box::new(Self::with_engine(
            graph,
            self.inner.engine.clone(),
        )?))
    }

    fn forward(&self, inputs: &Inputs) -> Result<Vec<Dense>, ModelError> {
        self.run().forward(inputs)
    }

    fn observe(
        &self,
        inputs: &Inputs,
        values: &[ValueId],
        tap: &mut dyn Tap,
    ) -> Result<(), ModelError> {
        for (id, value) in values.iter().zip(self.run().observe(inputs, values)?) {
            tap.value(id, &value);
        }
        Ok(())
    }

    fn file_bytes(&self) -> Result<u64, ModelError> {
        if let Some(&bytes) = self.inner.file_bytes.get() {
            return Ok(bytes);
        }
        let bytes = lapidary_onnx::file_bytes(&self.inner.graph)?;
        Ok(*self.inner.file_bytes.get_or_init(|| bytes))
    }

    fn share(&self) -> Box<dyn Model> {
        Box::new(self.clone())
    }

    fn structure(&self) -> Option<&dyn Structural> {
        Some(self)
    }

    fn trainable(&self) -> Option<&dyn Trainable> {
        Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Structural for GraphModel {
    fn groups(&self) -> Vec<ChannelGroup> {
        structure::groups(self.graph())
    }
}

impl Trainable for GraphModel {
    fn fit(
        &self,
        plan: &FitPlan,
        train: &Samples,
        valid: Option<&Samples>,
        cx: &FitContext<'_>,
    ) -> Result<Fitted, ModelError> {
        let (graph, history, paused) = lapidary_train::fit(self.graph(), plan, train, valid, cx)?;
        Ok(Fitted {
            model: Box::new(Self::with_engine(graph, self.inner.engine.clone())?),
            history,
            paused,
        })
    }
}
