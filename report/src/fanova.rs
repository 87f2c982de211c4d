//! How much each axis of a space decides an objective: functional analysis of variance on a random forest.
//!
//! A forest is fitted to the trials (Breiman, "Random Forests", 2001). What it predicts over the whole space, every axis drawn
//! evenly on its own scale, has a variance; an axis's importance is the share of it that the mean prediction along that axis
//! alone has (Hutter, Hoos and Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance", 2014). A tree is
//! constant on boxes, so the mean along an axis is an exact sum over its leaves; the variance of the whole forest is taken from
//! a sample, because that of single trees is for a good part noise. What is left is due to axes that act together.
//!
//! An inactive axis stands in the middle of its domain. So a conditional axis matters as much as it does where it is active, less
//! the share of the space where it is not.

use lapidary_core::rng::Rng;
use lapidary_core::space::{AxisValue, Domain, Point};

/// Trees of a forest.
const TREES: u64 = 64;

/// Trials that a tree sees, drawn with replacement.
const SAMPLE: usize = 4096;

/// Trials in a leaf, at least.
const LEAF: usize = 2;

/// Places at which the forest's variance is taken.
const PLACES: u64 = 8192;

/// Shares of an objective's variance; together they make 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    /// What each axis decides alone, by axis index, in [0, 1].
    pub axes: Vec<f64>,
    /// What axes decide only together.
    pub joint: f64,
}

/// The importance of the axes for `values`, finite numbers measured at `points` of one space; `None` where there is nothing to
/// explain: fewer than two points, or values that are all the same.
pub fn importance(points: &[&Point], values: &[f64]) -> Option<Importance> {
    let domains: Vec<&Domain> = (points.first()?.space().axes().iter())
        .map(|axis| &axis.domain)
        .collect();
    let data = Data {
        options: domains.iter().map(|domain| options(domain)).collect(),
        places: (domains.iter().enumerate())
            .map(|(axis, domain)| {
                points
                    .iter()
                    .map(|point| place(domain, axis, point))
                    .collect()
            })
            .collect(),
        values: centred(values)?,
    };
    if domains.is_empty() {
        return None;
    }
    let n = points.len();
    let forest = Forest(
        (0..TREES)
            .map(|tree| {
                let mut rng = Rng::keyed(0, tree, "importance");
                let rows: Vec<usize> = (0..n.min(SAMPLE)).map(|_| rng.index(n)).collect();
                data.tree(&rows)
            })
            .collect(),
    );
    forest.importance(&data.options)
}

/// The number of options of a choice; `None` for numbers.
fn options(domain: &Domain) -> Option<usize> {
    match domain {
        Domain::Choice { options } => Some(options.len()),
        Domain::Float { .. } | Domain::Int { .. } => None,
    }
}

/// Where a point stands on an axis: the index of an option, or a place in [0, 1].
fn place(domain: &Domain, axis: usize, point: &Point) -> f64 {
    match point.values()[axis].unwrap_or_else(|| domain.at_unit(0.5)) {
        AxisValue::Choice(option) => option as f64,
        number => domain.to_unit(number),
    }
}

/// The values around their mean, in [−2, 2] so that squares stay finite; `None` where they do not differ.
fn centred(values: &[f64]) -> Option<Vec<f64>> {
    let largest = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let scaled: Vec<f64> = values.iter().map(|v| v / largest).collect();
    let mean = scaled.iter().sum::<f64>() / scaled.len() as f64;
    let differ = values.iter().any(|v| *v != values[0]);
    differ.then(|| scaled.iter().map(|v| v - mean).collect())
}

/// What a forest is fitted to.
struct Data {
    /// The number of options of each axis that is a choice.
    options: Vec<Option<usize>>,
    /// By axis, then by trial.
    places: Vec<Vec<f64>>,
    values: Vec<f64>,
}

/// The part of an axis that a box covers.
#[derive(Clone)]
enum Part {
    Between(f64, f64),
    Options(Vec<bool>),
}

