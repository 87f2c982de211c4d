//! Every border writes the same bytes of the same thing: the store, workers, sessions, exports, plug-ins and `--json`.

use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use lapidary_builtin_plugins::compiled;
use lapidary_core::budget::{Clock, WallClock};
use lapidary_core::cancel::Cancel;
use lapidary_core::condition::Condition;
use lapidary_core::evaluator::EvalContext;
use lapidary_core::fit::Verdict;
use lapidary_core::json::Json;
use lapidary_core::log::Log;
use lapidary_core::registry::{Entry, Factory, Registry, SearchInit};
use lapidary_core::searcher::{SearchError, Searcher};
use lapidary_core::session::Session;
use lapidary_core::space::{Axis, Domain, Space};
use lapidary_core::trial::{Candidate, Metrics, Origin, Outcome, Report, Score, Trial};
use lapidary_core::wire::{CandidateForm, Found};
use lapidary_plugin_host::{Host, Isolation, Limits};
use lapidary_study::file::{Overrides, StudyFile};
use lapidary_study::session::serve;
use lapidary_study::store::{Store, export};
use lapidary_study::worker::{Answer, Request, line};
use lapidary_tests::run;
use proptest::prelude::*;
use proptest::sample::Index;
use serde::Serialize;

/// A study to begin with; its space is another one in every case.
const STUDY: &str = "[study]\nname = \"any\"\nstrategy = \"random\"\n[goal]\nminimize = [\"loss\"]\n\
                     [space]\nx = { float = [0, 1] }\n";

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set("[a-z \"\\\\\n\u{1}é😀.{}]{1,6}", 1..6)
        .prop_map(|names| names.into_iter().collect())
}

fn domain() -> impl Strategy<Value = Domain> {
    let bound = || prop_oneof![-1e3..1e3_f64, Just(-0.0), Just(5e-324), Just(1e300)];
    let option = prop_oneof![
        any::<String>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        (-1e9..1e9_f64).prop_map(Json::from),
    ];
    let float = (bound(), bound(), prop::option::of(1e-3..1.0_f64));
    prop_oneof![
        float.prop_map(|(a, b, step)| Domain::Float {
            low: a.min(b),
            high: a.max(b),
            log: false,
            step: step.filter(|_| (a - b).abs() < 1e4),
        }),
        (1e-9..1.0_f64, 1.0..1e9_f64).prop_map(|(low, high)| Domain::Float {
            low,
            high,
            log: true,
            step: None,
        }),
        (any::<i64>(), any::<i64>(), 1..9_i64).prop_map(|(a, b, step)| Domain::Int {
            low: a.min(b),
            high: a.max(b),
            log: false,
            step,
        }),
        prop::collection::vec(option, 1..5).prop_map(|options| {
            let mut different: Vec<Json> = Vec::new();
            for option in options {
                if !different.contains(&option) {
                    different.push(option);
                }
            }
            Domain::Choice { options: different }
        }),
    ]
}

fn space() -> impl Strategy<Value = Arc<Space>> {
    let axes = names().prop_flat_map(|names| {
        let count = names.len();
        (Just(names), prop::collection::vec(domain(), count))
    });
    let axes = axes.prop_map(|(names, domains)| {
        let axes = names.into_iter().zip(domains);
        axes.map(|(name, domain)| Axis::new(name, domain)).collect()
    });
    (axes, any::<bool>()).prop_map(|(mut axes, conditional): (Vec<Axis>, bool)| {
        // The last axis hangs on a first one that a condition can name.
        if conditional && axes.len() > 1 {
            let low_or_high = Domain::Int {
                low: 0,
                high: 1,
                log: false,
                step: 1,
            };
            axes[0] = Axis::new("switch", low_or_high);
            if let Some(last) = axes.last_mut() {
                last.when = Some(Condition::parse("switch == 1").unwrap());
            }
        }
        Arc::new(Space::new(axes).unwrap())
    })
}

fn metrics() -> impl Strategy<Value = Metrics> {
    let name = "[a-z\"\n é]{1,4}";
    prop::collection::btree_map(name, prop::num::f64::ANY, 0..4).prop_map(|others| {
        let mut metrics: Metrics = others.into_iter().collect();
        metrics.insert("loss".to_owned(), 0.1 + 0.2);
        metrics
    })
}

