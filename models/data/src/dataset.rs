//! Data sets: where the samples are and which part each belongs to.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lapidary_core::model::TaskShape;
use lapidary_core::samples::{Inputs, Samples, Targets};
use lapidary_core::tensor::{Dense, Shared};
use ndarray::Axis;

use crate::encoder::Encoder;
use crate::error::DataError;
use crate::options::Options;
use crate::pixels::{Images, Scale};
use crate::split::stratified;
use crate::table::Table;
use crate::target::Target;
use crate::{INPUT, cifar, digits, files, idx, images, npz};

/// Shares of training, validation and test samples, in percent.
const SHARES: [usize; 3] = [70, 15, 15];
/// Shares of training and validation samples beside an official test part.
const SHARES_BESIDE_TEST: [usize; 2] = [85, 15];

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Fitting and calibration see this part.
    Train,
    /// Decisions see this part.
    Valid,
    /// Only what is reported sees this part.
    Test,
    /// Everything.
    All,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 4] = [Self::Train, Self::Valid, Self::Test, Self::All];

    /// The part's name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
            Self::All => "all",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Part {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        Self::ALL
            .into_iter()
            .find(|part| part.name() == text)
            .ok_or_else(|| DataError::Option {
                name: "split",
                reason: format!("no part `{text}`; there are train, valid, test, all"),
            })
    }
}

/// The three parts of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// What fitting and calibration see.
    pub train: Samples,
    /// What decisions see.
    pub valid: Samples,
    /// What tables show.
    pub test: Samples,
}

/// A data set in memory.
#[derive(Debug, Clone)]
pub struct Dataset {
    path: PathBuf,
    store: Store,
    targets: Option<Targets>,
    rows: Rows,
    encoder: Option<Encoder>,
}

/// Samples as they came; images stay bytes until a part is asked for.
#[derive(Debug, Clone)]
enum Store {
    Images {
        shape: [usize; 3],
        bytes: Vec<u8>,
        scale: Scale,
    },
    Arrays(Inputs),
}

/// Which samples belong to which part.
#[derive(Debug, Clone)]
struct Rows {
    total: usize,
    train: Vec<usize>,
    valid: Vec<usize>,
    test: Vec<usize>,
    official: bool,
}

/// Opens `source`: `digits` (bundled), an `.npz`, a `.csv`, a CIFAR `.bin` (the last two also gzipped), a folder of IDX or
/// CIFAR files under their official names, or a folder of images by class.
///
/// A test part that comes with the data or is named by `options` is kept as such, and the rest split 85 to 15 into training
/// and validation; otherwise all is split 70 to 15 to 15. Splits are stratified by class and made by the seed alone.
///
/// # Errors
/// When there is nothing of these kinds, a file is damaged, or an option does not fit the data.
pub fn open(source: &str, options: &Options) -> Result<Dataset, DataError> {
    let path = Path::new(source);
    let (store, targets, rows, encoder) = match Kind::of(source)? {
        Kind::Table => open_table(path, options)?,
        kind => {
            tables_only(options)?;
            let (mut main, mut test) = load(path, &kind, options)?;
            if let Some(other) = &options.test {
                if test.is_some() {
                    return Err(DataError::Option {
                        name: "test",
                        reason: format!("{source} comes with a test part of its own"),
                    });
                }
                let (all, part) = load(other, &Kind::of(&other.to_string_lossy())?, options)?;
                test = Some(part.unwrap_or(all));
            }
            let before = main.len();
            let more = test.map(|test| main.append(test, path)).transpose()?;
            let rows = Rows::new(main.targets.as_ref(), before, more, options.seed);
            (main.store(options)?, main.targets, rows, None)
        }
    };
    Ok(Dataset {
        path: path.to_path_buf(),
        store,
        targets,
        rows,
        encoder,
    })
}

