//! Numbers.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whole numbers up to here are exact in every reader.
const EXACT: u64 = 1 << 53;

/// A float; the texts `nan`, `inf` and `-inf` stand for those that are not finite, for which JSON has no word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value) = *self;
        if value.is_finite() || !serializer.is_human_readable() {
            serializer.serialize_f64(value)
        } else if value.is_nan() {
            serializer.serialize_str("nan")
        } else {
            serializer.serialize_str(if value > 0.0 { "inf" } else { "-inf" })
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FLOAT.deserialize(deserializer).map(Self)
    }
}

/// What reads a float, and says what is wanted where there is none.
pub(super) struct Floats(pub &'static str);

const FLOAT: Floats = Floats(r#"a number, or the text "nan", "inf" or "-inf""#);

impl<'de> DeserializeSeed<'de> for Floats {
    type Value = f64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<f64, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(self)
        } else {
            f64::deserialize(deserializer)
        }
    }
}

impl Visitor<'_> for Floats {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        match text {
            // The latter by plug-ins that were built when Rust's word was sent.
            "nan" | "NaN" => Ok(f64::NAN),
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            other => Err(E::invalid_value(Unexpected::Str(other), &self)),
        }
    }
}

/// A whole number of 64 bits, as a text where it is beyond ±2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<T>(pub T);

/// The numbers that can be [`Whole`].
pub trait Bits64: Copy + Display + FromStr + TryFrom<u64> + TryFrom<i64> + Serialize {
    /// What is wanted where there is none.
    const WANTED: &'static str;

    /// How far it is from zero.
    fn size(self) -> u64;
}

impl Bits64 for u64 {
    const WANTED: &'static str = "a whole number that is not negative";

    fn size(self) -> u64 {
        self
    }
}

impl Bits64 for i64 {
    const WANTED: &'static str = "a whole number";

    fn size(self) -> u64 {
        self.unsigned_abs()
    }
}

impl<T: Bits64> Serialize for Whole<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.size() <= EXACT || !serializer.is_human_readable() {
            self.0.serialize(serializer)
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

impl<'de, T: Bits64 + Deserialize<'de>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer
                .deserialize_any(Integers(PhantomData))
                .map(Self)
        } else {
            T::deserialize(deserializer).map(Self)
        }
    }
}

struct Integers<T>(PhantomData<T>);

impl<T: Bits64> Visitor<'_> for Integers<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WANTED)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    /// As languages write it that have one kind of number.
    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        let whole = value.fract() == 0.0 && value.abs() <= EXACT as f64;
        let whole = whole.then(|| T::try_from(value as i64).ok()).flatten();
        whole.ok_or_else(|| E::invalid_type(Unexpected::Float(value), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse()
            .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// A field that is a [`Number`].
pub mod number {
    use super::{Deserialize, Deserializer, Number, Serialize, Serializer};

    #[allow(missing_docs, reason = "for serde's `with`")]
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        Number(*value).serialize(serializer)
    }

    #[allow(missing_docs, reason = "for serde's `with`")]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Number::deserialize(deserializer).map(|number| number.0)
    }
}

/// A field that is a [`Number`] or nothing.
pub mod maybe_number {
    use super::{Deserialize, Deserializer, Number, Serialize, Serializer};

    #[allow(missing_docs, reason = "for serde's `with`")]
    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(Number).serialize(serializer)
    }

    #[allow(missing_docs, reason = "for serde's `with`")]
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        let number = Option::<Number>::deserialize(deserializer)?;
        Ok(number.map(|number| number.0))
    }
}

/// A field that is a list of [`Number`]s.
pub mod numbers {
    use super::{Deserialize, Deserializer, Number, Serializer};

    #[allow(missing_docs, reason = "for serde's `with`")]
    pub fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().copied().map(Number))
    }

    #[allow(missing_docs, reason = "for serde's `with`")]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let numbers = Vec::<Number>::deserialize(deserializer)?;
        Ok(numbers.into_iter().map(|number| number.0).collect())
    }
}

/// A field that is a [`Whole`] number.
pub mod whole {
    use super::{Bits64, Deserialize, Deserializer, Serialize, Serializer, Whole};

    #[allow(missing_docs, reason = "for serde's `with`")]
    pub fn serialize<T: Bits64, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Whole(*value).serialize(serializer)
    }

    #[allow(missing_docs, reason = "for serde's `with`")]
    pub fn deserialize<'de, T: Bits64 + Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        Whole::deserialize(deserializer).map(|whole| whole.0)
    }
}
