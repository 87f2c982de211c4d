//! The types that cross the border, laid out as C lays them out.
//!
//! Tables only ever grow at their end, and begin with their size: who reads one looks at the size before a field that
//! came later. What stands first in a [`Descriptor`] never changes, so that any two versions can tell each other apart.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::{MaybeUninit, offset_of};

/// The first four bytes of a descriptor and of a note: `LPDY`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"LPDY");
/// Version of the interface: plug-ins and hosts of different majors do not understand each other.
pub const MAJOR: u16 = 1;
/// Version of the interface: rises when a table grows.
pub const MINOR: u16 = 0;
/// The symbol that a plug-in exports its [`Descriptor`] as.
pub const SYMBOL: &str = "lapidary_plugin";

/// The kind of a plug-in that makes a search strategy.
pub const SEARCHER: u32 = 1;
/// The kind of a plug-in that makes an optimizer.
pub const OPTIMIZER: u32 = 2;

/// How a call ended. But for [`Status::OK`] the buffer of the call holds the reason as text.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub i32);

impl Status {
    /// It did what it was asked for.
    pub const OK: Self = Self(0);
    /// It cannot go on.
    pub const FAILED: Self = Self(1);
    /// It panicked; what it was working on must not be used any more.
    pub const PANICKED: Self = Self(2);
    /// A setting is unknown or not as it must be.
    pub const SETTINGS: Self = Self(3);
    /// The settings do not fit what it is built for.
    pub const UNFIT: Self = Self(4);
    /// It never asked for the trial that it was told.
    pub const UNKNOWN_TRIAL: Self = Self(5);
    /// It was told the trial before.
    pub const TOLD_TWICE: Self = Self(6);
    /// The trial has another number of objectives than it was built for.
    pub const OBJECTIVES: Self = Self(7);
    /// The snapshot is another strategy's, or of another version.
    pub const FOREIGN_SNAPSHOT: Self = Self(8);
    /// The snapshot is malformed.
    pub const MALFORMED_SNAPSHOT: Self = Self(9);
    /// It takes no snapshots.
    pub const NO_SNAPSHOTS: Self = Self(10);
}

/// Bytes that are lent for the length of a call: UTF-8 text wherever it is not said otherwise.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a> {
    data: *const u8,
    len: usize,
    lent: PhantomData<&'a [u8]>,
}

impl<'a> Bytes<'a> {
    /// Lends `bytes`.
    pub fn lend(bytes: &'a [u8]) -> Self {
        Self {
            data: bytes.as_ptr(),
            len: bytes.len(),
            lent: PhantomData,
        }
    }

    /// The bytes.
    ///
    /// # Safety
    /// `data` must point to `len` bytes that live and do not change for `'a`, as the interface demands of who made them.
    pub unsafe fn get(self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: promised by the caller; a null pointer has no bytes.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

/// Bytes that belong to whoever gets them, until they are given back through `release`.
#[repr(C)]
#[derive(Debug)]
pub struct Buffer {
    data: *mut u8,
    len: usize,
    /// For the maker.
    capacity: usize,
    release: Option<unsafe extern "C" fn(*mut Buffer)>,
}

// SAFETY: a buffer is the one owner of its bytes, and `release` may be called from any thread.
unsafe impl Send for Buffer {}

impl Buffer {
    /// A buffer without bytes.
    pub const fn empty() -> Self {
        Self {
            data: std::ptr::null_mut(),
            len: 0,
            capacity: 0,
            release: None,
        }
    }

    /// A buffer of `bytes`.
    pub fn of(bytes: Vec<u8>) -> Self {
        let mut bytes = std::mem::ManuallyDrop::new(bytes);
        Self {
            data: bytes.as_mut_ptr(),
            len: bytes.len(),
            capacity: bytes.capacity(),
            release: Some(release),
        }
    }

    /// How many bytes there are, as its maker says.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        if self.data.is_null() || self.len == 0 {
            return &[];
        }
        // SAFETY: the maker of a buffer promises `len` bytes at `data` until they are released.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: the maker's own function, called once, as nothing is done with a buffer after its drop.
            unsafe { release(self) }
        }
    }
}