/// Trial 0 of a study, measured or stopped or failed, with a curve.
fn trial() -> impl Strategy<Value = Trial> {
    let outcome =
        (metrics(), any::<String>(), 0..3_u8).prop_map(|(metrics, reason, end)| match end {
            0 => Outcome::Measured { metrics },
            1 => Outcome::Stopped { metrics, reason },
            _ => Outcome::Failed { reason },
        });
    let curve = prop::collection::btree_map(any::<u64>(), metrics(), 0..3);
    let fidelity = prop_oneof![Just(1.0), 1e-3..1.0_f64];
    let place = (space(), any::<[Index; 6]>(), fidelity);
    let rest = (prop::num::f64::POSITIVE, any::<bool>());
    (place, outcome, curve, rest).prop_map(|((space, place, fidelity), outcome, curve, rest)| {
        let unit = place.map(|index| index.index(1 << 20) as f64 / (1 << 20) as f64);
        let (violation, foreign) = rest;
        Trial {
            candidate: Candidate {
                id: 0,
                point: space.at_unit(&unit),
                fidelity,
                parent: None,
            },
            origin: if foreign {
                Origin::Foreign
            } else {
                Origin::Own
            },
            score: outcome.metrics().map(|metrics| Score {
                objectives: vec![metrics["loss"]],
                violation,
            }),
            outcome,
            curve: (curve.into_iter())
                .map(|(step, metrics)| Report { step, metrics })
                .collect(),
            repeats: None,
        }
    })
}

fn text(form: &impl Serialize) -> String {
    serde_json::to_string(form).unwrap()
}

/// What stands between the brackets.
fn inside(text: &str) -> &str {
    &text[1..text.len() - 1]
}

/// A field of an object, comma and all, where there is something to say.
fn field(name: &str, form: Option<String>) -> String {
    form.map_or_else(String::new, |form| format!(",\"{name}\":{form}"))
}

/// The one form of a trial and its parts.
struct Forms {
    space: String,
    by_axis: String,
    by_name: String,
    outcome: String,
    curve: String,
    found: String,
}

impl Forms {
    fn of(trial: &Trial) -> Self {
        Self {
            space: text(&**trial.candidate.point.space()),
            by_axis: text(&trial.candidate),
            by_name: text(&CandidateForm::by_name(&trial.candidate)),
            outcome: text(&trial.outcome),
            curve: text(&trial.curve),
            found: text(&Found(trial)),
        }
    }

    fn curve(&self) -> String {
        field("curve", (self.curve != "[]").then(|| self.curve.clone()))
    }
}

fn file(space: &Arc<Space>) -> StudyFile {
    let registry = Registry::new(&[]).unwrap();
    let path = Path::new("any.toml");
    let mut file = StudyFile::parse(path, STUDY, &Overrides::default(), &registry).unwrap();
    file.space = space.clone();
    file
}

fn worker(trial: &Trial, forms: &Forms) {
    let lineage = [trial.candidate.clone()];
    let cx = EvalContext {
        seed: u64::MAX,
        cancel: &Cancel::new(),
        lineage: &lineage,
        report: &|_, _| Verdict::Continue,
        keep: &|_, _| {},
    };
    let candidate = &forms.by_axis;
    assert_eq!(
        line(&Request::of(&trial.candidate, &cx)),
        format!(
            "{{\"evaluate\":{{\"candidate\":{candidate},\"lineage\":[{candidate}],\"seed\":\"{}\"}}}}\n",
            u64::MAX
        )
    );
    let said = line(&Answer::Outcome(trial.outcome.clone()));
    assert_eq!(said, format!("{{\"outcome\":{}}}\n", forms.outcome));
    for report in &trial.curve {
        let said = line(&Answer::Report(report.clone()));
        assert_eq!(said, format!("{{\"report\":{}}}\n", text(report)));
    }
}

/// Hands out one candidate.
struct One(Option<Candidate>);

impl Searcher for One {
    fn ask(&mut self, _: usize) -> Result<Vec<Candidate>, SearchError> {
        Ok(self.0.take().into_iter().collect())
    }

    fn tell(&mut self, _: &Trial) -> Result<(), SearchError> {
        Ok(())
    }
}

fn session(trial: &Trial, forms: &Forms) {
    let study = file(trial.candidate.point.space()).study();
    let mut searcher = One(Some(trial.candidate.clone()));
    let (mut log, clock) = ((), WallClock::start());
    let mut session = Session::new(&study, &mut searcher, &mut log, clock.now());
    let mut lines = "{\"ask\":1}\n{\"pending\":true}\n".to_owned();
    // The best is one of those at full fidelity.
    let measured = match &trial.outcome {
        Outcome::Measured { .. } if trial.candidate.fidelity == 1.0 => {
            lines += &format!("{{\"tell\":{{\"id\":0,{}}}}}\n", inside(&forms.outcome));
            lines += "{\"best\":true}\n";
            true
        }
        _ => false,
    };
    let (mut input, mut output) = (BufReader::new(lines.as_bytes()), Vec::new());
    serve(&mut session, &clock, &mut input, &mut output).unwrap();
    let output = String::from_utf8(output).unwrap();
    let candidates = &forms.by_name;
    let mut wanted = vec![
        format!("{{\"candidates\":[{candidates}]}}"),
        format!("{{\"pending\":[{candidates}]}}"),
    ];
    if measured {
        let found = forms
            .found
            .replace("\"feasible\":false", "\"feasible\":true");
        wanted.extend(["{\"ok\":true}".to_owned(), format!("{{\"best\":{found}}}")]);
    }
    assert_eq!(output.lines().collect::<Vec<_>>(), wanted);
}

