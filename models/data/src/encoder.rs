//! The encoder: how the cells of a table become a model's numbers. It is fitted on the training part once and kept as JSON
//! beside the model, so that a raw table can be given to the model later and elsewhere.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use lapidary_core::samples::{Inputs, Samples};
use lapidary_core::tensor::Dense;
use lapidary_files::write_whole;
use serde::{Deserialize, Serialize};

use crate::INPUT;
use crate::error::DataError;
use crate::files;
use crate::kinds::ColumnType;
use crate::table::Table;
use crate::target::{Target, TargetKind};

/// The most categories of a column that get a place of their own, the most frequent first; rarer ones count as unknown.
const MAX_CATEGORIES: usize = 256;
/// Standardised numbers are kept within ±this. No row among fewer than a million million can be that many deviations from
/// the mean of all, so it only tames values far from anything seen in training.
const MAX_DEVIATIONS: f64 = 1e6;
/// The largest file that is read as an encoder.
const MAX_FILE: usize = 64 << 20;
/// The version of the file's form.
const VERSION: u32 = 1;

/// How the cells of a table become numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    version: u32,
    features: Vec<Feature>,
    target: Target,
}

/// How one column becomes numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Feature {
    column: String,
    encoding: Encoding,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Encoding {
    /// `(value − mean) / deviation`; `fill` stands for missing values.
    Numeric {
        fill: f64,
        mean: f64,
        deviation: f64,
    },
    /// A 1 at the category's place, or at the last place for an unknown one; the category at `fill` stands for missing
    /// values, which count as unknown where there is none.
    Categorical {
        categories: Vec<String>,
        fill: Option<usize>,
    },
}

impl Encoder {
    /// Fits an encoder on the rows `train` of `table`. A column is numeric where all its known cells are numbers, else
    /// categorical, unless `types` says otherwise. Missing numbers become the median, missing words the most frequent one.
    ///
    /// # Errors
    /// When `types` names a column that is not there, a cell of a numeric column is not a number, or no column is left.
    ///
    /// # Panics
    /// When a row is outside the table.
    pub fn fit(
        table: &Table,
        train: &[usize],
        target: Target,
        types: &BTreeMap<String, ColumnType>,
    ) -> Result<Self, DataError> {
        for name in types.keys() {
            table.column(name)?;
        }
        let mut features = Vec::new();
        for (index, column) in table.columns().iter().enumerate() {
            if *column == target.column {
                continue;
            }
            let kind = types
                .get(column)
                .copied()
                .unwrap_or_else(|| infer(table, index));
            let encoding = match kind {
                ColumnType::Ignored => continue,
                ColumnType::Numeric => fit_numeric(table, index, train)?,
                ColumnType::Categorical => fit_categorical(table, index, train),
            };
            features.push(Feature {
                column: column.clone(),
                encoding,
            });
        }
        if features.is_empty() {
            return Err(DataError::format(
                table.path(),
                format!("has no column beside the target `{}`", target.column),
            ));
        }
        Ok(Self {
            version: VERSION,
            features,
            target,
        })
    }

    /// The column to predict.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The same encoder for tables that name the target `column`.
    ///
    /// # Errors
    /// When the encoder reads that column as an input.
    pub fn with_target(mut self, column: &str) -> Result<Self, DataError> {
        if self.features.iter().any(|f| f.column == column) {
            return Err(DataError::Option {
                name: "target",
                reason: format!("the encoder reads `{column}` as an input"),
            });
        }
        self.target.column = column.to_string();
        Ok(self)
    }

    /// Numbers that a row becomes.
    pub fn width(&self) -> usize {
        self.features.iter().map(|f| f.encoding.width()).sum()
    }

