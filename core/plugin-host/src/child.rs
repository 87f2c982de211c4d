//! The host's end of a child process.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lapidary_plugin::abi::Status;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::callbacks::{Callbacks, Outgoing};
use crate::error::PluginError;
use crate::frame::{self, Frame, Frames, HOST_CALL, REFUSED, SILENT};
use crate::instance::{Answer, Call, Instance, Order, Over, Reply};
use crate::isolation::{Limits, Program};
use crate::parcel::{self, Parcel};
use crate::socket::Socket;

/// How often the time is looked at while an answer is waited for.
const TICK: Duration = Duration::from_millis(100);
/// How long the end of a child that closed its socket is waited for.
const GRACE: Duration = Duration::from_secs(2);
/// How many times as long as a searcher an optimizer may take before its first word.
const WORK: u32 = 10;
/// How many bytes of calls without answers are buffered before they are sent.
const BUFFERED: usize = 1 << 16;

/// A child process that has a plug-in open.
pub(crate) struct Child {
    process: Process,
    socket: Socket,
    frames: Frames,
    /// Calls that wait to be sent with the next one that is answered.
    buffered: Vec<u8>,
    /// The last call that was not answered, where there were any since the last one that was.
    posted: Option<Call>,
    limits: Limits,
    /// Whether a panic of the plug-in ends the process.
    aborts: bool,
    over: Option<Over>,
    hung: Hung,
}

/// What a plug-in was killed for when the time for a call was over, once that happened.
pub(crate) type Hung = Arc<OnceLock<String>>;

impl Child {
    /// Starts `program` as a child that opens `plugin`. `aborts` says whether a panic of the plug-in ends the child.
    pub fn start(
        program: &Program,
        plugin: &Path,
        aborts: bool,
        limits: Limits,
        hung: Hung,
    ) -> Result<Self, PluginError> {
        let start = || -> io::Result<Self> {
            let (socket, theirs) = UnixStream::pair()?;
            socket.set_read_timeout(Some(TICK))?;
            socket.set_write_timeout(Some(TICK))?;
            // What a plug-in prints must not get among what this program prints.
            let stdout = io::stderr().as_fd().try_clone_to_owned()?;
            let process = Command::new(&program.path)
                .args(&program.args)
                .arg(plugin)
                .arg(limits.memory.to_string())
                .stdin(Stdio::from(OwnedFd::from(theirs)))
                .stdout(Stdio::from(stdout))
                .process_group(0)
                .spawn()?;
            Ok(Self {
                process,
                socket: Socket::new(socket),
                frames: Frames::default(),
                buffered: Vec::new(),
                posted: None,
                limits,
                aborts,
                over: None,
                hung,
            })
        };
        start().map_err(|source| PluginError::Start {
            path: plugin.to_owned(),
            program: program.path.clone(),
            source,
        })
    }

    /// Whether nothing has ended it.
    pub fn works(&self) -> bool {
        self.over.is_none()
    }

    /// Sends what is buffered, and a file with it.
    fn send(&mut self, call: Call, file: Option<OwnedFd>, deadline: Instant) -> Result<(), Over> {
        let file = file.as_ref().map(AsFd::as_fd);
        let sent = (self.socket).send(&self.buffered, file, || Instant::now() < deadline);
        sent.map_err(|error| match is_wait(&error) {
            true => self.hang(call),
            false => self.end(call, &error),
        })?;
        self.buffered.clear();
        Ok(())
    }

    fn receive(&mut self, call: Call, deadline: Instant) -> Result<Reply, Over> {
        let frame = self.frame(call, deadline, &|| false)?;
        Ok(Reply {
            status: Status(frame.number.cast_signed()),
            bytes: Answer::Owned(frame.payload),
        })
    }

