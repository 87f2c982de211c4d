//! What is written is what the tables say, and is read again, bit by bit.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{from_str, to_string};

use super::*;
use crate::condition::Condition;
use crate::json::Json;
use crate::space::{Axis, AxisValue, Domain, Space};
use crate::trial::{Candidate, Metrics, Origin, Outcome, Report, Score, Trial};

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

fn candidate() -> Candidate {
    let values = vec![
        Some(AxisValue::Float(0.1 + 0.2)),
        Some(AxisValue::Float(2e-3)),
        None,
        Some(AxisValue::Int(i64::MIN + 3)),
        Some(AxisValue::Choice(1)),
    ];
    Candidate {
        id: u64::MAX,
        point: space().point(values),
        fidelity: 1.0 / 3.0,
        parent: Some((1 << 53) + 1),
    }
}

fn trial(outcome: Outcome) -> Trial {
    Trial {
        candidate: candidate(),
        origin: Origin::Foreign,
        outcome,
        score: Some(Score {
            objectives: vec![f64::from_bits(1), f64::MAX],
            violation: f64::INFINITY,
        }),
        curve: vec![Report {
            step: 7,
            metrics: metrics(),
        }],
        repeats: Some(3),
    }
}

fn metrics() -> Metrics {
    [
        ("a b".to_owned(), -0.0),
        ("inf".to_owned(), f64::INFINITY),
        ("less".to_owned(), f64::NEG_INFINITY),
    ]
    .into()
}

#[test]
fn numbers_that_others_lose_are_kept() {
    let floats = [
        0.0,
        -0.0,
        f64::from_bits(1),
        -f64::from_bits(1),
        f64::MIN_POSITIVE / 3.0,
        f64::MAX,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.1 + 0.2,
        1e-7,
        123_456_789_012_345_680.0,
    ];
    for float in floats {
        let text = to_string(&Number(float)).unwrap();
        let Number(read) = from_str(&text).unwrap();
        assert_eq!(read.to_bits(), float.to_bits(), "{text}");
    }
    assert_eq!(to_string(&Number(f64::NAN)).unwrap(), "\"nan\"");
    for text in ["\"nan\"", "\"NaN\""] {
        assert!(from_str::<Number>(text).unwrap().0.is_nan());
    }
    assert_eq!(to_string(&Number(-0.0)).unwrap(), "-0.0");
    assert_eq!(from_str::<Number>("1").unwrap(), Number(1.0));
    for text in ["null", "\"1.5\"", "\"1e999\"", "1e999", "true", "[]"] {
        assert!(from_str::<Number>(text).is_err(), "{text}");
    }

    assert_eq!(to_string(&Whole(1_u64 << 53)).unwrap(), "9007199254740992");
    assert_eq!(
        to_string(&Whole(u64::MAX)).unwrap(),
        "\"18446744073709551615\""
    );
    assert_eq!(
        to_string(&Whole(i64::MIN)).unwrap(),
        "\"-9223372036854775808\""
    );
    // Whoever writes them as numbers is understood too.
    assert_eq!(
        from_str::<Whole<u64>>("18446744073709551615").unwrap(),
        Whole(u64::MAX)
    );
    for text in [
        "-1",
        "0.5",
        "1e30",
        "\"18446744073709551616\"",
        "\"x\"",
        "null",
    ] {
        assert!(from_str::<Whole<u64>>(text).is_err(), "{text}");
    }
}

