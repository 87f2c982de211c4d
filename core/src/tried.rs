//! Which points were tried, and which of a finite space are left.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::space::{Point, Space};

/// A set of points by their 128-bit fingerprints: 16 bytes a point whatever the number of axes. It also walks through a
/// finite space to find what is left.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Tried {
    prints: Prints,
    /// Points the walk has passed; all of them are in the set.
    passed: u64,
    /// Where the walk stands; made again from `passed` after a restart.
    at: Option<Point>,
}

type Prints = HashSet<u128, BuildHasherDefault<FoldHasher>>;

/// The set as it is written: one text of 32 hexadecimal digits a point, sorted, so that equal sets are written alike.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    points: String,
    passed: u64,
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

    /// The first point of a finite space that is not in the set; `None` when there is none, or the space is a continuum.
    /// The walk only moves on, so all its steps together number the points of the space.
    pub fn first_left(&mut self, space: &Arc<Space>) -> Option<Point> {
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
            let point = self.at.as_ref()?;
            if !self.contains(point) {
                return Some(point.clone());
            }
            // Stays at the last point: asking again gives `None` again.
            self.at = Some(point.successor()?);
            self.passed += 1;
        }
    }
}

impl From<Tried> for Written {
    fn from(tried: Tried) -> Self {
        let mut prints: Vec<u128> = tried.prints.into_iter().collect();
        prints.sort_unstable();
        Self {
            points: prints.iter().map(|p| format!("{p:032x}")).collect(),
            passed: tried.passed,
        }
    }
}

impl TryFrom<Written> for Tried {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let text = written.points;
        if !text.len().is_multiple_of(32) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("tried points are 32 hexadecimal digits each");
        }
        let prints = (0..text.len() / 32)
            .map(|i| u128::from_str_radix(&text[32 * i..32 * (i + 1)], 16))
            .collect::<Result<Prints, _>>()
            .map_err(|_| "tried points are hexadecimal")?;
        if written.passed > prints.len() as u64 {
            return Err("more points were passed than tried");
        }
        Ok(Self {
            prints,
            passed: written.passed,
            at: None,
        })
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
        let mut points = 0;
        while let Some(point) = tried.first_left(&space) {
            assert!(tried.insert(&point));
            points += 1;
            if points == 4 {
                let text = serde_json::to_string(&tried).unwrap();
                tried = serde_json::from_str(&text).unwrap();
            }
        }
        // depth 1..3 without width, 4 and 5 with three widths each, and kind b alone.
        assert_eq!(points, 3 + 2 * 3 + 1);
        assert_eq!(tried.first_left(&space), None);
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
        for (points, passed) in [
            ("é123456789012345678901234567890", 0),
            ("12", 0),
            ("+1234567890123456789012345678901", 0),
            ("", 1),
        ] {
            let json = serde_json::json!({"points": points, "passed": passed});
            assert!(serde_json::from_value::<Tried>(json).is_err());
        }
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
