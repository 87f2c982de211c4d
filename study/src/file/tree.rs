//! A TOML document as a tree whose every value knows where it was written, so that a mistake found at any later time
//! still names its line and column. Values given on the command line are grafted onto the same tree.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::text::{did_you_mean, listed};
use toml::de::{DeTable, DeValue};

use crate::error::StudyFileError;
use crate::file::place::Place;

/// A value with the place and the dotted name it was written under.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    /// Where the value stands.
    pub place: Place,
    /// Dotted name, for messages.
    pub name: String,
    /// The value.
    pub value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Item>),
    Table(Table),
}

/// Keys with their values, in the order they were written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    /// Where the table begins.
    pub place: Place,
    /// Dotted name, empty for the whole document.
    pub name: String,
    /// Place of the key, key, value.
    entries: Vec<(Place, String, Item)>,
}

/// Byte offsets of a document turned into places.
struct Source<'a> {
    path: Arc<Path>,
    text: &'a str,
}

impl Source<'_> {
    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |i| i + 1);
        Place::File {
            path: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }

    fn table(
        &self,
        table: &DeTable<'_>,
        name: &str,
        place: Place,
    ) -> Result<Table, StudyFileError> {
        let mut keys: Vec<_> = table.iter().collect();
        keys.sort_by_key(|(key, _)| key.span().start);
        let entries = keys
            .into_iter()
            .map(|(key, value)| {
                let place = self.place(key.span().start);
                let name = joined(name, key.get_ref());
                // A table's own span may be empty where it was only implied; its key is always written.
                let at = match value.get_ref() {
                    DeValue::Table(_) => place.clone(),
                    _ => self.place(value.span().start),
                };
                let item = self.item(value.get_ref(), name, at)?;
                Ok((place, key.get_ref().to_string(), item))
            })
            .collect::<Result<_, StudyFileError>>()?;
        Ok(Table {
            place,
            name: name.to_owned(),
            entries,
        })
    }

    fn item(
        &self,
        value: &DeValue<'_>,
        name: String,
        place: Place,
    ) -> Result<Item, StudyFileError> {
        let value = match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(int) => {
                Value::Int(i64::from_str_radix(int.as_str(), int.radix()).map_err(|_| {
                    let (least, most) = (i64::MIN, i64::MAX);
                    let reason = format!(
                        "`{name}`: {int} exceeds 64 bits; whole numbers go from {least} to {most}"
                    );
                    StudyFileError::at(&place, reason)
                })?)
            }
            DeValue::Float(float) => Value::Float(float.as_str().parse().map_err(|_| {
                StudyFileError::at(&place, format!("`{name}`: {float} is not a number"))
            })?),
            DeValue::Boolean(bool) => Value::Bool(*bool),
            DeValue::Datetime(date) => Value::Text(date.to_string()),
            DeValue::Array(items) => Value::List(
                items
                    .iter()
                    .map(|item| {
                        self.item(item.get_ref(), name.clone(), self.place(item.span().start))
                    })
                    .collect::<Result<_, _>>()?,
            ),
            DeValue::Table(table) => Value::Table(self.table(table, &name, place.clone())?),
        };
        Ok(Item { place, name, value })
    }
}

fn joined(parent: &str, key: &str) -> String {
    if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}

impl Table {
    /// Reads a document.
    pub fn parse(path: &Path, text: &str) -> Result<Self, StudyFileError> {
        let source = Source {
            path: path.into(),
            text,
        };
        let document = DeTable::parse(text).map_err(|e| {
            let start = e.span().map_or(0, |s| s.start);
            StudyFileError::at(&source.place(start), e.message())
        })?;
        source.table(document.get_ref(), "", source.place(0))
    }

    /// A table without entries.
    pub fn empty(place: Place) -> Self {
        Self {
            place,
            name: String::new(),
            entries: Vec::new(),
        }
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Item> {
        self.entries
            .iter()
            .find(|(_, k, _)| k == key)
            .map(|(_, _, item)| item)
    }

    /// Keys and values in the order they were written.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Item)> {
        self.entries.iter().map(|(_, k, item)| (k.as_str(), item))
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) {
        self.entries.retain(|(_, k, _)| k != key);
    }

    /// The value of `key` as `T`, where the key is there.
    pub fn read<T: FromItem>(&self, key: &str) -> Result<Option<T>, StudyFileError> {
        self.get(key).map(T::from_item).transpose()
    }

    /// The value of `key` as `T`; `example` shows what to write where the key is missing.
    pub fn required<T: FromItem>(&self, key: &str, example: &str) -> Result<T, StudyFileError> {
        self.required_item(key, example).and_then(T::from_item)
    }

