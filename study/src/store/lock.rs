//! The lock beside a store: one process writes at a time.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::StoreError;

/// How often and how long a lock that another process holds is waited for.
const TRIES: u32 = 10;
const NAP: Duration = Duration::from_millis(10);

/// Takes the lock of the store at `path`. The system releases it when the file is closed, however the process ends; the lock
/// file itself stays, since removing it would let two processes hold two locks of one name.
pub fn take(path: &Path) -> Result<File, StoreError> {
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(beside(path))?;
    let mut taken = file.try_lock();
    // A child process of a killed one may hold what that held, for the moment until it is the program that it becomes.
    for _ in 0..TRIES {
        if !matches!(taken, Err(TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(NAP);
        taken = file.try_lock();
    }
    match taken {
        Ok(()) => {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", std::process::id())?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Who holds it is for the message alone.
            let _ = file.read_to_string(&mut holder);
            Err(StoreError::Locked { holder })
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
