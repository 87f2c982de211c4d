//! Running another program within limits.
//!
//! The program and whatever it starts are one tree of processes, which is killed as a whole: when the program has ended, when
//! a limit is exceeded, when the work is cancelled, and, by a [`guard`], when this process is killed itself. Under a guard a
//! process stays in the tree even where it leaves its group (`setsid`) or loses its parent.

pub mod guard;
pub(crate) mod tree;

use std::collections::VecDeque;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lapidary_core::cancel::Cancel;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::lines::{NextLine, read_line};

/// How often memory and the end of the program are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// The first wait for the end of a program that has closed its stdout.
const NAP: Duration = Duration::from_micros(200);
/// How long the last output of what was killed is waited for.
const GRACE: Duration = Duration::from_millis(500);
/// A longer while between two looks is one in which this process itself was stopped.
const AWAY: Duration = Duration::from_secs(1);
/// How long a guard may take to end once all below it is killed.
const FAREWELL: Duration = Duration::from_secs(3);
/// Lines that may wait to be read.
const QUEUE: usize = 64;
/// Bytes of stderr that are kept.
const LAST_WORDS: usize = 2000;

/// A running program.
pub(crate) struct Process {
    /// The guard, or else the program itself.
    child: Child,
    /// Its number, which is also that of its group.
    root: Pid,
    is_guarded: bool,
    stdin: Option<ChildStdin>,
    lines: Receiver<Printed>,
    errors: LastWords,
    memory: Option<u64>,
    time: Option<Duration>,
    deadline: Option<Instant>,
    /// When memory and end were last looked at.
    looked: Instant,
    /// When the loop that waits for it last went round.
    awake: Instant,
    nap: Duration,
    /// How it ended, and until when what it printed is waited for.
    ended: Option<(ExitStatus, Instant)>,
}

/// What a program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// It printed a line.
    Line(Vec<u8>),
    /// It printed a line that is longer than any that is read, and begins so.
    LongLine(Vec<u8>),
    /// It ended, and all it printed was read.
    Ended(ExitStatus),
    /// It was killed for its time.
    OutOfTime,
    /// It was killed for its memory.
    OutOfMemory,
    /// It was killed, since the work is cancelled.
    Cancelled,
}

/// A line, and whether it is only the beginning of a longer one.
type Printed = (Vec<u8>, bool);

impl From<Printed> for Event {
    fn from((line, is_cut): Printed) -> Self {
        if is_cut {
            Self::LongLine(line)
        } else {
            Self::Line(line)
        }
    }
}

