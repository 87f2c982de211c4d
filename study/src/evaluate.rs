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
use std::process::Command as Program;

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::Evaluator;
use lapidary_core::model::{Model, ModelError};
use lapidary_core::registry::Registry;
use lapidary_core::rng::Rng;
use lapidary_core::space::Point;
use lapidary_core::text::listed;
use lapidary_core::trial::Candidate;

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
use crate::process::guard::Guard;
use crate::worker::{GUARD, WORKER};

/// Points tried before a study whose settings fit nothing is refused.
const PROBES: u64 = 8;

/// An evaluator that can give the model behind a candidate, where there is one.
pub trait StudyEvaluator: Evaluator + Send {
    /// The very model that was measured for `candidate` under the study's `seed`, made again; `None` where candidates are no
    /// models.
    ///
    /// # Errors
    /// When the model cannot be made, or the work is cancelled.
    fn model(
        &self,
        candidate: &Candidate,
        seed: u64,
        cancel: &Cancel,
    ) -> Result<Option<Box<dyn Model>>, ModelError>;

    /// The data that models are trained and measured on, where there is any.
    fn data(&self) -> Option<&OpenData>;
}

impl StudyEvaluator for Function {
    fn model(
        &self,
        _: &Candidate,
        _: u64,
        _: &Cancel,
    ) -> Result<Option<Box<dyn Model>>, ModelError> {
        Ok(None)
    }

    fn data(&self) -> Option<&OpenData> {
        None
    }
}

/// Makes the evaluator that `file` asks for, and checks that it reports every metric of the goal. Programs are kept within the
/// limits of single trials; what is evaluated in this process cannot be, see [`guarded`].
///
/// # Errors
/// When there is no `[evaluate]`, its data cannot be read, it does not fit the space, or the goal reads a metric it does not
/// report; the error says where and what would have worked.
pub fn evaluator<'a>(
    file: &StudyFile,
    registry: &'a Registry,
) -> Result<Box<dyn StudyEvaluator + 'a>, StudyFileError> {
    make(file, registry, None)
}

/// As [`evaluator`], but limits of single trials are kept by all evaluators, and what a trial has started does not outlive
/// this process. `program` is this program: with the argument [`WORKER`](crate::worker::WORKER) and then `worker_args`, by
/// which it installs what is installed here, it is a worker, with [`GUARD`] a guard.
///
/// # Errors
/// As [`evaluator`], and when the program cannot be started.
pub fn guarded<'a>(
    file: &StudyFile,
    registry: &'a Registry,
    program: &Path,
    worker_args: &[OsString],
) -> Result<Box<dyn StudyEvaluator + 'a>, StudyFileError> {
    let guard = || {
        Guard::start(Program::new(program).arg(GUARD)).map_err(|source| StudyFileError::Start {
            program: program.to_owned(),
            source,
        })
    };
    match &file.evaluate {
        Some(Evaluate::Command(_)) => make(file, registry, Some(guard()?)),
        _ if file.limits.is_empty() => make(file, registry, None),
        _ => {
            let inner = make(file, registry, None)?;
            let worker = [&[WORKER.into()], worker_args].concat();
            Ok(Box::new(Isolated::new(
                inner,
                file,
                program,
                worker,
                guard()?,
            )))
        }
    }
}

fn make<'a>(
    file: &StudyFile,
    registry: &'a Registry,
    guard: Option<Guard>,
) -> Result<Box<dyn StudyEvaluator + 'a>, StudyFileError> {
    let evaluator: Box<dyn StudyEvaluator + 'a> = match &file.evaluate {
        Some(Evaluate::Function(section)) => Box::new(function(file, section)?),
        Some(Evaluate::Train(section)) => Box::new(Train::new(file, section, registry)?),
        Some(Evaluate::Models(section)) => Box::new(Models::new(file, section)?),
        Some(Evaluate::Compress(section)) => Box::new(Compress::new(file, section, registry)?),
        Some(Evaluate::Command(section)) => Box::new(Command::new(file, section, guard)?),
        None => return Err(file.no_evaluate()),
    };
    if let Some(reported) = evaluator.metrics() {
        let names: Vec<String> = reported.into_iter().map(|m| m.name).collect();
        file.check_metrics(&names)?;
    }
    Ok(evaluator)
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
