//! A guard runs one program, and nothing that the program started outlives the two of them.
//!
//! It is a process between ours and the program. Where the system offers it (Linux), it adopts whatever loses its parent below
//! it, so that the program's processes stay its descendants even where they leave their group and session. When the program
//! has ended, or our own process is gone, however that came, it kills those that are left.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid, getppid};

use super::tree;

/// The argument that makes this program a guard. What follows is the process that it serves, the program and its arguments.
pub const GUARD: &str = "guard";

/// The first wait for the program's end.
const NAP: Duration = Duration::from_micros(200);
/// The longest.
const LONGEST_NAP: Duration = Duration::from_millis(20);
/// How long those that were killed are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// `command` under a guard, which `program`, this program, becomes.
pub(super) fn guarded(command: &Command, program: &Path) -> Command {
    let mut guard = Command::new(program);
    guard.arg(GUARD).arg(std::process::id().to_string());
    guard.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        guard.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => guard.env(name, value),
            None => guard.env_remove(name),
        };
    }
    guard
}

/// Runs `command` as the guard of the process `parent`; its exit code.
///
/// # Errors
/// When it cannot be started or waited for.
pub fn run(parent: i32, command: &mut Command) -> io::Result<i32> {
    #[cfg(target_os = "linux")]
    {
        nix::sys::prctl::set_child_subreaper(true)?;
        // Where memory runs out, the system is to choose the trial and not the study. It is only a wish.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    }
    let child = command.spawn()?;
    let program = Pid::from_raw(child.id().cast_signed());
    let ended = wait(program, Pid::from_raw(parent));
    tree::kill_below(getpid());
    take_leave();
    Ok(match ended? {
        Some(WaitStatus::Exited(_, code)) => code,
        Some(WaitStatus::Signaled(_, signal, _)) => end_by(signal),
        _ => 1,
    })
}

/// How `program` ended; `None` where `parent` has ended first.
fn wait(program: Pid, parent: Pid) -> io::Result<Option<WaitStatus>> {
    let mut nap = NAP;
    while getppid() == parent {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => {
                std::thread::sleep(nap);
                nap = (nap * 2).min(LONGEST_NAP);
            }
            Ok(status) if status.pid() == Some(program) => return Ok(Some(status)),
            // One that we have adopted has ended.
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Waits for all that this process has adopted and killed, so that none is left as a zombie to a process 1 that looks after
/// nothing.
fn take_leave() {
    let until = Instant::now() + PATIENCE;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) if Instant::now() < until => {
                // One that was about to be born when all others were killed.
                tree::kill_below(getpid());
                std::thread::sleep(NAP);
            }
            Ok(WaitStatus::StillAlive) => return,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// Ends as the program did; where that is impossible, the code by which shells tell it.
fn end_by(signal: Signal) -> i32 {
    // Its memory is not the one that a core dump should show.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_dumpable(false);
    // Of some signals the first only ends what the language's runtime makes of them.
    for _ in 0..2 {
        let _ = raise(signal);
    }
    128 + signal as i32
}