    /// The rows of `table` as samples with one input, `[rows, width]`, all values finite. Columns are found by name; others
    /// are left out.
    ///
    /// # Errors
    /// When a column is missing or a cell does not fit; the error names the file, line and column.
    pub fn transform(&self, table: &Table) -> Result<Samples, DataError> {
        let width = self.width();
        let bytes = (table.len() as u128) * (width as u128) * 4;
        if bytes > files::MAX_BYTES as u128 {
            return Err(DataError::format(
                table.path(),
                format!(
                    "{} rows of {width} numbers take {bytes} bytes; at most {} are read",
                    table.len(),
                    files::MAX_BYTES
                ),
            ));
        }
        let columns = self
            .features
            .iter()
            .map(|feature| table.column(&feature.column))
            .collect::<Result<Vec<_>, _>>()?;
        let places: Vec<BTreeMap<&str, usize>> =
            self.features.iter().map(|f| f.encoding.places()).collect();
        let mut values = vec![0f32; table.len() * width];
        for (row, values) in values.chunks_exact_mut(width).enumerate() {
            let mut at = 0;
            for ((feature, &column), places) in self.features.iter().zip(&columns).zip(&places) {
                match &feature.encoding {
                    Encoding::Numeric {
                        fill,
                        mean,
                        deviation,
                    } => {
                        let value = table.number(row, column)?.unwrap_or(*fill);
                        values[at] = standardise(value, *mean, *deviation);
                    }
                    Encoding::Categorical { categories, fill } => {
                        let place = match table.known(row, column) {
                            Some(word) => places.get(word).copied(),
                            None => *fill,
                        };
                        values[at + place.unwrap_or(categories.len())] = 1.0;
                    }
                }
                at += feature.encoding.width();
            }
        }
        Ok(Samples {
            inputs: Inputs::from([(
                INPUT.to_string(),
                Dense::f32(&[table.len(), width], values)?,
            )]),
            targets: Some(self.target.read(table)?),
        })
    }

    /// What the name of an encoder's file ends with, in the place of the model's ending.
    pub const EXTENSION: &'static str = "encoder.json";

    /// Where the encoder of the model at `model` is kept: `net.onnx` has `net.encoder.json` beside it.
    pub fn beside(model: &Path) -> PathBuf {
        model.with_extension(Self::EXTENSION)
    }

    /// The encoder as the content of its file.
    ///
    /// # Errors
    /// When memory does not suffice.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// Writes the encoder to `path`, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        let text = self
            .to_bytes()
            .map_err(|e| DataError::format(path, e.to_string()))?;
        write_whole(path, &text).map_err(DataError::io(path))
    }

    /// Reads an encoder from `path`.
    ///
    /// # Errors
    /// When the file cannot be read or is no encoder.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let fail = |reason: String| DataError::format(path, format!("not an encoder: {reason}"));
        let mut text = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_FILE as u64 + 1).read_to_end(&mut text))
            .map_err(DataError::io(path))?;
        if text.len() > MAX_FILE {
            return Err(fail(format!("more than {MAX_FILE} bytes")));
        }
        let encoder: Self = serde_json::from_slice(&text).map_err(|e| fail(e.to_string()))?;
        encoder.check().map_err(fail)?;
        Ok(encoder)
    }

    /// Checks what a file may get wrong.
    fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!(
                "version {}, where {VERSION} is known",
                self.version
            ));
        }
        if self.features.is_empty() {
            return Err("no features".into());
        }
        let mut columns = HashSet::from([&self.target.column]);
        for feature in &self.features {
            let column = &feature.column;
            if !columns.insert(column) {
                return Err(format!("column `{column}` comes twice"));
            }
            feature
                .encoding
                .check()
                .map_err(|reason| format!("column `{column}`: {reason}"))?;
        }
        if let TargetKind::Classes(names) = &self.target.kind
            && (names.is_empty() || names.iter().collect::<HashSet<_>>().len() != names.len())
        {
            return Err("no classes, or two of one name".into());
        }
        Ok(())
    }
}

impl Encoding {
    fn width(&self) -> usize {
        match self {
            Self::Numeric { .. } => 1,
            Self::Categorical { categories, .. } => categories.len() + 1,
        }
    }

