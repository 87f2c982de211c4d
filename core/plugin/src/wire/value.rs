//! JSON of any form: settings and the states of snapshots.

use lapidary_core::json::Json;

use crate::json::{JsonError, Reader, Writer};

/// Writes a value. Whole numbers are written in digits, however large: only who made the value knows what they mean.
pub fn write_value(w: &mut Writer, value: &Json) {
    match value {
        Json::Null => w.null(),
        Json::Bool(value) => w.bool(*value),
        Json::Number(number) => {
            if let Some(whole) = number.as_u64() {
                w.digits(whole);
            } else if let Some(whole) = number.as_i64() {
                w.digits(whole);
            } else {
                w.f64(number.as_f64().unwrap_or(f64::NAN));
            }
        }
        Json::String(text) => w.text(text),
        Json::Array(values) => w.array(|w| values.iter().for_each(|value| write_value(w, value))),
        Json::Object(fields) => w.object(|w| {
            for (key, value) in fields {
                write_value(w.key(key), value);
            }
        }),
    }
}

/// Reads a value.
///
/// # Errors
/// When it is no JSON, or a number in it is too large for a float.
pub fn read_value(r: &mut Reader<'_>) -> Result<Json, JsonError> {
    match r.peek() {
        Some(b'[') => {
            let mut values = Vec::new();
            r.array(|r| {
                values.push(read_value(r)?);
                Ok::<_, JsonError>(())
            })?;
            Ok(Json::Array(values))
        }
        Some(b'{') => {
            let mut fields = Vec::new();
            r.object(|r, key| {
                fields.push((key.to_owned(), read_value(r)?));
                Ok::<_, JsonError>(())
            })?;
            Ok(fields.into_iter().collect())
        }
        Some(b'"') => Ok(r.text()?.into()),
        Some(b't' | b'f') => Ok(r.bool()?.into()),
        Some(b'n') if r.null() => Ok(Json::Null),
        _ => {
            let start = r.clone();
            let text = r.number()?;
            if let (Ok(whole), true) = (text.parse::<i64>(), text != "-0") {
                return Ok(whole.into());
            }
            if let Ok(whole) = text.parse::<u64>() {
                return Ok(whole.into());
            }
            let float = text.parse::<f64>().ok().filter(|float| float.is_finite());
            Ok(float
                .ok_or_else(|| start.wanted("a number of 64 bits"))?
                .into())
        }
    }
}
