//! What is written is read again, bit by bit.

use std::sync::Arc;

use lapidary_core::condition::Condition;
use lapidary_core::json::Json;
use lapidary_core::registry::{Info, Promise};
use lapidary_core::searcher::{SearchInit, Snapshot};
use lapidary_core::settings::{NoSettings, Schema, Setting};
use lapidary_core::space::{Axis, AxisValue, Domain, Space};
use lapidary_core::trial::{Candidate, Metrics, Origin, Outcome, Report, Score, Trial};

use super::*;
use crate::json::{Reader, Writer};

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::new();
    write(&mut w);
    w.finish()
}

fn space() -> Arc<Space> {
    let float = |log, step| Domain::Float {
        low: 1e-3,
        high: 0.7,
        log,
        step,
    };
    let mut axes = vec![
        Axis::new("plain", float(false, None)),
        Axis::new("log", float(true, None)),
        Axis::new("stepped", float(false, Some(0.1))),
        Axis::new(
            "whole",
            Domain::Int {
                low: i64::MIN,
                high: i64::MAX,
                log: false,
                step: 3,
            },
        ),
        Axis::new(
            "choice",
            Domain::Choice {
                options: vec!["a\"".into(), 1.into(), 0.5.into(), true.into()],
            },
        ),
    ];
    axes[0].when = Some(Condition::parse("choice == 1 and whole < 5").unwrap());
    Arc::new(Space::new(axes).unwrap())
}

fn trial() -> Trial {
    let values = vec![
        Some(AxisValue::Float(0.1 + 0.2)),
        Some(AxisValue::Float(2e-3)),
        None,
        Some(AxisValue::Int(i64::MIN + 3)),
        Some(AxisValue::Choice(1)),
    ];
    let metrics = Metrics::from([("a b".to_owned(), -0.0), ("inf".to_owned(), f64::INFINITY)]);
    Trial {
        candidate: Candidate {
            id: u64::MAX,
            point: space().point(values),
            fidelity: 1.0 / 3.0,
            parent: Some((1 << 53) + 1),
        },
        origin: Origin::Foreign,
        outcome: Outcome::Stopped {
            metrics: metrics.clone(),
            reason: "it\nwas slow".into(),
        },
        score: Some(Score {
            objectives: vec![f64::from_bits(1), f64::MAX],
            violation: 0.25,
        }),
        curve: vec![Report { step: 7, metrics }],
        repeats: Some(3),
    }
}

#[test]
fn requests_come_back() {
    let settings: Json = [("seed".to_owned(), Json::from(u64::MAX))]
        .into_iter()
        .collect();
    let init = SearchInit {
        space: space(),
        seed: u64::MAX - 1,
        objectives: 2,
        trials: Some(9),
        installed: None,
    };
    let read = read_request(&written(|w| write_request(w, &settings, &init))).unwrap();
    assert_eq!(read.settings, settings);
    assert_eq!(read.init.space, init.space);
    assert_eq!(
        (read.init.seed, read.init.objectives, read.init.trials),
        (init.seed, 2, Some(9))
    );
}

#[test]
fn trials_come_back() {
    let failed = Trial {
        outcome: Outcome::Failed {
            reason: "no".into(),
        },
        origin: Origin::Own,
        score: None,
        curve: Vec::new(),
        repeats: None,
        ..trial()
    };
    for trial in [trial(), failed] {
        let text = written(|w| write_trial(w, &trial));
        assert_eq!(read_trial(&text, &space()).unwrap(), trial);
    }
}

#[test]
fn states_keep_their_numbers() {
    let state: Json = [
        Json::from(u64::MAX),
        Json::from(i64::MIN),
        Json::from(-0.0),
        Json::from(1.0),
        Json::from(f64::from_bits(1)),
        Json::Null,
        Json::from("é\u{1}"),
    ]
    .into_iter()
    .collect();
    let snapshot = Snapshot {
        strategy: "s".into(),
        version: u32::MAX,
        state,
    };
    let text = written(|w| write_snapshot(w, &snapshot));
    let read = read_snapshot(&text).unwrap();
    assert_eq!(read, snapshot);
    assert!(read.state[2].as_f64().unwrap().is_sign_negative());
    assert!(read.state[3].is_f64());
}

