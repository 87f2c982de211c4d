//! The schemas of study files and recipes, and the reference page that comes from the same definitions.

use std::path::Path;

use lapidary_tests::{files, python, root, run};
use serde_json::Value;
use tempfile::TempDir;

/// A study file that is right, as is every change of [`RIGHT`]; no change of [`WRONG`] is.
const STUDY: &str = r#"
[study]
name = "bowl"
seed = 3
strategy = "genetic"
[strategy]
population = 20
[budget]
trials = 5
time = "1h 30m"
[goal]
minimize = ["value"]
subject_to = ["value <= 200KB"]
[stop]
rule = "patience"
patience = 3
[evaluate]
kind = "command"
program = "sh"
args = ["-c", "echo '{\"value\": {x}}'", ["--n", "{n}"], 3]
[space]
x = { float = [0, 1], step = 0.25 }
n = { int = [1, 64], log = true, when = "c == a" }
c = { choice = ["a", "b", 3, true] }
fixed = 7
"#;

/// Changes that leave the file right.
const RIGHT: [(&str, &str); 13] = [
    ("strategy = \"genetic\"\n[strategy]\npopulation = 20", ""),
    ("strategy = \"genetic\"\n[strategy]", "[strategy]"),
    (
        "\"genetic\"\n[strategy]\npopulation = 20",
        "\"adaptive\"\n[strategy]\nmembers = [\"line\", \"cma\"]",
    ),
    (
        "\"genetic\"\n[strategy]\npopulation = 20",
        "\"grid\"\n[strategy]\naxes = { x = 3 }",
    ),
    (
        "\"genetic\"\n[strategy]\npopulation = 20",
        "\"halving\"\n[strategy]\nsearcher = \"genetic\"\nsettings = { population = 9 }",
    ),
    ("minimize = [\"value\"]", "minimize = \"value\""),
    ("minimize", "maximize"),
    ("\"1h 30m\"", "90"),
    ("trials = 5", "trials = 5\nmemory = \"2GiB\"\nthreads = 1"),
    ("[stop]\nrule = \"patience\"\npatience = 3", ""),
    (
        "3]\n[space]",
        "3]\nenv = { N = \"{n}\", M = 3 }\ncheckpoints = \"kept\"\n[space]",
    ),
    (
        "\"patience\"\npatience = 3",
        "\"percentile\"\npercentile = 25\nmetric = \"value\"",
    ),
    (
        "[space]",
        "[[start]]\nx = 0.25\nc = \"b\"\nfixed = 7\n[space]",
    ),
];

/// Changes that make it wrong.
const WRONG: [(&str, &str); 44] = [
    ("trials = 5", "trails = 5"),
    ("trials = 5", "trials = \"many\""),
    ("trials = 5", "trials = -1"),
    ("trials = 5", "trials = 2.5"),
    ("trials = 5", "threads = 0"),
    ("\"1h 30m\"", "true"),
    ("seed = 3", "window = 0"),
    ("seed = 3", "repeats = 1"),
    ("\"genetic\"", "\"simplex\""),
    ("population = 20", "populatio = 20"),
    ("population = 20", "population = 3"),
    ("population = 20", "population = \"all\""),
    ("population = 20", "mutation_rate = 1.5"),
    ("population = 20", "tournament = 0"),
    ("\"genetic\"", "\"random\""),
    (
        "strategy = \"genetic\"\n[strategy]\npopulation",
        "[strategy]\nlevels",
    ),
    (
        "\"genetic\"\n[strategy]\npopulation = 20",
        "\"random\"\n[strategy]\nsampling = \"sobl\"",
    ),
    (
        "\"genetic\"\n[strategy]\npopulation = 20",
        "\"adaptive\"\n[strategy]\nmembers = [\"line\", \"line\"]",
    ),
    (
        "\"genetic\"\n[strategy]\npopulation = 20",
        "\"grid\"\n[strategy]\naxes = { x = 0 }",
    ),
    (
        "\"genetic\"\n[strategy]\npopulation = 20",
        "\"greedy\"\n[strategy]\nstep = 0.0",
    ),
    (
        "\"genetic\"\n[strategy]\npopulation = 20",
        "\"halving\"\n[strategy]\nreduction = 1",
    ),
    (
        "\"genetic\"\n[strategy]\npopulation = 20",
        "\"halving\"\n[strategy]\nsettings = { samplin = \"sobol\" }",
    ),
    (
        "\"genetic\"\n[strategy]\npopulation = 20",
        "\"halving\"\n[strategy]\nsearcher = \"genetic\"\nsettings = { population = 3 }",
    ),
    (
        "\"genetic\"\n[strategy]\npopulation = 20",
        "\"halving\"\n[strategy]\nsearcher = \"halving\"",
    ),
    ("minimize = [\"value\"]", ""),
    ("minimize = [\"value\"]", "minimise = [\"value\"]"),
    ("minimize = [\"value\"]", "minimize = [3]"),
    ("value <= 200KB", "value 200KB"),
    ("rule = \"patience\"", "rule = \"patient\""),
    ("patience = 3", "patience = 0"),
    ("patience = 3", "patience = 3\nmin_trials = 2"),
    (
        "\"patience\"\npatience = 3",
        "\"percentile\"\npercentile = 100",
    ),
    ("kind = \"command\"", "kind = \"comand\""),
    ("kind = \"command\"", ""),
    ("program = \"sh\"", ""),
    ("program = \"sh\"", "program = \"sh\"\nfamily = \"mlp\""),
    ("[\"--n\", \"{n}\"]", "[\"--n\", true]"),
    ("[0, 1], step", "[0, 1, 2], step"),
    ("float = [0, 1], step = 0.25", "float = [0, 1], steps = 4"),
    ("int = [1, 64]", "int = [1.5, 64]"),
    ("int = [1, 64]", "int = [1, 64], step = 0"),
    ("choice = [\"a\", \"b\", 3, true]", "options = [\"a\"]"),
    ("fixed = 7", "fixed = [7]"),
    ("[space]", "[spaces]"),
];

