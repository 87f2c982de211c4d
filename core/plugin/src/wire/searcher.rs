//! What searchers are told and say.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::registry::SearchInit;
use lapidary_core::space::Space;
use lapidary_core::trial::{Candidate, Trial};
use lapidary_core::wire::{CandidateForm, Row, TrialForm, Whole};
use serde::de::{DeserializeSeed, Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::WireError;
use super::text::{begins, explained, read};

/// What a searcher is built from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request<'a> {
    #[serde(default)]
    settings: Cow<'a, Json>,
    space: Cow<'a, Space>,
    seed: Whole<u64>,
    objectives: Whole<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trials: Option<Whole<u64>>,
}

impl<'a> Request<'a> {
    /// What a searcher is built from: its settings, and what it is built for.
    pub fn new(settings: &'a Json, init: &'a SearchInit<'_>) -> Self {
        Self {
            settings: Cow::Borrowed(settings),
            space: Cow::Borrowed(&init.space),
            seed: Whole(init.seed),
            objectives: Whole(init.objectives as u64),
            trials: init.trials.map(Whole),
        }
    }

    /// The settings, and what it is built for; nothing is installed.
    pub fn init(self) -> (Json, SearchInit<'static>) {
        let init = SearchInit {
            space: Arc::new(self.space.into_owned()),
            seed: self.seed.0,
            objectives: usize::try_from(self.objectives.0).unwrap_or(usize::MAX),
            trials: self.trials.map(|Whole(trials)| trials),
            installed: None,
        };
        (self.settings.into_owned(), init)
    }
}

/// Reads at most `most` candidates.
///
/// # Errors
/// When there are more, or one is not of the space.
pub fn read_candidates(
    text: &[u8],
    space: &Arc<Space>,
    most: usize,
) -> Result<Vec<Candidate>, WireError> {
    begins(text, b'[', "an array")?;
    let mut reader = serde_json::Deserializer::from_slice(text);
    let mut many = false;
    let forms = AtMost {
        most,
        many: &mut many,
    };
    let forms = forms.deserialize(&mut reader);
    if many {
        return Err(WireError::TooMany { asked: most });
    }
    let forms = forms.and_then(|forms| reader.end().map(|()| forms));
    let forms = forms.map_err(|error| explained(&error, text))?;
    let candidates = forms.into_iter().map(|form| form.candidate(space));
    Ok(candidates.collect::<Result<_, _>>()?)
}

/// Reads an array of no more than so many candidates: what is behind them is not looked at.
struct AtMost<'a> {
    most: usize,
    /// Whether there are more.
    many: &'a mut bool,
}

impl<'de> DeserializeSeed<'de> for AtMost<'_> {
    type Value = Vec<CandidateForm<Row>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for AtMost<'_> {
    type Value = Vec<CandidateForm<Row>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of {} candidates", self.most)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut candidates: A) -> Result<Self::Value, A::Error> {
        let mut forms = Vec::new();
        while forms.len() < self.most {
            match candidates.next_element()? {
                Some(form) => forms.push(form),
                None => return Ok(forms),
            }
        }
        if candidates.next_element::<IgnoredAny>()?.is_some() {
            *self.many = true;
            return Err(A::Error::invalid_length(self.most + 1, &self));
        }
        Ok(forms)
    }
}

/// Reads a trial.
///
/// # Errors
/// When a part is missing or wrong, or the point is not of the space.
pub fn read_trial(text: &[u8], space: &Arc<Space>) -> Result<Trial, WireError> {
    Ok(read::<TrialForm<'_, Row>>(text)?.trial(space)?)
}