    /// The value of `key`; `example` shows what to write where the key is missing.
    pub fn required_item(&self, key: &str, example: &str) -> Result<&Item, StudyFileError> {
        self.get(key).ok_or_else(|| {
            StudyFileError::at(
                &self.place,
                format!(
                    "`{}` is missing; write for example {example}",
                    joined(&self.name, key)
                ),
            )
        })
    }

    /// The table under `key`, where the key is there.
    pub fn table(&self, key: &str) -> Result<Option<&Table>, StudyFileError> {
        self.get(key).map(Item::as_table).transpose()
    }

    /// Where `key` was written.
    pub fn key_place(&self, key: &str) -> Option<&Place> {
        self.entries
            .iter()
            .find(|(_, k, _)| k == key)
            .map(|(place, _, _)| place)
    }

    /// Refuses keys that are not among `known`.
    pub fn check_keys<S: AsRef<str>>(&self, known: &[S]) -> Result<(), StudyFileError> {
        for (place, key, _) in &self.entries {
            if !known.iter().any(|k| k.as_ref() == key) {
                return Err(self.unknown_key(place, key, known));
            }
        }
        Ok(())
    }

    /// The error that `key` is not among `known`.
    pub fn unknown<S: AsRef<str>>(&self, key: &str, known: &[S]) -> StudyFileError {
        let place = self.key_place(key).unwrap_or(&self.place);
        self.unknown_key(place, key, known)
    }

    fn unknown_key<S: AsRef<str>>(&self, place: &Place, key: &str, known: &[S]) -> StudyFileError {
        let section = if self.name.is_empty() {
            "the file".to_owned()
        } else {
            format!("[{}]", self.name)
        };
        StudyFileError::at(
            place,
            format!(
                "{section} has no key `{key}`{}; its keys are {}",
                did_you_mean(key, known),
                listed(known)
            ),
        )
    }

    /// Sets the value at a dotted path, making the tables on the way.
    pub fn set(&mut self, path: &[&str], item: Item) -> Result<(), String> {
        let [key, rest @ ..] = path else {
            return Err("the key is empty".into());
        };
        if key.is_empty() {
            return Err("the key has an empty part".into());
        }
        let name = joined(&self.name, key);
        let place = item.place.clone();
        let slot = self.entries.iter().position(|(_, k, _)| k == key);
        if rest.is_empty() {
            let item = item.named(name);
            match slot {
                Some(i) => self.entries[i] = (place, (*key).to_owned(), item),
                None => self.entries.push((place, (*key).to_owned(), item)),
            }
            return Ok(());
        }
        let slot = slot.unwrap_or_else(|| {
            let table = Table {
                place: place.clone(),
                name: name.clone(),
                entries: Vec::new(),
            };
            self.entries.push((
                place.clone(),
                (*key).to_owned(),
                Item {
                    place,
                    name: name.clone(),
                    value: Value::Table(table),
                },
            ));
            self.entries.len() - 1
        });
        match &mut self.entries[slot].2.value {
            Value::Table(table) => table.set(rest, item),
            _ => Err(format!("`{name}` is not a table")),
        }
    }

