//! Running graphs through rten.
//!
//! rten holds 64-bit integers and booleans as 32-bit integers and has no blocked or 4-bit quantization: quantized
//! weights run as the values they stand for.

mod lift;
mod pool;
mod program;
#[cfg(test)]
mod tests;
mod value;

use std::sync::Arc;

use lapidary_core::model::ModelError;
use lapidary_core::runtime::NodeTime;
use lapidary_core::tensor::{Dense, Shared};
use lapidary_graph::{Graph, ValueInfo};
use rten::{NodeId, RunOptions, ThreadPool};

use crate::engine::{Engine, InferenceSession};
pub use pool::Pool;
use program::Program;

/// The engine's name.
pub const NAME: &str = "rten";

/// Makes sessions by rten. Engines that are clones of each other share what they have loaded.
#[derive(Debug, Clone, Default)]
pub struct Rten {
    pool: Arc<Pool>,
    threads: Option<Arc<ThreadPool>>,
}

impl Rten {
    /// The same engine with runs on `threads` threads of their own, where a number is given.
    pub fn with_threads(&self, threads: Option<usize>) -> Self {
        Self {
            pool: self.pool.clone(),
            threads: threads.map(|n| Arc::new(ThreadPool::with_num_threads(n))),
        }
    }

    /// What the engine has loaded.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    fn options(&self) -> RunOptions {
        RunOptions::default().with_thread_pool(self.threads.clone())
    }
}

/// Threads of a run where no number is given: one a physical core.
pub fn default_threads() -> usize {
    rten::thread_pool().run(rayon::current_num_threads)
}

/// A loaded graph with the weights of a model.
pub struct RtenSession {
    program: Arc<Program>,
    weights: Vec<(NodeId, Shared<f32>)>,
    options: RunOptions,
}

impl Engine for Rten {
    type Session = RtenSession;

    fn load(&self, graph: &Graph, outputs: &[ValueInfo]) -> Result<RtenSession, ModelError> {
        let program = self.pool.program(graph, outputs)?;
        let weights = program.weights(graph, &self.pool)?;
        Ok(RtenSession {
            program,
            weights,
            options: self.options(),
        })
    }

    fn profile(
        &self,
        graph: &Graph,
        given: &[Dense],
        runs: usize,
    ) -> Result<Vec<NodeTime>, ModelError> {
        let session = self.load(graph, &graph.outputs)?;
        (session.program).profile(given, &session.weights, &self.options(), runs)
    }
}

impl InferenceSession for RtenSession {
    fn run(&self, given: &[Dense]) -> Result<Vec<Dense>, ModelError> {
        self.program.run(given, &self.weights, &self.options)
    }
}
