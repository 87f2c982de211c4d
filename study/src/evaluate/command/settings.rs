//! The settings of `command`: a program, and the texts that it is called with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, EvalSource, Info};
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::{Checked, Settings};
use serde::{Deserialize, Serialize};

use crate::file::section::OneOrMany;

/// Settings of `command`. In the texts of its templates `{axis}` stands for the axis's value.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandSettings {
    /// The program: a name that is looked up on the PATH, or a path.
    #[schemars(example = &"python3")]
    pub program: String,
    /// Its arguments, in which `{axis}` stands for the axis's value; those in a list of their own are left out together where
    /// an axis that one of them names is inactive.
    #[schemars(extend("examples" = [["train.py", "--lr={lr}", ["--momentum", "{momentum}"]]]))]
    #[serde(default)]
    pub args: OneOrMany<OneOrMany<Template>>,
    /// Variables of its environment, on top of ours.
    #[schemars(extend("examples" = [{"DEPTH": "{depth}"}]))]
    #[serde(default)]
    pub env: BTreeMap<String, Template>,
    /// A folder that holds a folder for each trial, in which a later stage of it finds what the earlier one kept.
    #[schemars(example = &"checkpoints")]
    #[serde(default)]
    pub checkpoints: Option<String>,
}

impl Settings for CommandSettings {}

/// A text with placeholders; numbers need no quotes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Template {
    Text(String),
    Number(serde_json::Number),
}

impl Template {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// A template and where it is written, as keys and positions in lists.
pub(super) type Placed = (Vec<String>, String);

/// Arguments in groups, and the environment.
pub(super) type Templates = (Vec<Vec<Placed>>, Vec<(String, Placed)>);

/// The settings, the program and the templates that they say.
pub(super) fn read(
    info: &Info,
    settings: &Json,
    source: &EvalSource<'_>,
) -> Result<(Checked<CommandSettings>, PathBuf, Templates), BuildError> {
    let settings: Checked<CommandSettings> = info.read_settings(settings)?;
    let program = find_program(info, &settings.program, source)?;
    let placed = |path: &[&str], template: &Template| {
        let text = template.text();
        if text.contains('\0') {
            let key = path[0];
            let reason = format!(
                "`evaluate.{key}`: it holds a NUL character, which no program can be given"
            );
            return Err(info.refuse_at(path, reason));
        }
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        Ok((path, text))
    };
    let args = settings.args.as_slice().iter().enumerate();
    let args = args.map(|(i, group)| {
        let group = group.as_slice().iter().enumerate();
        group
            .map(|(j, template)| placed(&["args", &i.to_string(), &j.to_string()], template))
            .collect()
    });
    let args = args.collect::<Result<_, BuildError>>()?;
    let env = settings.env.iter().map(|(name, template)| {
        let path = ["env", name];
        if name.is_empty() || name.contains(['=', '\0']) {
            let reason = format!("`evaluate.env.{name}`: this is no name of a variable");
            return Err(info.refuse_at(&path, reason));
        }
        Ok((name.clone(), placed(&path, template)?))
    });
    let env = env.collect::<Result<_, BuildError>>()?;
    Ok((settings, program, (args, env)))
}

/// A program that is there: on the PATH where it is a bare name.
fn find_program(info: &Info, name: &str, source: &EvalSource<'_>) -> Result<PathBuf, BuildError> {
    let under = ["program"];
    let refuse = |reason: String| {
        let reason = format!("`evaluate.program`: {reason}");
        Err(info.refuse_at(&under, reason))
    };
    if !name.contains('/') {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
        return match found && !name.is_empty() {
            true => Ok(name.into()),
            false => refuse(format!(
                "no program \"{name}\" is on the PATH; a path begins with ./ or /"
            )),
        };
    }
    let path = source.paths.path(&under, name);
    // The program runs in another folder than we do.
    match std::path::absolute(&path) {
        Ok(path) if path.is_file() => Ok(path),
        _ => refuse(format!("there is no file {}", path.display())),
    }
}
