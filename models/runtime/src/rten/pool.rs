//! What models that come of each other by edits share: loaded graphs, and the values of quantized weights.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lapidary_core::model::ModelError;
use lapidary_core::tensor::{Shared, Tensor};
use lapidary_graph::{Graph, ValueInfo};

use super::program::Program;

/// Loaded graphs that are kept beyond those in use.
const KEPT: usize = 8;

/// Bytes of constants above which a loaded graph is kept for as long as it is in use only.
const LARGEST_KEPT: usize = 8 << 20;

/// Loaded graphs and the values of quantized weights.
#[derive(Debug, Default)]
pub struct Pool {
    /// The one used last comes first.
    programs: Mutex<Vec<Known>>,
    /// By the address of the weight that they are the values of.
    values: Mutex<HashMap<usize, Values>>,
    loads: AtomicUsize,
}

/// A quantized weight, and the values that it stands for.
type Values = (Weak<Tensor>, Shared<f32>);

/// A loaded graph: kept by the pool, or known for as long as something else keeps it.
type Known = (Weak<Program>, Option<Arc<Program>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// How many graphs have been written for rten and read by it.
    pub fn loads(&self) -> usize {
        self.loads.load(Ordering::Relaxed)
    }

    /// The program of `graph` that gives `outputs`: one that is there where it differs in values of weights only.
    pub(super) fn program(
        &self,
        graph: &Graph,
        outputs: &[ValueInfo],
    ) -> Result<Arc<Program>, ModelError> {
        let mut programs = lock(&self.programs);
        programs.retain(|(program, _)| program.strong_count() > 0);
        let known = programs.iter().enumerate().find_map(|(i, (program, _))| {
            let program = program.upgrade()?;
            program.fits(graph, outputs).then_some((i, program))
        });
        if let Some((i, program)) = known {
            programs[..=i].rotate_right(1);
            return Ok(program);
        }
        drop(programs);
        let program = Arc::new(Program::load(graph, outputs)?);
        self.loads.fetch_add(1, Ordering::Relaxed);
        let kept = (program.constant_bytes() <= LARGEST_KEPT).then(|| program.clone());
        let mut programs = lock(&self.programs);
        programs.insert(0, (Arc::downgrade(&program), kept));
        for (_, kept) in programs.iter_mut().skip(KEPT) {
            *kept = None;
        }
        Ok(program)
    }

    /// The values of a weight, those of a quantized one computed once.
    pub(super) fn values(&self, weight: &Arc<Tensor>) -> Option<Shared<f32>> {
        if let Tensor::Dense(dense) = weight.as_ref() {
            return dense.to_f32();
        }
        let address = Arc::as_ptr(weight) as usize;
        if let Some((of, values)) = lock(&self.values).get(&address)
            && of.upgrade().is_some_and(|of| Arc::ptr_eq(&of, weight))
        {
            return Some(values.clone());
        }
        let computed = weight.to_f32()?;
        let mut values = lock(&self.values);
        values.retain(|_, (of, _)| of.strong_count() > 0);
        values.insert(address, (Arc::downgrade(weight), computed.clone()));
        Some(computed)
    }
}
