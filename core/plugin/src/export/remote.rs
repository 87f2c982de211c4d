//! The host's models, as a plug-in sees them.

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use lapidary_core::cancel::Cancel;
use lapidary_core::fit::{Epoch, FitContext, FitPlan, Fitted, Verdict};
use lapidary_core::json::Json;
use lapidary_core::model::{
    ChannelGroup, Edit, Model, ModelError, Signature, Structural, Tap, Topology, Trainable,
    ValueId, Weights,
};
use lapidary_core::samples::{Inputs, Samples};
use lapidary_core::tensor::Dense;
use serde::de::DeserializeOwned;

use crate::abi::{Answer, Bytes, HostTable, Status, Table, Tensor};
use crate::wire::{
    Description, EditForm, HostCall, Message, Piece, PlanForm, SamplesForm, TensorForm, Trouble,
};

/// The host while an optimizer is at work.
pub(super) struct Remote {
    /// Held during a call: the host takes one at a time.
    host: Mutex<Host>,
    /// Set once the host says that the work is cancelled.
    pub cancel: Cancel,
    /// The model that is given back, which the host must not release.
    kept: AtomicU64,
}

type Call =
    unsafe extern "C" fn(*mut c_void, Bytes<'_>, *const Tensor<'_>, usize, *mut Answer) -> Status;

struct Host {
    context: *mut c_void,
    call: Call,
}

// SAFETY: the interface says that the host's function may be called from any thread, and the lock that only one does.
unsafe impl Send for Host {}

/// An answer of the host's, given back when it is dropped.
struct Given(Answer);

impl Drop for Given {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: the maker's own function, called once.
            unsafe { release(&raw mut self.0) }
        }
    }
}

impl Given {
    /// The answer as a message, without a copy of its tensors.
    fn message(&self) -> Message<'_> {
        let tensors = if self.0.count == 0 {
            &[]
        } else {
            // SAFETY: the host promises so many tensors until they are given back.
            unsafe { std::slice::from_raw_parts(self.0.tensors, self.0.count) }
        };
        let pieces = tensors.iter().map(|tensor| {
            // SAFETY: as above.
            let (shape, bytes) = unsafe { tensor.get() };
            Piece {
                dtype: tensor.dtype(),
                shape: shape.to_vec(),
                bytes: bytes.into(),
            }
        });
        Message {
            // SAFETY: as above.
            text: unsafe { self.0.text.get() }.to_vec(),
            pieces: pieces.collect(),
        }
    }
}

impl Remote {
    /// The host behind a table.
    ///
    /// # Safety
    /// It must be a host's table, which is lent for the call that this is for.
    pub unsafe fn new(table: *const HostTable) -> Result<Arc<Self>, &'static str> {
        // SAFETY: the caller's promise.
        let table = unsafe { HostTable::read(table) };
        let table = table.map_err(|_| "the host's table is too short")?;
        Ok(Arc::new(Self {
            host: Mutex::new(Host {
                context: table.context,
                call: table.call.ok_or("the host has no function `call`")?,
            }),
            cancel: Cancel::new(),
            kept: AtomicU64::new(u64::MAX),
        }))
    }

    /// Asks the host; `read` makes of the answer what is wanted.
    pub fn read<F: DeserializeOwned, T>(
        &self,
        call: &HostCall,
        pieces: Vec<Piece<'_>>,
        read: impl FnOnce(F, &Message<'_>) -> Result<T, String>,
    ) -> Result<T, ModelError> {
        let request = Message::new(call, pieces);
        let tensors: Vec<Tensor<'_>> = (request.pieces.iter())
            .map(|piece| Tensor::lend(piece.dtype, &piece.shape, &piece.bytes))
            .collect();
        let mut given = Given(Answer::empty());
        let status = {
            let host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
            // SAFETY: called as the interface says: what is lent lives until the call returns.
            unsafe {
                (host.call)(
                    host.context,
                    Bytes::lend(&request.text),
                    tensors.as_ptr(),
                    tensors.len(),
                    &raw mut given.0,
                )
            }
        };
        let answer = given.message();
        if status != Status::OK {
            let trouble = answer.read::<Trouble>().unwrap_or_else(|_| {
                Trouble::Graph(String::from_utf8_lossy(&answer.text).into_owned())
            });
            if matches!(trouble, Trouble::Cancelled) {
                self.cancel.cancel();
            }
            return Err(trouble.into());
        }
        let wrong = |reason| ModelError::Graph(format!("what the host answered: {reason}"));
        read(answer.read().map_err(wrong)?, &answer).map_err(wrong)
    }

    /// Asks the host for what needs no tensors.
    pub fn ask<T: DeserializeOwned>(&self, call: &HostCall) -> Result<T, ModelError> {
        self.read(call, Vec::new(), |form, _| Ok(form))
    }

    /// Tells the host how far the work is.
    pub fn progress(&self, share: f64, text: &str) {
        let text = text.to_owned();
        if let Ok(true) = self.ask(&HostCall::Progress { share, text }) {
            self.cancel.cancel();
        }
    }

    /// The host is about to take over a model.
    pub fn keep(&self, model: u64) {
        self.kept.store(model, Ordering::Release);
    }
}

