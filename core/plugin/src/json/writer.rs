//! Writing.

use std::io::Write;

use super::EXACT;

/// Writes compact JSON into a vector.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// A writer of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// A writer that reuses the memory of `buffer`.
    pub fn reuse(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self(buffer)
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    /// A comma where one value follows another.
    fn separate(&mut self) {
        if !matches!(self.0.last(), None | Some(b'[' | b'{' | b':')) {
            self.0.push(b',');
        }
    }

    /// An array whose values `fill` writes.
    pub fn array(&mut self, fill: impl FnOnce(&mut Self)) {
        self.separate();
        self.0.push(b'[');
        fill(self);
        self.0.push(b']');
    }

    /// An object whose fields `fill` writes, each a [`Writer::key`] and a value.
    pub fn object(&mut self, fill: impl FnOnce(&mut Self)) {
        self.separate();
        self.0.push(b'{');
        fill(self);
        self.0.push(b'}');
    }

    /// The key of the next value.
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.text(key);
        self.0.push(b':');
        self
    }

    /// `null`.
    pub fn null(&mut self) {
        self.separate();
        self.0.extend_from_slice(b"null");
    }

    /// `true` or `false`.
    pub fn bool(&mut self, value: bool) {
        self.separate();
        self.0
            .extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A float, with all its bits but those of a NaN.
    pub fn f64(&mut self, value: f64) {
        if value.is_nan() {
            self.text("nan");
        } else if value.is_infinite() {
            self.text(if value > 0.0 { "inf" } else { "-inf" });
        } else {
            self.separate();
            let mut shortest = zmij::Buffer::new();
            self.0
                .extend_from_slice(shortest.format_finite(value).as_bytes());
        }
    }

    /// A whole number that is not negative.
    pub fn u64(&mut self, value: u64) {
        self.whole(value <= EXACT, value);
    }

    /// A whole number.
    pub fn i64(&mut self, value: i64) {
        self.whole(value.unsigned_abs() <= EXACT, value);
    }

    fn whole(&mut self, exact: bool, value: impl std::fmt::Display) {
        self.separate();
        let quote: &[u8] = if exact { b"" } else { b"\"" };
        self.0.extend_from_slice(quote);
        let _ = write!(self.0, "{value}");
        self.0.extend_from_slice(quote);
    }

    /// A whole number in digits, however large: for values that are only ever read by who has written them.
    pub fn digits(&mut self, value: impl Into<i128>) {
        self.separate();
        let _ = write!(self.0, "{}", value.into());
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.separate();
        self.0.push(b'"');
        let mut rest = text.as_bytes();
        while let Some(at) = rest
            .iter()
            .position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f))
        {
            self.0.extend_from_slice(&rest[..at]);
            match rest[at] {
                b'"' => self.0.extend_from_slice(b"\\\""),
                b'\\' => self.0.extend_from_slice(b"\\\\"),
                b'\n' => self.0.extend_from_slice(b"\\n"),
                control => {
                    let _ = write!(self.0, "\\u{control:04x}");
                }
            }
            rest = &rest[at + 1..];
        }
        self.0.extend_from_slice(rest);
        self.0.push(b'"');
    }
}