/// Stores the trial, and looks at the records, the export and what the program prints of it.
fn store(trial: &Trial, forms: &Forms) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("any.db");
    let identity = file(trial.candidate.point.space()).identity();
    let mut log = Store::create(&path)
        .and_then(|store| store.begin("any", &identity, None, false))
        .unwrap();
    log.asked(&trial.candidate).unwrap();
    log.told(trial).unwrap();
    log.commit().unwrap();
    drop(log);

    let connection = rusqlite::Connection::open(&path).unwrap();
    let body = |kind: i64| -> String {
        let query = "SELECT body FROM lapidary_log WHERE kind = ?1";
        connection
            .query_row(query, [kind], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(body(0), forms.by_axis);
    let (outcome, curve) = (inside(&forms.outcome), forms.curve());
    assert_eq!(body(1), format!("{{{outcome}{curve}}}"));
    let identity: String = connection
        .query_row("SELECT identity FROM lapidary_studies", [], |row| {
            row.get(0)
        })
        .unwrap();
    let space = format!("{{\"space\":{},", forms.space);
    assert!(identity.starts_with(&space), "{identity}");

    let mut stored = Store::open(&path).unwrap().read("any").unwrap();
    let (mut read, mut wanted) = (stored.trials[0].clone(), trial.clone());
    assert_eq!(text(&read.candidate), forms.by_axis);
    assert_eq!(text(&read.outcome), forms.outcome);
    assert_eq!(text(&read.curve), forms.curve);
    // What is scored anew may come to another end.
    (read.score, read.origin) = (wanted.score.clone(), wanted.origin);
    assert_eq!(text(&read), text(trial));
    wanted.origin = Origin::Own;
    stored.trials = vec![wanted];
    let reason = match &trial.outcome {
        Outcome::Measured { .. } => None,
        Outcome::Failed { reason } | Outcome::Stopped { reason, .. } => Some(text(reason)),
    };
    let (state, violation) = match (&trial.outcome, &trial.score) {
        (Outcome::Measured { .. }, Some(score)) => ("measured", text(&score.violation)),
        (Outcome::Stopped { .. }, Some(score)) => ("stopped", text(&score.violation)),
        _ => ("failed", "null".to_owned()),
    };
    let line = format!(
        "{{{},\"origin\":\"own\",\"repeats\":null,\"outcome\":{{\"state\":\"{state}\"{}{}}},\"violation\":{violation},\"curve\":{}}}\n",
        inside(&forms.by_name),
        field("metrics", trial.outcome.metrics().map(text)),
        field("reason", reason),
        forms.curve,
    );
    assert_eq!(export::json_lines(&stored), line);

    let path = path.to_str().unwrap();
    let shown = run(&["study", "show", "any", "--store", path, "--json"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    if let (Outcome::Measured { .. }, 1.0) = (&trial.outcome, trial.candidate.fidelity) {
        let found = forms
            .found
            .replace("\"feasible\":false", "\"feasible\":true");
        assert_eq!(shown.json["best"].to_string(), found);
    }
}

/// What a plug-in is told.
fn plugin(entry: &Entry, trial: &Trial, forms: &Forms) {
    let Factory::Searcher(make) = entry.factory else {
        panic!("it is a searcher");
    };
    let init = SearchInit {
        space: trial.candidate.point.space().clone(),
        seed: u64::MAX,
        objectives: 1,
        trials: None,
        installed: None,
    };
    let mut searcher = make(&Json::Null, &init).unwrap();
    let built = searcher.ask(1).unwrap_err().to_string();
    assert_eq!(
        built,
        format!(
            "echo: {{\"settings\":null,\"space\":{},\"seed\":\"{}\",\"objectives\":1}}",
            forms.space,
            u64::MAX
        )
    );
    let foreign = field(
        "foreign",
        (trial.origin == Origin::Foreign).then(|| "true".to_owned()),
    );
    let wanted = format!(
        "echo: {{{}{foreign},{}{}{}}}",
        inside(&forms.by_axis),
        inside(&forms.outcome),
        field("score", trial.score.as_ref().map(text)),
        forms.curve()
    );
    let told = searcher.tell(trial).unwrap_err().to_string();
    assert_eq!(told, wanted);
}

#[test]
fn all_borders_write_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host {
        isolation: Isolation::InProcess,
        limits: Limits::default(),
    };
    let echo = host.load(&compiled(folder.path(), "echo", &[])).unwrap();
    let config = ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(trial in trial())| {
        let forms = Forms::of(&trial);
        worker(&trial, &forms);
        session(&trial, &forms);
        store(&trial, &forms);
        plugin(&echo.entry, &trial, &forms);
    });
}
