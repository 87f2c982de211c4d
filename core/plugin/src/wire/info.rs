//! What there is to know about a plug-in.

use lapidary_core::json::Json;
use lapidary_core::registry::{Info, Promise};
use lapidary_core::settings::{Schema, Setting};
use serde::{Deserialize, Serialize};

/// What a plug-in says about itself: what of an [`Info`] is JSON. Hosts of the first interface read the list of settings and
/// leave the schema, which says the same and more, alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// Name.
    pub name: String,
    /// One line.
    #[serde(default)]
    pub summary: String,
    /// More.
    #[serde(default)]
    pub docs: String,
    #[serde(default)]
    settings: Vec<DescribedSetting>,
    /// The JSON Schema of an object of all settings.
    #[serde(default)]
    pub schema: Option<Json>,
    /// What it promises, in its own words.
    #[serde(default)]
    promises: Vec<String>,
}

/// A setting; its default is JSON text, empty where it has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct DescribedSetting {
    name: String,
    kind: String,
    default: String,
    doc: String,
}

impl From<&Info> for Described {
    fn from(info: &Info) -> Self {
        let setting = |setting: Setting| DescribedSetting {
            name: setting.name,
            kind: setting.kind,
            default: setting.default.unwrap_or_default(),
            doc: setting.doc,
        };
        Self {
            name: info.name.to_owned(),
            summary: info.summary.to_owned(),
            docs: info.docs.to_owned(),
            settings: info.settings.list().into_iter().map(setting).collect(),
            schema: Some(info.settings.json()),
            promises: (info.promises.iter().map(|p| p.word().to_owned())).collect(),
        }
    }
}

impl Described {
    /// The same for the registry, which keeps it as long as the process lives.
    pub fn leak(self) -> Info {
        fn text(text: String) -> &'static str {
            text.leak()
        }
        let listed = self.settings.into_iter().map(|setting| Setting {
            name: setting.name,
            kind: setting.kind,
            example: setting.default.clone(),
            default: Some(setting.default),
            doc: setting.doc,
        });
        let listed: Vec<Setting> = listed.collect();
        let promises = self.promises.iter();
        let promises =
            promises.filter_map(|word| Promise::ALL.into_iter().find(|p| p.word() == word));
        Info {
            name: text(self.name),
            summary: text(self.summary),
            docs: text(self.docs),
            settings: (self.schema.and_then(Schema::given))
                .unwrap_or_else(|| Schema::listed(&listed)),
            promises: promises.collect::<Vec<_>>().leak(),
        }
    }
}
