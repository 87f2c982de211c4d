//! Numbers with units: `200KB`, `2GiB`, `1e-3`, `95%`.

/// Reads a number with an optional size unit (KB, MB, GB = powers of 1000; KiB, MiB, GiB = powers of 1024; B) or `%`.
///
/// ```
/// use lapidary_core::units::number;
/// assert_eq!(number("200KB"), Ok(200_000.0));
/// assert_eq!(number("2 KiB"), Ok(2048.0));
/// assert_eq!(number("97%"), Ok(0.97));
/// assert!(number("2 parsecs").is_err());
/// ```
///
/// # Errors
/// A message that quotes the text and lists the units.
pub fn number(text: &str) -> Result<f64, String> {
    const UNITS: [(&str, f64); 9] = [
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("KB", 1e3),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("B", 1.0),
        ("%", 0.01),
    ];
    let text = text.trim();
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), *factor)))
        .unwrap_or((text, 1.0));
    let value: f64 = digits.parse().map_err(|_| {
        format!("`{text}` is not a number; units are B, KB, MB, GB, KiB, MiB, GiB and %")
    })?;
    if !value.is_finite() {
        return Err(format!("`{text}` is not finite"));
    }
    // Percent by division: 0.97 exactly as it reads, not 97 · 0.01.
    Ok(if factor == 0.01 {
        value / 100.0
    } else {
        value * factor
    })
}
