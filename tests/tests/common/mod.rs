//! Models that tests share, each searched once for a test binary.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::PathBuf;
use std::sync::OnceLock;

use lapidary_tests::{data, run};
use serde_json::Value;
use tempfile::TempDir;

/// A model that `lapidary search` has written.
pub struct Model {
    folder: TempDir,
    path: String,
    /// What the search printed.
    pub search: Value,
}

const DIGITS: &str = r#"
[study]
strategy = "random"
[budget]
trials = 1
[goal]
maximize = ["accuracy"]
[evaluate]
kind = "train"
family = "mlp"
data = "digits"
epochs = 8
depth = 1
learning_rate = 0.01
[space]
width = { int = [24, 40] }
"#;

const CENSUS: &str = r#"
[study]
strategy = "random"
[budget]
trials = 1
[goal]
maximize = ["balanced_accuracy"]
[evaluate]
kind = "train"
family = "mlp"
data = "TRAIN"
test = "TEST"
target = "income"
epochs = 4
depth = 2
learning_rate = 0.01
[space]
width = { int = [12, 20] }
"#;

impl Model {
    /// A small network that reads the bundled digits.
    pub fn digits() -> &'static Self {
        static MODEL: OnceLock<Model> = OnceLock::new();
        MODEL.get_or_init(|| Self::search(DIGITS))
    }

    /// A small network for the table of people.
    pub fn census() -> &'static Self {
        static MODEL: OnceLock<Model> = OnceLock::new();
        MODEL.get_or_init(|| {
            let name = |file: &str| data(file).to_str().unwrap().to_owned();
            let text = CENSUS
                .replace("TRAIN", &name("census-train.csv"))
                .replace("TEST", &name("census-test.csv"));
            Self::search(&text)
        })
    }

    fn search(study: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("study.toml");
        std::fs::write(&file, study).unwrap();
        let path = folder.path().join("model.onnx");
        let path = path.to_str().unwrap().to_owned();
        let search = run(&["search", file.to_str().unwrap(), "-o", &path, "--json"])
            .done()
            .json;
        Self {
            folder,
            path,
            search,
        }
    }

    /// The ONNX file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The bytes of the ONNX file.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap()
    }
}

/// The keys of a JSON object, in order.
pub fn keys(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .unwrap_or_else(|| panic!("no object: {object}"))
        .keys()
        .map(String::as_str)
        .collect()
}

/// A study file in a folder of its own.
pub struct Study {
    folder: TempDir,
}

impl Study {
    /// Writes `text` as a study file.
    pub fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("study.toml"), text).unwrap();
        Self { folder }
    }

    /// A study of `trials` trials that run `script` in a shell, over the axis `x`.
    pub fn shell(trials: u32, axis: &str, script: &str, budget: &str) -> Self {
        Self::new(&format!(
            r#"
[study]
strategy = "random"
[budget]
trials = {trials}
{budget}
[goal]
minimize = ["loss"]
[evaluate]
kind = "command"
program = "sh"
args = ["-c", '''{script}''']
[space]
x = {{ {axis} }}
"#
        ))
    }

    /// The study file.
    pub fn path(&self) -> String {
        self.beside("study.toml")
    }

    /// A path beside the study file.
    pub fn beside(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    }
}