impl Part {
    /// The part's share of the axis.
    fn share(&self) -> f64 {
        match self {
            Self::Between(low, high) => high - low,
            Self::Options(within) => {
                within.iter().filter(|is| **is).count() as f64 / within.len() as f64
            }
        }
    }

    fn holds(&self, place: f64) -> bool {
        match self {
            Self::Between(low, high) => (*low..*high).contains(&place),
            Self::Options(within) => within[place as usize],
        }
    }
}

/// A box of the space in which a tree predicts one value.
struct Leaf {
    parts: Vec<Part>,
    value: f64,
}

/// A regression tree: its decisions, and the boxes they lead to.
struct Tree {
    root: Node,
    leaves: Vec<Leaf>,
}

enum Node {
    Leaf(f64),
    /// A place within the part goes to the first child, any other to the second.
    Split(usize, Part, Box<[Node; 2]>),
}

/// Trees whose mean is the prediction.
struct Forest(Vec<Tree>);

/// A way to part the trials of a node along an axis.
struct Split {
    axis: usize,
    below: Part,
    above: Part,
    /// Places up to this one lie below; of a choice the options of `below` do.
    last: f64,
    gain: f64,
}

impl Split {
    fn is_below(&self, place: f64) -> bool {
        match &self.below {
            Part::Between(..) => place <= self.last,
            options => options.holds(place),
        }
    }
}

/// What a split in two is worth; the more, the less squared error is left.
#[derive(Clone, Copy)]
struct Gains {
    total: f64,
    count: usize,
    least: f64,
}

impl Gains {
    fn of(total: f64, count: usize) -> Self {
        let least = total * total / count as f64 + 1e-12;
        Self {
            total,
            count,
            least,
        }
    }

    /// Whether to part the trials so that the first `below`, whose values add up to `sum`, are on one side is better than all before.
    fn is_better(&mut self, sum: f64, below: usize) -> bool {
        let above = self.count - below;
        if below < LEAF || above < LEAF {
            return false;
        }
        let rest = self.total - sum;
        let gain = sum * sum / below as f64 + rest * rest / above as f64;
        let better = gain > self.least;
        if better {
            self.least = gain;
        }
        better
    }
}

impl Data {
    /// The tree for some of the trials, which are sorted along every axis of numbers once: parting them keeps the order.
    fn tree(&self, rows: &[usize]) -> Tree {
        let whole = (self.options.iter())
            .map(|options| match options {
                Some(n) => Part::Options(vec![true; *n]),
                None => Part::Between(0.0, 1.0),
            })
            .collect();
        let sorted = (self.options.iter().zip(&self.places))
            .map(|(options, places)| {
                let mut rows = rows.to_vec();
                if options.is_none() {
                    rows.sort_by(|a, b| f64::total_cmp(&places[*a], &places[*b]));
                }
                rows
            })
            .collect();
        let mut leaves = Vec::new();
        let root = self.grow(sorted, whole, &mut leaves);
        Tree { root, leaves }
    }

    /// A node for trials, given once for every axis.
    fn grow(&self, sorted: Vec<Vec<usize>>, mut parts: Vec<Part>, leaves: &mut Vec<Leaf>) -> Node {
        let best = (0..parts.len())
            .filter_map(|axis| self.split(&sorted[axis], axis, &parts[axis]))
            .reduce(|best, split| if split.gain > best.gain { split } else { best });
        let Some(split) = best else {
            let rows = &sorted[0];
            let value = self.sum(rows) / rows.len() as f64;
            leaves.push(Leaf { parts, value });
            return Node::Leaf(value);
        };
        let axis = split.axis;
        let places = &self.places[axis];
        let is_below = |row: &usize| split.is_below(places[*row]);
        let (below, above) = (sorted.into_iter())
            .map(|rows| rows.into_iter().partition::<Vec<_>, _>(is_below))
            .unzip();
        let mut rest = parts.clone();
        rest[axis] = split.above;
        parts[axis] = split.below.clone();
        let children = [
            self.grow(below, parts, leaves),
            self.grow(above, rest, leaves),
        ];
        Node::Split(axis, split.below, Box::new(children))
    }

