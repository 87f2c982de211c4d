//! A plug-in's optimizer as one of ours.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::model::Model;
use lapidary_core::optimizer::{OptimizeContext, OptimizeError, Optimized, Optimizer};
use lapidary_core::registry::{BuildError, Info};
use lapidary_plugin::abi::{Answer, Bytes, HostTable, OptimizerTable, Status, Tensor};
use lapidary_plugin::wire::{Done, Message, Piece, Task, Trouble, write};

use crate::host::Sessions;
use crate::hosted::{Hosted, Outgoing, Served};
use crate::session::{Call, Over, Reply};

/// An optimizer behind the border.
pub(crate) struct PluginOptimizer {
    name: &'static str,
    sessions: Arc<Sessions>,
    settings: Vec<u8>,
}

impl PluginOptimizer {
    /// Looks that the plug-in takes the settings; it is built anew for every run, each in a session of its own.
    pub fn build(
        sessions: &Arc<Sessions>,
        info: &Info,
        settings: &Json,
    ) -> Result<Self, BuildError> {
        let name = info.name;
        let broken = |reason: String| BuildError::Broken { name, reason };
        let mut text = Vec::new();
        write(&mut text, settings);
        let settings = text;
        let mut session = sessions.begin().map_err(|e| broken(e.to_string()))?;
        let reply = session.call(Call::Build, &settings);
        let reply = reply.map_err(|over| broken(format!("the plug-in {}", over.0)))?;
        let reason = reply.bytes.text();
        match reply.status {
            Status::OK => Ok(Self {
                name,
                sessions: sessions.clone(),
                settings,
            }),
            Status::SETTINGS => Err(info.refuse(reason)),
            Status::UNFIT => Err(BuildError::Unfit { name, reason }),
            _ => Err(broken(reason)),
        }
    }

    fn wrong(&self, reason: String) -> OptimizeError {
        OptimizeError::Method {
            optimizer: self.name.to_owned(),
            reason,
        }
    }
}

impl Optimizer for PluginOptimizer {
    fn optimize(
        &self,
        model: &dyn Model,
        cx: &OptimizeContext<'_>,
    ) -> Result<Optimized, OptimizeError> {
        let mut served = Served::new(model, cx);
        let task = Task {
            seed: cx.seed,
            cancelled: cx.cancel.is_cancelled(),
        };
        let order = Order {
            settings: &self.settings,
            task: &Message::new(&task, Vec::new()).text,
        };
        let session = self.sessions.begin();
        let mut session = session.map_err(|e| self.wrong(e.to_string()))?;
        let reply = session
            .optimize(&order, &mut served)
            .map_err(|Over(reason)| {
                if cx.cancel.is_cancelled() {
                    return OptimizeError::Cancelled;
                }
                self.wrong(format!("the plug-in {reason}"))
            })?;
        let answer = Message {
            text: reply.bytes.get().to_vec(),
            pieces: Vec::new(),
        };
        if reply.status != Status::OK {
            let trouble = answer.read::<Trouble>();
            return Err(match trouble {
                Ok(trouble) => trouble.into(),
                Err(_) => self.wrong(reply.bytes.text()),
            });
        }
        let done: Done = answer
            .read()
            .map_err(|e| self.wrong(format!("what it gave back: {e}")))?;
        let model = served.take(done.model).map_err(OptimizeError::from)?;
        Ok(Optimized {
            model,
            notes: done.notes,
        })
    }
}

/// What an optimizer is made from, and told.
pub(crate) struct Order<'a> {
    pub settings: &'a [u8],
    pub task: &'a [u8],
}

impl<'a> Order<'a> {
    /// Both as bytes, for another process.
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = (self.settings.len() as u64).to_le_bytes();
        [&length, self.settings, self.task].concat()
    }

    /// Reads what [`Order::to_bytes`] wrote.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (settings, task) = rest.split_at_checked(length)?;
        Some(Self { settings, task })
    }
}

