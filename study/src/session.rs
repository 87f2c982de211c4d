//! Ask and tell as JSON lines, for programs in any language: a line in, a line out.
//!
//! | line | answer |
//! |---|---|
//! | `{"ask": 4}` | `{"candidates": [{"id": 17, "point": {"lr": 0.01}, "fidelity": 1.0}]}`: at most so many, and `"parent"` where one goes on from an earlier trial; where there are none `"end"` says why the study is over, or `"pending"` how many answers are awaited |
//! | `{"tell": {"id": 17, "metrics": {"loss": 0.3}}}`, `{"tell": {"id": 17, "failed": "reason"}}` | `{"ok": true}`, once it is stored |
//! | `{"report": {"id": 17, "step": 3, "metrics": {"loss": 0.5}}}` | `{"stop": false}`; whether to end this trial |
//! | `{"best": true}` | `{"best": {"id": 17, "point": …, "metrics": …, "feasible": true}}` of all that was told, in whatever order, and for several objectives `"front"`, a list of the same |
//! | `{"pending": true}` | `{"pending": […]}`: the candidates that were handed out and not answered, also by a session that was killed |
//!
//! Numbers that are not finite are the texts `"nan"`, `"inf"` and `"-inf"`; the words that Python writes (`NaN`, `-Infinity`) are
//! read too. A line that cannot be used is answered with
//! `{"error": "…"}` and changes nothing. Answers to lines that come together leave together, when all of it is stored.

use std::io::{BufReader, Read, Write};

use lapidary_core::budget::Clock;
use lapidary_core::fit::Verdict;
use lapidary_core::session::{AnswerError, Session};
use lapidary_core::study::{End, StudyError, best, front};
use lapidary_core::trial::{Metrics, Outcome, Report, Trial};
use lapidary_core::wire::{self, ByName, CandidateForm, Found};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::lines::{LONGEST, NextLine, read_line};
use crate::loose;

/// Bytes of answers that wait for later lines at most.
const HELD: usize = 1 << 16;

/// What a line may be.
const LINES: &str = "a line is {\"ask\": N}, {\"tell\": {\"id\": ID, \"metrics\": {…}}}, {\"tell\": {\"id\": ID, \"failed\": \"why\"}}, \
     {\"report\": {\"id\": ID, \"step\": N, \"metrics\": {…}}}, {\"best\": true} or {\"pending\": true}";

/// Why a session broke off.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum ServeError {
    #[error("the lines of the session: {0}")]
    Lines(#[from] std::io::Error),
    #[error(transparent)]
    Study(#[from] StudyError),
}

/// A line of the caller's.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Request {
    #[serde(with = "wire::whole")]
    Ask(u64),
    Tell(Tell),
    Report(Intermediate),
    Best(True),
    Pending(True),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tell {
    #[serde(with = "wire::whole")]
    id: u64,
    #[serde(default, deserialize_with = "given")]
    metrics: Option<Metrics>,
    failed: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Intermediate {
    #[serde(with = "wire::whole")]
    id: u64,
    #[serde(with = "wire::whole")]
    step: u64,
    metrics: Metrics,
}

#[derive(Deserialize)]
#[serde(try_from = "bool")]
struct True;

impl TryFrom<bool> for True {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, Self::Error> {
        value.then_some(Self).ok_or("write true")
    }
}

/// What is given must not be `null`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Metrics>, D::Error> {
    Metrics::deserialize(deserializer).map(Some)
}

/// An answer to a line.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    Candidates {
        candidates: Vec<CandidateForm<ByName<'a>>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        end: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pending: Option<usize>,
    },
    Told {
        ok: bool,
    },
    Reported {
        stop: bool,
    },
    Best {
        best: Option<Found<&'a Trial>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        front: Option<Vec<Found<&'a Trial>>>,
    },
    Pending {
        pending: Vec<CandidateForm<ByName<'a>>>,
    },
    Refused {
        error: String,
    },
}

