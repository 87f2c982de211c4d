//! The child's end: a process that opens one plug-in and does what its host asks it for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use lapidary_plugin::abi::Status;
use lapidary_plugin::wire::{Message, Trouble};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, setrlimit};
use thiserror::Error;

use crate::callbacks::{Callbacks, Outgoing};
use crate::error::PluginError;
use crate::frame::{self, Frame, Frames, HOST_CALL, REFUSED, SILENT, UNOPENED};
use crate::instance::{Call, Instance, Order, Over, Reply};
use crate::library::{InProcess, Library};
use crate::manifest::Manifest;
use crate::parcel::{self, Parcel};
use crate::socket::Socket;

/// What can go wrong with serving.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum ServeError {
    #[error("the connection to the host: {0}")]
    Connection(#[from] io::Error),
    #[error("a plug-in's process is started by another process of this program, not by hand")]
    NoHost,
    #[error("the memory of the process cannot be limited: {0}")]
    Memory(nix::Error),
}

/// Opens the plug-in at `path` and serves the host that stdin is connected to until it hangs up. No more than `memory` bytes
/// can be had.
///
/// # Errors
/// When stdin is no socket, or the host sends a call that is unknown. A plug-in that cannot be opened is no error here: the host is told.
pub fn serve(path: &Path, memory: u64) -> Result<(), ServeError> {
    let stdin: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    let socket = UnixStream::from(stdin);
    socket.peer_addr().map_err(|_| ServeError::NoHost)?;
    setrlimit(Resource::RLIMIT_DATA, memory, memory).map_err(ServeError::Memory)?;
    leave_with(socket.try_clone()?);
    let mut socket = Socket::new(socket);
    let mut instance = open(path);
    let mut frames = Frames::default();
    let mut late: Option<Reply> = None;
    let mut answer = Vec::new();
    loop {
        let Some(frame) = frames.next()? else {
            if !frames.fill(|room| socket.receive(room))? {
                return Ok(());
            }
            continue;
        };
        let silent = frame.number & SILENT != 0;
        let call = Call::numbered(frame.number & !SILENT)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an unknown call"))?;
        if call == Call::Destroy {
            late = None;
        }
        // After a failure that was not told nothing is done until it is.
        if silent && late.is_some() {
            continue;
        }
        let reply = match late.take() {
            Some(reply) => reply,
            None if call == Call::Optimize => {
                let mut relay = Relay {
                    socket: &mut socket,
                    frames: &mut frames,
                };
                optimize(&mut instance, &frame.payload, &mut relay)
            }
            None => reply(&mut instance, call, &frame.payload),
        };
        if silent {
            late = match reply.status {
                Status::OK => None,
                // Of a panic it is said already when that was.
                Status::PANICKED => Some(reply),
                _ => Some(Reply::refused(
                    Status::FAILED,
                    format!("when it was {}: {}", call.text(), reply.reason()),
                )),
            };
            continue;
        }
        answer.clear();
        frame::write(
            &mut answer,
            reply.status.0.cast_unsigned(),
            reply.bytes.get(),
        );
        socket.send(&answer, None, || true)?;
    }
}

fn open(path: &Path) -> Result<InProcess, PluginError> {
    let manifest = Manifest::read(path)?;
    Ok(Library::open(path, &manifest)?.instance())
}

/// Passes calls to the host on to it.
struct Relay<'a> {
    socket: &'a mut Socket,
    frames: &'a mut Frames,
}

impl Relay<'_> {
    fn ask(&mut self, request: &Message<'_>) -> io::Result<Frame> {
        let (request, file) = parcel::pack(request)?;
        let mut bytes = Vec::new();
        frame::write(&mut bytes, HOST_CALL, &request);
        let file = file.as_ref().map(AsFd::as_fd);
        self.socket.send(&bytes, file, || true)?;
        loop {
            if let Some(frame) = self.frames.next()? {
                return Ok(frame);
            }
            if !self.frames.fill(|room| self.socket.receive(room))? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl Callbacks for Relay<'_> {
    fn handle(&mut self, request: &Message<'_>) -> Result<Outgoing, Trouble> {
        let lost = |error| Trouble::Graph(format!("the connection to the host: {error}"));
        let frame = self.ask(request).map_err(lost)?;
        let refused = frame.number == REFUSED;
        let answer = Parcel::open(frame, u64::MAX).map_err(lost)?;
        if refused {
            return Err(answer.message().read().unwrap_or_else(Trouble::Graph));
        }
        Ok(Outgoing::lent(answer, Parcel::message))
    }

    fn cancelled(&self) -> bool {
        false
    }
}

fn optimize(
    instance: &mut Result<InProcess, PluginError>,
    payload: &[u8],
    relay: &mut Relay<'_>,
) -> Reply {
    let Some(order) = Order::from_bytes(payload) else {
        return Reply::refused(Status::FAILED, "the order is cut off");
    };
    match instance {
        Ok(instance) => match instance.optimize(&order, relay) {
            Ok(reply) => reply,
            Err(Over(reason)) => Reply::refused(Status::PANICKED, reason),
        },
        Err(error) => Reply::refused(Status::FAILED, error.to_string()),
    }
}

fn reply(instance: &mut Result<InProcess, PluginError>, call: Call, payload: &[u8]) -> Reply {
    match instance {
        Ok(instance) => match instance.call(call, payload) {
            Ok(reply) => reply,
            Err(Over(reason)) => Reply::refused(Status::PANICKED, reason),
        },
        Err(error) => Reply::refused(UNOPENED, error.to_string()),
    }
}

/// Ends this process when the other end of `socket` is closed, even while the plug-in is at work.
fn leave_with(socket: UnixStream) {
    std::thread::spawn(move || {
        let mut watched = [PollFd::new(socket.as_fd(), PollFlags::POLLHUP)];
        while let Ok(0) | Err(nix::Error::EINTR) = poll(&mut watched, PollTimeout::NONE) {}
        // SAFETY: ends the process without running what the plug-in has registered for its end.
        unsafe { nix::libc::_exit(0) }
    });
}
