//! Integer tensors of more than one axis: exporters reorder the entries of a list through matrices (the pads of
//! `Pad`, for example).

use ndarray::{ArrayD, Axis, IxDyn};

use super::ops::slice_range;
use super::{Call, axis_of};

type Ints = Vec<Option<i64>>;

impl Call<'_> {
    /// The elements of input 0 in their shape, where both are known.
    fn array(&self) -> Option<ArrayD<Option<i64>>> {
        let shape: Vec<usize> = self.shape(0)?.iter().copied().collect::<Option<_>>()?;
        let list = self.inputs.first()?.ints.clone()?;
        ArrayD::from_shape_vec(IxDyn(&shape), list).ok()
    }

    pub(super) fn transposed_ints(&self) -> Option<Ints> {
        let array = self.array()?;
        let rank = array.ndim();
        let order: Vec<usize> = match self.node.ints("perm") {
            Some(perm) => perm
                .iter()
                .map(|&p| axis_of(p, rank))
                .collect::<Option<_>>()?,
            None => (0..rank).rev().collect(),
        };
        let mut seen = order.clone();
        seen.sort_unstable();
        if !seen.into_iter().eq(0..rank) {
            return None;
        }
        Some(array.permuted_axes(order).iter().copied().collect())
    }

    pub(super) fn sliced_ints(&self) -> Option<Ints> {
        let mut array = self.array()?;
        let (starts, ends) = (self.list("starts", 1)?, self.list("ends", 2)?);
        let axes = match self.node.ints("axes").is_some() || self.given(3) {
            true => self.list("axes", 3)?,
            false => (0..starts.len() as i64).collect(),
        };
        let steps = match self.given(4) {
            true => self.ints(4)?,
            false => vec![1; starts.len()],
        };
        for (i, &axis) in axes.iter().enumerate() {
            let axis = axis_of(axis, array.ndim())?;
            let step = *steps.get(i)?;
            let extent = array.len_of(Axis(axis));
            let (from, count) = slice_range(extent, *starts.get(i)?, *ends.get(i)?, step)?;
            let step = isize::try_from(step).ok()?;
            let mut indices = Vec::with_capacity(count);
            let mut at = from;
            for _ in 0..count {
                indices.push(at);
                at = at.wrapping_add_signed(step);
            }
            if indices.iter().any(|&i| i >= extent) {
                return None;
            }
            array = array.select(Axis(axis), &indices);
        }
        Some(array.iter().copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::{DType, Dense};

    use crate::build::GraphBuilder;
    use crate::shape::Shapes;

    /// PyTorch states pads from the last axis to the first; its exporter turns the list around as a matrix.
    #[test]
    fn a_list_reordered_through_a_matrix_is_followed() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[3, 5, 6]);
        let ints = |b: &mut GraphBuilder, name: &str, list: &[i64]| {
            b.weight(name, Dense::i64(&[list.len()], list.to_vec()).unwrap())
        };
        let pads = ints(&mut b, "pads", &[1, 2, 3, 4, 5, 6, 0, 0]);
        let pairs = ints(&mut b, "pairs", &[-1, 2]);
        let (last, first) = (
            ints(&mut b, "last", &[-1]),
            ints(&mut b, "first", &[i64::MIN + 1]),
        );
        let zero = ints(&mut b, "zero", &[0]);
        let matrix = b.node("Reshape", "matrix", &[&pads, &pairs], []);
        let turned = b.node(
            "Slice",
            "turned",
            &[&matrix, &last, &first, &zero, &last],
            [],
        );
        let across = b.node("Transpose", "across", &[&turned], [("perm", [1, 0].into())]);
        let list = b.node("Reshape", "list", &[&across, &last], []);
        let y = b.node("Pad", "y", &[&x, &list], []);
        b.output(&y, DType::F32, &[14, 12, 9]);
        let mut graph = b.finish(13).unwrap();
        graph.outputs[0].shape = None;
        let shapes = Shapes::infer(&graph, 1);
        assert_eq!(shapes.known(&y).unwrap(), [1, 14, 12, 9]);
    }
}
