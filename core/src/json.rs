//! JSON values: settings, points and snapshots at the borders.

/// A JSON value.
pub type Json = serde_json::Value;
