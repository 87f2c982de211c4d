//! Reading.

use std::borrow::Cow;
use std::fmt;

/// How deep arrays and objects may lie within each other.
const DEPTH: usize = 128;

/// What is wrong with a text that should be JSON of a certain form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// The byte at which it is wrong.
    pub at: usize,
    /// What would have worked there.
    pub wanted: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is wanted at byte {}", self.wanted, self.at)
    }
}

impl std::error::Error for JsonError {}

/// Reads JSON value by value, as the caller expects them. Nothing is trusted: every error says where it is.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// A reader of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    /// The error that something else is wanted here.
    pub fn wanted(&self, what: impl Into<String>) -> JsonError {
        JsonError {
            at: self.at,
            wanted: what.into(),
        }
    }

    /// The first byte of the next value; `None` at the end.
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// Takes `byte` where it is next.
    fn take(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    fn literal(&mut self, word: &str) -> bool {
        self.peek();
        let next = self.text[self.at.min(self.text.len())..].starts_with(word.as_bytes());
        self.at += if next { word.len() } else { 0 };
        next
    }

    /// Nothing may follow.
    ///
    /// # Errors
    /// When something does.
    pub fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wanted("the end")),
        }
    }

    /// Takes a `null` where it is next.
    pub fn null(&mut self) -> bool {
        self.literal("null")
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn bool(&mut self) -> Result<bool, JsonError> {
        if self.literal("true") {
            Ok(true)
        } else if self.literal("false") {
            Ok(false)
        } else {
            Err(self.wanted("true or false"))
        }
    }

    /// An array; `each` reads one value.
    ///
    /// # Errors
    /// When it is no array, or `each` fails.
    pub fn array<E: From<JsonError>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(b'[', "an array")?;
        if !self.take(b']') {
            loop {
                each(self)?;
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.wanted("`,` or `]`").into());
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// An object; `each` reads the value of a key, with [`Reader::skip`] where it does not know the key.
    ///
    /// # Errors
    /// When it is no object, or `each` fails.
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut each: impl FnMut(&mut Self, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(b'{', "an object")?;
        if !self.take(b'}') {
            loop {
                let key = self.text()?;
                if !self.take(b':') {
                    return Err(self.wanted("`:`").into());
                }
                each(self, &key)?;
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.wanted("`,` or `}`").into());
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn open(&mut self, bracket: u8, what: &str) -> Result<(), JsonError> {
        if !self.take(bracket) {
            return Err(self.wanted(what));
        }
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.wanted(format!("no more than {DEPTH} levels")));
        }
        Ok(())
    }

    /// Passes over a value of any kind.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn skip(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'[') => self.array(Self::skip),
            Some(b'{') => self.object(|reader, _| reader.skip()),
            Some(b'"') => self.text().map(drop),
            Some(b't' | b'f') => self.bool().map(drop),
            Some(b'n') if self.null() => Ok(()),
            _ => self.number().map(drop),
        }
    }

    /// The characters of a number.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&mut self) -> Result<&'a str, JsonError> {
        self.peek();
        let start = self.at;
        let text = self.text;
        let digits = |at: &mut usize| {
            let from = *at;
            while text.get(*at).is_some_and(u8::is_ascii_digit) {
                *at += 1;
            }
            *at > from
        };
        let mut at = start + usize::from(text.get(start) == Some(&b'-'));
        let mut sound = digits(&mut at);
        if text.get(at) == Some(&b'.') {
            at += 1;
            sound &= digits(&mut at);
        }
        if let Some(b'e' | b'E') = text.get(at) {
            at += 1;
            at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
            sound &= digits(&mut at);
        }
        if !sound {
            return Err(self.wanted("a number"));
        }
        self.at = at;
        Ok(std::str::from_utf8(&text[start..at]).expect("these are ASCII characters"))
    }

    /// A number, or a text that stands for one.
    fn numeric<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, JsonError> {
        let start = self.at;
        let parsed = if self.peek() == Some(b'"') {
            self.text()?.parse()
        } else {
            self.number()?.parse()
        };
        parsed.map_err(|_| JsonError {
            at: start,
            wanted: what.to_owned(),
        })
    }

    /// A float; the texts `nan`, `inf` and `-inf` stand for those that are not finite.
    ///
    /// # Errors
    /// When it is something else.
    pub fn f64(&mut self) -> Result<f64, JsonError> {
        self.numeric("a number")
    }

    /// A whole number that is not negative, beyond 2^53 as a text.
    ///
    /// # Errors
    /// When it is something else.
    pub fn u64(&mut self) -> Result<u64, JsonError> {
        self.numeric("a whole number that is not negative")
    }

    /// A whole number, beyond ±2^53 as a text.
    ///
    /// # Errors
    /// When it is something else.
    pub fn i64(&mut self) -> Result<i64, JsonError> {
        self.numeric("a whole number")
    }

    /// A text.
    ///
    /// # Errors
    /// When it is none, or not UTF-8.
    pub fn text(&mut self) -> Result<Cow<'a, str>, JsonError> {
        if !self.take(b'"') {
            return Err(self.wanted("a text"));
        }
        let text = self.text;
        let mut owned: Option<Vec<u8>> = None;
        let mut start = self.at;
        loop {
            match text.get(self.at) {
                Some(b'"') => {
                    let last = &text[start..self.at];
                    self.at += 1;
                    return match owned {
                        None => std::str::from_utf8(last).map(Cow::Borrowed).ok(),
                        Some(mut all) => {
                            all.extend_from_slice(last);
                            String::from_utf8(all).map(Cow::Owned).ok()
                        }
                    }
                    .ok_or_else(|| self.wanted("UTF-8"));
                }
                Some(b'\\') => {
                    let all = owned.get_or_insert_with(Vec::new);
                    all.extend_from_slice(&text[start..self.at]);
                    self.at += 1;
                    let character = self.escaped()?;
                    let mut utf8 = [0; 4];
                    owned
                        .get_or_insert_with(Vec::new)
                        .extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
                    start = self.at;
                }
                Some(0x20..) => self.at += 1,
                _ => return Err(self.wanted("the end of a text")),
            }
        }
    }

    /// The character behind a backslash.
    fn escaped(&mut self) -> Result<char, JsonError> {
        let letter = self.text.get(self.at).copied();
        self.at += 1;
        Ok(match letter {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'u') => {
                let first = self.hex()?;
                let code = if (0xd800..0xdc00).contains(&first)
                    && self.text.get(self.at..self.at + 2) == Some(br"\u")
                {
                    self.at += 2;
                    let second = self.hex()?;
                    0x1_0000 + ((first - 0xd800) << 10) + second.wrapping_sub(0xdc00) % 0x400
                } else {
                    first
                };
                char::from_u32(code).ok_or_else(|| self.wanted("a character"))?
            }
            _ => return Err(self.wanted("an escaped character")),
        })
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4);
        let code = digits
            .filter(|d| d.iter().all(u8::is_ascii_hexdigit))
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| u32::from_str_radix(d, 16).ok())
            .ok_or_else(|| self.wanted("four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }
}
