//! Arrays of `f32`: shared where they are only read, changed in place where there is no other reader.

use std::sync::Arc;

use super::buffers::Buffer;

/// A row-major array. Clones share the elements.
#[derive(Debug, Clone)]
pub(super) struct Array {
    values: Arc<Buffer>,
    shape: Arc<[usize]>,
}

impl Array {
    /// An array of the given elements, as many as the shape says.
    pub(super) fn new(values: impl Into<Buffer>, shape: &[usize]) -> Self {
        let values = values.into();
        debug_assert_eq!(values.len(), shape.iter().product::<usize>());
        Self {
            values: Arc::new(values),
            shape: shape.into(),
        }
    }

    /// An array of one value.
    pub(super) fn filled(shape: &[usize], value: f32) -> Self {
        Self::new(Buffer::filled(shape.iter().product(), value), shape)
    }

    /// An array whose elements `fill` writes, every one of them.
    pub(super) fn written(shape: &[usize], fill: impl FnOnce(&mut [f32])) -> Self {
        let mut values = Buffer::stale(shape.iter().product());
        fill(&mut values);
        Self::new(values, shape)
    }

    /// The extent of each axis.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The elements, row by row.
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The elements, to be changed; copied before where something else reads them.
    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        Arc::<Buffer>::make_mut(&mut self.values)
    }

    /// The elements, to be changed, where nothing else reads them.
    pub(super) fn alone(&mut self) -> Option<&mut [f32]> {
        Arc::get_mut(&mut self.values).map(|values| &mut **values)
    }

    /// The same elements under another shape.
    pub(super) fn reshaped(self, shape: &[usize]) -> Self {
        debug_assert_eq!(self.len(), shape.iter().product::<usize>());
        Self {
            values: self.values,
            shape: shape.into(),
        }
    }
}

#[cfg(test)]
impl Array {
    /// 0, 1, 2 and so on.
    pub(super) fn counted(shape: &[usize]) -> Self {
        let len = shape.iter().product::<usize>();
        Self::new((0..len).map(|v| v as f32).collect::<Vec<_>>(), shape)
    }
}

/// How many elements lie before, along and behind `axis` of a shape.
pub(super) fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    let product = |axes: &[usize]| axes.iter().product();
    (
        product(&shape[..axis]),
        shape[axis],
        product(&shape[axis + 1..]),
    )
}

/// `shape` with another extent along `axis`.
pub(super) fn resized(shape: &[usize], axis: usize, extent: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape[axis] = extent;
    shape
}
