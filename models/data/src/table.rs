//! Tables: CSV files as cells of text.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use csv::{ErrorKind, Position, ReaderBuilder, StringRecord, Trim};

use crate::error::DataError;
use crate::files;

/// A CSV file: named columns and rows of text, blanks around cells taken off.
#[derive(Debug, Clone)]
pub struct Table {
    path: PathBuf,
    columns: Vec<String>,
    rows: Vec<StringRecord>,
    /// The line each row starts on, from 1.
    lines: Vec<usize>,
}

impl Table {
    /// Reads the CSV file at `path` (gzipped or not). With `no_header` its first line is a row, and the columns are named
    /// `c0`, `c1` and so on.
    ///
    /// # Errors
    /// When the file cannot be read, is not UTF-8, has no row, a column without a name or two of the same, or a row that
    /// is longer or shorter than the first line; the error names the line.
    pub fn read(path: &Path, no_header: bool) -> Result<Self, DataError> {
        Self::parse(path, &files::read(path)?, no_header)
    }

    /// As [`Table::read`], from the text of the file; `path` stands in messages.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn parse(path: &Path, text: &[u8], no_header: bool) -> Result<Self, DataError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut reader = ReaderBuilder::new()
            .has_headers(!no_header)
            .trim(Trim::All)
            .from_reader(text);
        let mut columns: Vec<String> = Vec::new();
        if !no_header {
            let header = reader.headers().map_err(|e| damaged(path, text, &e))?;
            columns.extend(header.iter().map(String::from));
        }
        let rows = reader
            .records()
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| damaged(path, text, &e))?;
        let first = rows
            .first()
            .ok_or_else(|| DataError::format(path, "holds no row"))?;
        if no_header {
            columns.extend((0..first.len()).map(|i| format!("c{i}")));
        }
        let (mut at, mut line) = (0, 1);
        let lines = rows
            .iter()
            .map(|row| {
                let start = start(text, row.position());
                line += newlines(&text[at..start]);
                at = start;
                line
            })
            .collect();
        let mut seen = HashSet::new();
        for (i, column) in columns.iter().enumerate() {
            if column.is_empty() {
                return Err(DataError::format(
                    path,
                    format!("column {} has no name", i + 1),
                ));
            }
            if !seen.insert(column) {
                return Err(DataError::format(
                    path,
                    format!("two columns are named `{column}`"),
                ));
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            columns,
            rows,
            lines,
        })
    }

    /// Names of the columns, in the file's order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row; a table that was read has at least one.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The file the table was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The index of a column.
    ///
    /// # Errors
    /// When there is none of that name; the error lists those there are.
    pub fn column(&self, name: &str) -> Result<usize, DataError> {
        self.columns
            .iter()
            .position(|c| c == name)
            .ok_or_else(|| DataError::UnknownColumn {
                path: self.path.clone(),
                column: name.to_string(),
                known: self.columns.clone(),
            })
    }

    /// The text of a cell.
    pub(crate) fn cell(&self, row: usize, column: usize) -> &str {
        &self.rows[row][column]
    }

    /// The text of a cell, or `None` where it stands for a missing value: nothing, `?`, `NA` or `NaN`.
    pub(crate) fn known(&self, row: usize, column: usize) -> Option<&str> {
        let cell = self.cell(row, column);
        let missing = cell.is_empty()
            || cell == "?"
            || cell.eq_ignore_ascii_case("na")
            || cell.eq_ignore_ascii_case("nan");
        (!missing).then_some(cell)
    }

    /// The number in a cell, `None` where the value is missing.
    pub(crate) fn number(&self, row: usize, column: usize) -> Result<Option<f64>, DataError> {
        let Some(cell) = self.known(row, column) else {
            return Ok(None);
        };
        match cell.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Some(value)),
            Ok(_) => Err(self.bad_cell(row, column, format!("`{cell}` is not finite"))),
            Err(_) => Err(self.bad_cell(row, column, format!("`{cell}` is not a number"))),
        }
    }

    /// The value of a cell as a `T`.
    pub(crate) fn parsed<T: FromStr>(&self, row: usize, column: usize) -> Result<T, DataError> {
        let cell = self.cell(row, column);
        cell.parse()
            .map_err(|_| self.bad_cell(row, column, format!("`{cell}` cannot be read")))
    }

    /// The error that a cell is not what it should be.
    pub(crate) fn bad_cell(&self, row: usize, column: usize, reason: String) -> DataError {
        DataError::Cell {
            path: self.path.clone(),
            line: self.lines[row],
            column: self.columns[column].clone(),
            reason,
        }
    }
}

