//! `lapidary study plot`, through the program.

mod common;

use std::path::Path;

use common::Study;
use lapidary_tests::{Answer, run};

/// A study of a shell command with a conditional axis; where `n` is 2 it fails.
fn study(name: &str, minimize: &str, space: &str) -> Study {
    Study::new(&format!(
        r#"
[study]
name = "{name}"
strategy = "random"
[budget]
trials = 24
[goal]
minimize = {minimize}
[evaluate]
kind = "command"
program = "sh"
args = ["-c", "cat > /dev/null; [ {{n}} = 2 ] && exit 1; echo '{{\"loss\": {{x}}, \"cost\": 1'{{n}}'}}'"]
[space]
x = {{ float = [0.001, 1.0], log = true }}
{space}
c = {{ choice = ["a", "b"] }}
y = {{ float = [0, 1], when = "c == b" }}
"#
    ))
}

fn plot(study: &Study, name: &str, kind: &str, out: &str) -> Answer {
    let (store, out) = (study.beside("s.db"), study.beside(out));
    let args = ["study", "plot", name, "--store", &store, "--kind", kind];
    run(&[&args[..], &["-o", &out, "--json"]].concat())
}

fn searched(study: &Study) -> Answer {
    run(&[
        "search",
        &study.path(),
        "--store",
        &study.beside("s.db"),
        "--json",
    ])
}

#[test]
fn a_study_is_drawn_as_svg_and_png() {
    let study = study("s & t", r#"["loss", "cost"]"#, "n = { int = [0, 3] }");
    let found = searched(&study).done().json;
    let failed = found["failed"].as_u64().unwrap();
    assert!(failed > 0, "{found}");
    assert_eq!(found["failures"].as_object().unwrap().len(), 1, "{found}");
    for kind in ["history", "front", "parallel", "importance"] {
        let svg = plot(&study, "s & t", kind, "out.svg").done().json;
        let text = std::fs::read_to_string(svg["output"].as_str().unwrap()).unwrap();
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"));
        assert!(text.contains("s &amp; t"), "{text}");
        let png = plot(&study, "s & t", kind, "out.PNG").done().json;
        let bytes = std::fs::read(png["output"].as_str().unwrap()).unwrap();
        assert!(bytes.starts_with(b"\x89PNG\r\n"), "{kind}");
        if kind == "importance" {
            let shares = &svg["importance"]["loss"];
            let x = shares["axes"]["x"].as_f64().unwrap();
            assert!(x > 0.8, "the loss is x: {shares}");
            assert_eq!(shares["axes"].as_object().unwrap().len(), 4);
        }
    }
}

#[test]
fn what_cannot_be_drawn_is_refused_and_nothing_is_written() {
    let fails = study("s", r#"["loss"]"#, "n = { choice = [2] }");
    assert_eq!(searched(&fails).code, 1);
    let works = study("s", r#"["loss"]"#, "n = { choice = [1] }");
    searched(&works).done();
    for (study, name, kind, out, text) in [
        (
            &fails,
            "s",
            "history",
            "out.svg",
            "study `s` has no trial yet",
        ),
        (
            &works,
            "s",
            "front",
            "out.svg",
            "one objective, `loss`; a front needs two",
        ),
        (
            &works,
            "t",
            "history",
            "out.svg",
            "no study `t`; there are s",
        ),
        (&works, "s", "history", "out.jpg", "written as .svg or .png"),
        (&works, "s", "history", "out", "written as .svg or .png"),
        (&works, "s", "history", "no/out.svg", "cannot write"),
        (&works, "s", "pie", "out.svg", "invalid value 'pie'"),
    ] {
        let message = plot(study, name, kind, out).refused();
        assert!(message.contains(text), "{message}");
        assert!(!Path::new(&study.beside(out)).exists(), "{out}");
    }
}