impl Dataset {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.rows.total
    }

    /// Whether there is no sample; data that was opened has at least one.
    pub fn is_empty(&self) -> bool {
        self.rows.total == 0
    }

    /// Whether the test part came with the data.
    pub fn has_official_test(&self) -> bool {
        self.rows.official
    }

    /// What `eval` looks at by default: the test part where it is official, else everything.
    pub fn default_part(&self) -> Part {
        if self.rows.official {
            Part::Test
        } else {
            Part::All
        }
    }

    /// The encoder of a table.
    pub fn encoder(&self) -> Option<&Encoder> {
        self.encoder.as_ref()
    }

    /// Targets of all samples, where known.
    pub fn targets(&self) -> Option<&Targets> {
        self.targets.as_ref()
    }

    /// What a model for this data has to take and to predict.
    ///
    /// # Errors
    /// When there are several inputs or no targets.
    pub fn task_shape(&self) -> Result<TaskShape, DataError> {
        let targets = self
            .targets
            .as_ref()
            .ok_or_else(|| DataError::format(&self.path, "has no targets (`y`)"))?;
        let (input, sample) = match &self.store {
            Store::Images { shape, .. } => (INPUT.to_string(), shape.to_vec()),
            Store::Arrays(inputs) => match inputs.iter().next() {
                Some((name, array)) if inputs.len() == 1 => {
                    (name.clone(), array.shape()[1..].to_vec())
                }
                _ => {
                    let names: Vec<&String> = inputs.keys().collect();
                    return Err(DataError::format(
                        &self.path,
                        format!("has the inputs {names:?}, where one is needed"),
                    ));
                }
            },
        };
        Ok(TaskShape {
            input,
            sample,
            task: targets.task(),
        })
    }

    /// The samples of `part` in the order of the file, at most the first `limit`.
    ///
    /// # Errors
    /// When the part has no sample.
    pub fn part(&self, part: Part, limit: Option<usize>) -> Result<Samples, DataError> {
        let rows = self.rows.of(part);
        let rows = &rows[..rows.len().min(limit.unwrap_or(usize::MAX))];
        if rows.is_empty() {
            return Err(DataError::EmptyPart {
                path: self.path.clone(),
                part: part.name(),
            });
        }
        let inputs = match &self.store {
            Store::Images {
                shape,
                bytes,
                scale,
            } => Inputs::from([(INPUT.to_string(), scale.apply(bytes, *shape, rows)?)]),
            Store::Arrays(inputs) => inputs
                .iter()
                .map(|(name, array)| Ok((name.clone(), array.select(0, rows)?)))
                .collect::<Result<_, DataError>>()?,
        };
        let targets = self.targets.as_ref().map(|t| t.select(rows)).transpose()?;
        Ok(Samples { inputs, targets })
    }

    /// The three parts.
    ///
    /// # Errors
    /// When one of them has no sample.
    pub fn split(&self) -> Result<Split, DataError> {
        Ok(Split {
            train: self.part(Part::Train, None)?,
            valid: self.part(Part::Valid, None)?,
            test: self.part(Part::Test, None)?,
        })
    }
}

impl Rows {
    /// Splits the first `main` samples, the `official` ones after them being the test part.
    fn new(targets: Option<&Targets>, main: usize, official: Option<usize>, seed: u64) -> Self {
        let classes = match targets {
            Some(Targets::Classes { labels, .. }) => Cow::Borrowed(&labels[..main]),
            _ => Cow::Owned(vec![0; main]),
        };
        let shares: &[usize] = if official.is_some() {
            &SHARES_BESIDE_TEST
        } else {
            &SHARES
        };
        let total = main + official.unwrap_or(0);
        let mut parts = stratified(&classes, shares, seed).into_iter();
        let mut next = || parts.next().unwrap_or_default();
        Self {
            total,
            train: next(),
            valid: next(),
            test: if official.is_some() {
                (main..total).collect()
            } else {
                next()
            },
            official: official.is_some(),
        }
    }

    fn of(&self, part: Part) -> Cow<'_, [usize]> {
        match part {
            Part::Train => Cow::Borrowed(&self.train),
            Part::Valid => Cow::Borrowed(&self.valid),
            Part::Test => Cow::Borrowed(&self.test),
            Part::All => Cow::Owned((0..self.total).collect()),
        }
    }
}

/// The kinds of data there are.
enum Kind {
    Digits,
    Npz,
    Table,
    Cifar,
    /// A folder with the names in it.
    Folder(Vec<String>),
}

