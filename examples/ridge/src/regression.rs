//! The regression itself.

use nalgebra::{DMatrix, DVector};

/// Rows of numbers `[rows, columns]`, with what they stand for.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The numbers.
    pub x: DMatrix<f64>,
    /// What is to be predicted.
    pub y: DVector<f64>,
}

/// A prediction w·x + b.
#[derive(Debug, Clone)]
pub struct LinearFit {
    /// A weight for each column.
    pub weights: DVector<f64>,
    /// What is added.
    pub bias: f64,
}

impl Rows {
    /// The rows for whose number `keeps` holds.
    pub fn only(&self, keeps: impl Fn(usize) -> bool) -> Self {
        let kept: Vec<usize> = (0..self.y.len()).filter(|row| keeps(*row)).collect();
        Self {
            x: self.x.select_rows(&kept),
            y: self.y.select_rows(&kept),
        }
    }
}

impl LinearFit {
    /// The line through `rows` whose weights a `penalty` keeps small; `None` where there is none of finite weights.
    pub fn through(rows: &Rows, penalty: f64) -> Option<Self> {
        let Rows { x, y } = rows;
        let n = y.len() as f64;
        let (middle, level) = (x.row_mean(), y.mean());
        let centred = DMatrix::from_fn(x.nrows(), x.ncols(), |i, j| x[(i, j)] - middle[j]);
        let identity = DMatrix::identity(x.ncols(), x.ncols());
        let normal = centred.tr_mul(&centred) / n + identity * penalty;
        let right = centred.tr_mul(&y.add_scalar(-level)) / n;
        let weights = normal.cholesky()?.solve(&right);
        let bias = level - middle.tr_dot(&weights);
        let finite = bias.is_finite() && weights.iter().all(|w| w.is_finite());
        finite.then_some(Self { weights, bias })
    }

    /// The squared errors on `rows`, added up.
    pub fn squared_error(&self, rows: &Rows) -> f64 {
        let predicted = (&rows.x * &self.weights).add_scalar(self.bias);
        (predicted - &rows.y).norm_squared()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_and_a_penalty_makes_it_flat() {
        let x = DMatrix::from_fn(6, 2, |i, j| (i * (j + 1)) as f64 + (i * j % 3) as f64);
        let y = DVector::from_fn(6, |i, _| 2.0 * x[(i, 0)] - x[(i, 1)] + 3.0);
        let rows = Rows { x, y };
        let line = LinearFit::through(&rows, 1e-9).unwrap();
        assert!((line.weights[0] - 2.0).abs() < 1e-4 && (line.bias - 3.0).abs() < 1e-4);
        assert!(line.squared_error(&rows) < 1e-6);
        let flat = LinearFit::through(&rows, 1e9).unwrap();
        assert!(flat.weights.norm() < 1e-6);
        assert!((flat.bias - rows.y.mean()).abs() < 1e-6);
        let few = rows.only(|row| row < 2);
        assert_eq!((few.x.nrows(), few.y.len()), (2, 2));
        assert!(LinearFit::through(&few, f64::NAN).is_none());
    }
}
