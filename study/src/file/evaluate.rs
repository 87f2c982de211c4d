//! The table `[evaluate]`: what a trial is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::optimizer::{Recipe, Step};
use lapidary_core::space::{Axis, Domain, Space};
use lapidary_data::Options;

use super::tree::{FromItem, Item, Place, Table, Value};
use crate::error::StudyFileError;
use crate::recipe::{parse_step, step_of};

/// Name of the axis whose options are model files.
pub(crate) const MODEL_AXIS: &str = "model";

/// Keys of every section that reads data.
const DATA_KEYS: [&str; 10] = [
    "data",
    "target",
    "no_header",
    "task",
    "types",
    "mean",
    "std",
    "test",
    "split_seed",
    "limit",
];

/// What a trial is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Evaluate {
    /// Training a model of a family.
    Train(TrainSection),
    /// Measuring model files.
    Models(ModelsSection),
    /// A test function.
    Function(FunctionSection),
    /// Running a recipe on a model.
    Compress(CompressSection),
    /// Running a program.
    Command(CommandSection),
}

/// Which data, and how it is read.
#[derive(Debug, Clone)]
pub struct DataSource {
    /// `digits`, or where the data lies.
    pub path: PathBuf,
    /// How it is read.
    pub options: Options,
    /// Samples of each part to use, in file order; all where `None`.
    pub limit: Option<usize>,
}

/// `kind = "train"`.
#[derive(Debug, Clone)]
pub struct TrainSection {
    /// Family of the models.
    pub family: String,
    /// What to train and validate on.
    pub data: DataSource,
    /// Settings of the family or of the training that are the same for all trials.
    pub fixed: Vec<(String, Json)>,
    /// The section, for mistakes only the evaluator can see.
    pub(crate) table: Table,
}

/// `kind = "models"`.
#[derive(Debug, Clone)]
pub struct ModelsSection {
    /// The files with the names they go by, sorted: relative to the study file's folder where they lie under it.
    pub files: Vec<(String, PathBuf)>,
    /// What to measure on.
    pub data: DataSource,
    /// Where the files are named.
    pub(crate) place: Place,
}

/// `kind = "function"`.
#[derive(Debug, Clone)]
pub struct FunctionSection {
    /// Name of the function.
    pub name: String,
    /// Where it is named.
    pub(crate) place: Place,
}

/// `kind = "compress"`.
#[derive(Debug, Clone)]
pub struct CompressSection {
    /// The ONNX file.
    pub model: PathBuf,
    /// What to fit, decide and measure on.
    pub data: DataSource,
    /// The recipe; in the texts of its settings `{axis}` stands for the axis's value.
    pub recipe: Recipe,
    /// Where each step is written.
    pub(crate) places: Vec<Place>,
}

/// `kind = "command"`. In the texts of its templates `{axis}` stands for the axis's value.
#[derive(Debug, Clone)]
pub struct CommandSection {
    /// The program: a name that is looked up on the PATH, or a path.
    pub program: PathBuf,
    /// Its arguments, in groups that are left out as a whole where an axis that one of them names is inactive.
    pub args: Vec<Vec<Template>>,
    /// Variables of its environment, on top of ours; left out likewise.
    pub env: Vec<(String, Template)>,
    /// The folder of the study file, where it runs.
    pub folder: PathBuf,
    /// The folder that holds a folder for each trial, where the study has one.
    pub checkpoints: Option<PathBuf>,
}

/// A text with placeholders, and where it was written.
#[derive(Debug, Clone)]
pub struct Template {
    /// The text.
    pub text: String,
    /// Where it was written.
    pub(crate) place: Place,
}

impl FromItem for Template {
    fn from_item(item: &Item) -> Result<Self, StudyFileError> {
        let text = match &item.value {
            // Numbers need no quotes.
            Value::Int(_) | Value::Float(_) => item.to_json().to_string(),
            _ => String::from_item(item)?,
        };
        if text.contains('\0') {
            return Err(item.mistake("it holds a NUL character, which no program can be given"));
        }
        Ok(Self {
            text,
            place: item.place.clone(),
        })
    }
}

