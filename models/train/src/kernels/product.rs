//! Matrix products, by the kernels of the engine that runs models.

use rayon::prelude::*;
use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_tensor::Matrix;

use super::elementwise::joined;
use super::reduce::sum_to;
use crate::array::Array;

thread_local! {
    static EXECUTOR: GemmExecutor = GemmExecutor::new();
}

/// Multiplications from which on the products of a batch are shared between threads.
const WORTHWHILE: usize = 1 << 16;

/// A matrix, as it lies or turned.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    strides: [usize; 2],
}

impl<'a> Side<'a> {
    /// A row-major matrix.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self {
            values,
            rows,
            columns,
            strides: [columns, 1],
        }
    }

    /// Rows for columns.
    pub(crate) fn turned(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            strides: [self.strides[1], self.strides[0]],
        }
    }

    fn turned_if(self, turned: bool) -> Self {
        if turned { self.turned() } else { self }
    }

    fn matrix(self) -> Matrix<'a, f32> {
        Matrix::from_slice_with_strides([self.rows, self.columns], self.values, self.strides)
            .expect("a matrix has as many elements as its extents say")
    }
}

/// `out = a · b`, plus a bias for each row of the result where one is given.
pub(crate) fn multiply(out: &mut [f32], a: Side<'_>, b: Side<'_>, bias: Option<&[f32]>) {
    run(out, a, b, 0.0, bias);
}

/// `out += a · b`.
pub(crate) fn multiply_onto(out: &mut [f32], a: Side<'_>, b: Side<'_>) {
    run(out, a, b, 1.0, None);
}

fn run(out: &mut [f32], a: Side<'_>, b: Side<'_>, beta: f32, bias: Option<&[f32]>) {
    // The kernel for a single row splits columns by the number of threads, and rounds those at the edges in another way; as a single
    // column the product has one order.
    let mut bias = bias.map(BiasVector::Column);
    let (mut a, mut b) = (a, b);
    if a.rows == 1 && b.columns > 1 {
        (a, b) = (b.turned(), a.turned());
        // The one number for the only row is then that for the only column.
        if let Some(BiasVector::Column(number)) = bias {
            bias = Some(BiasVector::Row(number));
        }
    }
    let options = GemmOptions {
        beta,
        bias,
        ..GemmOptions::default()
    };
    let (a, b) = (
        GemmInputA::Unpacked(a.matrix()),
        GemmInputB::Unpacked(b.matrix()),
    );
    EXECUTOR
        .with(|executor| executor.gemm(out, a, b, options))
        .expect("extents of a product are checked before");
}

/// A tensor's last two axes as a matrix, the others as a batch.
struct Batch<'a> {
    values: &'a [f32],
    outer: &'a [usize],
    rows: usize,
    columns: usize,
    turned: bool,
}

impl<'a> Batch<'a> {
    fn new(x: &'a Array, turned: bool) -> Self {
        let (outer, inner) = x.shape().split_at(x.shape().len() - 2);
        Self {
            values: x.values(),
            outer,
            rows: inner[0],
            columns: inner[1],
            turned,
        }
    }

    /// Rows and columns of a factor.
    fn extents(&self) -> [usize; 2] {
        if self.turned {
            [self.columns, self.rows]
        } else {
            [self.rows, self.columns]
        }
    }

    /// The factor at a place of the batch that the product has.
    fn side(&self, batch: &[usize], place: usize) -> Side<'a> {
        let (mut place, mut at, mut stride) = (place, 0, 1);
        for (&extent, &own) in batch.iter().zip(self.outer).rev() {
            if own != 1 {
                at += place % extent * stride;
                stride *= own;
            }
            place /= extent;
        }
        let len = self.rows * self.columns;
        Side::new(&self.values[at * len..][..len], self.rows, self.columns).turned_if(self.turned)
    }
}

/// Matrix products over the last two axes, of factors as they are or turned; axes of extent 1 before them broadcast.
pub(crate) fn matmul(a: &Array, b: &Array, turned: [bool; 2]) -> Array {
    let (left, right) = (Batch::new(a, turned[0]), Batch::new(b, turned[1]));
    let ([rows, depth], [_, columns]) = (left.extents(), right.extents());
    let mut shape = joined(left.outer, right.outer);
    let batch = shape.clone();
    shape.extend([rows, columns]);
    let count: usize = batch.iter().product();
    Array::written(&shape, |out| {
        if out.is_empty() {
            return;
        }
        // The same second factor for all: one tall product.
        if !left.turned && right.outer.iter().all(|&extent| extent == 1) {
            let tall = Side::new(left.values, count * rows, depth);
            return multiply(out, tall, right.side(&[], 0), None);
        }
        let product = |(place, out): (usize, &mut [f32])| {
            multiply(
                out,
                left.side(&batch, place),
                right.side(&batch, place),
                None,
            );
        };
        let out = out.chunks_exact_mut(rows * columns).enumerate();
        if count > 1 && count * rows * columns * depth >= WORTHWHILE {
            out.collect::<Vec<_>>().into_par_iter().for_each(product);
        } else {
            out.for_each(product);
        }
    })
}