/// Where a record starts. The position itself still stands before the line breaks that end the record before.
fn start(text: &[u8], position: Option<&Position>) -> usize {
    let at = position.map_or(0, |p| p.byte() as usize).min(text.len());
    let breaks = text[at..].iter().take_while(|b| matches!(b, b'\r' | b'\n'));
    at + breaks.count()
}

fn newlines(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte == b'\n').count()
}

fn damaged(path: &Path, text: &[u8], error: &csv::Error) -> DataError {
    let line = 1 + newlines(&text[..start(text, error.position())]);
    let reason = match error.kind() {
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("{len} cells, where the lines before have {expected_len}"),
        ErrorKind::Utf8 { .. } => "not UTF-8".to_string(),
        _ => error.to_string(),
    };
    DataError::format(path, format!("line {line}: {reason}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str, no_header: bool) -> Result<Table, String> {
        Table::parse(Path::new("t.csv"), text.as_bytes(), no_header).map_err(|e| e.to_string())
    }

    #[test]
    fn blanks_and_empty_lines_and_a_byte_order_mark_do_not_matter() {
        let table = parse("\u{feff}a , b\r\n 1,  x y \r\n\r\n?,\"q,r\"\r\n", false).unwrap();
        assert_eq!(table.columns(), ["a", "b"]);
        assert_eq!(table.len(), 2);
        assert_eq!(table.cell(0, 1), "x y");
        assert_eq!((table.known(1, 0), table.cell(1, 1)), (None, "q,r"));
        assert_eq!(table.lines, [2, 4]);
        assert_eq!(parse("1,2\n3,4", true).unwrap().columns(), ["c0", "c1"]);
    }

    #[test]
    fn errors_name_the_line_and_the_columns() {
        let fail = |text: &str| parse(text, false).unwrap_err();
        assert_eq!(
            fail("a,b\n1,2\n3\n"),
            "t.csv: line 3: 1 cells, where the lines before have 2"
        );
        assert_eq!(fail("a,b\n"), "t.csv: holds no row");
        assert_eq!(fail(""), "t.csv: holds no row");
        assert_eq!(fail("a,a\n1,2\n"), "t.csv: two columns are named `a`");
        assert_eq!(fail("a,\n1,2\n"), "t.csv: column 2 has no name");
        let table = parse("a,b\n1,2\nx,inf\n", false).unwrap();
        assert_eq!(
            table.column("c").unwrap_err().to_string(),
            "t.csv: no column `c`; there are a, b"
        );
        assert_eq!(
            table.number(1, 0).unwrap_err().to_string(),
            "t.csv, line 3, column `a`: `x` is not a number"
        );
        assert!(table.number(1, 1).is_err());
        let latin = Table::parse(Path::new("t.csv"), b"a,b\n1,\xe9\n", false).unwrap_err();
        assert_eq!(latin.to_string(), "t.csv: line 2: not UTF-8");
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_table_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), no_header: bool) {
            if let Ok(table) = Table::parse(Path::new("t.csv"), &bytes, no_header) {
                for column in 0..table.columns().len() {
                    let _ = table.number(table.len() - 1, column);
                }
            }
        }
    }
}
