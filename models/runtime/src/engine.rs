//! What makes sessions of graphs.

use lapidary_core::model::ModelError;
use lapidary_core::runtime::NodeTime;
use lapidary_core::tensor::Dense;
use lapidary_graph::{Graph, ValueInfo};

/// Makes sessions of graphs.
pub trait Engine: Clone + Send + Sync {
    /// What it makes.
    type Session: InferenceSession;

    /// A session of `graph` that gives `outputs`: different values, each computed by a node of the graph.
    ///
    /// # Errors
    /// When the engine lacks an operator or a form of one.
    fn load(&self, graph: &Graph, outputs: &[ValueInfo]) -> Result<Self::Session, ModelError>;

    /// The median time that each operation of `graph` takes on tensors in the order of its inputs, over `runs` runs.
    ///
    /// # Errors
    /// As [`Engine::load`], and when an operation fails.
    fn profile(
        &self,
        graph: &Graph,
        given: &[Dense],
        runs: usize,
    ) -> Result<Vec<NodeTime>, ModelError>;
}

/// A graph that an engine has loaded.
pub trait InferenceSession: Send + Sync {
    /// The outputs it was loaded for, for tensors in the order of the graph's inputs.
    ///
    /// # Errors
    /// When a tensor is of a type that the engine does not take, or an operation fails.
    fn run(&self, given: &[Dense]) -> Result<Vec<Dense>, ModelError>;
}

/// An error with its causes as the reason why `engine` cannot run a model.
pub(crate) fn failure(engine: &str, error: &dyn std::error::Error) -> ModelError {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        source = cause.source();
    }
    ModelError::Engine {
        engine: engine.to_owned(),
        reason,
    }
}
