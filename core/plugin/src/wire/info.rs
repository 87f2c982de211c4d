//! What there is to know about a plug-in.

use lapidary_core::registry::{Info, Promise, Setting};
use serde::Deserialize;

/// What a plug-in says about itself: what of an [`Info`] is JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
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
    /// What it promises, in its own words.
    #[serde(default)]
    promises: Vec<String>,
}

/// A setting; its default is JSON text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct DescribedSetting {
    name: String,
    kind: String,
    default: String,
    doc: String,
}

impl Described {
    /// The same as the registry wants it, which lives as long as the program; promises that are not known are left out.
    pub fn leak(self) -> Info {
        fn text(text: String) -> &'static str {
            text.leak()
        }
        let settings = self.settings.into_iter().map(|setting| Setting {
            name: text(setting.name),
            kind: text(setting.kind),
            default: text(setting.default),
            doc: text(setting.doc),
        });
        let promises = self.promises.iter();
        let promises =
            promises.filter_map(|word| Promise::ALL.into_iter().find(|p| p.word() == word));
        Info {
            name: text(self.name),
            summary: text(self.summary),
            docs: text(self.docs),
            settings: settings.collect::<Vec<_>>().leak(),
            promises: promises.collect::<Vec<_>>().leak(),
        }
    }
}
