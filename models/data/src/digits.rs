//! The bundled digits: 1,797 images of 8 × 8 pixels (`assets/README.md` says whose).

use std::path::Path;

use crate::error::DataError;
use crate::files;
use crate::pixels::Images;
use crate::table::Table;

const PACKED: &[u8] = include_bytes!("../assets/digits.csv.gz");

/// Reads the bundled digits.
pub(crate) fn read() -> Result<Images, DataError> {
    let path = Path::new("digits");
    let text = files::read_capped(flate2::read::GzDecoder::new(PACKED), files::MAX_BYTES, path)?;
    let table = Table::parse(path, &text, false)?;
    let mut images = Images {
        shape: [1, 8, 8],
        bytes: Vec::with_capacity(table.len() * 64),
        labels: Vec::with_capacity(table.len()),
        names: (0..10).map(|digit| digit.to_string()).collect(),
        full: 16.0,
    };
    for row in 0..table.len() {
        for column in 0..64 {
            images.bytes.push(table.parsed(row, column)?);
        }
        images.labels.push(table.parsed(row, 64)?);
    }
    Ok(images)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_all_there() {
        let images = read().unwrap();
        assert_eq!(images.labels.len(), 1797);
        assert_eq!(images.bytes.len(), 1797 * 64);
        assert_eq!(images.bytes.iter().max(), Some(&16));
        assert_eq!(images.labels[..5], [0, 1, 2, 3, 4]);
        assert_eq!(images.labels.iter().filter(|&&l| l == 3).count(), 183);
        assert_eq!(images.bytes[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
    }
}
