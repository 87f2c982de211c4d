//! JSON values: settings, points and snapshots at the borders.

/// A JSON value.
pub type Json = serde_json::Value;

/// Reads typed settings from JSON, `null` standing for `{}`.
///
/// # Errors
/// When a setting is unknown or of another type; the message names it.
pub fn settings<T: serde::de::DeserializeOwned>(json: &Json) -> Result<T, serde_json::Error> {
    match json {
        Json::Null => serde_json::from_value(Json::Object(serde_json::Map::new())),
        Json::Object(_) => serde_json::from_value(json.clone()),
        // serde would read a list as the settings in their order.
        other => Err(serde::de::Error::custom(format!("{other} is no table"))),
    }
}
