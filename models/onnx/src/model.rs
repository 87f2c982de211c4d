//! The ONNX model: a graph with its file's header, run by rten.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use lapidary_core::model::{
    Edit, Model, ModelError, Port, Signature, Structural, Tap, Topology, Trainable, ValueId,
    Weights, check_finite,
};
use lapidary_core::samples::Inputs;
use lapidary_core::tensor::Dense;
use lapidary_files::write_whole;

use crate::error::OnnxError;
use crate::graph::{Graph, ValueInfo};
use crate::proto::ModelProto;
use crate::read;
use crate::run::{Run, Runner};
use crate::untie::untie;
use crate::write::{self, Form};

/// A model as an ONNX graph. Copies share weights and whatever was computed about the graph.
#[derive(Debug, Clone)]
pub struct OnnxModel {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The file's message without its graph.
    header: ModelProto,
    graph: Graph,
    signature: Signature,
    topology: OnceLock<Topology>,
    file_bytes: OnceLock<u64>,
    runner: Runner,
}

impl OnnxModel {
    /// Reads a model from a file; data kept in further files is read from the same folder.
    ///
    /// # Errors
    /// [`OnnxError::File`] naming the file and what is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OnnxError> {
        let path = path.as_ref();
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        std::fs::read(path)
            .map_err(OnnxError::from)
            .and_then(|bytes| Self::from_bytes(&bytes, Some(folder)))
            .map_err(|e| e.at(path))
    }

    /// Reads a model from the bytes of a file; `folder` is where data kept in further files is looked for.
    ///
    /// # Errors
    /// When the bytes are no ONNX model, or the model is wrong in itself.
    pub fn from_bytes(bytes: &[u8], folder: Option<&Path>) -> Result<Self, OnnxError> {
        let (header, graph, stored) = read::model(bytes, folder)?;
        let model = Self::assemble(header, graph);
        // Until it is changed, a model takes what its file takes.
        let _ = model.inner.file_bytes.set(stored);
        Ok(model)
    }

    /// A new model of a graph. The graph's operator sets have to be given.
    ///
    /// # Errors
    /// When the graph is wrong in itself (see [`Graph::validate`]) or its operator set is too old.
    pub fn from_graph(graph: Graph) -> Result<Self, OnnxError> {
        let header = ModelProto {
            producer_name: Some("lapidary".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            ..ModelProto::default()
        };
        Self::checked(header, graph)
    }

    /// The same model with another graph: metadata and functions stay.
    ///
    /// # Errors
    /// When the graph is wrong in itself (see [`Graph::validate`]) or its operator set is too old.
    pub fn with_graph(&self, graph: Graph) -> Result<Self, OnnxError> {
        Self::checked(self.inner.header.clone(), graph)
    }

    fn checked(header: ModelProto, mut graph: Graph) -> Result<Self, OnnxError> {
        read::check_opset(&graph)?;
        graph.validate()?;
        Ok(Self::assemble(header, graph))
    }

    fn assemble(header: ModelProto, graph: Graph) -> Self {
        let ports = |list: &[ValueInfo]| {
            list.iter()
                .map(|v| Port {
                    name: v.name.clone(),
                    dtype: v.dtype,
                    shape: v.shape.clone().unwrap_or_default(),
                })
                .collect()
        };
        let signature = Signature {
            inputs: ports(&graph.inputs),
            outputs: ports(&graph.outputs),
        };
        Self {
            inner: Arc::new(Inner {
                header,
                graph,
                signature,
                topology: OnceLock::new(),
                file_bytes: OnceLock::new(),
                runner: Runner::default(),
            }),
        }
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.inner.graph
    }

    /// The same model, each node with float weights of its own (see [`untie`]).
    ///
    /// # Errors
    /// When the graph is wrong in itself.
    pub fn untied(&self) -> Result<Self, OnnxError> {
        self.with_graph(untie(&self.inner.graph))
    }

    /// Refuses a model with a NaN or infinite weight, naming it: to be asked before a model is evaluated or
    /// optimised.
    ///
    /// # Errors
    /// [`ModelError::NonFinite`] for the first such weight by name.
    pub fn check_finite(&self) -> Result<(), ModelError> {
        check_finite(&self.inner.graph.weights)
    }

    fn run(&self) -> Run<'_> {
        Run {
            header: &self.inner.header,
            graph: &self.inner.graph,
            runner: &self.inner.runner,
        }
    }

    /// The model as the bytes of one file.
    ///
    /// # Errors
    /// When it takes more than the 2 GiB that one file can hold.
    pub fn to_bytes(&self) -> Result<Vec<u8>, OnnxError> {
        write::to_bytes(&self.message(Form::Stored))
    }

    fn message(&self, form: Form) -> ModelProto {
        write::model(&self.inner.header, &self.inner.graph, form)
    }

    /// Writes the model to a file, which appears whole or not at all. A model that was read with external data, or
    /// that takes more than 2 GiB, gets a data file beside it, under a name that no file has.
    ///
    /// # Errors
    /// [`OnnxError::File`] when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), OnnxError> {
        let path = path.as_ref();
        self.save_files(path).map_err(|e| e.at(path))
    }

    fn save_files(&self, path: &Path) -> Result<(), OnnxError> {
        let data_path = free_data_path(path);
        let location = data_path.file_name().unwrap_or_default().to_string_lossy();
        let external = self.inner.graph.carried.external;
        let (model, data) = write::to_files(self.message(Form::Stored), external, &location)?;
        // The data first: a model never names a file that is not there.
        if let Some(data) = data {
            write_whole(&data_path, &data)?;
        }
        write_whole(path, &model)?;
        Ok(())
    }
}

/// The first of `NAME.data`, `NAME.2.data`, … that no file has: a model that stands at `path` keeps its own data
/// until it is replaced.
fn free_data_path(path: &Path) -> PathBuf {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut data = path.with_file_name(format!("{name}.data"));
    let mut n = 1;
    while data.exists() {
        n += 1;
        data = path.with_file_name(format!("{name}.{n}.data"));
    }
    data
}

impl Model for OnnxModel {
    fn signature(&self) -> &Signature {
        &self.inner.signature
    }

    fn topology(&self) -> &Topology {
        self.inner
            .topology
            .get_or_init(|| crate::layers::topology(&self.inner.graph))
    }

    fn weights(&self) -> &Weights {
        &self.inner.graph.weights
    }

    fn apply(&self, edits: &[Edit]) -> Result<Box<dyn Model>, ModelError> {
        let graph = crate::edit::apply(&self.inner.graph, edits)?;
        Ok(Box::new(self.with_graph(graph)?))
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
        let external = self.inner.graph.carried.external;
        let (model, data) =
            write::to_files(self.message(Form::Stored), external, "model.onnx.data")?;
        let bytes = (model.len() + data.map_or(0, |d| d.len())) as u64;
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