    fn sum(&self, rows: &[usize]) -> f64 {
        rows.iter().map(|row| self.values[*row]).sum()
    }

    /// The split along an axis that leaves the least squared error; `None` where none makes it less.
    fn split(&self, rows: &[usize], axis: usize, part: &Part) -> Option<Split> {
        match part {
            Part::Between(low, high) => self.split_numbers(rows, axis, *low, *high),
            Part::Options(within) => self.split_options(rows, axis, within),
        }
    }

    fn split_numbers(&self, rows: &[usize], axis: usize, low: f64, high: f64) -> Option<Split> {
        let places = &self.places[axis];
        let mut gains = Gains::of(self.sum(rows), rows.len());
        let (mut best, mut sum) = (None, 0.0);
        for (i, pair) in rows.windows(2).enumerate() {
            sum += self.values[pair[0]];
            let (place, next) = (places[pair[0]], places[pair[1]]);
            if place != next && gains.is_better(sum, i + 1) {
                best = Some((place, next));
            }
        }
        let (last, next) = best?;
        let at = (last + next) / 2.0;
        Some(Split {
            axis,
            below: Part::Between(low, at),
            above: Part::Between(at, high),
            last,
            gain: gains.least,
        })
    }

    /// Options are sorted by their mean value: a best split is among those of neighbours (Fisher, "On Grouping for Maximum
    /// Homogeneity", 1958).
    fn split_options(&self, rows: &[usize], axis: usize, within: &[bool]) -> Option<Split> {
        let mut sums = vec![(0.0, 0_usize); within.len()];
        for row in rows {
            let (sum, count) = &mut sums[self.places[axis][*row] as usize];
            *sum += self.values[*row];
            *count += 1;
        }
        let taken = sums.iter().enumerate().filter(|(_, (_, count))| *count > 0);
        let mut taken: Vec<(f64, usize)> = taken
            .map(|(option, (sum, count))| (sum / *count as f64, option))
            .collect();
        taken.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let total = taken.iter().map(|(_, option)| sums[*option].0).sum();
        let mut gains = Gains::of(total, rows.len());
        let (mut best, mut sum, mut count) = (None, 0.0, 0);
        for (i, (_, option)) in taken.iter().enumerate() {
            sum += sums[*option].0;
            count += sums[*option].1;
            if gains.is_better(sum, count) {
                best = Some(i);
            }
        }
        let best = best?;
        let mut low = vec![false; within.len()];
        for (_, option) in &taken[..=best] {
            low[*option] = true;
        }
        // Options that no trial has stay with those above.
        let high = (within.iter().zip(&low))
            .map(|(within, low)| *within && !low)
            .collect();
        Some(Split {
            axis,
            below: Part::Options(low),
            above: Part::Options(high),
            last: 0.0,
            gain: gains.least,
        })
    }
}

impl Tree {
    fn predict(&self, places: &[f64]) -> f64 {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(value) => return *value,
                Node::Split(axis, part, children) => {
                    node = &children[usize::from(!part.holds(places[*axis]))];
                }
            }
        }
    }
}

impl Leaf {
    /// What the leaf adds to the mean prediction wherever it is along `axis`.
    fn along(&self, axis: usize) -> f64 {
        let others = self.parts.iter().enumerate().filter(|(i, _)| *i != axis);
        self.value * others.map(|(_, part)| part.share()).product::<f64>()
    }
}