    /// The next frame; once the work is `cancelled` it is not waited for much longer.
    fn frame(
        &mut self,
        call: Call,
        mut deadline: Instant,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Frame, Over> {
        loop {
            match self.frames.next() {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(error) => return Err(self.end(call, &error)),
            }
            match self.frames.fill(|room| self.socket.receive(room)) {
                Ok(true) => {}
                Ok(false) => return Err(self.end(call, &ErrorKind::UnexpectedEof.into())),
                Err(error) if is_wait(&error) && cancelled() => {
                    deadline = deadline.min(Instant::now() + GRACE);
                    if Instant::now() >= deadline {
                        return Err(self.end(call, &error));
                    }
                }
                Err(error) if is_wait(&error) && Instant::now() < deadline => {}
                Err(error) if is_wait(&error) => return Err(self.hang(call)),
                Err(error) => return Err(self.end(call, &error)),
            }
        }
    }

    /// Ends the child, whose time is over.
    fn hang(&mut self, call: Call) -> Over {
        let over = self.end(call, &ErrorKind::TimedOut.into());
        // The first time is enough to know.
        let _ = self.hung.set(over.0.clone());
        over
    }

    /// Ends the child, and says why.
    fn end(&mut self, call: Call, error: &io::Error) -> Over {
        let reason = match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                let time = match call {
                    Call::Optimize => self.limits.time * WORK,
                    _ => self.limits.time,
                };
                format!(
                    "did not answer within {} seconds and was killed",
                    time.as_secs_f64()
                )
            }
            ErrorKind::InvalidData => format!("answered with {error} and was killed"),
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                self.last_words()
            }
            _ => format!("could not be answered ({error}) and was killed"),
        };
        self.kill();
        let over = match self.posted {
            Some(posted) if posted != call => {
                Over::when(&reason, &format!("{} or {}", posted.text(), call.text()))
            }
            _ => Over::when(&reason, call.text()),
        };
        self.over = Some(over.clone());
        over
    }

    /// How the child ended by itself.
    fn last_words(&mut self) -> String {
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            match self.process.try_wait() {
                Ok(Some(status)) => return ended(status, self.limits.memory, self.aborts),
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        "closed its connection and was killed".to_owned()
    }

    /// The reply, or the end of the instance where it says that the plug-in panicked.
    fn unless_panicked(&mut self, reply: Reply) -> Result<Reply, Over> {
        if reply.status != Status::PANICKED {
            return Ok(reply);
        }
        // It says itself when that was.
        let over = Over(reply.bytes.text());
        self.over = Some(over.clone());
        Err(over)
    }

    fn kill(&mut self) {
        // It may have ended before.
        let _ = killpg(
            Pid::from_raw(self.process.id().cast_signed()),
            Signal::SIGKILL,
        );
        let _ = self.process.wait();
    }
}

fn is_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// How a process ended, in words, where `aborts` says whether a panic ends it.
fn ended(status: ExitStatus, memory: u64, aborts: bool) -> String {
    let Some(number) = status.signal() else {
        return format!("ended its process ({status})");
    };
    let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
    let mut text = format!("crashed with signal {number} ({name})");
    if number == Signal::SIGABRT as i32 {
        let panics = if aborts { "panics, or " } else { "" };
        text.push_str(&format!(
            ", as one does that {panics}takes more than the {memory} bytes of memory it may,"
        ));
    }
    text
}

impl Instance for Child {
    fn call(&mut self, call: Call, payload: &[u8]) -> Result<Reply, Over> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        frame::write(&mut self.buffered, call as u32, payload);
        let deadline = Instant::now() + self.limits.time;
        self.send(call, None, deadline)?;
        let reply = self.receive(call, deadline)?;
        self.posted = None;
        self.unless_panicked(reply)
    }

    fn optimize(&mut self, order: &Order<'_>, host: &mut dyn Callbacks) -> Result<Reply, Over> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        let call = Call::Optimize;
        frame::write(&mut self.buffered, call as u32, &order.to_bytes());
        let mut file = None;
        loop {
            // An optimizer works longer than a searcher before it says a word.
            let deadline = Instant::now() + self.limits.time * WORK;
            self.send(call, file, deadline)?;
            let frame = self.frame(call, deadline, &|| host.cancelled())?;
            if frame.number != HOST_CALL {
                return self.unless_panicked(Reply {
                    status: Status(frame.number.cast_signed()),
                    bytes: Answer::Owned(frame.payload),
                });
            }
            // No tensor of the child's is larger than the memory it may have.
            let request = Parcel::open(frame, self.limits.memory);
            let request = request.map_err(|error| self.end(call, &error))?;
            let (number, outgoing) = match host.handle(&request.message()) {
                Ok(outgoing) => (HOST_CALL, outgoing),
                Err(trouble) => (REFUSED, Outgoing::of(&trouble)),
            };
            let packed = parcel::pack(&outgoing.message);
            let (bytes, beside) = packed.map_err(|error| self.end(call, &error))?;
            frame::write(&mut self.buffered, number, &bytes);
            file = beside;
        }
    }

    fn post(&mut self, call: Call, payload: &[u8]) -> Result<Reply, Over> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        frame::write(&mut self.buffered, call as u32 | SILENT, payload);
        self.posted = Some(call);
        if self.buffered.len() > BUFFERED {
            self.send(call, None, Instant::now() + self.limits.time)?;
        }
        Ok(Reply::done())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}