    /// The table as a JSON object.
    pub fn to_json(&self) -> Json {
        self.entries()
            .map(|(key, item)| (key.to_owned(), item.to_json()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

impl Item {
    /// A text.
    pub fn text(place: Place, text: &str) -> Item {
        Item {
            place,
            name: String::new(),
            value: Value::Text(text.to_owned()),
        }
    }

    /// The value of `--set key=value`: a TOML value, or a list of texts whose quotes a shell took away, or else a text.
    pub fn from_override(text: &str, value: &str) -> Item {
        let place = Place::Override(text.into());
        let mut item = (Self::parsed(value, &place))
            .or_else(|| Self::parsed(&quoted(value)?, &place))
            .unwrap_or_else(|| Item::text(place.clone(), value));
        item.relocate(&place);
        item
    }

    fn parsed(value: &str, place: &Place) -> Option<Item> {
        let document = format!("v = {value}");
        let source = Source {
            path: Path::new("").into(),
            text: &document,
        };
        DeTable::parse(&document)
            .ok()
            .filter(|d| d.get_ref().len() == 1)
            .and_then(|d| {
                let value = d.get_ref().get("v")?;
                source
                    .item(value.get_ref(), String::new(), place.clone())
                    .ok()
            })
    }

    fn relocate(&mut self, to: &Place) {
        self.place = to.clone();
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|i| i.relocate(to)),
            Value::Table(table) => {
                table.place = to.clone();
                for (place, _, item) in &mut table.entries {
                    *place = to.clone();
                    item.relocate(to);
                }
            }
            _ => {}
        }
    }

    fn named(mut self, name: String) -> Item {
        match &mut self.value {
            Value::List(items) => {
                *items = std::mem::take(items)
                    .into_iter()
                    .map(|i| i.named(name.clone()))
                    .collect();
            }
            Value::Table(table) => {
                table.name = name.clone();
                table.entries = std::mem::take(&mut table.entries)
                    .into_iter()
                    .map(|(place, key, item)| {
                        let item = item.named(joined(&name, &key));
                        (place, key, item)
                    })
                    .collect();
            }
            _ => {}
        }
        self.name = name;
        self
    }

    /// The error that the value is not what is wanted.
    pub fn refuse(&self, wanted: &str) -> StudyFileError {
        StudyFileError::at(
            &self.place,
            format!("`{}` must be {wanted}, found {}", self.name, self.found()),
        )
    }

    /// The error that the value is wrong for a reason.
    pub fn mistake(&self, reason: impl fmt::Display) -> StudyFileError {
        StudyFileError::at(&self.place, format!("`{}`: {reason}", self.name))
    }

    /// The value as a table.
    pub fn as_table(&self) -> Result<&Table, StudyFileError> {
        match &self.value {
            Value::Table(table) => Ok(table),
            _ => Err(self.refuse("a table")),
        }
    }

    /// The elements of a list, or the value itself where it is none.
    pub fn elements(&self) -> &[Item] {
        match &self.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    fn found(&self) -> String {
        match &self.value {
            Value::Text(text) => format!("the text {text:?}"),
            Value::Int(int) => int.to_string(),
            Value::Float(float) => float.to_string(),
            Value::Bool(bool) => bool.to_string(),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Table(_) => "a table".into(),
        }
    }

    /// The value as JSON; NaN and infinities, which JSON lacks, become `null`.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Text(text) => text.clone().into(),
            Value::Int(int) => (*int).into(),
            Value::Float(float) => (*float).into(),
            Value::Bool(bool) => (*bool).into(),
            Value::List(items) => items.iter().map(Item::to_json).collect(),
            Value::Table(table) => table.to_json(),
        }
    }
}

/// A type that can be read from a value.
pub(crate) trait FromItem: Sized {
    /// Reads the value, or says what is wanted instead.
    fn from_item(item: &Item) -> Result<Self, StudyFileError>;
}

impl FromItem for String {
    fn from_item(item: &Item) -> Result<Self, StudyFileError> {
        match &item.value {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(item.refuse("a text")),
        }
    }
}

impl FromItem for bool {
    fn from_item(item: &Item) -> Result<Self, StudyFileError> {
        match item.value {
            Value::Bool(bool) => Ok(bool),
            _ => Err(item.refuse("true or false")),
        }
    }
}

impl FromItem for i64 {
    fn from_item(item: &Item) -> Result<Self, StudyFileError> {
        match item.value {
            Value::Int(int) => Ok(int),
            _ => Err(item.refuse("a whole number")),
        }
    }
}

impl FromItem for u64 {
    fn from_item(item: &Item) -> Result<Self, StudyFileError> {
        match item.value {
            Value::Int(int) => {
                u64::try_from(int).map_err(|_| item.refuse("a whole number of at least 0"))
            }
            _ => Err(item.refuse("a whole number of at least 0")),
        }
    }
}

impl FromItem for usize {
    fn from_item(item: &Item) -> Result<Self, StudyFileError> {
        u64::from_item(item).and_then(|n| {
            usize::try_from(n).map_err(|_| item.refuse("a number that fits this machine"))
        })
    }
}

impl FromItem for f64 {
    fn from_item(item: &Item) -> Result<Self, StudyFileError> {
        match item.value {
            // A float in its place would be another number.
            Value::Int(int) if i128::from(int) != (int as f64) as i128 => {
                Err(item.refuse("a number that a float holds exactly, as whole ones do up to 2^53"))
            }
            Value::Int(int) => Ok(int as f64),
            Value::Float(float) if float.is_finite() => Ok(float),
            _ => Err(item.refuse("a finite number")),
        }
    }
}

impl FromItem for f32 {
    fn from_item(item: &Item) -> Result<Self, StudyFileError> {
        f64::from_item(item).map(|v| v as f32)
    }
}

/// A list, or one value standing for a list of one.
impl<T: FromItem> FromItem for Vec<T> {
    fn from_item(item: &Item) -> Result<Self, StudyFileError> {
        item.elements().iter().map(T::from_item).collect()
    }
}

/// A list of bare words as a list of texts.
fn quoted(value: &str) -> Option<String> {
    let words = value.strip_prefix('[')?.strip_suffix(']')?;
    let plain = |word: &str| !word.is_empty() && !word.contains(['"', '\'', '[', ']', '\\']);
    let words: Vec<&str> = words.split(',').map(str::trim).collect();
    let words: Option<Vec<String>> = (words.into_iter())
        .map(|word| plain(word).then(|| format!("\"{word}\"")))
        .collect();
    Some(format!("[{}]", words?.join(", ")))
}
