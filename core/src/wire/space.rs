//! Axes and spaces.

use std::borrow::Cow;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Number, Whole};
use crate::condition::Condition;
use crate::json::Json;
use crate::space::{Axis, Domain, Space};

/// An axis: one of `float`, `int` and `choice` says of what kind. What [`wire`](super) documents is always written; in stores of
/// the log's first version `log` and `step` are left out where they say nothing.
#[derive(Serialize, Deserialize)]
struct AxisForm<'a> {
    name: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    float: Option<[Number; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    int: Option<[Whole<i64>; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    choice: Option<Cow<'a, [Json]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<Step>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<String>,
}

/// The distance between neighbours of a float or an int axis.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Step {
    Whole(Whole<i64>),
    Real(Number),
}

impl Serialize for Axis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut form = AxisForm {
            name: self.name.as_str().into(),
            float: None,
            int: None,
            choice: None,
            log: None,
            step: None,
            when: self.when.as_ref().map(Condition::to_string),
        };
        match &self.domain {
            Domain::Float {
                low,
                high,
                log,
                step,
            } => {
                form.float = Some([Number(*low), Number(*high)]);
                form.log = Some(*log);
                form.step = step.map(|step| Step::Real(Number(step)));
            }
            Domain::Int {
                low,
                high,
                log,
                step,
            } => {
                form.int = Some([Whole(*low), Whole(*high)]);
                form.log = Some(*log);
                form.step = Some(Step::Whole(Whole(*step)));
            }
            Domain::Choice { options } => form.choice = Some(options.into()),
        }
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Axis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = AxisForm::deserialize(deserializer)?;
        let wrong = |reason: &str| D::Error::custom(format!("axis `{}`: {reason}", form.name));
        let log = form.log.unwrap_or(false);
        let domain = match (form.float, form.int, form.choice) {
            (Some([Number(low), Number(high)]), None, None) => Domain::Float {
                low,
                high,
                log,
                step: form.step.map(|step| match step {
                    Step::Whole(Whole(step)) => step as f64,
                    Step::Real(Number(step)) => step,
                }),
            },
            (None, Some([Whole(low), Whole(high)]), None) => Domain::Int {
                low,
                high,
                log,
                step: match form.step {
                    None => 1,
                    Some(Step::Whole(Whole(step))) => step,
                    Some(Step::Real(_)) => return Err(wrong("its step is no whole number")),
                },
            },
            (None, None, Some(options)) => Domain::Choice {
                options: options.into_owned(),
            },
            _ => return Err(wrong("it has one of `float`, `int` and `choice`")),
        };
        let when = form.when.as_deref().map(Condition::parse).transpose();
        Ok(Self {
            domain,
            when: when.map_err(|reason| wrong(&reason))?,
            name: form.name.into_owned(),
        })
    }
}

impl Serialize for Space {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.axes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Space {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