#[test]
fn what_is_known_comes_back() {
    let setting = Setting {
        name: "a".into(),
        kind: "int".into(),
        default: Some("\"x\"".into()),
        doc: "it does".into(),
        example: "\"x\"".into(),
    };
    let info = Info {
        name: "n",
        summary: "s",
        docs: "d",
        settings: Schema::listed(std::slice::from_ref(&setting)),
        promises: &Promise::ALL,
    };
    let text = written(|w| write_info(w, &info));
    let read = read_info(&text).unwrap().leak();
    assert_eq!((read.name, read.promises), ("n", info.promises));
    assert_eq!(read.settings.json(), info.settings.json());
    // Without a schema, as plug-ins of the first interface are, and with one that is none.
    let mut older = read_info(&text).unwrap();
    for schema in [None, Some(3.into())] {
        older.schema = schema;
        assert_eq!(older.clone().leak().settings.list(), [setting.clone()]);
    }
    let derived = Info {
        settings: Schema::of::<NoSettings>(),
        ..info
    };
    let text = written(|w| write_info(w, &derived));
    assert!(read_info(&text).unwrap().leak().settings.list().is_empty());
    let newer = br#"{"name": "n", "promises": ["of_tomorrow", "ends"], "more": [{}]}"#;
    assert_eq!(read_info(newer).unwrap().promises, [Promise::Ends]);
}

#[test]
fn wrong_candidates_are_named() {
    let fail = |text: &str| {
        read_candidates(text.as_bytes(), &space(), 2)
            .unwrap_err()
            .to_string()
    };
    let fine = r#"{"id":1,"point":[null,0.1,0.101,-2,0]}"#;
    assert_eq!(
        read_candidates(format!("[{fine}]").as_bytes(), &space(), 2)
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        fail(&format!("[{fine},{fine},{fine}]")),
        "there are more candidates than the 2 asked for"
    );
    assert_eq!(
        fail(r#"[{"id":1,"point":[null,"nan",0.1,-2,0]}]"#),
        "candidate 1: axis `log`: NaN is not a number in [0.001, 0.7] (log)"
    );
    assert_eq!(
        fail(r#"[{"id":1,"point":[null,0.1,null,-2,0]}]"#),
        "candidate 1: axis `stepped` is active at this point and has no value"
    );
    assert_eq!(
        fail(r#"[{"id":1,"point":[null,0.1,0.101,-2,9]}]"#),
        "candidate 1: axis `choice`: option 9 is not one of \"a\\\"\", 1, 0.5, true"
    );
    assert_eq!(
        fail(r#"[{"id":1,"point":[1]}]"#),
        "candidate 1: a point is an array of 5 values, found 1 values"
    );
    assert_eq!(
        fail(
            &fine
                .replace("}", ",\"fidelity\":\"inf\"}")
                .replace('{', "[{")
                .replace('}', "}]")
        ),
        "candidate 1: fidelity inf is not in (0, 1]"
    );
    assert_eq!(
        fail(r#"[{"point":[null,0.1,0.101,-2,0]}]"#),
        "`id` is missing"
    );
    assert_eq!(fail("{}"), "an array is wanted at byte 0");
    // Values of inactive axes are dropped.
    let extra = read_candidates(br#"[{"id":1,"point":[0.5,0.1,0.101,-2,0]}]"#, &space(), 1);
    assert_eq!(extra.unwrap()[0].point.values()[0], None);
    let mut r = Reader::new(b"1e999");
    assert!(read_value(&mut r).is_err());
}

#[test]
fn tensors_keep_their_bits() {
    use lapidary_core::tensor::{DType, Dense};
    let tensors = [
        Dense::f32(&[2, 1], vec![f32::NAN, -0.0]).unwrap(),
        Dense::i64(&[], vec![i64::MIN]).unwrap(),
        Dense::f32(&[0, 3], vec![]).unwrap(),
        Dense::Raw {
            dtype: DType::BF16,
            shape: vec![1],
            bytes: [1u8, 2].as_slice().into(),
        },
    ];
    for tensor in &tensors {
        let back = Piece::of(tensor).dense().unwrap();
        assert_eq!(
            (back.dtype(), back.shape()),
            (tensor.dtype(), tensor.shape())
        );
        assert_eq!(Piece::of(&back), Piece::of(tensor));
    }
    let lying = Piece {
        shape: vec![u64::MAX, 2],
        ..Piece::of(&tensors[0])
    };
    assert!(lying.dense().is_err());
}