    /// The place of each category.
    fn places(&self) -> BTreeMap<&str, usize> {
        match self {
            Self::Numeric { .. } => BTreeMap::new(),
            Self::Categorical { categories, .. } => {
                categories.iter().map(String::as_str).zip(0..).collect()
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Numeric {
                fill,
                mean,
                deviation,
            } => {
                let usable = fill.is_finite()
                    && mean.is_finite()
                    && deviation.is_normal()
                    && *deviation > 0.0;
                usable.then_some(()).ok_or_else(|| {
                    format!("mean {mean}, deviation {deviation} and fill {fill} cannot be used")
                })
            }
            Self::Categorical { categories, fill } => {
                if categories.len() > MAX_CATEGORIES {
                    return Err(format!("more than {MAX_CATEGORIES} categories"));
                }
                if self.places().len() != categories.len() {
                    return Err("two categories of one name".into());
                }
                match fill {
                    Some(fill) if *fill >= categories.len() => {
                        Err(format!("fill {fill} of {} categories", categories.len()))
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Numeric where all known cells are numbers.
fn infer(table: &Table, column: usize) -> ColumnType {
    let numeric = (0..table.len())
        .filter_map(|row| table.known(row, column))
        .all(|cell| cell.parse::<f64>().is_ok());
    if numeric {
        ColumnType::Numeric
    } else {
        ColumnType::Categorical
    }
}

fn fit_numeric(table: &Table, column: usize, train: &[usize]) -> Result<Encoding, DataError> {
    let mut known = Vec::with_capacity(train.len());
    for &row in train {
        known.extend(table.number(row, column)?);
    }
    known.sort_by(f64::total_cmp);
    let missing = train.len() - known.len();
    let fill = match known.len() {
        0 => 0.0,
        n => known[(n - 1) / 2] / 2.0 + known[n / 2] / 2.0,
    };
    // Sums are taken of values divided by the largest, so that none overflows.
    let largest = known.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    let (mean, deviation) = if largest == 0.0 {
        (0.0, 0.0)
    } else {
        let shares = || {
            let filled = std::iter::repeat_n(fill, missing);
            known.iter().copied().chain(filled).map(|v| v / largest)
        };
        let count = train.len() as f64;
        let mean = shares().sum::<f64>() / count;
        let variance = shares().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
        (mean * largest, variance.sqrt() * largest)
    };
    // A column that does not change carries nothing; it is only centred. Rounding alone gives some 1e-16 of its size.
    let constant = !deviation.is_normal() || deviation <= largest * 1e-12;
    Ok(Encoding::Numeric {
        fill,
        mean,
        deviation: if constant { 1.0 } else { deviation },
    })
}

fn fit_categorical(table: &Table, column: usize, train: &[usize]) -> Encoding {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for &row in train {
        if let Some(word) = table.known(row, column) {
            *counts.entry(word).or_default() += 1;
        }
    }
    let mut frequent: Vec<(&str, usize)> = counts.into_iter().collect();
    frequent.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    frequent.truncate(MAX_CATEGORIES);
    let most = frequent.first().map(|f| f.0);
    let mut categories: Vec<String> = frequent.iter().map(|f| f.0.to_string()).collect();
    categories.sort();
    let fill = most.and_then(|most| categories.iter().position(|c| c == most));
    Encoding::Categorical { categories, fill }
}

/// `(value − mean) / deviation` within ±[`MAX_DEVIATIONS`]; halves are subtracted, since the whole can overflow.
fn standardise(value: f64, mean: f64, deviation: f64) -> f32 {
    let deviations = (value / 2.0 - mean / 2.0) / (deviation / 2.0);
    deviations.clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS) as f32
}

#[cfg(test)]
mod tests {
    use lapidary_core::samples::Targets;
    use proptest::prelude::*;

    use super::*;

    fn table(text: &str) -> Table {
        Table::parse(Path::new("t.csv"), text.as_bytes(), false).unwrap()
    }

    fn fit(
        table: &Table,
        train: &[usize],
        types: &[(&str, ColumnType)],
    ) -> Result<Encoder, DataError> {
        let types = types
            .iter()
            .map(|(name, kind)| (name.to_string(), *kind))
            .collect();
        Encoder::fit(table, train, Target::fit(table, None, None)?, &types)
    }

    fn values(samples: &Samples) -> Vec<f32> {
        samples.inputs[INPUT]
            .as_f32()
            .unwrap()
            .iter()
            .copied()
            .collect()
    }

    #[test]
    fn columns_are_imputed_standardised_and_one_hot_from_the_training_rows() {
        // Rows 0 to 3 are for training; the row after them has an outlier and a new word.
        let table = table("n,w,t\n1,a,x\n3,b,y\n?,b,x\n8,NA,y\n1000,c,x\n");
        let encoder = fit(&table, &[0, 1, 2, 3], &[]).unwrap();
        assert_eq!(encoder.width(), 1 + 3);
        // Numbers 1, 3, 3 (the median), 8: mean 3.75, variance (2.75² + 2·0.75² + 4.25²)/4 = 6.6875.
        let deviation = 6.6875f64.sqrt();
        let z = |v: f64| ((v - 3.75) / deviation) as f32;
        let expected = [
            [z(1.0), 1., 0., 0.],
            [z(3.0), 0., 1., 0.],
            [z(3.0), 0., 1., 0.],
            [z(8.0), 0., 1., 0.],
            [z(1000.0), 0., 0., 1.],
        ];
        let samples = encoder.transform(&table).unwrap();
        for (got, want) in values(&samples).iter().zip(expected.concat()) {
            assert!((got - want).abs() < 1e-5, "{got} {want}");
        }
        assert!(
            matches!(samples.targets, Some(Targets::Classes { labels, .. }) if labels == [0, 1, 0, 1, 0])
        );
    }

    #[test]
    fn columns_are_found_by_name_and_missing_ones_reported() {
        let encoder = fit(&table("a,b,t\n1,x,p\n2,y,q\n"), &[0, 1], &[]).unwrap();
        let moved = encoder.transform(&table("t,new,b,a\nq,9,y,2\n")).unwrap();
        assert_eq!(values(&moved), [1.0, 0.0, 1.0, 0.0]);
        let error = |text| encoder.transform(&table(text)).unwrap_err().to_string();
        assert_eq!(error("a,t\n1,p\n"), "t.csv: no column `b`; there are a, t");
        assert_eq!(error("a,b\n1,x\n"), "t.csv: no column `t`; there are a, b");
        assert_eq!(
            error("a,b,t\n1,x,p\nlow,x,p\n"),
            "t.csv, line 3, column `a`: `low` is not a number"
        );
    }

    #[test]
    fn a_target_may_be_named_otherwise_but_be_no_input() {
        let encoder = fit(&table("a,t\n1,p\n2,q\n"), &[0, 1], &[]).unwrap();
        let renamed = encoder.clone().with_target("answer").unwrap();
        assert!(renamed.transform(&table("a,answer\n1,p\n")).is_ok());
        let message = encoder.with_target("a").unwrap_err().to_string();
        assert_eq!(message, "target: the encoder reads `a` as an input");
    }

    #[test]
    fn types_can_be_given() {
        let table = table("id,code,t\n1,10,p\n2,20,q\n");
        let encoder = fit(
            &table,
            &[0, 1],
            &[
                ("id", ColumnType::Ignored),
                ("code", ColumnType::Categorical),
            ],
        )
        .unwrap();
        assert_eq!(encoder.width(), 3);
        assert!(fit(&table, &[0], &[("cod", ColumnType::Numeric)]).is_err());
        let none = [("id", ColumnType::Ignored), ("code", ColumnType::Ignored)];
        let message = fit(&table, &[0], &none).unwrap_err().to_string();
        assert_eq!(message, "t.csv: has no column beside the target `t`");
    }

    #[test]
    fn constant_and_empty_columns_are_harmless() {
        let table = table("c,e,t\n0.1,?,p\n0.1,?,q\n0.1,,q\n");
        let numeric = fit(&table, &[0, 1, 2], &[]).unwrap();
        assert!(
            values(&numeric.transform(&table).unwrap())
                .iter()
                .all(|v| v.abs() < 1e-12)
        );
        let words = fit(&table, &[0, 1, 2], &[("e", ColumnType::Categorical)]).unwrap();
        assert_eq!(values(&words.transform(&table).unwrap())[1..3], [1.0, 0.0]);
    }

    #[test]
    fn rare_words_beyond_the_most_frequent_count_as_unknown() {
        let mut text = String::from("w,t\n");
        for i in 0..MAX_CATEGORIES + 10 {
            // The first ten words come once, the others twice.
            let times = if i < 10 { 1 } else { 2 };
            text.push_str(&format!("w{i},{}\n", i % 2).repeat(times));
        }
        let table = table(&text);
        let all: Vec<usize> = (0..table.len()).collect();
        let encoder = fit(&table, &all, &[]).unwrap();
        assert_eq!(encoder.width(), MAX_CATEGORIES + 1);
        let first = &values(&encoder.transform(&table).unwrap())[..MAX_CATEGORIES + 1];
        assert_eq!(first[MAX_CATEGORIES], 1.0);
    }

    #[test]
    fn a_saved_encoder_comes_back_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = Encoder::beside(&dir.path().join("net.onnx"));
        assert!(path.ends_with("net.encoder.json"));
        let table = table("n,w,t\n0.1,a,x\n0.7,b,y\n?,b,x\n");
        let encoder = fit(&table, &[0, 1, 2], &[]).unwrap();
        encoder.save(&path).unwrap();
        assert_eq!(Encoder::load(&path).unwrap(), encoder);
    }

    #[test]
    fn forged_encoders_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e.json");
        let load = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Encoder::load(&path).map_err(|e| e.to_string())
        };
        let with = |version: &str, encoding: &str, classes: &str| {
            format!(
                r#"{{"version":{version},"features":[{{"column":"a","encoding":{encoding}}}],"target":{{"column":"t","kind":{{"classes":{classes}}}}}}}"#
            )
        };
        let numeric = |fill: &str, mean: &str, deviation: &str| {
            format!(r#"{{"numeric":{{"fill":{fill},"mean":{mean},"deviation":{deviation}}}}}"#)
        };
        let good = numeric("0", "0", "1");
        assert!(load(&with("1", &good, r#"["x","y"]"#)).is_ok());
        for text in [
            with("2", &good, r#"["x"]"#),
            with("1", &good, "[]"),
            with("1", &good, r#"["x","x"]"#),
            with("1", &numeric("1e999", "0", "1"), r#"["x"]"#),
            with("1", &numeric("0", "null", "1"), r#"["x"]"#),
            with("1", &numeric("0", "0", "0"), r#"["x"]"#),
            with("1", &numeric("0", "0", "-1"), r#"["x"]"#),
            with("1", &numeric("0", "0", "1e-320"), r#"["x"]"#),
            with(
                "1",
                r#"{"categorical":{"categories":["p"],"fill":1}}"#,
                r#"["x"]"#,
            ),
            with(
                "1",
                r#"{"categorical":{"categories":["p","p"],"fill":0}}"#,
                r#"["x"]"#,
            ),
            with(
                "1",
                r#"{"numeric":{"fill":0,"mean":0,"deviation":1,"more":1}}"#,
                r#"["x"]"#,
            ),
            with("1", &good, r#"["x"]"#).replace("\"a\"", "\"t\""),
            r#"{"version":1,"features":[],"target":{"column":"t","kind":"value"}}"#.into(),
            "[".repeat(100_000),
            String::new(),
        ] {
            let message = load(&text).unwrap_err();
            assert!(message.contains("e.json: not an encoder"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_numbers_what_comes_out_is_finite(
            train in prop::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 1..20),
            later in prop::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 1..20),
        ) {
            let rows = |values: &[f64]| {
                table(&format!("n,t\n{}", values.iter().map(|v| format!("{v:e},p\n")).collect::<String>()))
            };
            let (train, later) = (rows(&train), rows(&later));
            let all: Vec<usize> = (0..train.len()).collect();
            let encoder = fit(&train, &all, &[("n", ColumnType::Numeric)]).unwrap();
            for table in [&train, &later] {
                prop_assert!(values(&encoder.transform(table).unwrap()).iter().all(|v| v.is_finite()));
            }
        }

        #[test]
        fn training_columns_come_out_with_mean_zero_and_deviation_one(
            numbers in prop::collection::vec(-1e6f64..1e6, 3..50),
        ) {
            let text = numbers.iter().map(|v| format!("{v},p\n")).collect::<String>();
            let table = table(&format!("n,t\n{text}"));
            let all: Vec<usize> = (0..table.len()).collect();
            let encoder = fit(&table, &all, &[]).unwrap();
            let z: Vec<f64> = values(&encoder.transform(&table).unwrap()).iter().map(|&v| f64::from(v)).collect();
            let mean = z.iter().sum::<f64>() / z.len() as f64;
            let variance = z.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / z.len() as f64;
            prop_assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4, "{mean} {variance}");
        }
    }
}
