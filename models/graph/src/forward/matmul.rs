//! Matrix products.

use crate::tape::{Call, Outputs, broadcast, of_rank, one, sized};

/// Batched products; a vector becomes a row on the left and a column on the right, as in numpy.
pub fn matmul(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let (a, b) = (call.float(0)?, call.float(1)?);
    let (mut left, mut right) = (a.shape().to_vec(), b.shape().to_vec());
    if left.is_empty() || right.is_empty() {
        return Err("a scalar has no matrix product".into());
    }
    let (row, column) = (left.len() == 1, right.len() == 1);
    if row {
        left.insert(0, 1);
    }
    if column {
        right.push(1);
    }
    let depth = left[left.len() - 1];
    if depth != right[right.len() - 2] {
        return Err(format!("inner sizes of {left:?} and {right:?} differ"));
    }
    let mut out = broadcast(&left[..left.len() - 2], &right[..right.len() - 2])?;
    if !row {
        out.push(left[left.len() - 2]);
    }
    if !column {
        out.push(right[right.len() - 1]);
    }
    sized(&out)?;
    let (a, b) = (tape.reshape(a, &left), tape.reshape(b, &right));
    if right.len() == 2 && left.len() > 2 {
        // One weight for all: a single large product instead of many small ones.
        let rows = left[..left.len() - 1].iter().product();
        let product = tape.matmul(tape.reshape(a, &[rows, depth]), b);
        return one(tape.reshape(product, &out));
    }
    let rank = left.len().max(right.len());
    let product = tape.matmul(of_rank(tape, a, rank), of_rank(tape, b, rank));
    one(if product.shape() == out {
        product
    } else {
        tape.reshape(product, &out)
    })
}
