//! An optimizer behind the table.

use std::ffi::c_void;
use std::sync::Arc;

use lapidary_core::cancel::Cancel;
use lapidary_core::json::Json;
use lapidary_core::model::{Model, ModelError, ModelSpec};
use lapidary_core::optimizer::{OptimizeContext, OptimizeError, Optimizer};
use lapidary_core::registry::Factory;
use lapidary_core::samples::Samples;
use lapidary_core::trial::Metrics;

use super::call::{Exported, Refusal, guarded};
use super::remote::{Remote, RemoteModel};
use crate::abi::{Buffer, Bytes, HostTable, OptimizerTable, Status};
use crate::wire::{Done, HostCall, Message, SamplesForm, SpecForm, Task, Trouble};

/// The table of the optimizer that `E` exports.
pub(super) const fn table<E: Exported>() -> &'static OptimizerTable {
    &OptimizerTable {
        size: size_of::<OptimizerTable>(),
        build: Some(build::<E>),
        optimize: Some(optimize),
        destroy: Some(destroy),
    }
}

impl From<OptimizeError> for Refusal {
    fn from(error: OptimizeError) -> Self {
        let trouble = Message::new(&Trouble::from(&error), Vec::new());
        Self::new(Status::FAILED, String::from_utf8_lossy(&trouble.text))
    }
}

unsafe extern "C" fn build<E: Exported>(
    settings: Bytes<'_>,
    optimizer: *mut *mut c_void,
    out: *mut Buffer,
) -> Status {
    // SAFETY: the host lends the settings for this call, and gives places for a pointer and a buffer.
    unsafe {
        guarded(out, || {
            let settings: Json = serde_json::from_slice(settings.get())
                .map_err(|e| Refusal::new(Status::FAILED, e))?;
            let Factory::Optimizer(make) = E::ENTRY.factory else {
                unreachable!("this table is that of optimizers");
            };
            let made: Box<dyn Optimizer> = make(&settings)?;
            optimizer.write(Box::into_raw(Box::new(made)).cast());
            Ok(Vec::new())
        })
    }
}

unsafe extern "C" fn optimize(
    optimizer: *mut c_void,
    request: Bytes<'_>,
    host: *const HostTable,
    out: *mut Buffer,
) -> Status {
    // SAFETY: the pointer is one that `build` gave; the request and the host's table are lent for this call.
    unsafe {
        guarded(out, || {
            let optimizer = &*optimizer.cast::<Box<dyn Optimizer>>();
            let remote = Remote::new(host).map_err(|e| Refusal::new(Status::FAILED, e))?;
            let request = Message {
                text: request.get().to_vec(),
                pieces: Vec::new(),
            };
            let task: Task = request
                .read()
                .map_err(|e| Refusal::new(Status::FAILED, e))?;
            let done = run(optimizer.as_ref(), &remote, &task)?;
            Ok(Message::new(&done, Vec::new()).text)
        })
    }
}

unsafe extern "C" fn destroy(optimizer: *mut c_void) {
    let mut nothing = Buffer::empty();
    // SAFETY: the pointer is one that `build` gave, and the host uses it no more.
    unsafe {
        guarded(&raw mut nothing, || {
            drop(Box::from_raw(optimizer.cast::<Box<dyn Optimizer>>()));
            Ok(Vec::new())
        });
    }
}

fn samples(remote: &Remote, part: &str) -> Result<Option<Samples>, ModelError> {
    let call = HostCall::Samples {
        part: part.to_owned(),
    };
    remote.read(&call, Vec::new(), |form: Option<SamplesForm>, answer| {
        form.map(|form| form.samples(answer)).transpose()
    })
}

fn run(
    optimizer: &dyn Optimizer,
    remote: &Arc<Remote>,
    task: &Task,
) -> Result<Done, OptimizeError> {
    if task.cancelled {
        remote.cancel.cancel();
    }
    let model = RemoteModel::new(remote, 0)?;
    let train = samples(remote, "train")?;
    let valid = samples(remote, "valid")?;
    let calibration = samples(remote, "calibration")?;
    let measure = |model: &dyn Model| -> Result<Metrics, ModelError> {
        let model = number(model)?;
        remote.ask(&HostCall::Measure { model })
    };
    let accept = |metrics: &Metrics| {
        let metrics = metrics.clone();
        remote.ask(&HostCall::Accept { metrics }).unwrap_or(false)
    };
    let build = |spec: &ModelSpec| -> Result<Box<dyn Model>, ModelError> {
        let spec = SpecForm::from(spec);
        let number = remote.ask(&HostCall::Build { spec })?;
        Ok(Box::new(RemoteModel::new(remote, number)?))
    };
    let progress = |share: f64, text: &str| remote.progress(share, text);
    let cancel: &Cancel = &remote.cancel;
    let optimized = optimizer.optimize(
        &model,
        &OptimizeContext {
            train: train.as_ref(),
            valid: valid.as_ref(),
            calibration: calibration.as_ref(),
            measure: &measure,
            accept: &accept,
            build: &build,
            seed: task.seed,
            cancel,
            progress: &progress,
        },
    )?;
    let model = number(optimized.model.as_ref())?;
    // The host takes the model over before ours is dropped.
    remote.keep(model);
    Ok(Done {
        model,
        notes: optimized.notes,
    })
}

/// The host's number of a model of its own.
fn number(model: &dyn Model) -> Result<u64, ModelError> {
    let own = model.as_any().downcast_ref::<RemoteModel>();
    own.map(RemoteModel::number)
        .ok_or_else(|| ModelError::Unsupported("a model that the host has not made".to_owned()))
}
