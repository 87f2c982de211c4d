//! What is said about an entry.

use lapidary_core::json::Json;
use lapidary_core::registry::Info;
use serde_json::json;

/// Name, summary, docs and settings are all there.
pub(crate) fn is_complete(info: &Info) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    assert!(
        !info.name.is_empty() && info.name.chars().all(plain),
        "name `{}`: lower-case letters, digits, - and _",
        info.name
    );
    assert!(!info.summary.is_empty() && !info.summary.contains('\n'));
    assert!(!info.docs.is_empty());
    for setting in info.settings.list() {
        let name = setting.name;
        assert!(
            !setting.kind.is_empty() && !setting.doc.is_empty(),
            "setting `{name}` wants its type and a sentence"
        );
        let values = setting.default.iter().chain([&setting.example]);
        for text in values {
            let value: Json = serde_json::from_str(text)
                .unwrap_or_else(|e| panic!("`{text}` of `{name}` is no JSON: {e}"));
            let checked = info.settings.check(&json!({ &name: value }));
            checked.unwrap_or_else(|e| panic!("default or example: {e}"));
        }
    }
}

/// All settings at their listed defaults.
pub(crate) fn defaults(info: &Info) -> serde_json::Map<String, Json> {
    let listed = info.settings.list().into_iter().filter_map(|setting| {
        let default = setting.default?;
        let value = serde_json::from_str(&default)
            .unwrap_or_else(|e| panic!("default `{default}` of `{}`: {e}", setting.name));
        Some((setting.name, value))
    });
    listed.collect()
}