/// Frees the bytes of a buffer that [`Buffer::of`] made.
unsafe extern "C" fn release(buffer: *mut Buffer) {
    // SAFETY: called by the owner of a buffer, once.
    let buffer = unsafe { &mut *buffer };
    // SAFETY: these are the parts of the vector that `Buffer::of` took apart.
    drop(unsafe { Vec::from_raw_parts(buffer.data, buffer.len, buffer.capacity) });
    buffer.release = None;
}

/// What a plug-in exports under [`SYMBOL`].
#[repr(C)]
pub struct Descriptor {
    /// [`MAGIC`]. This and the next two fields are the same in every version of the interface.
    pub magic: u32,
    /// [`MAJOR`] as the plug-in was built.
    pub major: u16,
    /// [`MINOR`] as the plug-in was built.
    pub minor: u16,
    /// Bytes of this table.
    pub size: u32,
    /// [`SEARCHER`] or [`OPTIMIZER`].
    pub kind: u32,
    /// What there is to know, as JSON.
    pub info: Option<unsafe extern "C" fn(out: *mut Buffer) -> Status>,
    /// A [`SearcherTable`] or an [`OptimizerTable`], by the kind.
    pub table: *const c_void,
}

// SAFETY: a descriptor is never written to, and its functions may be called from any thread.
unsafe impl Sync for Descriptor {}

/// A table of functions.
///
/// # Safety
/// The type is laid out as C lays it out and begins with its size in bytes as a `usize`. All other fields may be zero, which
/// for a function means that it is missing.
pub unsafe trait Table: Copy {
    /// Bytes up to the first field that may be missing.
    const LEAST: usize;

    /// Copies what is known here of a table, which may be one of an earlier or a later version: what is behind its end is
    /// zero, and what is not known is left out.
    ///
    /// # Safety
    /// `table` must be null or point to a table that is as long as it says.
    ///
    /// # Errors
    /// The size of a table that is shorter than [`Table::LEAST`]; 0 where there is none.
    unsafe fn read(table: *const Self) -> Result<Self, usize> {
        if table.is_null() {
            return Err(0);
        }
        // SAFETY: the size is the first field of every table.
        let size = unsafe { table.cast::<usize>().read() };
        if size < Self::LEAST {
            return Err(size);
        }
        let mut known = MaybeUninit::<Self>::zeroed();
        let common = size.min(size_of::<Self>());
        // SAFETY: both have so many bytes, and one of them was made here.
        unsafe {
            std::ptr::copy_nonoverlapping(table.cast::<u8>(), known.as_mut_ptr().cast(), common)
        };
        // SAFETY: fields of the table, or zero, as the trait promises that they may be.
        Ok(unsafe { known.assume_init() })
    }
}

// SAFETY: a size and functions.
unsafe impl Table for SearcherTable {
    const LEAST: usize = offset_of!(Self, snapshot);
}

// SAFETY: a size and functions.
unsafe impl Table for OptimizerTable {
    const LEAST: usize = offset_of!(Self, destroy) + size_of::<usize>();
}

// SAFETY: a size, a pointer and a function.
unsafe impl Table for HostTable {
    const LEAST: usize = offset_of!(Self, call) + size_of::<usize>();
}

/// What a searcher can do. Calls for one `searcher` come one after the other, though not always from the same thread.
/// All texts are JSON; `lapidary.h` shows them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SearcherTable {
    /// Bytes of this table.
    pub size: usize,
    /// Makes a searcher for a space, seed and settings.
    pub build: Option<
        unsafe extern "C" fn(
            request: Bytes<'_>,
            searcher: *mut *mut c_void,
            out: *mut Buffer,
        ) -> Status,
    >,
    /// At most `n` candidates.
    pub ask:
        Option<unsafe extern "C" fn(searcher: *mut c_void, n: u64, out: *mut Buffer) -> Status>,
    /// Learns from a trial.
    pub tell: Option<
        unsafe extern "C" fn(searcher: *mut c_void, trial: Bytes<'_>, out: *mut Buffer) -> Status,
    >,
    /// Ends a searcher; not called after it panicked.
    pub destroy: Option<unsafe extern "C" fn(searcher: *mut c_void)>,
    /// The whole state. This and the next one may be missing.
    pub snapshot: Option<unsafe extern "C" fn(searcher: *mut c_void, out: *mut Buffer) -> Status>,
    /// Takes on the state of a snapshot.
    pub restore: Option<
        unsafe extern "C" fn(
            searcher: *mut c_void,
            snapshot: Bytes<'_>,
            out: *mut Buffer,
        ) -> Status,
    >,
}