#[test]
fn a_space_is_an_array_of_its_axes() {
    let text = to_string(&*space()).unwrap();
    let wanted = concat!(
        r#"[{"name":"plain","float":[0.001,0.7],"log":false,"when":"choice == 1 and whole < 5"},"#,
        r#"{"name":"log","float":[0.001,0.7],"log":true},"#,
        r#"{"name":"stepped","float":[0.001,0.7],"log":false,"step":0.1},"#,
        r#"{"name":"whole","int":["-9223372036854775808","9223372036854775807"],"log":false,"step":3},"#,
        r#"{"name":"choice","choice":["a\"",1,0.5,true]}]"#
    );
    assert_eq!(text, wanted);
    assert_eq!(from_str::<Space>(&text).unwrap(), *space());

    let terse = r#"[{"name":"a","float":[0,1],"step":1},{"name":"b","int":[1,9]}]"#;
    let read = from_str::<Space>(terse).unwrap();
    let [a, b] = read.axes() else {
        panic!("there are two axes");
    };
    let (float, int) = (
        Domain::Float {
            low: 0.0,
            high: 1.0,
            log: false,
            step: Some(1.0),
        },
        Domain::Int {
            low: 1,
            high: 9,
            log: false,
            step: 1,
        },
    );
    assert_eq!((&a.domain, &b.domain), (&float, &int));

    for (text, wanted) in [
        (r#"[{"float":[0,1]}]"#, "missing field `name`"),
        (r#"[{"name":"a"}]"#, "axis `a`: it has one of"),
        (r#"[{"name":"a","int":[0,1],"float":[0,1]}]"#, "it has one"),
        (
            r#"[{"name":"a","int":[0,1],"step":0.5}]"#,
            "no whole number",
        ),
        (r#"[{"name":"a","int":[0.5,1]}]"#, "a whole number"),
        (r#"[{"name":"a","int":[1,0]}]"#, "lower bound 1 is above"),
        (r#"[{"name":"a","int":[0,1],"when":"?"}]"#, "axis `a`: "),
    ] {
        let error = from_str::<Space>(text).unwrap_err().to_string();
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn candidates_are_the_same_in_both_spellings_of_the_point() {
    let rest = r#""fidelity":0.3333333333333333,"parent":"9007199254740993"}"#;
    let (by_axis, by_name) = (
        format!(
            r#"{{"id":"18446744073709551615","point":[0.30000000000000004,0.002,0.301,"-9223372036854775805",1],{rest}"#
        ),
        format!(
            r#"{{"id":"18446744073709551615","point":{{"plain":0.30000000000000004,"log":0.002,"stepped":0.301,"whole":-9223372036854775805,"choice":1}},{rest}"#
        ),
    );
    let candidate = candidate();
    assert_eq!(to_string(&candidate).unwrap(), by_axis);
    assert_eq!(
        to_string(&CandidateForm::by_name(&candidate)).unwrap(),
        by_name
    );
    assert_eq!(
        to_string(&candidate.point.to_json()).unwrap(),
        to_string(&ByName(&candidate.point)).unwrap()
    );
    let read: CandidateForm<Row> = from_str(&by_axis).unwrap();
    assert_eq!(read.candidate(&space()), Ok(candidate));
}

#[test]
fn trials_come_back() {
    let measured = Outcome::Measured { metrics: metrics() };
    let failed = Outcome::Failed {
        reason: "no".into(),
    };
    let stopped = Outcome::Stopped {
        metrics: metrics(),
        reason: "it\nwas slow".into(),
    };
    let text = to_string(&trial(stopped.clone())).unwrap();
    let wanted = concat!(
        r#""foreign":true,"metrics":{"a b":-0.0,"inf":"inf","less":"-inf"},"stopped":"it\nwas slow","#,
        r#""score":{"objectives":[5e-324,1.7976931348623157e+308],"violation":"inf"},"#,
        r#""curve":[{"step":7,"metrics":{"a b":-0.0,"inf":"inf","less":"-inf"}}],"repeats":3}"#
    );
    assert!(text.ends_with(wanted), "{text}");
    for outcome in [measured, failed, stopped] {
        let text = to_string(&outcome).unwrap();
        assert_eq!(from_str::<Outcome>(&text).unwrap(), outcome);
        let plain = Trial {
            origin: Origin::Own,
            score: None,
            curve: Vec::new(),
            repeats: None,
            ..trial(outcome.clone())
        };
        // A trial is a candidate and an outcome in one object.
        let both = format!(
            "{},{}",
            to_string(&plain.candidate).unwrap().trim_end_matches('}'),
            text.trim_start_matches('{')
        );
        assert_eq!(to_string(&plain).unwrap(), both);
        for trial in [plain, trial(outcome)] {
            let text = to_string(&trial).unwrap();
            let read: TrialForm<'_, Row> = from_str(&text).unwrap();
            assert_eq!(read.trial(&space()), Ok(trial));
        }
    }
    for text in ["{}", r#"{"stopped":"x"}"#] {
        let error = from_str::<Outcome>(text).unwrap_err().to_string();
        assert!(error.starts_with("`metrics` is missing"), "{error}");
    }
}

#[test]
fn what_older_records_have_is_read() {
    let report: Report = from_str(r#"[7,{"a":"nan"}]"#).unwrap();
    assert!(report.step == 7 && report.metrics["a"].is_nan());
    let asked: CandidateForm<Row> = from_str(r#"{"at":[0.2,0.1,0.101,-2,1]}"#).unwrap();
    let candidate = asked.clone().named(3, &space()).unwrap();
    assert_eq!((candidate.id, candidate.fidelity), (3, 1.0));
    let error = asked.candidate(&space()).unwrap_err();
    assert_eq!(error.to_string(), "`id` is missing");
}

#[test]
fn points_that_do_not_fit_are_named() {
    let read = |text: &str| {
        let row: Row = from_str(text).unwrap();
        row.point(&space())
    };
    for (text, wanted) in [
        ("[1]", "a point is an array of 5 values, found 1 values"),
        (
            r#"[null,"nan",0.1,-2,0]"#,
            "axis `log`: NaN is not a number in [0.001, 0.7] (log)",
        ),
        (
            "[null,0.1,null,-2,0]",
            "axis `stepped` is active at this point and has no value",
        ),
        (
            "[null,0.1,0.101,-2.5,0]",
            "axis `whole`: -2.5 is not a whole number in [-9223372036854775808, 9223372036854775807] in steps of 3",
        ),
        (
            "[null,0.1,0.101,-2,9]",
            "axis `choice`: option 9 is not one of \"a\\\"\", 1, 0.5, true",
        ),
        (
            "[null,0.1,0.101,-2,-1]",
            "axis `choice`: -1 is not one of \"a\\\"\", 1, 0.5, true",
        ),
    ] {
        assert_eq!(read(text).unwrap_err().to_string(), wanted, "{text}");
    }
    // Values of inactive axes are dropped, and texts may stand for numbers.
    let point = read(r#"[0.5,"0.1",0.101,"-2",0]"#).unwrap();
    assert_eq!(point.values()[0], None);
    assert_eq!(point.get("log"), Some(AxisValue::Float(0.1)));
    assert_eq!(point.get("whole"), Some(AxisValue::Int(-2)));
    for text in ["{}", "[[]]", "[true]", r#"["x"]"#] {
        assert!(from_str::<Row>(text).is_err(), "{text}");
    }
}

#[test]
fn metrics_are_an_object_of_numbers() {
    for text in ["{}", r#"{"a":1.0,"b":-0.5}"#, r#"{"a":"nan"}"#] {
        let metrics: Metrics = from_str(text).unwrap();
        assert_eq!(to_string(&metrics).unwrap(), text);
    }
    for text in ["[]", r#"{"a":null}"#, r#"{"a":"1"}"#] {
        assert!(from_str::<Metrics>(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn floats_come_back(bits: u64) {
        let float = f64::from_bits(bits);
        let text = to_string(&Number(float)).unwrap();
        let Number(read) = from_str(&text).unwrap();
        prop_assert!(read.to_bits() == bits || (read.is_nan() && float.is_nan()));
    }

    #[test]
    fn whole_numbers_come_back(unsigned: u64, signed: i64) {
        let text = to_string(&(Whole(unsigned), Whole(signed))).unwrap();
        let read: (Whole<u64>, Whole<i64>) = from_str(&text).unwrap();
        prop_assert_eq!(read, (Whole(unsigned), Whole(signed)));
        // Neither is changed by a reader that knows floats only.
        let read: Vec<Json> = from_str(&text).unwrap();
        for number in read.iter().filter_map(Json::as_f64) {
            prop_assert!(number.abs() <= (1_u64 << 53) as f64);
        }
    }

    #[test]
    fn nothing_brings_the_readers_down(text: String) {
        let _ = from_str::<Space>(&text);
        let _ = from_str::<TrialForm<'_, Row>>(&text);
    }
}