impl Kind {
    /// Tells the kind by the name, and of a folder that it is one.
    fn of(source: &str) -> Result<Self, DataError> {
        if source == "digits" {
            return Ok(Self::Digits);
        }
        let path = Path::new(source);
        let unknown = || DataError::UnknownKind {
            path: path.to_path_buf(),
        };
        if path.metadata().map_err(DataError::io(path))?.is_dir() {
            return Ok(Self::Folder(files::names(path)?));
        }
        let name = source.to_ascii_lowercase();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        match plain.rsplit_once('.').ok_or_else(unknown)?.1 {
            "npz" if plain == name => Ok(Self::Npz),
            "csv" => Ok(Self::Table),
            "bin" => Ok(Self::Cifar),
            _ => Err(unknown()),
        }
    }
}

/// Samples as they came, before they are split.
struct Loaded {
    content: Content,
    targets: Option<Targets>,
}

enum Content {
    Images {
        shape: [usize; 3],
        bytes: Vec<u8>,
        full: f32,
    },
    Arrays(Inputs),
}

impl From<Images> for Loaded {
    fn from(images: Images) -> Self {
        Self {
            content: Content::Images {
                shape: images.shape,
                bytes: images.bytes,
                full: images.full,
            },
            targets: Some(Targets::Classes {
                labels: images.labels,
                names: images.names,
            }),
        }
    }
}

/// Reads all data that is not a table: everything, and the test part where it comes apart.
fn load(
    path: &Path,
    kind: &Kind,
    options: &Options,
) -> Result<(Loaded, Option<Loaded>), DataError> {
    let both = |(main, test): (Images, Option<Images>)| (main.into(), test.map(Into::into));
    Ok(match kind {
        Kind::Digits => (digits::read()?.into(), None),
        Kind::Cifar => (cifar::read(path)?.into(), None),
        Kind::Folder(names) if idx::found(names) => both(idx::read(path, names)?),
        Kind::Folder(names) if cifar::found(names) => both(cifar::read_folder(path, names)?),
        Kind::Folder(names) => both(images::read(path, names)?),
        Kind::Npz => {
            let (inputs, targets) = npz::read(path, options)?;
            let content = Content::Arrays(inputs);
            (Loaded { content, targets }, None)
        }
        Kind::Table => {
            return Err(DataError::format(
                path,
                "a table cannot be the test part of other data",
            ));
        }
    })
}

impl Loaded {
    fn len(&self) -> usize {
        match (&self.targets, &self.content) {
            (Some(targets), _) => targets.len(),
            (None, Content::Arrays(inputs)) => inputs.values().next().map_or(0, |a| a.shape()[0]),
            (None, Content::Images { .. }) => unreachable!("images are labelled"),
        }
    }

    /// Adds the samples of `other` and returns how many those are.
    fn append(&mut self, other: Self, path: &Path) -> Result<usize, DataError> {
        let differs =
            |what: &str| DataError::format(path, format!("the test part differs in {what}"));
        let more = other.len();
        match (&mut self.content, other.content) {
            (
                Content::Images { shape, bytes, full },
                Content::Images {
                    shape: s,
                    bytes: b,
                    full: f,
                },
            ) if *shape == s && *full == f => bytes.extend(b),
            (Content::Arrays(inputs), Content::Arrays(others))
                if inputs.keys().eq(others.keys()) =>
            {
                for (array, other) in inputs.values_mut().zip(others.values()) {
                    *array = joined(array, other).ok_or_else(|| differs("types or shapes"))?;
                }
            }
            _ => return Err(differs("the kind, size or names of its inputs")),
        }
        self.targets = match (self.targets.take(), other.targets) {
            (Some(targets), Some(others)) => {
                Some(joined_targets(targets, others).ok_or_else(|| differs("its targets"))?)
            }
            (None, None) => None,
            _ => return Err(differs("having targets")),
        };
        Ok(more)
    }

    /// The samples, ready to be asked for.
    fn store(&mut self, options: &Options) -> Result<Store, DataError> {
        match &mut self.content {
            Content::Images { shape, bytes, full } => Ok(Store::Images {
                shape: *shape,
                bytes: std::mem::take(bytes),
                scale: Scale::new(shape[0], *full, options)?,
            }),
            Content::Arrays(inputs) => {
                images_only(options)?;
                Ok(Store::Arrays(std::mem::take(inputs)))
            }
        }
    }
}