impl Process {
    /// Starts `command`, which may take `memory` bytes; its time begins with [`Process::begin`]. It runs under a guard, where
    /// there is a program that becomes one.
    pub fn start(
        mut command: Command,
        memory: Option<u64>,
        guard: Option<&Path>,
    ) -> io::Result<Self> {
        if let Some(program) = guard {
            command = guard::guarded(&command, program);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let (send, lines) = sync_channel(QUEUE);
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || read_lines(stdout, &send));
        }
        Ok(Self {
            stdin: child.stdin.take(),
            errors: LastWords::of(child.stderr.take()),
            root: Pid::from_raw(child.id().cast_signed()),
            is_guarded: guard.is_some(),
            child,
            lines,
            memory,
            time: None,
            deadline: None,
            looked: Instant::now(),
            awake: Instant::now(),
            nap: NAP,
            ended: None,
        })
    }

    /// Begins a piece of work that may take `time`, any time where that is `None`.
    pub fn begin(&mut self, time: Option<Duration>) {
        self.time = time;
        self.awake = Instant::now();
        self.deadline = time.and_then(|time| Instant::now().checked_add(time));
    }

    /// Writes to the program's stdin. That it does not read is seen by its end.
    pub fn send(&mut self, text: &str) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin
                .write_all(text.as_bytes())
                .and_then(|()| stdin.flush());
        }
    }

    /// Writes to the program's stdin and closes it, without waiting until it is read.
    pub fn send_all(&mut self, text: String) {
        if let Some(mut stdin) = self.stdin.take() {
            std::thread::spawn(move || {
                let _ = stdin.write_all(text.as_bytes());
            });
        }
    }

    /// Waits for what the program does next. But for a line it is the last thing it does.
    pub fn next(&mut self, cancel: &Cancel) -> Event {
        loop {
            let now = self.wake();
            if let Some((status, until)) = self.ended {
                let left = until.saturating_duration_since(now);
                return match self.lines.recv_timeout(left.min(LOOK)) {
                    Ok(printed) => printed.into(),
                    Err(RecvTimeoutError::Timeout) if left > LOOK => continue,
                    Err(_) => Event::Ended(status),
                };
            }
            if cancel.is_cancelled() {
                self.kill();
                return Event::Cancelled;
            }
            if self.deadline.is_some_and(|deadline| now >= deadline) {
                // It may have ended meanwhile.
                if self.look(now) {
                    return Event::OutOfMemory;
                }
                if self.ended.is_some() {
                    continue;
                }
                self.kill();
                return Event::OutOfTime;
            }
            if now.duration_since(self.looked) >= LOOK && self.look(now) {
                return Event::OutOfMemory;
            }
            let left = self.deadline.map_or(LOOK, |d| d.duration_since(now));
            match self.lines.recv_timeout(left.min(LOOK)) {
                Ok(printed) => return printed.into(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    // It has closed its stdout, so it is most likely about to end.
                    if self.look(Instant::now()) {
                        return Event::OutOfMemory;
                    }
                    if self.ended.is_none() {
                        std::thread::sleep(self.nap);
                        self.nap = (self.nap * 2).min(LOOK);
                    }
                }
            }
        }
    }

    /// The time. Where this process was stopped since it last looked, that while is nobody's: the program may have been stopped
    /// as well, and what it printed meanwhile is still to be read.
    fn wake(&mut self) -> Instant {
        let now = Instant::now();
        let away = now.duration_since(std::mem::replace(&mut self.awake, now));
        if away > AWAY {
            self.deadline = self
                .deadline
                .and_then(|deadline| deadline.checked_add(away));
            if let Some((_, until)) = &mut self.ended {
                *until += away;
            }
        }
        now
    }

    /// Looks whether the program has ended or takes more memory than it may, which it is killed for.
    fn look(&mut self, now: Instant) -> bool {
        self.looked = now;
        if let Ok(Some(status)) = self.child.try_wait() {
            // What it has left behind goes with it.
            let _ = killpg(self.root, Signal::SIGKILL);
            self.ended = Some((status, now + GRACE));
        } else if self
            .memory
            .is_some_and(|most| tree::memory(self.root) > most)
        {
            self.kill();
            return true;
        }
        false
    }

    /// Kills the program and all that it has started.
    fn kill(&mut self) {
        // Nobody may be left to kill.
        if !self.is_guarded {
            // So that it starts nothing more meanwhile; a guard starts nothing.
            let _ = kill(self.root, Signal::SIGSTOP);
        }
        tree::kill_below(self.root);
        // A guard ends when it has taken leave of all that was below it; nobody else might.
        let until = Instant::now() + FAREWELL;
        while self.is_guarded && Instant::now() < until && matches!(self.child.try_wait(), Ok(None))
        {
            std::thread::sleep(NAP);
        }
        let _ = killpg(self.root, Signal::SIGKILL);
        let _ = self.child.wait();
    }

    /// Why `event` is a failure, with the end of stderr.
    pub fn failure(&self, event: &Event) -> String {
        let mut reason = match event {
            Event::Line(_) | Event::LongLine(_) => {
                "it printed what it was not asked for".to_owned()
            }
            Event::Ended(status) => format!("ended with {status}"),
            Event::OutOfTime => format!(
                "killed after {}, the time a trial may take",
                humantime::format_duration(self.time.unwrap_or_default())
            ),
            Event::OutOfMemory => format!(
                "killed for taking more than {} bytes, the memory a trial may take",
                self.memory.unwrap_or_default()
            ),
            Event::Cancelled => "cancelled".to_owned(),
        };
        let words = self.errors.read();
        if !words.is_empty() {
            reason.push_str("; stderr ends: ");
            reason.push_str(&words);
        }
        reason
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill();
        }
    }
}

fn read_lines(stdout: ChildStdout, send: &SyncSender<Printed>) {
    let mut input = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        let is_cut = match read_line(&mut input, &mut line) {
            Ok(NextLine::Read) => false,
            Ok(NextLine::TooLong) => true,
            Ok(NextLine::End) | Err(_) => return,
        };
        if send.send((std::mem::take(&mut line), is_cut)).is_err() {
            return;
        }
    }
}

/// The end of what a program writes on stderr.
struct LastWords {
    kept: Arc<Mutex<VecDeque<u8>>>,
    /// Disconnected once stderr is closed.
    open: Receiver<()>,
}

