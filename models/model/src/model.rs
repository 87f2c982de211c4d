//! The model: a graph that is run by rten, differentiated by our engine, and stored as ONNX.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use lapidary_core::fit::{FitContext, FitPlan, Fitted};
use lapidary_core::model::{
    ChannelGroup, Edit, Model, ModelError, Port, Signature, Structural, Tap, Topology, Trainable,
    ValueId, Weights,
};
use lapidary_core::outputs;
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
    /// Bytes of the files that the model was read from, where it is as it was.
    read_bytes: Option<u64>,
    /// The file that the model is as it stands there.
    source: Option<Source>,
    engine: Rten,
    runner: Runner<RtenSession>,
}

impl GraphModel {
    /// Reads a model from an ONNX file; data kept in further files is read from the same folder.
    ///
    /// # Errors
    /// [`OnnxError::File`] naming the file and what is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OnnxError> {
        let path = path.as_ref();
        let (graph, bytes) = lapidary_onnx::open(path)?;
        let source = Source::of(&graph, path, bytes);
        Ok(Self::stored(graph, bytes, source))
    }

    /// Reads a model from the bytes of an ONNX file; `folder` is where data kept in further files is looked for.
    ///
    /// # Errors
    /// When the bytes are no ONNX model, or the model is wrong in itself.
    pub fn from_bytes(bytes: &[u8], folder: Option<&Path>) -> Result<Self, OnnxError> {
        let (graph, bytes) = lapidary_onnx::from_bytes(bytes, folder)?;
        Ok(Self::stored(graph, bytes, None))
    }

    /// A model as it was read. Where it is written as the very file, it takes what that takes.
    fn stored(graph: Graph, bytes: u64, source: Option<Source>) -> Self {
        let file_bytes = match source {
            Some(_) => OnceLock::from(bytes),
            None => OnceLock::new(),
        };
        Self::of_parts(graph, Rten::default(), file_bytes, Some(bytes), source)
    }

    /// Bytes of the files that the model was read from, where it is as it was. What a file takes that is written of it may differ
    /// where its data stands in further files.
    pub fn read_bytes(&self) -> Option<u64> {
        self.inner.read_bytes
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
        Self::of_parts(graph, engine, OnceLock::new(), None, None)
    }

    fn of_parts(
        graph: Graph,
        engine: Rten,
        file_bytes: OnceLock<u64>,
        read_bytes: Option<u64>,
        source: Option<Source>,
    ) -> Self {
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
                file_bytes,
                read_bytes,
                source,
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

    /// Writes the model to an ONNX file, which appears whole or not at all: the very file that it was read from as long as it is as
    /// it was. A model that was read with external data, or that takes more than 2 GiB, gets a data file beside it, under a name
    /// that no file has.
    ///
    /// # Errors
    /// [`OnnxError::File`] when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), OnnxError> {
        let path = path.as_ref();
        match self.inner.source.as_ref().and_then(Source::bytes) {
            Some(bytes) => lapidary_onnx::save_bytes(&bytes, path),
            None => lapidary_onnx::save(&self.inner.graph, path),
        }
    }
}

/// A file that a model was read from.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    bytes: u64,
    changed: Option<SystemTime>,
}

impl Source {
    /// The file at `path`, where it is all that `graph` was read from.
    fn of(graph: &Graph, path: &Path, bytes: u64) -> Option<Self> {
        let meta = path.metadata().ok()?;
        // Data in further files would have to be copied with it.
        (meta.len() == bytes && !lapidary_onnx::is_external(graph)).then(|| Self {
            path: path.to_owned(),
            bytes,
            changed: meta.modified().ok(),
        })
    }

    /// What it holds, as long as nobody has changed it.
    fn bytes(&self) -> Option<Vec<u8>> {
        let meta = self.path.metadata().ok()?;
        let same = meta.len() == self.bytes && meta.modified().ok() == self.changed;
        let bytes = same.then(|| std::fs::read(&self.path).ok()).flatten()?;
        (bytes.len() as u64 == self.bytes).then_some(bytes)
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

impl GraphModel {
    /// The graph with the output that predicts the targets of `samples` before all others, and the outputs in their own order.
    fn predicting(&self, samples: &Samples) -> Result<(Graph, Vec<ValueInfo>), ModelError> {
        let task = samples.targets.as_ref().map(|t| t.task());
        let names = outputs::candidates(self.signature(), task.as_ref(), None)?;
        let mut graph = self.graph().clone();
        let own = graph.outputs.clone();
        let (one, rest): (Vec<_>, Vec<_>) =
            (own.iter().cloned()).partition(|o| names.first() == Some(&o.name));
        graph.outputs = one.into_iter().chain(rest).collect();
        Ok((graph, own))
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
        let (graph, outputs) = self.predicting(train)?;
        let (mut graph, history, paused) = lapidary_train::fit(&graph, plan, train, valid, cx)?;
        graph.outputs = outputs;
        Ok(Fitted {
            model: Box::new(Self::with_engine(graph, self.inner.engine.clone())?),
            history,
            paused,
        })
    }
}