pub(crate) fn read_evaluate(table: &Table, folder: &Path) -> Result<Evaluate, StudyFileError> {
    const KINDS: [&str; 5] = ["train", "compress", "models", "command", "function"];
    let kind: String = table.required("kind", "kind = \"train\"")?;
    match kind.as_str() {
        "train" => {
            // Whatever is no key of this section is a setting; the evaluator knows which there are.
            let fixed = table
                .entries()
                .filter(|(key, _)| !TrainSection::keys().contains(key))
                .map(|(key, item)| (key.to_owned(), item.to_json()))
                .collect();
            Ok(Evaluate::Train(TrainSection {
                family: table.required("family", "family = \"mlp\"")?,
                data: read_data(table, folder)?,
                fixed,
                table: table.clone(),
            }))
        }
        "models" => {
            let keys: Vec<&str> = ["kind", "models"].into_iter().chain(DATA_KEYS).collect();
            table.check_keys(&keys)?;
            let data = read_data(table, folder)?;
            let item = table.required_item("models", "models = \"models/*.onnx\"")?;
            Ok(Evaluate::Models(ModelsSection {
                files: find_files(item, folder)?,
                data,
                place: item.place.clone(),
            }))
        }
        "function" => {
            table.check_keys(&["kind", "name"])?;
            let place = table
                .get("name")
                .map_or_else(|| table.place.clone(), |item| item.place.clone());
            Ok(Evaluate::Function(FunctionSection {
                name: table.required("name", "name = \"sphere\"")?,
                place,
            }))
        }
        "compress" => {
            let keys: Vec<&str> = ["kind", "model", "recipe"]
                .into_iter()
                .chain(DATA_KEYS)
                .collect();
            table.check_keys(&keys)?;
            let example = "model = \"model.onnx\"";
            let model = resolve(table.required_item("model", example)?, folder)?;
            let example = "recipe = [\"prune:sparsity={sparsity}\", \"quantize\"]";
            let steps = table.required_item("recipe", example)?.elements();
            Ok(Evaluate::Compress(CompressSection {
                model,
                data: read_data(table, folder)?,
                recipe: Recipe {
                    steps: steps.iter().map(read_step).collect::<Result<_, _>>()?,
                },
                places: steps.iter().map(|item| item.place.clone()).collect(),
            }))
        }
        "command" => {
            table.check_keys(&["kind", "program", "args", "env", "checkpoints"])?;
            let folder = match folder {
                empty if empty.as_os_str().is_empty() => Path::new("."),
                folder => folder,
            };
            let args = table.get("args").map_or(&[][..], Item::elements);
            let env = table.table("env")?;
            Ok(Evaluate::Command(CommandSection {
                program: read_program(
                    table.required_item("program", "program = \"python3\"")?,
                    folder,
                )?,
                args: args.iter().map(Vec::from_item).collect::<Result<_, _>>()?,
                env: env.map_or(Ok(Vec::new()), read_env)?,
                folder: folder.to_owned(),
                checkpoints: table
                    .get("checkpoints")
                    .map(|item| resolve(item, folder))
                    .transpose()?,
            }))
        }
        other => {
            let hint = super::tree::did_you_mean(other, &KINDS);
            let reason = format!("no kind \"{other}\"{hint}; there are {}", KINDS.join(", "));
            let item = table.get("kind").expect("it was just read");
            Err(item.mistake(reason))
        }
    }
}

/// A program that is there: on the PATH where it is a bare name.
fn read_program(item: &Item, folder: &Path) -> Result<PathBuf, StudyFileError> {
    let name = String::from_item(item)?;
    if !name.contains('/') {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).any(|folder| folder.join(&name).is_file());
        return if found && !name.is_empty() {
            Ok(name.into())
        } else {
            let reason =
                format!("no program \"{name}\" is on the PATH; a path begins with ./ or /");
            Err(item.mistake(reason))
        };
    }
    let path = resolve(item, folder)?;
    // The program runs in another folder than we do.
    match std::path::absolute(&path) {
        Ok(path) if path.is_file() => Ok(path),
        _ => Err(item.mistake(format!("there is no file {}", path.display()))),
    }
}

fn read_env(table: &Table) -> Result<Vec<(String, Template)>, StudyFileError> {
    let entries = table.entries().map(|(name, item)| {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(item.mistake("this is no name of a variable"));
        }
        Ok((name.to_owned(), Template::from_item(item)?))
    });
    entries.collect()
}

