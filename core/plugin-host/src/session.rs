//! A plug-in at work, wherever it runs.

use lapidary_plugin::abi::{Buffer, Status};

use crate::hosted::Hosted;
use crate::optimizer::Order;

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

/// Why a session is over: what the plug-in did and when, as in "the plug-in {crashed when it was asked for candidates}".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Over(pub String);

impl Over {
    pub fn when(what: &str, doing: &str) -> Self {
        Self(format!("{what} when it was {doing}"))
    }
}

/// A plug-in at work.
pub(crate) trait Session: Send {
    /// Lets an optimizer work.
    fn optimize(&mut self, order: &Order<'_>, host: &mut dyn Hosted) -> Result<Reply, Over>;

    /// Calls and waits for the answer.
    fn call(&mut self, call: Call, payload: &[u8]) -> Result<Reply, Over>;

    /// Calls; what goes wrong may be told only by a later [`Session::call`].
    fn post(&mut self, call: Call, payload: &[u8]) -> Result<Reply, Over> {
        self.call(call, payload)
    }
}
