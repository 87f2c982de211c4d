//! Which points were tried, and which of a finite space are left.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::space::{Point, Space};

/// A set of points by their 128-bit fingerprints: 16 bytes a point whatever the number of axes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried {
    prints: HashSet<u128, BuildHasherDefault<FoldHasher>>,
}

/// Fingerprints are mixed already; hashing them again would be waste.
#[derive(Debug, Clone, Copy, Default)]
pub struct FoldHasher(u64);

impl Hasher for FoldHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
    fn write_u128(&mut self, print: u128) {
        self.0 = print as u64;
    }
}

impl Tried {
    /// Adds a point; false where it was in already.
    pub fn insert(&mut self, point: &Point) -> bool {
        self.prints.insert(point.fingerprint())
    }

    /// Whether the point is in.
    pub fn contains(&self, point: &Point) -> bool {
        self.prints.contains(&point.fingerprint())
    }

    /// Number of points in the set.
    pub fn len(&self) -> usize {
        self.prints.len()
    }

    /// Whether nothing was tried.
    pub fn is_empty(&self) -> bool {
        self.prints.is_empty()
    }
}

/// One text of 32 hexadecimal digits a point, sorted, so that equal sets are written alike.
impl Serialize for Tried {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut prints: Vec<u128> = self.prints.iter().copied().collect();
        prints.sort_unstable();
        let mut text = String::with_capacity(32 * prints.len());
        for print in prints {
            text.push_str(&format!("{print:032x}"));
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Tried {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refuse = || serde::de::Error::custom("tried points are 32 hexadecimal digits each");
        if !text.len().is_multiple_of(32) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(refuse());
        }
        let prints = (0..text.len() / 32)
            .map(|i| u128::from_str_radix(&text[32 * i..32 * (i + 1)], 16).map_err(|_| refuse()))
            .collect::<Result<_, _>>()?;
        Ok(Self { prints })
    }
}

/// Walks through all points of a finite space, each once, and gives those that were not tried. It only moves on, so all
/// its steps together number the points of the space; a point that leaves the set later is not seen again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Leftovers {
    /// Points passed so far; counts no further than the space has points.
    passed: u64,
    /// Where the walk stands; made again from `passed` after a restart.
    #[serde(skip)]
    at: Option<Point>,
}

impl Leftovers {
    /// The next point of the space that is not in `tried`; `None` when there is none, or the space is a continuum.
    pub fn next(&mut self, space: &Arc<Space>, tried: &Tried) -> Option<Point> {
        if !space.is_finite() {
            return None;
        }
        if self.at.is_none() {
            let mut point = space.first();
            for _ in 0..self.passed {
                point = point.successor()?;
            }
            self.at = Some(point);
        }
        loop {
            let point = self.at.clone()?;
            if !tried.contains(&point) {
                return Some(point);
            }
            // Stays at the last point: asking again gives `None` again.
            self.at = Some(point.successor()?);
            self.passed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Condition;
    use crate::json::Json;
    use crate::space::{Axis, Domain};

    fn space() -> Arc<Space> {
        let int = |low, high| Domain::Int {
            low,
            high,
            log: false,
            step: 1,
        };
        Arc::new(
            Space::new(vec![
                Axis {
                    when: Some(Condition::parse("kind == a").unwrap()),
                    ..Axis::new("depth", int(1, 5))
                },
                Axis::new(
                    "kind",
                    Domain::Choice {
                        options: vec![Json::from("a"), Json::from("b")],
                    },
                ),
                Axis {
                    when: Some(Condition::parse("depth > 3").unwrap()),
                    ..Axis::new("width", int(-1, 1))
                },
            ])
            .unwrap(),
        )
    }

    #[test]
    fn every_point_once_then_none() {
        let space = space();
        let mut tried = Tried::default();
        let mut left = Leftovers::default();
        let mut points = 0;
        while let Some(point) = left.next(&space, &tried) {
            assert!(tried.insert(&point));
            points += 1;
            if points == 4 {
                let text = serde_json::to_string(&left).unwrap();
                left = serde_json::from_str(&text).unwrap();
            }
        }
        // depth 1..3 without width, 4 and 5 with three widths each, and kind b alone.
        assert_eq!(points, 3 + 2 * 3 + 1);
        assert_eq!(left.next(&space, &tried), None);
        let by_rank: HashSet<_> = (0..space.cardinality().unwrap())
            .map(|i| space.nth(i).key())
            .collect();
        assert_eq!(by_rank.len(), tried.len());
    }

    #[test]
    fn the_set_survives_json_and_refuses_rubbish() {
        let mut tried = Tried::default();
        for i in 0..30 {
            tried.insert(&space().nth(i));
        }
        let text = serde_json::to_string(&tried).unwrap();
        assert_eq!(serde_json::from_str::<Tried>(&text).unwrap(), tried);
        assert!(serde_json::from_str::<Tried>("\"é123456789012345678901234567890\"").is_err());
        assert!(serde_json::from_str::<Tried>("\"12\"").is_err());
    }

    #[test]
    fn fingerprints_of_a_grid_differ() {
        // Floats with few set bits are the hard case for a multiplicative hash.
        let axis = |name: &str| {
            Axis::new(
                name,
                Domain::Float {
                    low: 0.0,
                    high: 63.0,
                    log: false,
                    step: Some(1.0),
                },
            )
        };
        let grid = Arc::new(Space::new(vec![axis("a"), axis("b"), axis("c")]).unwrap());
        let mut tried = Tried::default();
        assert!((0..64 * 64 * 64).all(|i| tried.insert(&grid.nth(i))));
    }
}
