//! Elements of small integer tensors: graphs compute shapes, axes and indices with them.

use super::ops::{extent, volume};
use super::{Call, MOST_INTS, axis_of};
use crate::graph::Attribute;
use lapidary_core::tensor::Dense;

type Ints = Vec<Option<i64>>;

impl Call<'_> {
    fn partial(&self, i: usize) -> Option<&Ints> {
        self.inputs.get(i)?.ints.as_ref()
    }

    /// The elements of the first output, where they follow from the inputs.
    pub(super) fn followed_ints(&self) -> Option<Ints> {
        let ints = match self.node.op.as_str() {
            "Constant" => self.constant().ints,
            "Shape" => {
                let x = self.shape(0)?;
                let (start, end) = self.shape_range(x.len());
                Some(
                    x.get(start..end)?
                        .iter()
                        .map(|d| d.map(|d| d as i64))
                        .collect(),
                )
            }
            "Size" => Some(vec![volume(self.shape(0)?).map(|n| n as i64)]),
            "Identity" | "Cast" | "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten" => {
                self.partial(0).cloned()
            }
            "Gather" => self.gather_ints(),
            "Concat" if self.shape(0).is_some_and(|s| s.len() == 1) => {
                let parts: Option<Vec<_>> = (0..self.inputs.len())
                    .map(|i| self.partial(i).cloned())
                    .collect();
                Some(parts?.concat())
            }
            "Slice" => self.sliced_ints(),
            "Transpose" => self.transposed_ints(),
            "ConstantOfShape" => self.filled_ints(),
            "Add" => self.zipped(|a, b| a.checked_add(b)),
            "Sub" => self.zipped(|a, b| a.checked_sub(b)),
            "Mul" => self.zipped(|a, b| a.checked_mul(b)),
            "Div" => self.zipped(|a, b| a.checked_div(b)),
            "Mod" => self.zipped(|a, b| a.checked_rem_euclid(b)),
            "Min" => self.zipped(|a, b| Some(a.min(b))),
            "Max" => self.zipped(|a, b| Some(a.max(b))),
            "Equal" => self.zipped(|a, b| Some(i64::from(a == b))),
            "Where" => self.chosen_ints(),
            "ReduceProd" => {
                let list = self.ints(0)?;
                Some(vec![list.iter().try_fold(1i64, |n, &v| n.checked_mul(v))])
            }
            "Range" => {
                let at = |i: usize| self.ints(i)?.first().copied();
                let (from, to, by) = (at(0)?, at(1)?, at(2)?);
                let mut list = Vec::new();
                let mut v = from;
                while (by > 0 && v < to) || (by < 0 && v > to) {
                    if list.len() >= MOST_INTS {
                        return None;
                    }
                    list.push(Some(v));
                    v = v.checked_add(by)?;
                }
                Some(list)
            }
            _ => None,
        };
        ints.filter(|list| list.len() <= MOST_INTS)
    }

    fn gather_ints(&self) -> Option<Ints> {
        let list = self.partial(0)?;
        if self.shape(0)?.len() != 1 {
            return None;
        }
        (self.partial(1)?.iter())
            .map(|at| match at {
                Some(at) => Some(list[axis_of(*at, list.len())?]),
                None => Some(None),
            })
            .collect()
    }

    fn filled_ints(&self) -> Option<Ints> {
        let dims = self.ints(0)?;
        let count = dims
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(extent(d)?))?;
        let value = match self.node.attributes.get("value") {
            Some(Attribute::Tensor(Dense::I64(a))) => *a.first()?,
            Some(Attribute::Tensor(Dense::I32(a))) => i64::from(*a.first()?),
            _ => return None,
        };
        (count <= MOST_INTS).then(|| vec![Some(value); count])
    }

    /// Elements combined one by one; a single element goes with all of the other input.
    fn zipped(&self, f: impl Fn(i64, i64) -> Option<i64>) -> Option<Ints> {
        let (a, b) = (self.partial(0)?, self.partial(1)?);
        let n = a.len().max(b.len());
        let fits = |list: &Ints| list.len() == n || list.len() == 1;
        if self.inputs.len() != 2 || !fits(a) || !fits(b) {
            return None;
        }
        let at = |list: &Ints, i: usize| if list.len() == 1 { list[0] } else { list[i] };
        Some((0..n).map(|i| f(at(a, i)?, at(b, i)?)).collect())
    }

    fn chosen_ints(&self) -> Option<Ints> {
        let (condition, a, b) = (self.partial(0)?, self.partial(1)?, self.partial(2)?);
        let n = condition.len().max(a.len()).max(b.len());
        let fits = |list: &Ints| list.len() == n || list.len() == 1;
        if !fits(condition) || !fits(a) || !fits(b) {
            return None;
        }
        let at = |list: &Ints, i: usize| if list.len() == 1 { list[0] } else { list[i] };
        let choose = |i: usize| match at(condition, i)? {
            0 => at(b, i),
            _ => at(a, i),
        };
        Some((0..n).map(choose).collect())
    }
}
