//! The functions of an optimizer's table, called in this process.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lapidary_plugin::abi::{Answer, Bytes, HostTable, OptimizerTable, Status, Tensor};
use lapidary_plugin::wire::{Message, Piece, Trouble};

use crate::callbacks::{Callbacks, Outgoing};
use crate::instance::{Order, Reply};

/// Builds an optimizer of a table, and lets it work for `host`.
pub(crate) fn run(table: &OptimizerTable, order: &Order<'_>, host: &mut dyn Callbacks) -> Reply {
    let mut optimizer = std::ptr::null_mut();
    let built = build(table, order.settings, &mut optimizer);
    if built.status != Status::OK {
        return built;
    }
    let mut host: &mut dyn Callbacks = host;
    let functions = HostTable {
        size: size_of::<HostTable>(),
        context: (&raw mut host).cast(),
        call: Some(call),
    };
    let reply = Reply::filled(|out| match table.optimize {
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
    Reply::filled(|out| match table.build {
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
    let host = unsafe { &mut *context.cast::<&mut dyn Callbacks>() };
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
