//! Messages between processes: bytes, and large tensors in a memory file beside them.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::OwnedFd;

use lapidary_plugin::wire::{Message, Piece};

use crate::frame::Frame;
use crate::memory::{Mapped, sealed};

/// Tensors of at least so many bytes go into the memory file: shorter ones are copied faster than mapped.
const LARGE: usize = 1 << 16;
/// Each tensor in a memory file begins at a multiple of this.
const ALIGNMENT: usize = 64;
/// Marks the length of a part that is in the memory file.
const OUTSIDE: u64 = 1 << 63;

/// The place behind `end` at which the next tensor of a memory file begins.
fn next(end: usize) -> usize {
    end.next_multiple_of(ALIGNMENT)
}

/// A message as bytes, and the memory file with its large tensors where it has such.
///
/// # Errors
/// When there is no memory for the file.
pub(crate) fn pack(message: &Message<'_>) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut bytes = Vec::new();
    let mut outside: Vec<(usize, &[u8])> = Vec::new();
    let mut end = 0;
    let part = |bytes: &mut Vec<u8>, part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    };
    part(&mut bytes, &message.text);
    for piece in &message.pieces {
        let shape: Vec<u8> = (piece.shape.iter()).flat_map(|n| n.to_le_bytes()).collect();
        part(&mut bytes, &piece.dtype.to_le_bytes());
        part(&mut bytes, &shape);
        if piece.bytes.len() < LARGE {
            part(&mut bytes, &piece.bytes);
            continue;
        }
        let length = piece.bytes.len() as u64 | OUTSIDE;
        bytes.extend_from_slice(&length.to_le_bytes());
        outside.push((next(end), &piece.bytes));
        end = next(end) + piece.bytes.len();
    }
    let file = (end > 0).then(|| sealed(outside)).transpose()?;
    Ok((bytes, file))
}

/// A message that came from another process.
pub(crate) struct Parcel {
    payload: Vec<u8>,
    memory: Option<Mapped>,
    text: Range<usize>,
    tensors: Vec<Tensor>,
}

struct Tensor {
    dtype: u32,
    shape: Vec<u64>,
    elements: Place,
}

enum Place {
    Inside(Range<usize>),
    Outside(Range<usize>),
}

impl Parcel {
    /// What [`pack`] has packed, with at most so many bytes in its memory file.
    ///
    /// # Errors
    /// When it is cut off, or its memory file is not to be relied on or too short.
    pub fn open(frame: Frame, most: u64) -> io::Result<Self> {
        let Frame { payload, file, .. } = frame;
        let memory = file.map(|file| Mapped::new(&file, most)).transpose()?;
        let mut parts = Parts {
            bytes: &payload,
            at: 0,
            outside: memory.as_ref().map_or(0, |memory| memory.bytes().len()),
            end: 0,
        };
        let text = parts.inside()?;
        let mut tensors = Vec::new();
        while parts.at < payload.len() {
            let dtype = payload[parts.inside()?].try_into();
            let (shape, _) = payload[parts.inside()?].as_chunks::<8>();
            tensors.push(Tensor {
                dtype: dtype.map_or(0, u32::from_le_bytes),
                shape: shape.iter().map(|n| u64::from_le_bytes(*n)).collect(),
                elements: parts.next()?,
            });
        }
        Ok(Self {
            text,
            tensors,
            memory,
            payload,
        })
    }

    /// The message.
    pub fn message(&self) -> Message<'_> {
        let outside = self.memory.as_ref().map_or(&[][..], Mapped::bytes);
        let pieces = self.tensors.iter().map(|tensor| Piece {
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            bytes: match &tensor.elements {
                Place::Inside(range) => &self.payload[range.clone()],
                Place::Outside(range) => &outside[range.clone()],
            }
            .into(),
        });
        Message {
            text: self.payload[self.text.clone()].to_vec(),
            pieces: pieces.collect(),
        }
    }
}

/// Goes through the parts of a message.
struct Parts<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Bytes of the memory file.
    outside: usize,
    /// Where the last tensor in it ends.
    end: usize,
}

impl Parts<'_> {
    fn next(&mut self) -> io::Result<Place> {
        let length = self.bytes[self.at..].first_chunk::<8>();
        let length = u64::from_le_bytes(*length.ok_or_else(cut_off)?);
        self.at += 8;
        let (start, limit) = match length & OUTSIDE {
            0 => (self.at, self.bytes.len()),
            _ => (next(self.end), self.outside),
        };
        let end = usize::try_from(length & !OUTSIDE)
            .ok()
            .and_then(|length| start.checked_add(length))
            .filter(|end| *end <= limit)
            .ok_or_else(cut_off)?;
        Ok(match length & OUTSIDE {
            0 => {
                self.at = end;
                Place::Inside(start..end)
            }
            _ => {
                self.end = end;
                Place::Outside(start..end)
            }
        })
    }

    fn inside(&mut self) -> io::Result<Range<usize>> {
        match self.next()? {
            Place::Inside(range) => Ok(range),
            Place::Outside(_) => Err(cut_off()),
        }
    }
}

fn cut_off() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "a message that is cut off")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_core::tensor::{DType, Dense};

    fn frame((payload, file): (Vec<u8>, Option<OwnedFd>)) -> Frame {
        Frame {
            number: 0,
            payload,
            file,
        }
    }

    fn tensors() -> [Dense; 6] {
        let many = |n: usize| (0..n).map(|i| i as f32).collect();
        [
            Dense::f32(&[2, 1], vec![f32::NAN, -0.0]).unwrap(),
            Dense::i64(&[], vec![i64::MIN]).unwrap(),
            Dense::f32(&[70_000], many(70_000)).unwrap(),
            Dense::f32(&[0, 3], vec![]).unwrap(),
            Dense::Raw {
                dtype: DType::BF16,
                shape: vec![1],
                bytes: [1u8, 2].as_slice().into(),
            },
            Dense::f32(&[1 << 18, 3], many(3 << 18)).unwrap(),
        ]
    }

    #[test]
    fn messages_come_back_with_their_tensors() {
        let tensors = tensors();
        let sent = Message::new(&vec!["a"; 3], tensors.iter().map(Piece::of).collect());
        let (bytes, file) = pack(&sent).unwrap();
        assert!(file.is_some() && bytes.len() < LARGE);
        let parcel = Parcel::open(frame((bytes, file)), 1 << 30).unwrap();
        let read = parcel.message();
        assert_eq!(read, sent);
        assert_eq!(read.read::<Vec<String>>().unwrap(), ["a"; 3]);
        for (piece, tensor) in read.pieces.iter().zip(&tensors) {
            assert_eq!(Piece::of(&piece.dense().unwrap()), Piece::of(tensor));
        }
    }

    #[test]
    fn messages_that_are_cut_off_are_refused() {
        let tensors = tensors();
        let sent = Message::new(&vec!["a"; 3], tensors.iter().map(Piece::of).collect());
        let (bytes, file) = pack(&sent).unwrap();
        for end in 1..bytes.len() {
            let file = file.as_ref().map(|file| file.try_clone().unwrap());
            // Cut anywhere it is refused, or is a shorter message.
            let cut = Parcel::open(frame((bytes[..end].to_vec(), file)), 1 << 30);
            assert!(cut.is_err() || cut.is_ok_and(|cut| cut.tensors.len() < tensors.len()));
        }
        let short = sealed([(0, &[0; 280_000][..])]).unwrap();
        for file in [None, Some(short)] {
            let error = Parcel::open(frame((bytes.clone(), file)), 1 << 30).err();
            assert_eq!(error.unwrap().to_string(), "a message that is cut off");
        }
    }
}