/// Other kinds of evaluation, with what is right and what is wrong in them.
const TRAIN: &str = r#"
[budget]
trials = 1
[goal]
maximize = ["accuracy"]
[runtime]
threads = 1
[evaluate]
kind = "train"
family = "mlp"
data = "digits"
epochs = 1
depth = 1
mean = [0.5]
[space]
width = { int = [4, 8] }
lr = { float = [1e-3, 0.1], log = true }
"#;

const WRONG_TRAIN: [(&str, &str); 13] = [
    ("threads = 1", "name = \"rtem\""),
    ("threads = 1", "thread = 1"),
    ("threads = 1", "library = \"x.so\""),
    ("\"mlp\"", "\"mlpp\""),
    ("family = \"mlp\"", ""),
    ("data = \"digits\"", ""),
    ("epochs = 1", "epoch = 1"),
    ("epochs = 1", "epochs = 0"),
    ("epochs = 1", "epochs = 1\nactivation = \"rely\""),
    ("depth = 1", "depth = 65"),
    ("depth = 1", "kernel = 3"),
    ("mean = [0.5]", "split_seed = -1"),
    ("width = {", "widht = {"),
];

const FUNCTION: &str = r#"
[budget]
trials = 1
[goal]
minimize = ["value"]
[evaluate]
kind = "function"
name = "sphere"
[space]
x = { float = [0, 1] }
"#;

const WRONG_FUNCTION: [(&str, &str); 3] = [
    ("name = \"sphere\"", ""),
    ("\"sphere\"", "\"spheer\""),
    ("\"sphere\"", "\"sphere\"\nprogram = \"sh\""),
];

const COMPRESS: &str = r#"
[budget]
trials = 1
[goal]
minimize = ["bytes"]
[evaluate]
kind = "compress"
model = "model.onnx"
data = "digits"
recipe = [
    "prune:sparsity={sparsity}",
    { name = "distill", student = "mlp", settings = { width = 8 }, epochs = "{epochs}" },
    { name = "quantize", bits = 4, layers = ["hidden*"] },
]
[space]
sparsity = { float = [0.1, 0.9] }
epochs = { int = [1, 3] }
"#;

const WRONG_COMPRESS: [(&str, &str); 6] = [
    ("model = \"model.onnx\"", ""),
    ("\"prune:", "\"prone:"),
    ("name = \"quantize\"", "name = \"quantise\""),
    ("bits = 4", "bits = 5"),
    ("bits = 4", "bit = 4"),
    (
        "student = \"mlp\", settings = { width = 8 }, ",
        "temperature = 0, ",
    ),
];

const RECIPE: &str = r#"
[[step]]
name = "prune"
structure = "channels"
sparsity = 0.3
[[step]]
name = "distill"
student = "small.onnx"
[[step]]
name = "quantize"
"#;

const WRONG_RECIPE: [(&str, &str); 6] = [
    ("\"small.onnx\"", "\"mlp\"\nsettings = { kernel = 3 }"),
    ("name = \"prune\"", ""),
    ("name = \"prune\"", "name = \"random\""),
    ("\"channels\"", "\"channel\""),
    ("sparsity = 0.3", "sparsity = 1.0"),
    (
        "[[step]]\nname = \"quantize\"",
        "[[stage]]\nname = \"quantize\"",
    ),
];

fn changed(text: &str, changes: &[(&str, &str)]) -> Vec<String> {
    let change = |(from, to): &(&str, &str)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    changes.iter().map(change).collect()
}

