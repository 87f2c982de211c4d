//! What is said about an entry.

use lapidary_core::registry::Info;

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
    for (i, setting) in info.settings.iter().enumerate() {
        assert!(
            info.settings[..i].iter().all(|s| s.name != setting.name),
            "setting `{}` is listed twice",
            setting.name
        );
        assert!(
            !setting.kind.is_empty() && !setting.doc.is_empty(),
            "setting `{}` wants its type and a sentence",
            setting.name
        );
    }
}