/// Why a line was not obeyed.
enum Refusal {
    /// The session goes on.
    Line(String),
    /// It cannot.
    Study(StudyError),
}

impl From<AnswerError> for Refusal {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Study(error) => Self::Study(error),
            error => Self::Line(error.to_string()),
        }
    }
}

impl From<StudyError> for Refusal {
    fn from(error: StudyError) -> Self {
        Self::Study(error)
    }
}

/// Answers the lines of `input` on `output` until there are no more.
///
/// # Errors
/// When lines cannot be read or written, or the study cannot go on; that is answered too.
pub fn serve(
    session: &mut Session<'_>,
    clock: &dyn Clock,
    input: &mut BufReader<impl Read>,
    output: &mut impl Write,
) -> Result<(), ServeError> {
    let goal = session.goal().metrics().into_iter().map(str::to_owned);
    let goal: Vec<String> = goal.collect();
    // Over the log of an earlier session this brings the new one to where that one stood, whatever is asked first.
    session.ask(0, clock.now())?;
    session.buffer();
    let (mut line, mut answers) = (Vec::new(), Vec::new());
    loop {
        let answered = match read_line(input, &mut line)? {
            NextLine::End => return Ok(()),
            NextLine::TooLong => Err(Refusal::Line(format!(
                "the line is too long: {} MiB is the most",
                LONGEST >> 20
            ))),
            NextLine::Read => request(&line)
                .and_then(|request| answer(session, &goal, request, clock, &mut answers)),
        };
        let mut broken = None;
        if let Err(refusal) = answered {
            let error = match refusal {
                Refusal::Line(reason) => reason,
                Refusal::Study(error) => broken.insert(error).to_string(),
            };
            write_line(&mut answers, &Answer::Refused { error });
        }
        let more = input.buffer().contains(&b'\n') && answers.len() < HELD;
        if more && broken.is_none() {
            continue;
        }
        if let Err(error) = session.commit() {
            // Of all that came together nothing is stored.
            answers.clear();
            let answer = Answer::Refused {
                error: error.to_string(),
            };
            write_line(&mut answers, &answer);
            broken = broken.or(Some(error));
        }
        output.write_all(&answers)?;
        output.flush()?;
        answers.clear();
        if let Some(error) = broken {
            return Err(error.into());
        }
    }
}

/// What a line asks for.
fn request(line: &[u8]) -> Result<Request, Refusal> {
    serde_json::from_slice(line).or_else(|error| {
        let text = loose::text(line);
        let read = serde_json::from_str(&loose::strict(&text));
        read.map_err(|_| Refusal::Line(format!("{error}; {LINES}")))
    })
}

fn write_line(lines: &mut Vec<u8>, answer: &Answer<'_>) {
    serde_json::to_writer(&mut *lines, answer).expect("every answer is JSON");
    lines.push(b'\n');
}

/// Does what a line asks for and adds the answer to `answers`.
fn answer(
    session: &mut Session<'_>,
    goal: &[String],
    request: Request,
    clock: &dyn Clock,
    answers: &mut Vec<u8>,
) -> Result<(), Refusal> {
    match request {
        Request::Ask(n) => {
            let n = usize::try_from(n).unwrap_or(usize::MAX);
            let candidates = session.ask(n, clock.now())?;
            let end = (candidates.is_empty() && n > 0).then(|| session.end());
            let answer = Answer::Candidates {
                candidates: candidates.iter().map(CandidateForm::by_name).collect(),
                end: end.flatten().map(End::name),
                pending: (end == Some(None)).then(|| session.pending().count()),
            };
            write_line(answers, &answer);
        }
        Request::Tell(tell) => {
            let id = tell.id;
            let outcome = outcome(tell, goal)?;
            session.tell(id, outcome, Vec::new(), clock.now())?;
            write_line(answers, &Answer::Told { ok: true });
        }
        Request::Report(Intermediate { id, step, metrics }) => {
            let verdict = session.report(id, Report { step, metrics })?;
            let stop = verdict == Verdict::Stop;
            write_line(answers, &Answer::Reported { stop });
        }
        Request::Best(True) => {
            let waiting = session.waiting();
            let answered = || session.trials().iter().chain(&waiting);
            let several = session.goal().objectives.len() > 1;
            let answer = Answer::Best {
                best: best(answered()).map(Found),
                front: several.then(|| front(answered()).into_iter().map(Found).collect()),
            };
            write_line(answers, &answer);
        }
        Request::Pending(True) => {
            let pending = session.pending().map(CandidateForm::by_name).collect();
            write_line(answers, &Answer::Pending { pending });
        }
    }
    Ok(())
}

