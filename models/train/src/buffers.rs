//! Memory of tensors, used again from step to step while something is trained: what a step frees, the next one takes without asking the
//! system for fresh pages.

use std::cell::RefCell;
use std::collections::HashMap;

/// Elements from which on memory is kept; less comes quickly from the allocator.
const SMALLEST: usize = 1 << 10;

/// Most elements kept: half a gibibyte of `f32`.
const MOST: usize = 1 << 27;

thread_local! {
    static FREE: RefCell<Free> = RefCell::default();
}

/// Memory nobody uses at the moment, by its length.
#[derive(Default)]
struct Free {
    buffers: HashMap<usize, Vec<Vec<f32>>>,
    elements: usize,
    /// How many trainings want it kept.
    trainings: usize,
}

/// While it lives, this thread keeps memory that is freed for what needs as much.
pub(super) struct Kept(());

impl Kept {
    pub(super) fn new() -> Self {
        FREE.with_borrow_mut(|free| free.trainings += 1);
        Self(())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        FREE.with_borrow_mut(|free| {
            free.trainings -= 1;
            if free.trainings == 0 {
                *free = Free::default();
            }
        });
    }
}

/// The elements of a tensor; when it goes, its memory is kept for the next of the same length.
#[derive(Debug)]
pub(super) struct Buffer {
    values: Vec<f32>,
    /// Whether others like it are taken from here. What came from elsewhere is not kept: step by step it would become more.
    ours: bool,
}

impl Buffer {
    /// `len` elements of any value, to be overwritten.
    pub(super) fn stale(len: usize) -> Self {
        let kept = FREE.with_borrow_mut(|free| {
            let buffer = free.buffers.get_mut(&len)?.pop()?;
            free.elements -= len;
            Some(buffer)
        });
        Self {
            values: kept.unwrap_or_else(|| vec![0.0; len]),
            ours: true,
        }
    }

    /// `len` elements of one value.
    pub(super) fn filled(len: usize, value: f32) -> Self {
        let mut buffer = Self::stale(len);
        buffer.fill(value);
        buffer
    }
}

impl From<Vec<f32>> for Buffer {
    fn from(values: Vec<f32>) -> Self {
        Self {
            values,
            ours: false,
        }
    }
}

impl std::ops::Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        let mut copy = Self::stale(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        let len = values.len();
        if !self.ours || len < SMALLEST {
            return;
        }
        // Where the thread is ending already, the memory goes back to the system.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.trainings > 0 && free.elements + len <= MOST {
                free.elements += len;
                free.buffers.entry(len).or_default().push(values);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_while_something_is_trained() {
        let kept = Kept::new();
        let first = Buffer::filled(SMALLEST, 3.0);
        let at = first.as_ptr();
        drop(first);
        let again = Buffer::stale(SMALLEST);
        assert_eq!((again.as_ptr(), again[0]), (at, 3.0));
        drop(again);
        drop(Buffer::from(vec![4.0; SMALLEST]));
        assert_eq!(FREE.with_borrow(|free| free.elements), SMALLEST);
        drop(kept);
        drop(Buffer::filled(SMALLEST, 3.0));
        assert!(FREE.with_borrow(|free| free.buffers.is_empty()));
    }
}
