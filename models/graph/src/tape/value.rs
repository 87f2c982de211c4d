//! Values while a graph runs.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use lapidary_core::tensor::Dense;
use ndarray::ArrayD;

use super::Tape;

/// A tensor of `f32` on a device: what it looks like inside is known to the [`Tape`] that made it.
///
/// Clones share the tensor. A device may compute in place on the last handle, so operators move handles where they can.
#[derive(Clone)]
pub struct Var {
    shape: Arc<[usize]>,
    tensor: Arc<dyn Any + Send + Sync>,
}

impl Var {
    /// The handle of a device's own `tensor`, which has the given shape.
    pub fn new<T: Any + Send + Sync>(tensor: T, shape: &[usize]) -> Self {
        Self {
            shape: shape.into(),
            tensor: Arc::new(tensor),
        }
    }

    /// The extent of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The device's own tensor.
    ///
    /// # Panics
    /// Where it is of another device.
    pub fn get<T: Any>(&self) -> &T {
        self.tensor.downcast_ref().expect(OTHER_DEVICE)
    }

    /// The device's own tensor, to be changed; one of its own where the handle has clones.
    ///
    /// # Panics
    /// Where it is of another device.
    pub fn get_mut<T: Any + Clone + Send + Sync>(&mut self) -> &mut T {
        if Arc::get_mut(&mut self.tensor).is_none() {
            self.tensor = Arc::new(self.get::<T>().clone());
        }
        Arc::get_mut(&mut self.tensor)
            .and_then(|tensor| tensor.downcast_mut())
            .expect(OTHER_DEVICE)
    }

    /// The device's own tensor, moved out where this is the only handle.
    ///
    /// # Panics
    /// Where it is of another device.
    pub fn take<T: Any + Clone + Send + Sync>(self) -> T {
        Arc::unwrap_or_clone(self.tensor.downcast().expect(OTHER_DEVICE))
    }
}

const OTHER_DEVICE: &str = "a tensor stays on the device that made it";

impl fmt::Debug for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Var")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// What a value of the graph is while it runs.
#[derive(Debug, Clone)]
pub enum Value {
    /// Floats.
    Float(Var),
    /// Whole numbers, by which nothing is differentiated: shapes, axes, indices, codes, truth values (0 and 1).
    Int(ArrayD<i64>),
}

impl Value {
    /// A stored tensor: floats as `f32`, integers and truth values as `i64`.
    ///
    /// # Errors
    /// For element types that nothing is computed with.
    pub fn of(dense: &Dense, tape: &dyn Tape) -> Result<Self, String> {
        Ok(match dense {
            Dense::F32(a) => Self::Float(tape.constant(a.iter().copied().collect(), a.shape())),
            Dense::F64(a) => {
                Self::Float(tape.constant(a.iter().map(|&v| v as f32).collect(), a.shape()))
            }
            Dense::I8(a) => Self::Int(a.mapv(i64::from).into_owned()),
            Dense::U8(a) => Self::Int(a.mapv(i64::from).into_owned()),
            Dense::I32(a) => Self::Int(a.mapv(i64::from).into_owned()),
            Dense::I64(a) => Self::Int(a.to_owned().into_owned()),
            Dense::Bool(a) => Self::Int(a.mapv(i64::from).into_owned()),
            Dense::Raw { dtype, .. } => {
                return Err(format!(
                    "holds {dtype}, which cannot be trained with; f32 can"
                ));
            }
        })
    }

    /// The extent of each axis.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Float(x) => x.shape(),
            Self::Int(a) => a.shape(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_gets_its_only_handle_back_unshared() {
        let tensor = Arc::new(vec![1.0f32]);
        let var = Var::new(tensor.clone(), &[1]);
        drop(tensor);
        let clone = var.clone();
        let mut shared: Arc<Vec<f32>> = clone.take();
        assert!(Arc::get_mut(&mut shared).is_none());
        drop(shared);
        let mut only: Arc<Vec<f32>> = var.take();
        assert!(Arc::get_mut(&mut only).is_some());
    }

    #[test]
    fn a_clone_keeps_what_it_had_when_the_other_is_changed() {
        let mut var = Var::new(vec![1.0f32], &[1]);
        let clone = var.clone();
        var.get_mut::<Vec<f32>>()[0] = 2.0;
        assert_eq!(var.get::<Vec<f32>>(), &[2.0]);
        assert_eq!(clone.get::<Vec<f32>>(), &[1.0]);
    }
}
