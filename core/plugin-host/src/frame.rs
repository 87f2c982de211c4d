//! Frames, the unit of what the host and a child process send each other: a length, a number, a payload of that length, and at
//! most one open file.

use std::io;
use std::os::fd::OwnedFd;

use lapidary_plugin::abi::Status;

use crate::socket::{Received, too_many_files};

/// The number of a call to the host, and of its answer.
pub(crate) const HOST_CALL: u32 = 1 << 17;
/// The number of the answer that the host cannot do it.
pub(crate) const REFUSED: u32 = HOST_CALL + 1;
/// Marks a call that is answered only by the failure of the next one.
pub(crate) const SILENT: u32 = 1 << 16;

/// The status of every answer where the plug-in cannot be opened; none of the interface's.
pub(crate) const UNOPENED: Status = Status(1 << 15);

/// Bytes before the payload: its length and the number, 32 bits each.
const HEADER: usize = 8;
/// No payload may be longer; only tensors take so much.
const LONGEST: usize = 1 << 30;
/// No answer of a plug-in's may be longer, nor what it is told.
pub(crate) const LONGEST_ANSWER: usize = 64 << 20;
/// Bytes that are read at a time.
const PART: usize = 1 << 16;

/// A number and a payload.
#[derive(Debug)]
pub(crate) struct Frame {
    pub number: u32,
    pub payload: Vec<u8>,
    pub file: Option<OwnedFd>,
}

/// Appends a frame to `to`.
pub(crate) fn write(to: &mut Vec<u8>, number: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    to.extend_from_slice(&length.to_le_bytes());
    to.extend_from_slice(&number.to_le_bytes());
    to.extend_from_slice(payload);
}

/// Reads frames from what comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// Room for bytes; those in `start..end` were read and not given out.
    room: Vec<u8>,
    start: usize,
    end: usize,
    /// A file that came with bytes of the frame that is not given out yet.
    file: Option<OwnedFd>,
}

impl Frames {
    /// The next frame, where it is there as a whole.
    ///
    /// # Errors
    /// When it is longer than any frame may be.
    pub fn next(&mut self) -> io::Result<Option<Frame>> {
        let ready = &self.room[self.start..self.end];
        let Some((header, rest)) = ready.split_at_checked(HEADER) else {
            return Ok(None);
        };
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (length, number) = (word(0) as usize, word(4));
        let longest = match number {
            HOST_CALL | REFUSED => LONGEST,
            _ => LONGEST_ANSWER,
        };
        if length > longest {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{length} bytes at once"),
            ));
        }
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = Frame {
            number,
            payload: payload.to_vec(),
            file: self.file.take(),
        };
        self.start += HEADER + length;
        Ok(Some(frame))
    }

    /// Reads what `receive` gives; false at its end.
    ///
    /// # Errors
    /// Those of `receive`.
    pub fn fill(
        &mut self,
        receive: impl FnOnce(&mut [u8]) -> io::Result<Received>,
    ) -> io::Result<bool> {
        self.room.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.room.len() - self.end < PART {
            let room = (2 * self.room.len()).max(2 * PART);
            self.room.resize(room, 0);
        }
        let received = receive(&mut self.room[self.end..])?;
        self.end += received.bytes;
        if received.file.is_some() && self.file.is_some() {
            return Err(too_many_files());
        }
        self.file = self.file.take().or(received.file);
        Ok(received.bytes > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(from: &[u8]) -> impl FnOnce(&mut [u8]) -> io::Result<Received> {
        |to| {
            to[..from.len()].copy_from_slice(from);
            Ok(Received {
                bytes: from.len(),
                file: None,
            })
        }
    }

    #[test]
    fn frames_come_back_from_pieces_of_any_size() {
        let mut bytes = Vec::new();
        let sent: Vec<(u32, Vec<u8>)> = (0..20)
            .map(|i| (i, vec![i as u8; i as usize * 7]))
            .collect();
        for (number, payload) in &sent {
            write(&mut bytes, *number, payload);
        }
        for size in [1, 3, 8, 64, 100_000] {
            let mut frames = Frames::default();
            let mut got = Vec::new();
            for piece in bytes.chunks(size) {
                assert!(frames.fill(received(piece)).unwrap());
                while let Some(frame) = frames.next().unwrap() {
                    got.push((frame.number, frame.payload));
                }
            }
            assert_eq!(got, sent);
            assert!(!frames.fill(received(&[])).unwrap());
        }
    }

    #[test]
    fn endless_frames_are_refused() {
        let mut frames = Frames::default();
        frames.fill(received(&[0xff; 8])).unwrap();
        assert!(frames.next().is_err());
    }

    #[test]
    fn a_file_belongs_to_the_frame_that_it_came_with() {
        let mut bytes = Vec::new();
        write(&mut bytes, 1, b"with");
        let with = || {
            let bytes = &bytes;
            |to: &mut [u8]| {
                to[..bytes.len()].copy_from_slice(bytes);
                Ok(Received {
                    bytes: bytes.len(),
                    file: Some(tempfile::tempfile()?.into()),
                })
            }
        };
        let mut frames = Frames::default();
        frames.fill(with()).unwrap();
        frames.fill(received(&bytes)).unwrap();
        assert!(frames.next().unwrap().unwrap().file.is_some());
        assert!(frames.next().unwrap().unwrap().file.is_none());
        frames.fill(with()).unwrap();
        assert!(frames.fill(with()).is_err());
    }
}
