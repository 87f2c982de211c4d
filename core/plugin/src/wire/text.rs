//! Texts in JSON.

use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use super::WireError;

/// Appends `form` to a text.
pub fn write(text: &mut Vec<u8>, form: &impl Serialize) {
    // Forms are made of texts, numbers, lists and objects, and memory takes all that is written.
    serde_json::to_writer(text, form).expect("every form is JSON");
}

/// Reads an object from its text.
///
/// # Errors
/// When it is no object, or a part of it is missing or wrong.
pub fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, WireError> {
    begins(text, b'{', "an object")?;
    serde_json::from_slice(text).map_err(|error| explained(&error, text))
}

/// Looks that a text begins with `bracket`, so that what is wanted as a whole is said where there is none of it.
pub(super) fn begins(text: &[u8], bracket: u8, what: &str) -> Result<(), WireError> {
    let at = text.iter().position(|byte| !byte.is_ascii_whitespace());
    if at.is_some_and(|at| text[at] == bracket) {
        return Ok(());
    }
    Err(WireError::Text {
        wanted: what.to_owned(),
        at: at.unwrap_or(text.len()),
    })
}

/// An error of the reader's in the border's words: what would have worked, and at which byte.
pub(super) fn explained(error: &serde_json::Error, text: &[u8]) -> WireError {
    let said = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let said = said.strip_suffix(&place).unwrap_or(&said);
    let wanted = match error.classify() {
        Category::Eof => "the rest".to_owned(),
        Category::Data => match (
            said.strip_prefix("missing field `"),
            said.rsplit_once(", expected "),
        ) {
            (Some(key), _) => {
                return WireError::Missing {
                    key: key.trim_end_matches('`').to_owned(),
                };
            }
            (None, Some((_, wanted))) => wanted.to_owned(),
            (None, None) => {
                return WireError::Wrong {
                    reason: said.to_owned(),
                };
            }
        },
        _ if said == "trailing characters" => "the end".to_owned(),
        _ => match said.strip_prefix("expected ") {
            Some(wanted) => wanted.to_owned(),
            None => format!("JSON ({said})"),
        },
    };
    // Columns are counted from 1, up to the byte that is wrong or behind the value that is.
    let column = match error.classify() {
        Category::Syntax => error.column().saturating_sub(1),
        _ => error.column(),
    };
    let before = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len);
    let line: usize = before.take(error.line().saturating_sub(1)).sum();
    WireError::Text {
        wanted,
        at: line + column,
    }
}
