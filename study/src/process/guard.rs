//! A guard kills the process groups of a program that was killed itself.
//!
//! It is a process beside, in a group of its own, that is told which groups there are and waits for the pipe to close, which
//! it does however the program ends.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Our end of a guard.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    /// Taken when the guard is let go.
    pipe: Mutex<Option<ChildStdin>>,
}

impl Guard {
    /// Starts `command` as a guard: a program that calls [`run`] on its stdin.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self {
            pipe: Mutex::new(child.stdin.take()),
            child,
        })
    }

    pub(super) fn hold(&self, group: Pid) {
        self.tell('+', group);
    }

    pub(super) fn release(&self, group: Pid) {
        self.tell('-', group);
    }

    fn tell(&self, sign: char, group: Pid) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipe) = pipe.as_mut() {
            // A guard that someone has killed guards nothing; the work itself goes on.
            let _ = pipe.write_all(format!("{sign}{group}\n").as_bytes());
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let pipe = self.pipe.get_mut().unwrap_or_else(PoisonError::into_inner);
        *pipe = None;
        let _ = self.child.wait();
    }
}

/// Guards the groups that `input` tells until it ends, then kills those that are left.
pub fn run(input: impl BufRead) {
    let mut groups = BTreeSet::new();
    for line in input.lines().map_while(Result::ok) {
        let Some((sign, group)) = line.split_at_checked(1) else {
            continue;
        };
        // Group 0 would be our own, 1 that of the system.
        match (sign, group.parse::<i32>()) {
            ("+", Ok(group @ 2..)) => {
                groups.insert(group);
            }
            ("-", Ok(group)) => {
                groups.remove(&group);
            }
            _ => {}
        }
    }
    for group in groups {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_released_is_killed() {
        let start = || {
            let mut command = Command::new("sleep");
            command.arg("100").process_group(0).spawn().unwrap()
        };
        let (mut held, mut released) = (start(), start());
        let text = format!(
            "+{}\n+{}\n\nnonsense\n+0\n+1\n-{}\n",
            held.id(),
            released.id(),
            released.id()
        );
        run(text.as_bytes());
        assert!(!held.wait().unwrap().success());
        assert!(released.try_wait().unwrap().is_none());
        released.kill().unwrap();
        released.wait().unwrap();
    }
}
