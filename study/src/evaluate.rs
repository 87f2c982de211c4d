//! Evaluators: what a study file's `[evaluate]` becomes.

pub mod command;
pub mod compress;
pub mod data;
pub mod function;
mod gauge;
pub mod isolated;
pub mod models;
mod template;
pub mod train;

use std::ffi::OsString;
use std::path::Path;

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::Evaluator;
use lapidary_core::model::{Model, ModelError};
use lapidary_core::registry::Registry;
use lapidary_core::rng::Rng;
use lapidary_core::space::Point;
use lapidary_core::text::listed;
use lapidary_core::trial::{Candidate, Trial};

use self::command::Command;
use self::compress::Compress;
use self::data::OpenData;
use self::function::{FUNCTIONS, Function};
use self::isolated::Isolated;
use self::models::Models;
use self::train::Train;
use crate::error::StudyFileError;
use crate::file::tree::did_you_mean;
use crate::file::{Evaluate, FunctionSection, StudyFile};
use crate::worker::WORKER;

/// Points tried before a study whose settings fit nothing is refused.
const PROBES: u64 = 8;

/// An evaluator that can give the model behind a candidate, where there is one.
pub trait StudyEvaluator: Evaluator + Send {
    /// The very model that was measured for `trial`, which went on from those of `lineage`, under the study's `seed`, made again;
    /// `None` where candidates are no models.
    ///
    /// # Errors
    /// When the model cannot be made, or the work is cancelled.
    fn model(
        &self,
        trial: &Trial,
        lineage: &[Candidate],
        seed: u64,
        cancel: &Cancel,
    ) -> Result<Option<Box<dyn Model>>, ModelError>;

    /// Whether a candidate's fidelity, where it is below 1, makes its evaluation cheaper.
    fn takes_fidelity(&self) -> bool {
        false
    }

    /// The data that models are trained and measured on, where there is any.
    fn data(&self) -> Option<&OpenData>;
}

impl StudyEvaluator for Function {
    fn model(
        &self,
        _: &Trial,
        _: &[Candidate],
        _: u64,
        _: &Cancel,
    ) -> Result<Option<Box<dyn Model>>, ModelError> {
        Ok(None)
    }

    fn data(&self) -> Option<&OpenData> {
        None
    }
}

/// What an evaluator may use of the program around it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host<'a> {
    /// This program: with the argument [`WORKER`] it is a worker, with
    /// [`GUARD`](crate::process::guard::GUARD) a guard.
    pub program: Option<&'a Path>,
    /// What a worker is told behind that, to install what is installed here.
    pub worker_args: &'a [OsString],
    /// The folder where trials keep what later stages of them go on from; it need not exist.
    pub checkpoints: Option<&'a Path>,
}

/// Makes the evaluator that `file` asks for, and checks that it reports every metric of the goal and of the stop rule. Programs
/// are kept within the limits of single trials; what is evaluated in this process cannot be, see [`guarded`].
///
/// # Errors
/// When there is no `[evaluate]`, its data cannot be read, it does not fit the space, or the goal or the stop rule reads a metric
/// it does not report; the error says where and what would have worked.
pub fn evaluator<'a>(
    file: &StudyFile,
    registry: &'a Registry,
    host: Host<'_>,
) -> Result<Box<dyn StudyEvaluator + 'a>, StudyFileError> {
    let evaluator: Box<dyn StudyEvaluator + 'a> = match &file.evaluate {
        Some(Evaluate::Function(section)) => Box::new(function(file, section)?),
        Some(Evaluate::Train(section)) => {
            Box::new(Train::new(file, section, registry, host.checkpoints)?)
        }
        Some(Evaluate::Models(section)) => Box::new(Models::new(file, section, registry)?),
        Some(Evaluate::Compress(section)) => Box::new(Compress::new(file, section, registry)?),
        Some(Evaluate::Command(section)) => Box::new(Command::new(file, section, host.program)?),
        None => return Err(file.no_evaluate()),
    };
    if let Some(reported) = evaluator.metrics() {
        file.check_metrics(&reported)?;
    }
    Ok(evaluator)
}

/// Refuses a `strategy` that begins with evaluations at a share of their cost where there is nothing to save.
///
/// # Errors
/// When `evaluator` does not take the fidelity of `first`, a candidate of the strategy's.
pub fn check_fidelity(
    file: &StudyFile,
    evaluator: &dyn StudyEvaluator,
    first: Option<&Candidate>,
) -> Result<(), StudyFileError> {
    match first {
        Some(first) if first.fidelity < 1.0 && !evaluator.takes_fidelity() => {
            Err(file.no_fidelity())
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
    file: &StudyFile,
    registry: &'a Registry,
    host: Host<'_>,
) -> Result<Box<dyn StudyEvaluator + 'a>, StudyFileError> {
    let inner = evaluator(file, registry, host)?;
    match host.program {
        Some(program)
            if !file.limits.is_empty() && !matches!(file.evaluate, Some(Evaluate::Command(_))) =>
        {
            let args = [&[WORKER.into()], host.worker_args].concat();
            Ok(Box::new(Isolated::new(
                inner,
                file,
                program,
                args,
                host.checkpoints,
            )))
        }
        _ => Ok(inner),
    }
}

/// Tries `fits` at the middle of the space and a few other points; the first error where no point passes, so that settings
/// that can never work are refused before anything runs.
fn probe_points<E>(file: &StudyFile, fits: impl Fn(&Point) -> Result<(), E>) -> Result<(), E> {
    let Err(first) = fits(&file.space.middle()) else {
        return Ok(());
    };
    let mut rng = Rng::keyed(file.seed, 0, "probe");
    let others = (1..PROBES).any(|_| fits(&file.space.sample(&mut rng)).is_ok());
    if others { Ok(()) } else { Err(first) }
}

fn function(file: &StudyFile, section: &FunctionSection) -> Result<Function, StudyFileError> {
    let names = FUNCTIONS.map(|f| f.name);
    let function = Function::named(&section.name).ok_or_else(|| {
        StudyFileError::at(
            &section.place,
            format!(
                "no function `{}`{}; there are {}",
                section.name,
                did_you_mean(&section.name, &names),
                listed(&names)
            ),
        )
    })?;
    let axes = file.space.axes().len();
    if axes < function.fewest {
        return Err(StudyFileError::at(
            &section.place,
            format!(
                "{} needs at least {} axes, the space has {axes}",
                function.name, function.fewest
            ),
        ));
    }
    Ok(function)
}

#[cfg(test)]
mod tests;