impl TrainSection {
    /// Keys of the section that are not settings.
    pub(crate) fn keys() -> Vec<&'static str> {
        ["kind", "family"].into_iter().chain(DATA_KEYS).collect()
    }

    /// The family's own axes, but for those that are fixed.
    pub(crate) fn space(&self) -> Result<Arc<Space>, StudyFileError> {
        let mut axes = lapidary_zoo::default_axes(&self.family).unwrap_or_default();
        axes.retain(|axis| self.table.get(&axis.name).is_none());
        if axes.is_empty() {
            return Err(StudyFileError::at(
                &self.table.place,
                format!(
                    "[space] is missing, and the family `{}` offers no axes of its own",
                    self.family
                ),
            ));
        }
        Ok(Arc::new(
            Space::new(axes).expect("the zoo's axes make a space"),
        ))
    }
}

impl ModelsSection {
    /// The space of the one axis `model`.
    pub(crate) fn space(&self) -> Arc<Space> {
        let options = self.files.iter().map(|(n, _)| n.as_str().into()).collect();
        Space::new(vec![Axis::new(MODEL_AXIS, Domain::Choice { options })])
            .map(Arc::new)
            .expect("there is a file, and no two have the same name")
    }
}

/// Reads a step of a recipe: a text as behind `--with`, or a table with a `name`.
fn read_step(item: &Item) -> Result<Step, StudyFileError> {
    match &item.value {
        Value::Text(text) => parse_step(text).map_err(|error| item.mistake(error)),
        _ => step_of(item.as_table()?),
    }
}

/// Reads the keys that say which data, and how it is read.
fn read_data(table: &Table, folder: &Path) -> Result<DataSource, StudyFileError> {
    let source: String = table.required("data", "data = \"digits\"")?;
    let item = table.get("data").expect("it was just read");
    let path = if source == "digits" {
        source.into()
    } else {
        resolve(item, folder)?
    };
    let mut options = Options::default();
    if let Some(item) = table.get("types") {
        options.types = typed(item)?;
    }
    if let Some(item) = table.get("task") {
        options.task = Some(typed(item)?);
    }
    options.target = table.read("target")?;
    options.no_header = table.read("no_header")?.unwrap_or(false);
    options.mean = table.read("mean")?.unwrap_or_default();
    options.std = table.read("std")?.unwrap_or_default();
    options.seed = table.read("split_seed")?.unwrap_or(0);
    options.test = table
        .get("test")
        .map(|item| resolve(item, folder))
        .transpose()?;
    Ok(DataSource {
        path,
        options,
        limit: table.read("limit")?,
    })
}

fn typed<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, StudyFileError> {
    serde_json::from_value(item.to_json()).map_err(|e| item.mistake(e))
}

/// A path as written: in the file it counts from the file's folder, on the command line from the working directory.
pub(super) fn resolve(item: &Item, folder: &Path) -> Result<PathBuf, StudyFileError> {
    let path = PathBuf::from(String::from_item(item)?);
    Ok(match item.place {
        Place::File { .. } => folder.join(path),
        Place::Override(_) => path,
    })
}

/// The files that the globs of `item` name.
fn find_files(item: &Item, folder: &Path) -> Result<Vec<(String, PathBuf)>, StudyFileError> {
    let mut files = Vec::new();
    for pattern in item.elements() {
        // The folder itself may hold characters that a glob gives a meaning.
        let text = String::from_item(pattern)?;
        let whole = match pattern.place {
            Place::File { .. } if !Path::new(&text).is_absolute() => {
                let escaped = glob::Pattern::escape(&folder.to_string_lossy());
                PathBuf::from(escaped).join(&text)
            }
            _ => PathBuf::from(&text),
        };
        let found = glob::glob(&whole.to_string_lossy()).map_err(|e| pattern.mistake(e))?;
        let before = files.len();
        for path in found {
            let path = path.map_err(|e| pattern.mistake(e))?;
            let name = path.strip_prefix(folder).unwrap_or(&path);
            files.push((name.to_string_lossy().into_owned(), path));
        }
        if files.len() == before {
            return Err(pattern.mistake(format!("no file matches {}", whole.display())));
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}
