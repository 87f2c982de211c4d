//! What there is to know about a plug-in.

use lapidary_core::json::Json;
use lapidary_core::registry::{Info, Promise};
use lapidary_core::settings::{Schema, Setting};

use super::WireError;
use super::value::{read_value, write_value};
use crate::json::{Reader, Writer};

/// What a plug-in says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// Name.
    pub name: String,
    /// One line.
    pub summary: String,
    /// More.
    pub docs: String,
    /// Name, type, default as JSON text and meaning of each setting.
    pub settings: Vec<[String; 4]>,
    /// The JSON Schema of its settings, which says the same and more.
    pub schema: Option<Json>,
    /// What it promises; words that are not known are left out.
    pub promises: Vec<Promise>,
}

impl Described {
    /// The same as the registry wants it, which lives as long as the program.
    pub fn leak(self) -> Info {
        fn text(text: String) -> &'static str {
            text.leak()
        }
        let listed = self.settings.into_iter();
        let listed: Vec<Setting> = listed
            .map(|[name, kind, default, doc]| Setting {
                name,
                kind,
                example: default.clone(),
                default: Some(default),
                doc,
            })
            .collect();
        Info {
            name: text(self.name),
            summary: text(self.summary),
            docs: text(self.docs),
            settings: (self.schema.and_then(Schema::given))
                .unwrap_or_else(|| Schema::listed(&listed)),
            promises: self.promises.leak(),
        }
    }
}

/// `{"name", "summary", "docs", "settings": [{"name", "kind", "default", "doc"}], "schema", "promises": […]}`; a default is JSON
/// text, the schema that of an object of all settings. Hosts of the first interface read the list.
pub fn write_info(w: &mut Writer, info: &Info) {
    w.object(|w| {
        w.key("name").text(info.name);
        w.key("summary").text(info.summary);
        w.key("docs").text(info.docs);
        w.key("settings").array(|w| {
            for setting in info.settings.list() {
                w.object(|w| {
                    w.key("name").text(&setting.name);
                    w.key("kind").text(&setting.kind);
                    let default = setting.default.as_deref();
                    w.key("default").text(default.unwrap_or_default());
                    w.key("doc").text(&setting.doc);
                });
            }
        });
        write_value(w.key("schema"), &info.settings.json());
        w.key("promises").array(|w| {
            info.promises
                .iter()
                .for_each(|promise| w.text(promise.word()))
        });
    });
}

/// Reads what [`write_info`] wrote.
///
/// # Errors
/// When a part is wrong, or there is no name.
pub fn read_info(text: &[u8]) -> Result<Described, WireError> {
    let mut info = Described::default();
    let mut r = Reader::new(text);
    r.object(|r, key| {
        match key {
            "name" => info.name = r.text()?.into_owned(),
            "summary" => info.summary = r.text()?.into_owned(),
            "docs" => info.docs = r.text()?.into_owned(),
            "settings" => r.array(|r| {
                info.settings.push(read_setting(r)?);
                Ok::<_, WireError>(())
            })?,
            "schema" => info.schema = Some(read_value(r)?),
            "promises" => r.array(|r| {
                let word = r.text()?;
                info.promises
                    .extend(Promise::ALL.into_iter().find(|p| p.word() == word));
                Ok::<_, WireError>(())
            })?,
            _ => r.skip()?,
        }
        Ok::<_, WireError>(())
    })?;
    r.end()?;
    if info.name.is_empty() {
        return Err(WireError::Missing { key: "name" });
    }
    Ok(info)
}

fn read_setting(r: &mut Reader<'_>) -> Result<[String; 4], WireError> {
    let mut setting = <[String; 4]>::default();
    r.object(|r, key| {
        match ["name", "kind", "default", "doc"]
            .iter()
            .position(|k| *k == key)
        {
            Some(i) => setting[i] = r.text()?.into_owned(),
            None => r.skip()?,
        }
        Ok::<_, WireError>(())
    })?;
    Ok(setting)
}
