//! Lines from other programs, of bounded length.

use std::io::{self, BufRead, Read};

/// Bytes of the longest line that is read.
pub(crate) const LONGEST: usize = 1 << 20;

/// What reading the next line gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextLine {
    /// A line.
    Read,
    /// A line beyond [`LONGEST`], of which only the beginning is kept.
    TooLong,
    /// Nothing more.
    End,
}

/// Reads the next line into `line`, without its end.
pub(crate) fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<NextLine> {
    line.clear();
    let mut limited = input.by_ref().take(LONGEST as u64 + 1);
    if limited.read_until(b'\n', line)? == 0 {
        return Ok(NextLine::End);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > LONGEST {
        input.skip_until(b'\n')?;
        return Ok(NextLine::TooLong);
    }
    Ok(NextLine::Read)
}
