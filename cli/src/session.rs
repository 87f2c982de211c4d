//! `lapidary session`: ask and tell as JSON lines, for a program in any language.

use std::io::{BufReader, ErrorKind, Read, StdinLock, stdin, stdout};
use std::os::fd::AsFd;

use lapidary_core::budget::{Clock, WallClock};
use lapidary_core::log::Log;
use lapidary_core::session::Session;
use lapidary_plugin_host::spin::Spinner;
use lapidary_study::session::{ServeError, serve};
use lapidary_study::store::StudyLog;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::end::{End, Failure};
use crate::{args, installed, setup};

/// Bytes that are read at a time.
const BUFFER: usize = 1 << 16;

/// Runs the command.
pub fn run(args: &args::Session) -> Result<End, Failure> {
    let registry = installed::registry(&args.study.plugins)?;
    let file = setup::read_study(&args.study, &[], &registry)?;
    let mut stored = setup::begin(&args.keep, &file, &registry)?;
    let planned = (stored.as_ref()).map_or(file.budget.trials, StudyLog::planned);
    let mut searcher = setup::searcher(&file, &registry, planned)?;
    let mut nothing = ();
    let log: &mut dyn Log = match &mut stored {
        Some(stored) => stored,
        None => &mut nothing,
    };
    let (study, clock) = (file.study(), WallClock::start());
    let mut session = Session::new(&study, searcher.as_mut(), log, clock.now());
    let lines = Lines {
        stdin: stdin().lock(),
        spinner: Spinner::default(),
    };
    let mut input = BufReader::with_capacity(BUFFER, lines);
    let mut output = stdout().lock();
    match serve(&mut session, &clock, &mut input, &mut output) {
        // Whoever asked has enough.
        Err(ServeError::Lines(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(End::Done),
        ended => ended.map(|()| End::Done).map_err(Failure::work),
    }
}

/// The caller's lines. A caller that answers at once is waited for by spinning, not asleep.
struct Lines {
    stdin: StdinLock<'static>,
    spinner: Spinner,
}

impl Read for Lines {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let mut stdin = [PollFd::new(self.stdin.as_fd(), PollFlags::POLLIN)];
        // An error shows on reading.
        let come = || (poll(&mut stdin, PollTimeout::ZERO) != Ok(0)).then_some(());
        self.spinner.spin(come);
        self.stdin.read(to)
    }
}