/// Builds an optimizer of a table, and lets it work for `host`.
pub(crate) fn run(table: &OptimizerTable, order: &Order<'_>, host: &mut dyn Hosted) -> Reply {
    let mut optimizer = std::ptr::null_mut();
    let built = build(table, order.settings, &mut optimizer);
    if built.status != Status::OK {
        return built;
    }
    let mut host: &mut dyn Hosted = host;
    let functions = HostTable {
        size: size_of::<HostTable>(),
        context: (&raw mut host).cast(),
        call: Some(call),
    };
    let reply = crate::library::answer(|out| match table.optimize {
        // SAFETY: called as the interface says, with an optimizer that this table has built; the host outlives the call.
        Some(optimize) => unsafe {
            optimize(
                optimizer,
                Bytes::lend(order.task),
                &raw const functions,
                out,
            )
        },
        None => Status::FAILED,
    });
    if reply.status != Status::PANICKED {
        destroy(table, optimizer);
    }
    reply
}

/// Builds an optimizer.
pub(crate) fn build(table: &OptimizerTable, settings: &[u8], place: &mut *mut c_void) -> Reply {
    crate::library::answer(|out| match table.build {
        // SAFETY: called as the interface says.
        Some(build) => unsafe { build(Bytes::lend(settings), place, out) },
        None => Status::FAILED,
    })
}

/// Ends an optimizer.
pub(crate) fn destroy(table: &OptimizerTable, optimizer: *mut c_void) {
    if let (false, Some(destroy)) = (optimizer.is_null(), table.destroy) {
        // SAFETY: the table has built it, it did not panic, and it is not used again.
        unsafe { destroy(optimizer) }
    }
}

/// An answer with all it lends.
struct Lent {
    outgoing: Outgoing,
    tensors: Vec<Tensor<'static>>,
}

/// The function of the host's table.
unsafe extern "C" fn call(
    context: *mut c_void,
    request: Bytes<'_>,
    tensors: *const Tensor<'_>,
    count: usize,
    answer: *mut Answer,
) -> Status {
    // SAFETY: the context is the one that `run` has put into the table, and one call comes at a time.
    let host = unsafe { &mut *context.cast::<&mut dyn Hosted>() };
    let lent: &[Tensor<'_>] = if count == 0 {
        &[]
    } else {
        // SAFETY: the plug-in lends so many tensors for this call.
        unsafe { std::slice::from_raw_parts(tensors, count) }
    };
    let pieces = lent.iter().map(|tensor| {
        // SAFETY: as above.
        let (shape, bytes) = unsafe { tensor.get() };
        Piece {
            dtype: tensor.dtype(),
            shape: shape.to_vec(),
            bytes: bytes.into(),
        }
    });
    let message = Message {
        // SAFETY: lent for this call.
        text: unsafe { request.get() }.to_vec(),
        pieces: pieces.collect(),
    };
    // A panic of ours must not unwind into the plug-in.
    let handled = catch_unwind(AssertUnwindSafe(|| host.handle(&message)));
    let (status, outgoing) = match handled {
        Ok(Ok(outgoing)) => (Status::OK, outgoing),
        Ok(Err(trouble)) => (Status::FAILED, Outgoing::of(&trouble)),
        Err(panic) => {
            let text = lapidary_core::text::panic_text(&*panic).to_owned();
            let trouble = Trouble::Graph(format!("the host panicked: {text}"));
            (Status::FAILED, Outgoing::of(&trouble))
        }
    };
    let mut owner = Box::new(Lent {
        outgoing,
        tensors: Vec::new(),
    });
    let message: *const Message<'static> = &raw const owner.outgoing.message;
    // SAFETY: the message stays where it is until the owner is dropped, in `release`.
    let message = unsafe { &*message };
    owner.tensors = (message.pieces.iter())
        .map(|piece| Tensor::lend(piece.dtype, &piece.shape, &piece.bytes))
        .collect();
    let given = Answer {
        text: Bytes::lend(&message.text),
        tensors: owner.tensors.as_ptr(),
        count: owner.tensors.len(),
        owner: Box::into_raw(owner).cast(),
        release: Some(release),
    };
    // SAFETY: the plug-in gives a place for an answer.
    unsafe { answer.write(given) };
    status
}

/// Frees what an answer lends.
unsafe extern "C" fn release(answer: *mut Answer) {
    // SAFETY: called by the owner of an answer, once.
    let answer = unsafe { &mut *answer };
    // SAFETY: `call` has put it there.
    drop(unsafe { Box::from_raw(answer.owner.cast::<Lent>()) });
    answer.release = None;
}
