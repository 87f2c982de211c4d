//! What is written is read again, and what is wrong is named.

use std::sync::Arc;

use lapidary_core::condition::Condition;
use lapidary_core::json::Json;
use lapidary_core::registry::{Info, Promise, SearchInit};
use lapidary_core::searcher::Snapshot;
use lapidary_core::settings::{NoSettings, Schema, Setting};
use lapidary_core::space::{Axis, Domain, Space};
use proptest::prelude::*;
use serde::Serialize;

use super::*;

fn written(form: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    write(&mut text, form);
    text
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
    let text = written(&Request::new(&settings, &init));
    let (settings_read, read) = read::<Request<'_>>(&text).unwrap().init();
    assert_eq!(settings_read, settings);
    assert_eq!(read.space, init.space);
    assert_eq!(
        (read.seed, read.objectives, read.trials),
        (init.seed, 2, Some(9))
    );
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
    let text = written(&snapshot);
    let read: Snapshot = read(&text).unwrap();
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
    let text = written(&Described::from(&info));
    let described = || read::<Described>(&text).unwrap();
    let leaked = described().leak();
    assert_eq!((leaked.name, leaked.promises), ("n", info.promises));
    assert_eq!(leaked.settings.json(), info.settings.json());
    // Without a schema, as plug-ins of the first interface are, and with one that is none.
    for schema in [None, Some(3.into())] {
        let mut older = described();
        older.schema = schema;
        assert_eq!(older.leak().settings.list(), std::slice::from_ref(&setting));
    }
    let derived = Info {
        settings: Schema::of::<NoSettings>(),
        ..info
    };
    let text = written(&Described::from(&derived));
    let described = read::<Described>(&text).unwrap().leak();
    assert!(described.settings.list().is_empty());
    let newer = br#"{"name": "n", "promises": ["of_tomorrow", "ends"], "more": [{}]}"#;
    let described = read::<Described>(newer).unwrap().leak();
    assert_eq!(described.promises, [Promise::Ends]);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let deep = format!("{{\"state\":{}", "[".repeat(1000));
    for (text, wanted) in [
        ("", "an object is wanted at byte 0"),
        (" []", "an object is wanted at byte 1"),
        ("nul", "an object is wanted at byte 0"),
        ("{}", "`strategy` is missing"),
        ("{\"strategy\":\n1}", "a string is wanted at byte 14"),
        (
            "{\"strategy\":\"s\",\"version\":-1}",
            "u32 is wanted at byte 28",
        ),
        ("{\"strategy\":\"s\"", "the rest is wanted at byte 15"),
        (
            "{\"strategy\":\"\\x\"}",
            "JSON (invalid escape) is wanted at byte 14",
        ),
        ("{\"strategy\" 1}", "`:` is wanted at byte 12"),
        ("{\"strategy\":NaN}", "value is wanted at byte 12"),
        (
            "{\"strategy\":\"s\",\"version\":1,\"state\":0}}",
            "the end is wanted at byte 38",
        ),
        (
            &deep,
            "JSON (recursion limit exceeded) is wanted at byte 136",
        ),
    ] {
        let error = read::<Snapshot>(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, wanted, "{text}");
    }
    let error = read_trial(b"{\"id\":1,\"point\":[]}", &space()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "candidate 1: a point is an array of 5 values, found 0 values"
    );
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

proptest! {
    #[test]
    fn nothing_brings_the_readers_down(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = read::<Snapshot>(&bytes);
        let _ = read_candidates(&bytes, &space(), 1);
        let _ = read_trial(&bytes, &space());
    }
}