impl Forest {
    /// The shares of the prediction's variance; `None` where it is the same everywhere.
    fn importance(&self, options: &[Option<usize>]) -> Option<Importance> {
        let cells: Vec<_> = (options.iter().enumerate())
            .map(|(axis, options)| match options {
                Some(n) => self.mean_by_option(axis, *n),
                None => self.mean_along(axis),
            })
            .collect();
        let alone: Vec<f64> = cells.iter().map(|cells| variance(cells)).collect();
        // A sample may miss a little of it.
        let whole = self.variance(options).max(alone.iter().sum());
        (whole > 1e-12).then(|| {
            let axes: Vec<f64> = alone.iter().map(|alone| alone / whole).collect();
            let joint = (1.0 - axes.iter().sum::<f64>()).max(0.0);
            Importance { axes, joint }
        })
    }

    /// The variance of the prediction over the space.
    fn variance(&self, options: &[Option<usize>]) -> f64 {
        let mut rng = Rng::keyed(0, TREES, "importance");
        let predicted = (0..PLACES).map(|_| {
            let places: Vec<f64> = (options.iter())
                .map(|options| match options {
                    Some(n) => rng.index(*n) as f64,
                    None => rng.unit(),
                })
                .collect();
            (
                1.0,
                self.0.iter().map(|tree| tree.predict(&places)).sum::<f64>(),
            )
        });
        variance(&predicted.collect::<Vec<_>>())
    }

    fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        self.0.iter().flat_map(|tree| &tree.leaves)
    }

    /// The mean prediction of every option of a choice, with its weight.
    fn mean_by_option(&self, axis: usize, options: usize) -> Vec<(f64, f64)> {
        let mut cells = vec![(1.0, 0.0); options];
        for leaf in self.leaves() {
            let added = leaf.along(axis);
            for (option, (_, mean)) in cells.iter_mut().enumerate() {
                if leaf.parts[axis].holds(option as f64) {
                    *mean += added;
                }
            }
        }
        cells
    }

    /// The mean prediction along an axis of numbers, piece by piece, with their widths.
    fn mean_along(&self, axis: usize) -> Vec<(f64, f64)> {
        // A leaf adds to the mean from its lower edge on and no longer from its upper edge on.
        let mut edges: Vec<(f64, f64)> = (self.leaves())
            .filter_map(|leaf| match leaf.parts[axis] {
                Part::Between(low, high) => {
                    Some([(low, leaf.along(axis)), (high, -leaf.along(axis))])
                }
                Part::Options(_) => None,
            })
            .flatten()
            .collect();
        edges.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut mean = 0.0;
        (edges.windows(2))
            .map(|pair| {
                mean += pair[0].1;
                (pair[1].0 - pair[0].0, mean)
            })
            .collect()
    }
}