fn all_wrong() -> Vec<String> {
    [
        changed(STUDY, &WRONG),
        changed(TRAIN, &WRONG_TRAIN),
        changed(FUNCTION, &WRONG_FUNCTION),
        changed(COMPRESS, &WRONG_COMPRESS),
    ]
    .concat()
}

/// Writes texts as files of a folder and returns their paths.
fn written(folder: &Path, name: &str, texts: &[String]) -> Vec<String> {
    let write = |(i, text): (usize, &String)| {
        let path = folder.join(format!("{name}{i}.toml"));
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    texts.iter().enumerate().map(write).collect()
}

/// Holds files against the schema of a kind.
fn hold(kind: &str, good: &[String], wrong: &[String]) {
    let folder = TempDir::new().unwrap();
    let schema = folder.path().join("schema.json");
    std::fs::write(&schema, run(&["schema", kind]).done().stdout).unwrap();
    let args = [schema.to_str().unwrap()];
    let args = (args.into_iter())
        .chain(good.iter().map(String::as_str))
        .chain(["--"])
        .chain(wrong.iter().map(String::as_str));
    python("schema.py", &args.collect::<Vec<_>>());
}

#[test]
#[ignore = "needs Python with jsonschema; run by cargo xtask test"]
fn study_files_fit_their_schema_where_they_are_right() {
    let folder = TempDir::new().unwrap();
    let right = [
        [STUDY, TRAIN, FUNCTION, COMPRESS].map(Into::into).to_vec(),
        changed(STUDY, &RIGHT),
    ];
    let mut good = written(folder.path(), "right", &right.concat());
    let examples = root().join("examples");
    let toml = files(&examples).into_iter();
    let toml = toml.filter(|name| name.ends_with(".toml") && !name.contains('/'));
    good.extend(toml.map(|name| examples.join(name).to_str().unwrap().to_owned()));
    assert!(good.len() > 20, "{good:?}");
    hold(
        "study",
        &good,
        &written(folder.path(), "wrong", &all_wrong()),
    );
}

#[test]
#[ignore = "needs Python with jsonschema; run by cargo xtask test"]
fn recipes_fit_their_schema_where_they_are_right() {
    let folder = TempDir::new().unwrap();
    let good = written(folder.path(), "right", &[RECIPE.into()]);
    let wrong = written(folder.path(), "wrong", &changed(RECIPE, &WRONG_RECIPE));
    hold("recipe", &good, &wrong);
}

#[test]
fn what_the_schema_refuses_the_program_refuses_too() {
    let folder = TempDir::new().unwrap();
    for path in written(folder.path(), "wrong", &all_wrong()) {
        let message = run(&["search", &path]).refused();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!message.contains("No such file"), "{message}: {text}");
    }
    // And what is changed was right: the change is what is refused.
    let right = [
        [STUDY, TRAIN, FUNCTION].map(Into::into).to_vec(),
        changed(STUDY, &RIGHT),
    ];
    for path in written(folder.path(), "right", &right.concat()) {
        let answer = run(&["search", &path]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(matches!(answer.code, 0 | 3), "{}{text}", answer.stderr);
    }
}

#[test]
fn schemas_are_printed_as_one_document_that_refers_to_nothing_outside() {
    for kind in ["study", "recipe"] {
        let schema = run(&["schema", kind, "--json"]).done().json;
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        fn visit(root: &Value, part: &Value) {
            match part {
                Value::Object(entries) => {
                    if let Some(Value::String(to)) = entries.get("$ref") {
                        let pointer = to.strip_prefix('#').unwrap();
                        assert!(root.pointer(pointer).is_some(), "{to}");
                    }
                    assert!(!entries.keys().any(|key| key.starts_with("x-")));
                    entries.values().for_each(|part| visit(root, part));
                }
                Value::Array(all) => all.iter().for_each(|part| visit(root, part)),
                _ => {}
            }
        }
        visit(&schema, &schema);
    }
    let study = run(&["schema"]).done().stdout;
    assert!(study.contains("\"population\"") && study.contains("Lapidary study file"));
}

#[test]
fn the_reference_page_is_what_the_definitions_say() {
    let page = std::fs::read_to_string(root().join("docs/reference.md")).unwrap();
    let now = run(&["reference"]).done().stdout;
    assert!(
        page == now,
        "docs/reference.md is not what the settings are: `cargo xtask docs` writes it anew"
    );
    for line in now.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        assert_eq!(cells.len(), 5, "{line}");
        let example = cells[3].trim_matches('`');
        assert!(
            !["null", "[]", "{}", "\"\""].contains(&example),
            "it wants an example: {line}"
        );
        assert!(cells[4].len() > 4, "it wants a sentence: {line}");
    }
}
