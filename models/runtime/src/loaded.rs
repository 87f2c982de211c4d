//! A graph that a runtime has loaded, with weights that can be replaced.

use std::sync::Arc;

use lapidary_core::model::{ModelError, Tap, ValueId};
use lapidary_core::runtime::{Loaded, NodeTime};
use lapidary_core::samples::Inputs;
use lapidary_core::tensor::{Dense, Tensor};
use lapidary_graph::Graph;

use crate::engine::Engine;
use crate::run::{RunnableGraph, Runner};

/// A graph that runs by an engine.
pub struct LoadedGraph<E: Engine> {
    engine: E,
    graph: Arc<Graph>,
    runner: Runner<E::Session>,
    values: Vec<ValueId>,
}

impl<E: Engine> LoadedGraph<E> {
    /// Loads `graph`, to give the named `values`, or its outputs where none are named; what else is asked for is loaded then.
    ///
    /// # Errors
    /// When the engine cannot run it, or there is no such value.
    pub fn new(engine: E, graph: Arc<Graph>, values: &[ValueId]) -> Result<Self, ModelError> {
        let loaded = Self {
            engine,
            graph,
            runner: Runner::default(),
            values: values.to_vec(),
        };
        loaded.run_by().load(values)?;
        Ok(loaded)
    }

    fn run_by(&self) -> RunnableGraph<'_, E> {
        RunnableGraph {
            graph: &self.graph,
            engine: &self.engine,
            runner: &self.runner,
        }
    }
}

impl<E: Engine> Loaded for LoadedGraph<E> {
    fn run(&mut self, inputs: &Inputs) -> Result<Vec<Dense>, ModelError> {
        self.run_by().forward(inputs)
    }

    fn observe(&mut self, inputs: &Inputs, tap: &mut dyn Tap) -> Result<(), ModelError> {
        let seen = self.run_by().observe(inputs, &self.values)?;
        for (id, value) in self.values.iter().zip(seen) {
            tap.value(id, &value);
        }
        Ok(())
    }

    fn set_weight(&mut self, name: &str, tensor: Arc<Tensor>) -> Result<(), ModelError> {
        let edit = lapidary_core::model::Edit::SetWeight {
            name: name.to_owned(),
            tensor,
        };
        self.graph = Arc::new(lapidary_graph::edit::apply(&self.graph, &[edit])?);
        self.runner = Runner::default();
        Ok(())
    }

    fn profile(&mut self, inputs: &Inputs, runs: usize) -> Result<Vec<NodeTime>, ModelError> {
        self.run_by().profile(inputs, runs)
    }
}
