//! Sealed memory files: what one process may read of another's without trusting it.

use std::ffi::c_void;
use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// A file with these can neither change nor become shorter, so that reading its memory cannot fail.
const SEALS: SealFlag = SealFlag::F_SEAL_SHRINK
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_WRITE);

/// Puts `parts` into a new memory file, each at its place, and seals it.
///
/// # Errors
/// When there is no memory for it.
pub(crate) fn sealed<'a>(
    parts: impl IntoIterator<Item = (usize, &'a [u8])>,
) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"lapidary", flags)?);
    for (place, part) in parts {
        file.seek(SeekFrom::Start(place as u64))?;
        file.write_all(part)?;
    }
    fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS))?;
    Ok(file.into())
}

/// A memory file of another process, mapped for reading.
pub(crate) struct Mapped {
    start: NonNull<c_void>,
    len: NonZeroUsize,
}

// SAFETY: the memory is only ever read, by whatever thread.
unsafe impl Send for Mapped {}

impl Mapped {
    /// Maps a file of at most so many bytes.
    ///
    /// # Errors
    /// When it is not sealed, empty or longer, or cannot be mapped.
    pub fn new(file: &OwnedFd, most: u64) -> io::Result<Self> {
        let seals = fcntl(file, FcntlArg::F_GET_SEALS);
        let seals = seals.map_err(|_| refused("a file that is no memory file".to_owned()))?;
        if !SealFlag::from_bits_retain(seals).contains(SEALS) {
            return Err(refused(
                "a memory file that is not sealed against changes".to_owned(),
            ));
        }
        // From here on its length stays as it is.
        let length = File::from(file.try_clone()?).metadata()?.len();
        let len = usize::try_from(length).ok().and_then(NonZeroUsize::new);
        let len = len
            .filter(|_| length <= most)
            .ok_or_else(|| refused(format!("a memory file of {length} bytes")))?;
        // SAFETY: a new mapping, at a place that the system chooses.
        let start = unsafe {
            mmap(
                None,
                len,
                ProtFlags::PROT_READ,
                MapFlags::MAP_PRIVATE,
                file,
                0,
            )
        };
        Ok(Self { start: start?, len })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes are mapped until the drop, and the seals keep them as they are.
        unsafe { std::slice::from_raw_parts(self.start.cast().as_ptr(), self.len.get()) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own, and nothing borrows from it any more.
        let unmapped = unsafe { munmap(self.start, self.len.get()) };
        debug_assert!(unmapped.is_ok(), "it was mapped");
    }
}

fn refused(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(file: impl Into<OwnedFd>, most: u64) -> String {
        match Mapped::new(&file.into(), most) {
            Ok(_) => panic!("it was mapped"),
            Err(error) => error.to_string(),
        }
    }

    fn unsealed(seals: SealFlag) -> File {
        let flags = MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create(c"test", flags).unwrap());
        file.set_len(4096).unwrap();
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
        file
    }

    #[test]
    fn what_was_sealed_is_mapped() {
        let file = sealed([(0, &b"one"[..]), (64, b"two")]).unwrap();
        // Nobody can write to it any more.
        assert!(
            (&File::from(file.try_clone().unwrap()))
                .write(b"x")
                .is_err()
        );
        let mapped = Mapped::new(&file, 67).unwrap();
        drop(file);
        assert_eq!(&mapped.bytes()[..3], b"one");
        assert_eq!(&mapped.bytes()[64..], b"two");
    }

    #[test]
    fn what_could_change_is_refused() {
        for missing in SEALS.iter() {
            let error = why(unsealed(SEALS.difference(missing)), 4096);
            assert_eq!(error, "a memory file that is not sealed against changes");
        }
        let file = tempfile::tempfile().unwrap();
        assert_eq!(why(file, 4096), "a file that is no memory file");
        assert_eq!(why(unsealed(SEALS), 4095), "a memory file of 4096 bytes");
        assert_eq!(why(sealed([]).unwrap(), 1), "a memory file of 0 bytes");
    }
}