/// The variance of values with their weights.
fn variance(cells: &[(f64, f64)]) -> f64 {
    let weight: f64 = cells.iter().map(|(w, _)| w).sum();
    let mean = cells.iter().map(|(w, v)| w * v).sum::<f64>() / weight;
    cells
        .iter()
        .map(|(w, v)| w * (v - mean) * (v - mean))
        .sum::<f64>()
        / weight
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;
    use std::sync::Arc;

    use super::*;
    use lapidary_core::space::{Axis, Space};

    fn float(name: &str, low: f64, high: f64, log: bool) -> Axis {
        let step = None;
        let domain = Domain::Float {
            low,
            high,
            log,
            step,
        };
        Axis::new(name, domain)
    }

    /// The importance that `n` random trials of `function` tell.
    fn told(axes: Vec<Axis>, n: usize, function: impl Fn(&Point) -> f64) -> Importance {
        let space = Arc::new(Space::new(axes).unwrap());
        let mut rng = Rng::keyed(3, 0, "test");
        let points: Vec<Point> = (0..n).map(|_| space.sample(&mut rng)).collect();
        let values: Vec<f64> = points.iter().map(function).collect();
        let points: Vec<&Point> = points.iter().collect();
        importance(&points, &values).unwrap()
    }

    #[track_caller]
    fn close(found: &Importance, axes: &[f64], joint: f64, within: f64) {
        let found = [&found.axes[..], &[found.joint]].concat();
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let wanted = [axes, &[joint]].concat();
        assert!(
            (found.iter().zip(&wanted)).all(|(a, b)| (a - b).abs() < within),
            "{found:?}, not {wanted:?}"
        );
    }

    #[test]
    fn a_sum_of_functions_of_single_axes_has_their_variances() {
        // Variances of x, 2 y over [0, 1] in log scale, and an option worth 1: 1/12, 4/12, 1/4; the last axis does nothing.
        let axes = vec![
            float("x", 0.0, 1.0, false),
            float("y", 1.0, 100.0, true),
            Axis::new(
                "c",
                Domain::Choice {
                    options: vec!["a".into(), "b".into(), "c".into(), "d".into()],
                },
            ),
            float("z", 0.0, 1.0, false),
        ];
        let found = told(axes, 1000, |point| {
            let unit = point.to_unit();
            let option = point.get("c") == Some(AxisValue::Choice(1))
                || point.get("c") == Some(AxisValue::Choice(3));
            unit[0].unwrap() + 2.0 * unit[1].unwrap() + f64::from(u8::from(option))
        });
        close(&found, &[0.125, 0.5, 0.375, 0.0], 0.0, 0.03);
    }

    #[test]
    fn the_ishigami_function_has_its_sobol_indices() {
        // sin x + 7 sin² y + 0.1 z⁴ sin x over [−π, π]: 0.3139, 0.4424, 0 and 0.2437 for x and z together (Ishigami and
        // Homma, 1990; the indices follow from the integrals).
        let axes = ["x", "y", "z"].map(|name| float(name, -PI, PI, false));
        let found = told(axes.into(), 4000, |point| {
            let [x, y, z] = ["x", "y", "z"].map(|name| match point.get(name) {
                Some(AxisValue::Float(v)) => v,
                _ => unreachable!(),
            });
            libm::sin(x) + 7.0 * libm::pow(libm::sin(y), 2.0) + 0.1 * z.powi(4) * libm::sin(x)
        });
        close(&found, &[0.3139, 0.4424, 0.0], 0.2437, 0.05);
    }

    #[test]
    fn a_conditional_axis_counts_where_it_is_active() {
        let mut momentum = float("momentum", 0.0, 1.0, false);
        let options = vec!["adamw".into(), "sgd".into()];
        let optimizer = Axis::new("optimizer", Domain::Choice { options });
        momentum.when =
            Some(lapidary_core::condition::Condition::parse("optimizer == sgd").unwrap());
        let found = told(vec![optimizer, momentum], 1000, |point| {
            match point.get("momentum") {
                Some(AxisValue::Float(m)) => 2.0 * m,
                _ => 3.0,
            }
        });
        // The optimizers' means 3 and 1 have variance 1; the mean 3/2 + m along momentum has 1/12; within sgd there is 1/3, so
        // that the whole is 1 + 1/6.
        close(&found, &[6.0 / 7.0, 0.5 / 7.0], 0.5 / 7.0, 0.03);
    }

    #[test]
    fn there_is_nothing_to_explain_where_nothing_differs() {
        let space = Arc::new(Space::new(vec![float("x", 0.0, 1.0, false)]).unwrap());
        let (a, b) = (space.at_unit(&[0.1]), space.at_unit(&[0.9]));
        assert_eq!(importance(&[], &[]), None);
        assert_eq!(importance(&[&a], &[1.0]), None);
        assert_eq!(importance(&[&a, &b], &[0.0, 0.0]), None);
        assert_eq!(importance(&[&a, &a, &a, &a], &[1.0, 2.0, 3.0, 4.0]), None);
        let far = [-f64::MAX, -f64::MAX, f64::MAX, f64::MAX];
        let found = importance(&[&a, &a, &b, &b], &far).unwrap();
        close(&found, &[1.0], 0.0, 1e-9);
    }
}