/// What came out of a candidate. A metric of the goal that is missing is more likely misspelt than a failure.
fn outcome(tell: Tell, goal: &[String]) -> Result<Outcome, Refusal> {
    match (tell.metrics, tell.failed) {
        (Some(metrics), None) => match goal.iter().find(|name| !metrics.contains_key(*name)) {
            Some(missing) => Err(Refusal::Line(format!(
                "the goal reads `{missing}`, which is not among the metrics"
            ))),
            None => Ok(Outcome::Measured { metrics }),
        },
        (None, Some(reason)) => Ok(Outcome::Failed { reason }),
        _ => Err(Refusal::Line(
            "tell either `metrics` or `failed`, the reason".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_core::budget::WallClock;
    use lapidary_core::json::Json;
    use lapidary_core::log::{Log, LogError};
    use lapidary_core::registry::{Registry, SearchInit};
    use lapidary_core::trial::Candidate;
    use serde_json::json;
    use std::path::Path;

    use crate::file::{Overrides, StudyFile};

    /// What a session with the goal `goal` answers to `lines`, which come together.
    fn session(goal: &str, lines: &[&str]) -> Vec<Json> {
        let (answers, ended) = session_with(&mut (), goal, lines);
        ended.unwrap();
        answers
    }

    fn session_with(
        log: &mut dyn Log,
        goal: &str,
        lines: &[&str],
    ) -> (Vec<Json>, Result<(), ServeError>) {
        let text = format!(
            "[study]\nwindow = 3\nstrategy = \"random\"\n[goal]\n{goal}\n\
             [space]\nx = {{ float = [0, 1] }}\ny = {{ int = [1, 3] }}\n"
        );
        let registry = Registry::new(&[&lapidary_random::ENTRY]).unwrap();
        let path = Path::new("s.toml");
        let file = StudyFile::parse(path, &text, &Overrides::default(), &registry).unwrap();
        let init = SearchInit {
            space: file.space.clone(),
            seed: 0,
            objectives: file.goal.objectives.len(),
            trials: None,
            installed: None,
        };
        let mut searcher = registry.searcher("random", &Json::Null, &init).unwrap();
        let (study, clock) = (file.study(), WallClock::start());
        let mut session = Session::new(&study, searcher.as_mut(), log, clock.now());
        let mut output = Vec::new();
        let text = lines.join("\n") + "\n";
        let mut input = BufReader::new(text.as_bytes());
        let ended = serve(&mut session, &clock, &mut input, &mut output);
        let lines = std::str::from_utf8(&output).unwrap().lines();
        let answers = lines.map(|l| serde_json::from_str(l).unwrap()).collect();
        (answers, ended)
    }

    /// A log that is full after so many commits.
    struct Full {
        commits: usize,
        after: usize,
    }

    impl Log for Full {
        fn asked(&mut self, _: &Candidate) -> Result<(), LogError> {
            Ok(())
        }

        fn told(&mut self, _: &Trial) -> Result<(), LogError> {
            Ok(())
        }

        fn commit(&mut self) -> Result<(), LogError> {
            self.commits += 1;
            match self.commits <= self.after {
                true => Ok(()),
                false => Err(LogError("the disk is full".to_owned())),
            }
        }
    }

    #[test]
    fn lines_that_come_together_are_stored_together_before_an_answer_leaves() {
        let lines = [
            r#"{"ask": 2}"#,
            r#"{"tell": {"id": 0, "metrics": {"loss": 1}}}"#,
            r#"{"tell": {"id": 1, "metrics": {"loss": 1}}}"#,
        ];
        let run = |after| {
            let mut log = Full { commits: 0, after };
            let (answers, ended) = session_with(&mut log, "minimize = [\"loss\"]", &lines);
            (log.commits, answers, ended.is_ok())
        };
        // The first is what brings a session to where an earlier one stood.
        let (commits, answers, ended) = run(2);
        assert_eq!((commits, answers.len(), ended), (2, 3, true));
        let (_, answers, ended) = run(1);
        assert_eq!(
            answers,
            [json!({ "error": "the study's log: the disk is full" })]
        );
        assert!(!ended);
    }

    #[test]
    fn every_line_has_its_answer() {
        let answers = session(
            "minimize = [\"loss\"]",
            &[
                r#"{"best": true}"#,
                r#"{"ask": 2}"#,
                r#"{"report": {"id": 1, "step": 1, "metrics": {"loss": "inf"}}}"#,
                r#"{"tell": {"id": 1, "metrics": {"loss": 0.25, "other": "nan"}}}"#,
                r#"{"tell": {"id": 0, "failed": "no luck"}}"#,
                r#"{"best": true}"#,
                r#"{"ask": 9}"#,
                r#"{"ask": 1}"#,
                r#"{"pending": true}"#,
                r#"{"tell": {"id": 2, "metrics": {"loss": "nan"}}}"#,
                r#"{"ask": 0}"#,
            ],
        );
        assert_eq!(answers[0], json!({ "best": null }));
        let asked = answers[1]["candidates"].as_array().unwrap();
        let ids = |list: &Json| -> Vec<u64> {
            let list = list.as_array().unwrap().iter();
            list.map(|c| c["id"].as_u64().unwrap()).collect()
        };
        assert_eq!(ids(&answers[1]["candidates"]), [0, 1]);
        assert_eq!(asked[0]["fidelity"], 1.0);
        assert!(asked[0]["point"]["y"].is_i64() && asked[0].get("parent").is_none());
        assert_eq!(answers[2], json!({ "stop": false }));
        assert_eq!(answers[3], json!({ "ok": true }));
        assert_eq!(answers[4], json!({ "ok": true }));
        let best = json!({
            "id": 1, "point": asked[1]["point"], "metrics": {"loss": 0.25, "other": "nan"}, "feasible": true,
        });
        assert_eq!(answers[5], json!({ "best": best }));
        assert_eq!(ids(&answers[6]["candidates"]), [2, 3, 4]);
        assert_eq!(answers[7], json!({ "candidates": [], "pending": 3 }));
        assert_eq!(answers[8]["pending"], answers[6]["candidates"]);
        assert_eq!(answers[9], json!({ "ok": true }));
        assert_eq!(answers[10], json!({ "candidates": [] }));
    }

    #[test]
    fn the_best_is_known_whatever_is_still_awaited() {
        let answers = session(
            "minimize = [\"loss\"]\nsubject_to = [\"loss >= 0\"]",
            &[
                r#"{"ask": 3}"#,
                r#"{"tell": {"id": 2, "metrics": {"loss": 2}}}"#,
                r#"{"best": true}"#,
                r#"{"tell": {"id": 1, "metrics": {"loss": -1}}}"#,
                r#"{"best": true}"#,
                r#"{"tell": {"id": 0, "metrics": {"loss": 1}}}"#,
                r#"{"best": true}"#,
            ],
        );
        for (answer, id) in [(2, 2), (4, 2), (6, 0)] {
            assert_eq!(answers[answer]["best"]["id"], id, "{answers:?}");
        }
    }

    #[test]
    fn several_objectives_have_a_front() {
        let answers = session(
            "minimize = [\"a\", \"b\"]",
            &[
                r#"{"ask": 3}"#,
                r#"{"tell": {"id": 0, "metrics": {"a": 1, "b": 2}}}"#,
                r#"{"tell": {"id": 1, "metrics": {"a": 2, "b": 1}}}"#,
                r#"{"tell": {"id": 2, "metrics": {"a": 3, "b": 3}}}"#,
                r#"{"best": true}"#,
            ],
        );
        assert_eq!(answers[4]["front"].as_array().unwrap().len(), 2);
        assert_eq!(answers[4]["best"], answers[4]["front"][0]);
    }

    #[test]
    fn a_bad_line_is_answered_and_the_session_goes_on() {
        let long = format!("{{\"ask\": {}}}", " ".repeat(crate::lines::LONGEST));
        let bad = [
            ("", "EOF"),
            ("nonsense", "a line is {\"ask\": N}, {\"tell\""),
            ("[1]", "{\"best\": true} or {\"pending\": true}"),
            (r#"{"ask": 1.5}"#, "expected a whole number"),
            (
                r#"{"aks": 1}"#,
                "unknown variant `aks`, expected one of `ask`",
            ),
            (r#"{"ask": -1}"#, "invalid value"),
            (r#"{"ask": 1, "best": true}"#, "line 1 column"),
            (r#"{"best": false}"#, "write true"),
            (r#"{"tell": {"id": 0}}"#, "either"),
            (
                r#"{"tell": {"id": 0, "metrics": {"loss": 1}, "failed": "x"}}"#,
                "either",
            ),
            (
                r#"{"tell": {"id": 0, "metrics": {"los": 1}}}"#,
                "the goal reads `loss`",
            ),
            (
                r#"{"tell": {"id": 0, "metrics": {"loss": null}}}"#,
                "object of numbers",
            ),
            (
                r#"{"tell": {"id": 0, "metrics": {"loss": 1}, "x": 1}}"#,
                "unknown field",
            ),
            (
                r#"{"tell": {"id": 5, "metrics": {"loss": 1}}}"#,
                "never handed out",
            ),
            (
                r#"{"report": {"id": 5, "step": 1, "metrics": {}}}"#,
                "never handed out",
            ),
            (&long, "too long"),
        ];
        let good = [r#"{"ask": 1}"#];
        let lines: Vec<&str> = good
            .into_iter()
            .chain(bad.iter().map(|b| b.0))
            .chain(good)
            .collect();
        let answers = session("minimize = [\"loss\"]", &lines);
        assert_eq!(answers.len(), bad.len() + 2);
        for ((line, expected), answer) in bad.iter().zip(&answers[1..]) {
            let error = answer["error"].as_str().unwrap_or_default();
            assert!(error.contains(expected), "{line}: {answer}");
        }
        assert_eq!(answers.last().unwrap()["candidates"][0]["id"], 1);
    }

    #[test]
    fn numbers_are_read_as_languages_write_them() {
        let lines = [
            "\u{feff}{\"ask\": 3.0}\r",
            r#"{"report": {"id": 1.0, "step": 2.0, "metrics": {"loss": NaN}}}"#,
            r#"{"tell": {"id": 0, "metrics": {"loss": NaN}}}"#,
            r#"{"tell": {"id": 1, "metrics": {"loss": -Infinity}}}"#,
            r#"{"tell": {"id": 2, "metrics": {"loss": 1e999}}}"#,
            r#"{"best": true}"#,
        ];
        let answers = session("minimize = [\"loss\"]", &lines);
        assert_eq!(answers[0]["candidates"][2]["id"], 2);
        assert_eq!(answers[1], json!({"stop": false}));
        for told in &answers[2..5] {
            assert_eq!(*told, json!({"ok": true}));
        }
        // None of them is a number to compare.
        assert_eq!(answers[5], json!({"best": null}));
    }
}