/// A tensor that is lent for the length of a call: row-major elements in the machine's byte order.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    data: *const u8,
    /// Bytes of all elements.
    len: usize,
    shape: *const u64,
    rank: usize,
    /// Element type, by its ONNX number.
    dtype: u32,
    reserved: u32,
    lent: PhantomData<&'a [u8]>,
}

impl<'a> Tensor<'a> {
    /// Lends a tensor.
    pub fn lend(dtype: u32, shape: &'a [u64], bytes: &'a [u8]) -> Self {
        Self {
            data: bytes.as_ptr(),
            len: bytes.len(),
            shape: shape.as_ptr(),
            rank: shape.len(),
            dtype,
            reserved: 0,
            lent: PhantomData,
        }
    }

    /// Element type, by its ONNX number.
    pub fn dtype(&self) -> u32 {
        self.dtype
    }

    /// The extents of its axes and the bytes of its elements.
    ///
    /// # Safety
    /// Both must live and not change for `'a`, as the interface demands of who made the tensor.
    pub unsafe fn get(self) -> (&'a [u64], &'a [u8]) {
        let shape = if self.rank == 0 {
            &[]
        } else {
            // SAFETY: promised by the caller.
            unsafe { std::slice::from_raw_parts(self.shape, self.rank) }
        };
        let bytes = if self.len == 0 {
            &[]
        } else {
            // SAFETY: promised by the caller.
            unsafe { std::slice::from_raw_parts(self.data, self.len) }
        };
        (shape, bytes)
    }
}

/// What a host answers: a text and tensors, which belong to whoever gets them until they are given back through `release`.
#[repr(C)]
pub struct Answer {
    /// JSON, or the reason as text where the call was not done.
    pub text: Bytes<'static>,
    /// The tensors that the text speaks of by number.
    pub tensors: *const Tensor<'static>,
    /// How many there are.
    pub count: usize,
    /// For the maker.
    pub owner: *mut c_void,
    /// Gives all of it back.
    pub release: Option<unsafe extern "C" fn(*mut Answer)>,
}

impl Answer {
    /// An answer without anything.
    pub fn empty() -> Self {
        Self {
            text: Bytes::lend(&[]),
            tensors: std::ptr::null(),
            count: 0,
            owner: std::ptr::null_mut(),
            release: None,
        }
    }
}

/// What a host offers an optimizer while it is at work.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HostTable {
    /// Bytes of this table.
    pub size: usize,
    /// To be given to its functions.
    pub context: *mut c_void,
    /// Does what the request asks for; which requests there are stands in `lapidary.h`. One that is not known fails. May be
    /// called from any thread, but not by two at once.
    pub call: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            request: Bytes<'_>,
            tensors: *const Tensor<'_>,
            count: usize,
            answer: *mut Answer,
        ) -> Status,
    >,
}

/// What an optimizer can do.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OptimizerTable {
    /// Bytes of this table.
    pub size: usize,
    /// Makes an optimizer from its settings.
    pub build: Option<
        unsafe extern "C" fn(
            settings: Bytes<'_>,
            optimizer: *mut *mut c_void,
            out: *mut Buffer,
        ) -> Status,
    >,
    /// Works on the model that the request names, and gives the number of the result.
    pub optimize: Option<
        unsafe extern "C" fn(
            optimizer: *mut c_void,
            request: Bytes<'_>,
            host: *const HostTable,
            out: *mut Buffer,
        ) -> Status,
    >,
    /// Ends an optimizer; not called after it panicked.
    pub destroy: Option<unsafe extern "C" fn(optimizer: *mut c_void)>,
}
