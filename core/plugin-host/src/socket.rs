//! The socket between a host and a child process. Beside bytes it carries open files.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use crate::spin::Spinner;

/// One end.
pub(crate) struct Socket {
    socket: UnixStream,
    /// Room for what comes beside the bytes.
    beside: Vec<u8>,
    spinner: Spinner,
}

/// What came at once.
pub(crate) struct Received {
    /// How many bytes; none at the end.
    pub bytes: usize,
    /// The file that came with them.
    pub file: Option<OwnedFd>,
}

impl Socket {
    pub fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            beside: nix::cmsg_space!(RawFd),
            spinner: Spinner::default(),
        }
    }

    /// Sends all bytes, the file with the first. Where the socket takes no more for as long as its timeout, `wait` says whether
    /// to go on.
    ///
    /// # Errors
    /// Those of the socket, and its timeout.
    pub fn send(
        &self,
        mut bytes: &[u8],
        mut file: Option<BorrowedFd<'_>>,
        wait: impl Fn() -> bool,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let files = file.map(|file| [file.as_raw_fd()]);
            let beside = files.as_ref().map(|files| ControlMessage::ScmRights(files));
            let sent = sendmsg::<()>(
                self.socket.as_raw_fd(),
                &[IoSlice::new(bytes)],
                beside.as_slice(),
                MsgFlags::MSG_NOSIGNAL,
                None,
            );
            match sent {
                Ok(sent) => {
                    bytes = &bytes[sent..];
                    file = None;
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if wait() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits for bytes, for as long as the socket's timeout.
    ///
    /// # Errors
    /// Those of the socket, its timeout, and more than one file at once.
    pub fn receive(&mut self, to: &mut [u8]) -> io::Result<Received> {
        let Self {
            socket,
            beside,
            spinner,
        } = self;
        let at_once = spinner.spin(|| match take(socket, beside, to, MsgFlags::MSG_DONTWAIT) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            taken => Some(taken),
        });
        at_once.unwrap_or_else(|| take(socket, beside, to, MsgFlags::empty()))
    }
}

fn take(
    socket: &UnixStream,
    room_beside: &mut Vec<u8>,
    to: &mut [u8],
    flags: MsgFlags,
) -> io::Result<Received> {
    let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
    let room = &mut [IoSliceMut::new(to)];
    let message = loop {
        match recvmsg::<()>(socket.as_raw_fd(), room, Some(&mut *room_beside), flags) {
            Err(Errno::EINTR) => {}
            taken => break taken?,
        }
    };
    let mut files = Vec::new();
    let beside = message.cmsgs().map_err(|_| too_many_files())?;
    for beside in beside {
        if let ControlMessageOwned::ScmRights(numbers) = beside {
            // SAFETY: these files were opened for this process by the call, and belong to nobody yet.
            let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
            files.extend(numbers.into_iter().map(own));
        }
    }
    if files.len() > 1 {
        return Err(too_many_files());
    }
    Ok(Received {
        bytes: message.bytes,
        file: files.pop(),
    })
}

pub(crate) fn too_many_files() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "more than one file at once")
}
