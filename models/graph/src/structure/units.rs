//! Units: channels that stand or fall together.

/// Number of a unit within [`Units`].
pub(crate) type Unit = u32;

/// The most units of a graph; shapes in a file can claim any extent.
const MOST_UNITS: usize = 1 << 26;

/// Disjoint sets of units (union–find: Tarjan, "Efficiency of a Good But Not Linear Set Union Algorithm", 1975). A set's
/// representative is its smallest unit, so results do not depend on the order of unions.
#[derive(Debug, Default)]
pub(crate) struct Units {
    parent: Vec<Unit>,
    /// Whether the set must stay whole; kept at the representative.
    pinned: Vec<bool>,
}

impl Units {
    /// Number of units made so far.
    pub(crate) fn len(&self) -> usize {
        self.parent.len()
    }

    /// Makes `n` units, each a set of its own. `None` where there would be more than any real model has.
    pub(crate) fn fresh(&mut self, n: usize) -> Option<Vec<Unit>> {
        let first = self.parent.len();
        let end = first.checked_add(n).filter(|&end| end <= MOST_UNITS)?;
        self.parent.extend(first as Unit..end as Unit);
        self.pinned.resize(end, false);
        Some((first as Unit..end as Unit).collect())
    }

    /// The representative of the set that `unit` is in.
    pub(crate) fn find(&mut self, unit: Unit) -> Unit {
        let mut root = unit;
        while self.parent[root as usize] != root {
            root = self.parent[root as usize];
        }
        let mut at = unit;
        while self.parent[at as usize] != root {
            at = std::mem::replace(&mut self.parent[at as usize], root);
        }
        root
    }

    /// Makes one set of the sets of `a` and `b`.
    pub(crate) fn union(&mut self, a: Unit, b: Unit) {
        let (a, b) = (self.find(a), self.find(b));
        let (root, other) = (a.min(b), a.max(b));
        self.parent[other as usize] = root;
        self.pinned[root as usize] |= self.pinned[other as usize];
    }

    /// Keeps the set of `unit` whole.
    pub(crate) fn pin(&mut self, unit: Unit) {
        let root = self.find(unit);
        self.pinned[root as usize] = true;
    }

    /// Whether the set of `unit` must stay whole.
    pub(crate) fn is_pinned(&mut self, unit: Unit) -> bool {
        let root = self.find(unit);
        self.pinned[root as usize]
    }
}