/// A model of the host's.
pub(super) struct RemoteModel(Arc<Inner>);

struct Inner {
    remote: Arc<Remote>,
    number: u64,
    description: Description,
    topology: Topology,
    weights: OnceLock<Weights>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.remote.kept.load(Ordering::Acquire) != self.number {
            // A host that is gone has released all there was.
            let _: Result<Json, _> = self.remote.ask(&HostCall::Release { model: self.number });
        }
    }
}

impl RemoteModel {
    /// The model that the host has given a number.
    pub fn new(remote: &Arc<Remote>, number: u64) -> Result<Self, ModelError> {
        let description: Description = remote.ask(&HostCall::Describe { model: number })?;
        Ok(Self(Arc::new(Inner {
            remote: remote.clone(),
            number,
            topology: description.topology(),
            description,
            weights: OnceLock::new(),
        })))
    }

    /// The host's number.
    pub fn number(&self) -> u64 {
        self.0.number
    }

    fn made(&self, number: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Self::new(&self.0.remote, number)?))
    }
}

/// Inputs by the numbers of their tensors, which are put among `pieces`.
fn inputs_form<'a>(inputs: &'a Inputs, pieces: &mut Vec<Piece<'a>>) -> BTreeMap<String, usize> {
    let put = |(name, dense): (&String, &'a Dense)| {
        pieces.push(Piece::of(dense));
        (name.clone(), pieces.len() - 1)
    };
    inputs.iter().map(put).collect()
}

fn dense(answer: &Message<'_>, at: usize) -> Result<Dense, String> {
    answer.piece(at)?.dense().map_err(|e| e.to_string())
}

impl Model for RemoteModel {
    fn signature(&self) -> &Signature {
        &self.0.description.signature
    }

    fn topology(&self) -> &Topology {
        &self.0.topology
    }

