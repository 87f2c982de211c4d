//! Running graphs through onnxruntime, as a library that the user has.
//!
//! Graphs are loaded as they are stored, so what runs is what a user of the file runs: onnxruntime merges operators and
//! packs weights on loading, which it can do for constants only. A weight that is replaced is therefore loaded with
//! the whole graph.

mod library;
mod profile;
mod value;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lapidary_core::model::ModelError;
use lapidary_core::runtime::{NodeTime, WARM_UP};
use lapidary_core::tensor::Dense;
use lapidary_graph::{Graph, ValueInfo};
use lapidary_onnx::Form;
use ort::session::builder::SessionBuilder;
use ort::session::{Session as Loaded, SessionInputValue};

use crate::engine::{Engine, InferenceSession, failure};
pub use library::{Missing, find};

/// The engine's name.
pub const NAME: &str = "ort";

/// Makes sessions by onnxruntime.
#[derive(Debug, Clone)]
pub struct Ort {
    library: PathBuf,
    threads: usize,
}

impl Ort {
    /// The engine with the library at a path, its runs on `threads` threads. The library is loaded with the first graph.
    pub fn new(library: PathBuf, threads: usize) -> Self {
        Self { library, threads }
    }

    /// Where the library is.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// Threads of a run.
    pub fn threads(&self) -> usize {
        self.threads
    }

    fn builder(&self) -> Result<SessionBuilder, ModelError> {
        let environment = library::environment(&self.library)?;
        let builder = SessionBuilder::new(&environment).map_err(refuse)?;
        builder.with_intra_threads(self.threads).map_err(refuse)
    }

    fn session(
        &self,
        graph: &Graph,
        outputs: &[ValueInfo],
        mut builder: SessionBuilder,
    ) -> Result<OrtSession, ModelError> {
        let mut graph = graph.clone();
        graph.outputs = outputs.to_vec();
        graph.prune_unused();
        let bytes = lapidary_onnx::to_bytes(&graph, Form::Stored)?;
        Ok(OrtSession {
            loaded: Mutex::new(builder.commit_from_memory(&bytes).map_err(refuse)?),
            inputs: graph.inputs,
            outputs: outputs.iter().map(|o| o.name.clone()).collect(),
        })
    }
}

fn refuse<R>(error: ort::Error<R>) -> ModelError {
    ModelError::Engine {
        engine: NAME.into(),
        reason: error.to_string(),
    }
}

/// A graph that onnxruntime has loaded.
pub struct OrtSession {
    loaded: Mutex<Loaded>,
    inputs: Vec<ValueInfo>,
    outputs: Vec<String>,
}

impl Engine for Ort {
    type Session = OrtSession;

    fn load(&self, graph: &Graph, outputs: &[ValueInfo]) -> Result<OrtSession, ModelError> {
        self.session(graph, outputs, self.builder()?)
    }

    fn profile(
        &self,
        graph: &Graph,
        given: &[Dense],
        runs: usize,
    ) -> Result<Vec<NodeTime>, ModelError> {
        let folder = tempfile::tempdir().map_err(|e| failure(NAME, &e))?;
        let builder = self
            .builder()?
            .with_profiling(folder.path().join("profile"));
        let session = self.session(graph, &graph.outputs, builder.map_err(refuse)?)?;
        for _ in 0..WARM_UP + runs.max(1) {
            session.run(given)?;
        }
        let mut loaded = session
            .loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let path = loaded.end_profiling().map_err(refuse)?;
        let text = std::fs::read(path).map_err(|e| failure(NAME, &e))?;
        profile::read(&text, WARM_UP).map_err(|e| failure(NAME, &e))
    }
}

impl InferenceSession for OrtSession {
    fn run(&self, given: &[Dense]) -> Result<Vec<Dense>, ModelError> {
        let fitted = (self.inputs.iter().zip(given))
            .map(|(input, dense)| value::fit(input, dense))
            .collect::<Result<Vec<_>, _>>()?;
        let inputs = (self.inputs.iter().zip(&fitted))
            .map(|(input, dense)| Ok((input.name.as_str(), value::view(&input.name, dense)?)))
            .collect::<Result<Vec<(&str, SessionInputValue<'_>)>, ModelError>>()?;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let values = loaded.run(inputs).map_err(refuse)?;
        (self.outputs.iter())
            .map(|name| value::copy(name, &values[name.as_str()]))
            .collect()
    }
}
