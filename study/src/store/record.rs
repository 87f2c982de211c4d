//! The records of the log: what was asked and what came out, as JSON text in the form of [`lapidary_core::wire`].

use std::borrow::Cow;
use std::sync::Arc;

use lapidary_core::space::{Point, Space};
use lapidary_core::trial::{Candidate, Outcome, Report};
use lapidary_core::wire::{CandidateForm, Row, Whole};
use serde::{Deserialize, Serialize};

/// What a record of the log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A candidate was asked.
    Ask = 0,
    /// A trial was told.
    Tell = 1,
    /// A trial of another program was asked and told at once.
    Foreign = 2,
    /// The study was begun or gone on with.
    Run = 3,
}

impl Kind {
    /// The kind that is written as `number`.
    pub fn read(number: i64) -> Option<Self> {
        [Self::Ask, Self::Tell, Self::Foreign, Self::Run]
            .into_iter()
            .find(|kind| *kind as i64 == number)
    }
}

/// What came out of a trial.
#[derive(Debug, Serialize, Deserialize)]
struct Told<'a> {
    #[serde(flatten)]
    outcome: Cow<'a, Outcome>,
    #[serde(default, skip_serializing_if = "<[Report]>::is_empty")]
    curve: Cow<'a, [Report]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repeats: Option<Whole<u64>>,
}

/// A trial of another program.
#[derive(Debug, Serialize, Deserialize)]
struct Foreign<'a, P> {
    /// `at` in older stores.
    #[serde(alias = "at")]
    point: P,
    #[serde(flatten)]
    outcome: Cow<'a, Outcome>,
}

/// What was asked of a trial that is tried again.
#[derive(Debug, Serialize)]
struct Retried<'a> {
    #[serde(flatten)]
    candidate: &'a Candidate,
    retries: Whole<u64>,
}

/// The part of a record that says which trial it tries again.
#[derive(Debug, Deserialize)]
struct Retries {
    #[serde(default)]
    retries: Option<Whole<u64>>,
}

fn text(record: &impl Serialize) -> String {
    serde_json::to_string(record).expect("every record is JSON")
}

/// What was asked, where it tries the trial `retries` again.
pub fn ask(candidate: &Candidate, retries: Option<u64>) -> String {
    match retries {
        None => text(candidate),
        Some(failed) => text(&Retried {
            candidate,
            retries: Whole(failed),
        }),
    }
}

/// The candidate that [`ask`] wrote, and the trial that it tries again; older stores say its id beside the record only.
pub fn read_ask(space: &Arc<Space>, id: u64, body: &str) -> Option<(Candidate, Option<u64>)> {
    let form: CandidateForm<Row> = serde_json::from_str(body).ok()?;
    let Retries { retries } = serde_json::from_str(body).ok()?;
    let retries = retries.map(|Whole(failed)| failed);
    if retries.is_some_and(|failed| failed >= id) {
        return None;
    }
    Some((form.named(id, space).ok()?, retries))
}

/// What came out.
pub fn tell(outcome: &Outcome, curve: &[Report], repeats: Option<u64>) -> String {
    text(&Told {
        outcome: Cow::Borrowed(outcome),
        curve: curve.into(),
        repeats: repeats.map(Whole),
    })
}

/// What [`tell`] wrote.
pub fn read_tell(body: &str) -> Option<(Outcome, Vec<Report>, Option<u64>)> {
    let told: Told<'_> = serde_json::from_str(body).ok()?;
    Some((
        told.outcome.into_owned(),
        told.curve.into_owned(),
        told.repeats.map(|Whole(repeats)| repeats),
    ))
}

/// A trial of another program.
pub fn foreign(point: &Point, outcome: &Outcome) -> String {
    text(&Foreign {
        point,
        outcome: Cow::Borrowed(outcome),
    })
}

/// What [`foreign`] wrote.
pub fn read_foreign(space: &Arc<Space>, body: &str) -> Option<(Point, Outcome)> {
    let foreign: Foreign<'_, Row> = serde_json::from_str(body).ok()?;
    let point = foreign.point.point(space).ok()?;
    Some((point, foreign.outcome.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_core::space::{Axis, AxisValue, Domain};

    #[test]
    fn records_of_older_stores_are_read() {
        let domain = Domain::Float {
            low: 0.0,
            high: 1.0,
            log: false,
            step: None,
        };
        let space = Arc::new(Space::new(vec![Axis::new("x", domain)]).unwrap());
        let half = [Some(AxisValue::Float(0.5))];

        let read = |id, body| read_ask(&space, id, body);
        let (asked, retries) = read(7, r#"{"at":[0.5],"fidelity":0.25,"parent":3}"#).unwrap();
        assert_eq!(retries, None);
        assert_eq!(asked.point.values(), half);
        assert_eq!((asked.id, asked.fidelity, asked.parent), (7, 0.25, Some(3)));
        let (plain, _) = read(8, r#"{"at":[0.5]}"#).unwrap();
        let again = ask(&plain, Some(5));
        assert_eq!(read(8, &again), Some((plain.clone(), Some(5))));
        assert_eq!(read(5, &again), None);
        assert_eq!((plain.fidelity, plain.parent), (1.0, None));

        let body =
            r#"{"metrics":{"loss":"inf"},"stopped":"slow","curve":[[1,{"loss":2}]],"repeats":4}"#;
        let (outcome, curve, repeats) = read_tell(body).unwrap();
        let Outcome::Stopped { metrics, reason } = outcome else {
            panic!("it was stopped");
        };
        assert_eq!((metrics["loss"], &*reason), (f64::INFINITY, "slow"));
        assert_eq!((curve[0].step, curve[0].metrics["loss"]), (1, 2.0));
        assert_eq!(repeats, Some(4));

        let body = r#"{"failed":"no luck","at":[0.5]}"#;
        let (point, outcome) = read_foreign(&space, body).unwrap();
        assert_eq!(point.values(), half);
        let reason = "no luck".to_owned();
        assert_eq!(outcome, Outcome::Failed { reason });
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for body in ["", "{}", "[]", r#"{"metrics":{"loss":null}}"#] {
            assert!(read_tell(body).is_none(), "{body}");
        }
    }
}
