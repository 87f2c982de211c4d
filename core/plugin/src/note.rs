//! The note in a plug-in's file: what a host reads before it opens the file.

use crate::abi::{MAGIC, MAJOR, MINOR};

/// The section of an ELF file that holds the note.
pub const SECTION: &str = ".note.lapidary";
/// The owner that stands in the note's header.
pub const OWNER: [u8; 12] = *b"Lapidary\0\0\0\0";
/// The type that stands in the note's header.
pub const TYPE: u32 = 1;
/// Bytes of a name, of a version and of a target, the zero at the end included.
pub const TEXT: usize = 64;

/// The architecture, system and C library that this crate was built for, as `x86_64-linux-gnu`.
pub const TARGET: &str = concat_target();

const fn concat_target() -> &'static str {
    // `std::env::consts` has no C library, and constants cannot be joined: the targets there are plug-ins for.
    if cfg!(not(target_os = "linux")) {
        std::env::consts::OS
    } else if cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
        "x86_64-linux-gnu"
    } else if cfg!(all(target_arch = "x86_64", target_env = "musl")) {
        "x86_64-linux-musl"
    } else if cfg!(all(target_arch = "aarch64", target_env = "gnu")) {
        "aarch64-linux-gnu"
    } else if cfg!(all(target_arch = "aarch64", target_env = "musl")) {
        "aarch64-linux-musl"
    } else {
        std::env::consts::ARCH
    }
}

/// What becomes of a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum PanicMode {
    /// It is caught at the border.
    Caught = 0,
    /// It ends the process: such a plug-in runs in a child process only.
    Aborts = 1,
}

/// What the note says.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Content {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`MAJOR`] as the plug-in was built.
    pub major: u16,
    /// [`MINOR`] as the plug-in was built.
    pub minor: u16,
    /// The lowest minor of a host that it works with.
    pub needs: u16,
    /// 0 where panics are caught, 1 where they end the process.
    pub panic: u16,
    /// [`SEARCHER`](crate::abi::SEARCHER) or [`OPTIMIZER`](crate::abi::OPTIMIZER).
    pub kind: u32,
    /// [`TARGET`] as the plug-in was built.
    pub target: [u8; TEXT],
    /// Name of the strategy.
    pub name: [u8; TEXT],
    /// Version of the plug-in.
    pub version: [u8; TEXT],
}

/// The note with the header that ELF wants.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Note {
    owner_size: u32,
    content_size: u32,
    kind: u32,
    owner: [u8; 12],
    content: Content,
}

impl Note {
    /// The note of a plug-in.
    ///
    /// # Panics
    /// When `name` or `version` has no byte or more than 63, which for the constant that it is made for is an error of the
    /// compiler's.
    pub const fn new(kind: u32, name: &str, version: &str, panic: PanicMode) -> Self {
        Self {
            owner_size: 9,
            content_size: size_of::<Content>() as u32,
            kind: TYPE,
            owner: OWNER,
            content: Content {
                magic: MAGIC,
                major: MAJOR,
                minor: MINOR,
                needs: 0,
                panic: panic as u16,
                kind,
                target: text(TARGET),
                name: text(name),
                version: text(version),
            },
        }
    }
}

/// `text` with zeros behind it.
const fn text(text: &str) -> [u8; TEXT] {
    let from = text.as_bytes();
    assert!(
        !from.is_empty() && from.len() < TEXT,
        "a name or version takes 1 to 63 bytes"
    );
    let mut to = [0; TEXT];
    let mut i = 0;
    while i < from.len() {
        to[i] = from[i];
        i += 1;
    }
    to
}