    fn weights(&self) -> &Weights {
        self.0.weights.get_or_init(|| {
            let model = self.0.number;
            let read = |forms: BTreeMap<String, TensorForm>, answer: &Message<'_>| {
                let weight =
                    |(name, form): (String, TensorForm)| Ok((name, Arc::new(form.tensor(answer)?)));
                forms.into_iter().map(weight).collect()
            };
            // Without a host there is no model: whatever is done next fails and says so.
            (self.0.remote)
                .read(&HostCall::Weights { model }, Vec::new(), read)
                .unwrap_or_default()
        })
    }

    fn apply(&self, edits: &[Edit]) -> Result<Box<dyn Model>, ModelError> {
        let mut pieces = Vec::new();
        let forms = (edits.iter())
            .map(|edit| EditForm::of(edit, &mut pieces))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| ModelError::Unsupported("an edit of this kind".to_owned()))?;
        let call = HostCall::Apply {
            model: self.0.number,
            edits: forms,
        };
        let number = self.0.remote.read(&call, pieces, |number, _| Ok(number))?;
        self.made(number)
    }

    fn forward(&self, inputs: &Inputs) -> Result<Vec<Dense>, ModelError> {
        let mut pieces = Vec::new();
        let call = HostCall::Forward {
            model: self.0.number,
            inputs: inputs_form(inputs, &mut pieces),
        };
        (self.0.remote).read(&call, pieces, |tensors: Vec<usize>, answer| {
            tensors.into_iter().map(|at| dense(answer, at)).collect()
        })
    }

    fn observe(
        &self,
        inputs: &Inputs,
        values: &[ValueId],
        tap: &mut dyn Tap,
    ) -> Result<(), ModelError> {
        let mut pieces = Vec::new();
        let call = HostCall::Observe {
            model: self.0.number,
            inputs: inputs_form(inputs, &mut pieces),
            values: values.to_vec(),
        };
        (self.0.remote).read(&call, pieces, |seen: Vec<(String, usize)>, answer| {
            for (id, at) in seen {
                tap.value(&id, &dense(answer, at)?);
            }
            Ok(())
        })
    }

    fn file_bytes(&self) -> Result<u64, ModelError> {
        let model = self.0.number;
        self.0.remote.ask(&HostCall::FileBytes { model })
    }

    fn share(&self) -> Box<dyn Model> {
        Box::new(Self(self.0.clone()))
    }

    fn structure(&self) -> Option<&dyn Structural> {
        self.0.description.structural.then_some(self)
    }

    fn trainable(&self) -> Option<&dyn Trainable> {
        self.0.description.trainable.then_some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Structural for RemoteModel {
    fn groups(&self) -> Vec<ChannelGroup> {
        let model = self.0.number;
        (self.0.remote)
            .ask(&HostCall::Groups { model })
            .unwrap_or_default()
    }
}

impl Trainable for RemoteModel {
    fn fit(
        &self,
        plan: &FitPlan,
        train: &Samples,
        valid: Option<&Samples>,
        cx: &FitContext<'_>,
    ) -> Result<Fitted, ModelError> {
        let mut pieces = Vec::new();
        let form = PlanForm::of(plan, &mut pieces).ok_or_else(|| {
            ModelError::Unsupported("a run in parts, or a loss of this kind,".to_owned())
        })?;
        let call = HostCall::Fit {
            model: self.0.number,
            plan: Box::new(form),
            train: SamplesForm::of(train, &mut pieces),
            valid: valid.map(|valid| SamplesForm::of(valid, &mut pieces)),
        };
        let remote = &self.0.remote;
        let (number, mut history): (u64, Vec<Epoch>) =
            remote.read(&call, pieces, |fitted, _| Ok(fitted))?;
        // The host pauses after each epoch, as it cannot call into this process while it trains.
        let mut told = 0;
        while let Some(epoch) = history.get(told) {
            told += 1;
            if (cx.epoch)(epoch) == Verdict::Stop || told == plan.epochs {
                break;
            }
            let pause = Some(told + 1);
            let (_, gone): (u64, _) = remote.ask(&HostCall::GoOn { pause })?;
            history = gone;
        }
        let model = self.made(number)?;
        if cx.cancel.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        Ok(Fitted {
            model,
            history,
            paused: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every call with the number of tensors beside it.
    unsafe extern "C" fn count(
        _: *mut c_void,
        _: Bytes<'_>,
        _: *const Tensor<'_>,
        count: usize,
        answer: *mut Answer,
    ) -> Status {
        const DIGITS: &[u8] = b"0123456789";
        // SAFETY: the caller gives a place for an answer.
        unsafe { (*answer).text = Bytes::lend(&DIGITS[count..=count]) };
        Status::OK
    }

    /// The table of a later version: what is known stands first.
    #[repr(C)]
    struct Longer {
        known: HostTable,
        later: [usize; 4],
    }

    fn table(size: usize) -> HostTable {
        HostTable {
            size,
            context: std::ptr::null_mut(),
            call: Some(count),
        }
    }

    fn remote(table: &HostTable) -> Result<Arc<Remote>, &'static str> {
        // SAFETY: the table has what it says, and `count` may always be called.
        unsafe { Remote::new(table) }
    }

    #[test]
    fn a_host_of_a_later_version_is_asked_as_one_of_today() {
        let longer = Longer {
            known: table(size_of::<Longer>()),
            later: [7; 4],
        };
        let remote = remote(&longer.known).unwrap();
        assert_eq!(
            remote.ask::<u64>(&HostCall::Release { model: 1 }).unwrap(),
            0
        );
        assert_eq!(longer.later, [7; 4]);
        let dense = Dense::f32(&[2], vec![1.0, 2.0]).unwrap();
        let pieces = vec![Piece::of(&dense), Piece::of(&dense)];
        let call = HostCall::Release { model: 1 };
        let counted: u64 = remote.read(&call, pieces, |n, _| Ok(n)).unwrap();
        assert_eq!(counted, 2);
    }

    #[test]
    fn a_host_that_offers_less_than_is_needed_is_refused() {
        assert!(remote(&table(size_of::<HostTable>() - 1)).is_err());
        let none = HostTable {
            call: None,
            ..table(size_of::<HostTable>())
        };
        assert!(remote(&none).is_err());
    }
}