impl LastWords {
    fn of(stderr: Option<ChildStderr>) -> Self {
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let (close, open) = channel();
        if let Some(mut stderr) = stderr {
            let kept = kept.clone();
            std::thread::spawn(move || {
                let _close = close;
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = stderr.read(&mut buffer) {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.extend(&buffer[..n]);
                    let beyond = kept.len().saturating_sub(LAST_WORDS);
                    kept.drain(..beyond);
                }
            });
        }
        Self { kept, open }
    }

    /// What was written last, once all is read.
    fn read(&self) -> String {
        let _ = self.open.recv_timeout(GRACE);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use lapidary_core::budget::Limits;

    use super::*;
    use std::fs;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    /// Runs `script` to its end; what it printed, and its last event with the failure it stands for.
    fn run(script: &str, limits: Limits, cancel: &Cancel) -> (Vec<String>, Event, String) {
        let mut process = Process::start(shell(script), limits.memory, None).unwrap();
        process.begin(limits.time);
        let mut lines = Vec::new();
        loop {
            match process.next(cancel) {
                Event::Line(line) => lines.push(String::from_utf8(line).unwrap()),
                event => {
                    let failure = process.failure(&event);
                    return (lines, event, failure);
                }
            }
        }
    }

    /// Whether a process is there and no zombie.
    fn lives(pid: &str) -> bool {
        fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or("Z").starts_with('Z'))
    }

    fn gone(pid: &str) -> bool {
        let end = Instant::now() + Duration::from_secs(5);
        while lives(pid) {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    #[test]
    fn a_program_is_heard_to_its_end_and_what_it_leaves_behind_is_killed() {
        let script = "echo one; echo sorry >&2; sleep 100 & echo $!; exit 3";
        let began = Instant::now();
        let (lines, event, failure) = run(script, Limits::default(), &Cancel::new());
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!((lines.len(), &*lines[0]), (2, "one"));
        assert!(gone(&lines[1]));
        assert!(matches!(event, Event::Ended(status) if status.code() == Some(3)));
        assert_eq!(failure, "ended with exit status: 3; stderr ends: sorry");
    }

    #[test]
    fn all_is_killed_when_its_time_is_over() {
        // The flood of lines does not keep the limit from being seen, nor does a session of its own hide a process.
        for script in [
            "sleep 100 & echo $!; wait",
            "sleep 100 & echo $!; yes",
            "setsid sleep 100 & echo $!; wait",
        ] {
            let limits = Limits {
                time: Some(Duration::from_millis(300)),
                memory: None,
            };
            let (lines, event, failure) = run(script, limits, &Cancel::new());
            assert_eq!(event, Event::OutOfTime);
            assert!(gone(&lines[0]));
            assert_eq!(failure, "killed after 300ms, the time a trial may take");
        }
    }

    #[test]
    fn all_is_killed_for_the_memory_of_all_processes() {
        // A grandchild is what eats: 64 MB of text in a variable.
        let script =
            "sh -c 'x=$(head -c 64000000 /dev/zero | tr \"\\0\" a); sleep 100' & echo $!; wait";
        let limits = Limits {
            time: Some(Duration::from_secs(20)),
            memory: Some(40_000_000),
        };
        let (lines, event, failure) = run(script, limits, &Cancel::new());
        assert_eq!(event, Event::OutOfMemory, "{failure}");
        assert!(gone(&lines[0]));
        assert!(failure.contains("more than 40000000 bytes"), "{failure}");
    }

    #[test]
    fn all_is_killed_when_it_is_cancelled() {
        let cancel = Cancel::new();
        let mut process = Process::start(shell("sleep 100 & echo $!; wait"), None, None).unwrap();
        let Event::Line(line) = process.next(&cancel) else {
            panic!("it prints a line");
        };
        cancel.cancel();
        assert_eq!(process.next(&cancel), Event::Cancelled);
        assert!(gone(&String::from_utf8(line).unwrap()));
    }

    #[test]
    fn of_stderr_the_end_is_kept() {
        let script = "head -c 100000 /dev/zero | tr '\\0' a >&2; echo end >&2; exit 1";
        let (_, _, failure) = run(script, Limits::default(), &Cancel::new());
        assert!(failure.ends_with("aaaend"), "{failure}");
        assert!(failure.len() < LAST_WORDS + 100);
    }
}