/// Refuses a mean or deviation for data that is not images.
fn images_only(options: &Options) -> Result<(), DataError> {
    for (name, values) in [("mean", &options.mean), ("std", &options.std)] {
        if !values.is_empty() {
            return Err(DataError::Option {
                name,
                reason: "only images are normalised by channel".into(),
            });
        }
    }
    Ok(())
}

/// Refuses settings about columns for data that has none.
fn tables_only(options: &Options) -> Result<(), DataError> {
    let given = [
        ("target", options.target.is_some()),
        ("no_header", options.no_header),
        ("types", !options.types.is_empty()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(DataError::Option {
            name,
            reason: "only tables have columns".into(),
        }),
        None => Ok(()),
    }
}

fn open_table(
    path: &Path,
    options: &Options,
) -> Result<(Store, Option<Targets>, Rows, Option<Encoder>), DataError> {
    images_only(options)?;
    let table = Table::read(path, options.no_header)?;
    let test = options
        .test
        .as_ref()
        .map(|test| Table::read(test, options.no_header))
        .transpose()?;
    let official = test.as_ref().map(Table::len);
    let split = |targets: &Targets| Rows::new(Some(targets), table.len(), official, options.seed);
    let (encoder, rows) = match &options.encoder {
        Some(encoder) => {
            let encoder = match &options.target {
                Some(column) => encoder.clone().with_target(column)?,
                None => encoder.clone(),
            };
            let rows = split(&encoder.target().read(&table)?);
            (encoder, rows)
        }
        None => {
            let target = Target::fit(&table, options.target.as_deref(), options.task)?;
            let rows = split(&target.read(&table)?);
            let encoder = Encoder::fit(&table, &rows.train, target, &options.types)?;
            (encoder, rows)
        }
    };
    let mut samples = encoder.transform(&table)?;
    if let Some(test) = test {
        let more = encoder.transform(&test)?;
        for (name, array) in &mut samples.inputs {
            let joined = joined(array, &more.inputs[name]);
            *array = joined.expect("an encoder gives arrays of one width");
        }
        samples.targets = samples
            .targets
            .zip(more.targets)
            .and_then(|(a, b)| joined_targets(a, b));
    }
    Ok((
        Store::Arrays(samples.inputs),
        samples.targets,
        rows,
        Some(encoder),
    ))
}

/// The samples of `a` and then those of `b`, or `None` where they differ in type or shape.
fn joined(a: &Dense, b: &Dense) -> Option<Dense> {
    macro_rules! join {
        ($($kind:ident),*) => {
            match (a, b) {
                $((Dense::$kind(a), Dense::$kind(b)) => Dense::$kind(rows_joined(a, b)?),)*
                _ => return None,
            }
        };
    }
    Some(join!(F32, F64, I8, U8, I32, I64, Bool))
}

fn rows_joined<T: Clone>(a: &Shared<T>, b: &Shared<T>) -> Option<Shared<T>> {
    ndarray::concatenate(Axis(0), &[a.view(), b.view()])
        .ok()
        .map(ndarray::ArrayBase::into_shared)
}

/// The targets of `a` and then those of `b`, classes joined by name; `None` where one has classes and the other numbers, or
/// another count of them.
fn joined_targets(a: Targets, b: Targets) -> Option<Targets> {
    match (a, b) {
        (
            Targets::Classes {
                mut labels,
                mut names,
            },
            Targets::Classes {
                labels: more,
                names: others,
            },
        ) => {
            let places: Vec<usize> = others
                .into_iter()
                .map(|name| {
                    names.iter().position(|n| *n == name).unwrap_or_else(|| {
                        names.push(name);
                        names.len() - 1
                    })
                })
                .collect();
            labels.extend(more.into_iter().map(|label| places[label]));
            Some(Targets::Classes { labels, names })
        }
        (Targets::Values(a), Targets::Values(b)) => rows_joined(&a, &b).map(Targets::Values),
        _ => None,
    }
}