/// The gradient of [`matmul`] by its first factor, of the given shape, given the other.
pub(crate) fn first_back(gradient: &Array, b: &Array, shape: &[usize], turned: [bool; 2]) -> Array {
    // C = A·B: ∂A = ∂C·Bᵀ, and its transpose where A was turned.
    let found = if turned[0] {
        matmul(b, gradient, [turned[1], true])
    } else {
        matmul(gradient, b, [false, !turned[1]])
    };
    sum_to(found, shape)
}

/// The gradient of [`matmul`] by its second factor, of the given shape, given the other.
pub(crate) fn second_back(
    gradient: &Array,
    a: &Array,
    shape: &[usize],
    turned: [bool; 2],
) -> Array {
    let outer = &shape[..shape.len() - 2];
    // One tall product adds up what all of the batch ask of the factor they share.
    if !turned[0] && outer.iter().all(|&extent| extent == 1) {
        let tall = |x: &Array| {
            let columns = x.shape()[x.shape().len() - 1];
            let rows = x.len().checked_div(columns).unwrap_or(0);
            x.clone().reshaped(&[rows, columns])
        };
        let (a, gradient) = (tall(a), tall(gradient));
        let found = if turned[1] {
            matmul(&gradient, &a, [true, false])
        } else {
            matmul(&a, &gradient, [true, false])
        };
        return found.reshaped(shape);
    }
    // C = A·B: ∂B = Aᵀ·∂C, and its transpose where B was turned.
    let found = if turned[1] {
        matmul(gradient, a, [true, turned[0]])
    } else {
        matmul(a, gradient, [!turned[0], false])
    };
    sum_to(found, shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize]) -> Array {
        let len = shape.iter().product::<usize>();
        let values: Vec<f32> = (0..len).map(|v| ((v * 7) % 11) as f32 - 5.0).collect();
        Array::new(values, shape)
    }

    /// A product by the definition, for one batch axis.
    fn slow(a: &Array, b: &Array, turned: [bool; 2]) -> Vec<f32> {
        let at = |x: &Array, batch: usize, i: usize, j: usize, turned: bool| {
            let [outer, rows, columns] = *x.shape() else {
                panic!("three axes")
            };
            let (i, j) = if turned { (j, i) } else { (i, j) };
            assert!(i < rows && j < columns);
            x.values()[(batch.min(outer - 1) * rows + i) * columns + j]
        };
        let extents = |x: &Array, turned: bool| {
            let (rows, columns) = (x.shape()[1], x.shape()[2]);
            if turned {
                (columns, rows)
            } else {
                (rows, columns)
            }
        };
        let ((rows, depth), (_, columns)) = (extents(a, turned[0]), extents(b, turned[1]));
        let mut out = Vec::new();
        for batch in 0..a.shape()[0].max(b.shape()[0]) {
            for i in 0..rows {
                for j in 0..columns {
                    let terms = (0..depth)
                        .map(|k| at(a, batch, i, k, turned[0]) * at(b, batch, k, j, turned[1]));
                    out.push(terms.sum());
                }
            }
        }
        out
    }

    #[test]
    fn products_of_batches_and_turned_factors() {
        for (outer_a, outer_b) in [(1, 1), (3, 3), (3, 1), (1, 3)] {
            for turned in [[false, false], [false, true], [true, false], [true, true]] {
                for (rows, depth, columns) in [(2, 3, 4), (1, 5, 7), (4, 2, 1), (1, 6, 1)] {
                    let shape = |outer: usize, rows: usize, columns: usize, turned: bool| {
                        if turned {
                            [outer, columns, rows]
                        } else {
                            [outer, rows, columns]
                        }
                    };
                    let a = array(&shape(outer_a, rows, depth, turned[0]));
                    let b = array(&shape(outer_b, depth, columns, turned[1]));
                    let product = matmul(&a, &b, turned);
                    assert_eq!(product.values(), slow(&a, &b, turned), "{turned:?}");
                    let g = array(product.shape());
                    // ⟨g, A·B⟩ is linear in each factor, so a gradient's product with its factor is that number.
                    let inner = |x: &Array, y: &Array| -> f32 {
                        assert_eq!(x.shape(), y.shape());
                        x.values().iter().zip(y.values()).map(|(x, y)| x * y).sum()
                    };
                    let expected = inner(&g, &product);
                    let by_a = first_back(&g, &b, a.shape(), turned);
                    let by_b = second_back(&g, &a, b.shape(), turned);
                    assert_eq!(inner(&by_a, &a), expected, "{turned:?}");
                    assert_eq!(inner(&by_b, &b), expected, "{turned:?}");
                }
            }
        }
    }

    #[test]
    fn a_bias_is_added_to_each_row() {
        let (a, b) = (array(&[1, 2, 3]), array(&[1, 3, 2]));
        let expected = slow(&a, &b, [false; 2]);
        let mut out = vec![0.0; 4];
        let (a, b) = (Side::new(a.values(), 2, 3), Side::new(b.values(), 3, 2));
        multiply(&mut out, a, b, Some(&[10.0, 20.0]));
        let sums = [10.0, 10.0, 20.0, 20.0];
        let sums: Vec<f32> = expected.iter().zip(sums).map(|(e, b)| e + b).collect();
        assert_eq!(out, sums);
        multiply_onto(&mut out, a, b);
        let twice: Vec<f32> = sums.iter().zip(&expected).map(|(s, e)| s + e).collect();
        assert_eq!(out, twice);
    }
}
