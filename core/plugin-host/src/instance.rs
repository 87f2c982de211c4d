//! One instance of a plug-in, wherever it runs: what it is told to do and what it answers.

use lapidary_plugin::abi::{Buffer, Status};

use crate::callbacks::Callbacks;
use crate::frame::LONGEST_ANSWER;

/// What a plug-in is told to do, by the number that crosses to a child process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Call {
    Info = 1,
    Build = 2,
    Ask = 3,
    Tell = 4,
    Snapshot = 5,
    Restore = 6,
    Destroy = 7,
    Optimize = 8,
}

impl Call {
    pub fn numbered(number: u32) -> Option<Self> {
        use Call::{Ask, Build, Destroy, Info, Optimize, Restore, Snapshot, Tell};
        [Info, Build, Ask, Tell, Snapshot, Restore, Destroy, Optimize]
            .into_iter()
            .find(|call| *call as u32 == number)
    }

    /// What a plug-in was doing in such a call.
    pub fn text(self) -> &'static str {
        match self {
            Self::Info => "opened and asked about itself",
            Self::Build => "asked for a searcher",
            Self::Ask => "asked for candidates",
            Self::Tell => "told a trial",
            Self::Snapshot => "asked for a snapshot",
            Self::Restore => "given a snapshot",
            Self::Destroy => "told to end a searcher",
            Self::Optimize => "at work",
        }
    }
}

/// What came back.
pub(crate) struct Reply {
    pub status: Status,
    pub bytes: Answer,
}

/// The bytes of a reply.
pub(crate) enum Answer {
    /// The plug-in's own.
    Lent(Buffer),
    /// Copied from a child process.
    Owned(Vec<u8>),
}

impl Answer {
    pub fn get(&self) -> &[u8] {
        match self {
            Self::Lent(buffer) => buffer.bytes(),
            Self::Owned(bytes) => bytes,
        }
    }

    /// The bytes as the text of a reason.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.get()).into_owned()
    }
}

impl Reply {
    /// The reply of a function that fills a buffer.
    pub fn filled(call: impl FnOnce(*mut Buffer) -> Status) -> Self {
        let mut out = Buffer::empty();
        let status = call(&raw mut out);
        if out.len() > LONGEST_ANSWER {
            // So much cannot be true: it is given back without a look at it.
            return Self::refused(
                Status::FAILED,
                format!(
                    "it gave {} bytes at once, {LONGEST_ANSWER} are the most",
                    out.len()
                ),
            );
        }
        Self {
            status,
            bytes: Answer::Lent(out),
        }
    }

    pub fn done() -> Self {
        Self {
            status: Status::OK,
            bytes: Answer::Owned(Vec::new()),
        }
    }

    /// Why the call was refused.
    pub fn reason(&self) -> String {
        let text = self.bytes.text();
        if text.is_empty() {
            return format!("the plug-in gave status {} and no reason", self.status.0);
        }
        text
    }

    pub fn refused(status: Status, reason: impl Into<String>) -> Self {
        Self {
            status,
            bytes: Answer::Owned(reason.into().into_bytes()),
        }
    }
}

/// Why an instance is over: what the plug-in did and when, as in "the plug-in {crashed when it was asked for candidates}".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Over(pub String);

impl Over {
    pub fn when(what: &str, doing: &str) -> Self {
        Self(format!("{what} when it was {doing}"))
    }
}

/// What an optimizer is made from, and told.
pub(crate) struct Order<'a> {
    pub settings: &'a [u8],
    pub task: &'a [u8],
}

impl<'a> Order<'a> {
    /// Both as bytes, for another process.
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = (self.settings.len() as u64).to_le_bytes();
        [&length, self.settings, self.task].concat()
    }

    /// Reads what [`Order::to_bytes`] wrote.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (settings, task) = rest.split_at_checked(length)?;
        Some(Self { settings, task })
    }
}

/// An instance of a plug-in: one searcher, or one optimizer after the other.
pub(crate) trait Instance: Send {
    /// Lets an optimizer work.
    fn optimize(&mut self, order: &Order<'_>, host: &mut dyn Callbacks) -> Result<Reply, Over>;

    /// Calls and waits for the answer.
    fn call(&mut self, call: Call, payload: &[u8]) -> Result<Reply, Over>;

    /// Calls; what goes wrong may be told only by a later [`Instance::call`].
    fn post(&mut self, call: Call, payload: &[u8]) -> Result<Reply, Over> {
        self.call(call, payload)
    }
}
