//! Evaluators: what a study file's `[evaluate]` becomes.
//!
//! Each is an [`Entry`](lapidary_core::registry::Entry) of the registry, as those of other crates are.

mod checks;
pub mod command;
pub mod compress;
pub mod data;
mod entries;
pub mod function;
mod gauge;
mod host;
pub mod isolated;
pub mod models;
mod template;
pub mod train;

use std::sync::Arc;

use lapidary_core::evaluator::Evaluator;
use lapidary_core::registry::{EvalInit, Kind, Promise, Registry};
use lapidary_core::trial::Candidate;

pub use self::entries::ENTRIES;
pub use self::host::Host;
use self::isolated::Isolated;
use crate::checkpoints::Checkpoints;
use crate::error::StudyFileError;
use crate::file::{Evaluate, StudyFile};
use crate::worker::WORKER;

/// Makes the evaluator that `file` asks for, and checks that it reports every metric of the goal and of the stop rule. Programs
/// are kept within the limits of single trials; what is evaluated in this process cannot be, see [`guarded`].
///
/// # Errors
/// When there is no `[evaluate]`, its data cannot be read, it does not fit the space, or the goal or the stop rule reads a metric
/// it does not report; the error says where and what would have worked.
pub fn evaluator<'a>(
    file: &'a StudyFile,
    registry: &'a Registry,
    host: Host<'a>,
) -> Result<Box<dyn Evaluator + 'a>, StudyFileError> {
    let evaluate = file.evaluate.as_ref().ok_or_else(|| file.no_evaluate())?;
    let evaluator = registry
        .evaluator(
            &evaluate.kind,
            &evaluate.settings,
            &init(file, evaluate, registry, host),
        )
        .map_err(|error| file.placed(error))?;
    if let Some(reported) = evaluator.metrics() {
        file.check_metrics(&reported, registry)?;
    }
    Ok(evaluator)
}

/// What the evaluator of `file` is made for, and what it may use.
fn init<'a>(
    file: &'a StudyFile,
    evaluate: &'a Evaluate,
    registry: &'a Registry,
    host: Host<'a>,
) -> EvalInit<'a> {
    EvalInit {
        source: evaluate.source(registry),
        space: &file.space,
        goal: &file.goal,
        seed: file.seed,
        runtime: (&file.runtime.name, &file.runtime.settings),
        threads: file.threads,
        limits: file.limits,
        program: host.program,
        checkpoints: match host.checkpoints {
            Some(folder) => Arc::new(Checkpoints::new(folder)),
            None => Arc::new(()),
        },
    }
}

/// Whether the evaluator of `file` makes a promise.
pub fn promises(file: &StudyFile, registry: &Registry, promise: Promise) -> bool {
    let kind = file.evaluate.as_ref().map(|evaluate| &evaluate.kind);
    let entry = kind.and_then(|kind| registry.entry(Kind::Evaluator, kind).ok());
    entry.is_some_and(|entry| entry.promises(promise))
}

/// Refuses a `strategy` that begins with evaluations at a share of their cost where there is nothing to save.
///
/// # Errors
/// When the evaluator of `file` does not take the fidelity of `first`, a candidate of the strategy's.
pub fn check_fidelity(
    file: &StudyFile,
    registry: &Registry,
    first: Option<&Candidate>,
) -> Result<(), StudyFileError> {
    match first {
        Some(first)
            if first.fidelity < 1.0 && !promises(file, registry, Promise::TakesFidelity) =>
        {
            Err(file.no_fidelity(registry))
        }
        _ => Ok(()),
    }
}

/// As [`evaluator`], but limits of single trials are kept by all evaluators, and what a trial has started does not outlive
/// it or this process: where that takes other processes, `host` says what they run.
///
/// # Errors
/// As [`evaluator`].
pub fn guarded<'a>(
    file: &'a StudyFile,
    registry: &'a Registry,
    host: Host<'a>,
) -> Result<Box<dyn Evaluator + 'a>, StudyFileError> {
    let inner = evaluator(file, registry, host)?;
    match host.program {
        Some(program)
            if !file.limits.is_empty() && !promises(file, registry, Promise::KeepsLimits) =>
        {
            let args = [&[WORKER.into()], host.worker_args].concat();
            Ok(Box::new(Isolated::new(inner, file, program, args, host)))
        }
        _ => Ok(inner),
    }
}

#[cfg(test)]
mod tests;
