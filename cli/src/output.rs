//! What goes to stdout: one JSON document with `--json`, else text for people.

use std::io::{self, ErrorKind, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use lapidary_core::text::{visible, visible_lines};
use serde::Serialize;

use crate::end::Failure;

/// One line below the header, none elsewhere.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Says something on stderr.
pub fn tell(text: &str) {
    eprintln!("{}", visible_lines(text));
}

/// Prints `document` as JSON where `json` is asked for, else the text that `text` makes.
pub fn print(
    json: bool,
    document: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let text = if json {
        without_controls(&serde_json::to_string_pretty(document).map_err(Failure::work)?)
    } else {
        visible_lines(&text()).into_owned()
    };
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        // Whoever read has enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::work),
    }
}

/// JSON whose texts hold no control characters: what JSON allows of them (U+007F to U+009F) is escaped too.
fn without_controls(json: &str) -> String {
    let escaped = |c: char| match c {
        '\u{7f}'..='\u{9f}' => format!("\\u{:04x}", u32::from(c)),
        other => other.to_string(),
    };
    json.chars().map(escaped).collect()
}

/// A table for people; columns named in `right` hold numbers.
pub fn table(header: &[&str], right: &[&str], rows: Vec<Vec<String>>) -> String {
    let aligned = |column: usize, text: &str| {
        let numeric = header.get(column).is_some_and(|h| right.contains(h));
        Cell::new(visible(text)).set_alignment(if numeric {
            CellAlignment::Right
        } else {
            CellAlignment::Left
        })
    };
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.iter().enumerate().map(|(i, h)| aligned(i, h)));
    for row in rows {
        table.add_row(row.iter().enumerate().map(|(i, c)| aligned(i, c)));
    }
    table.trim_fmt()
}

/// A whole number with its thousands set apart: `12 345`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A metric for people: whole numbers as they are, others to four significant digits or four decimals.
pub fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}{}", grouped(value.abs() as u64))
    } else if value.abs() >= 1e-3 && value.abs() < 1e6 {
        format!("{value:.4}")
    } else {
        format!("{value:.3e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1 234 567");
        assert_eq!(number(-1200.0), "-1 200");
        assert_eq!(number(0.98125), "0.9812");
        assert_eq!(number(1.5e-7), "1.500e-7");
    }
}
