//! A matrix product with a bias.

use crate::tape::{Call, Outputs, Var, aligned, one, sized};

/// `alpha · A · B + beta · C`, with either factor transposed where asked for.
pub fn gemm(call: &mut Call<'_>) -> Outputs {
    let (node, tape) = (call.node, call.tape);
    let scaled = |x: Var, name: &str| match node.float(name, 1.0) {
        1.0 => x,
        factor => tape.scale(x, factor),
    };
    let (mut a, mut b) = (call.float(0)?, call.float(1)?);
    if a.shape().len() != 2 || b.shape().len() != 2 {
        return Err(format!(
            "matrices are needed, given are shapes {:?} and {:?}",
            a.shape(),
            b.shape()
        ));
    }
    if node.int("transA", 0) != 0 {
        a = tape.permute(a, &[1, 0]);
    }
    if node.int("transB", 0) != 0 {
        b = tape.permute(b, &[1, 0]);
    }
    if a.shape()[1] != b.shape()[0] {
        return Err(format!(
            "inner sizes of {:?} and {:?} differ",
            a.shape(),
            b.shape()
        ));
    }
    sized(&[a.shape()[0], b.shape()[1]])?;
    let product = scaled(tape.matmul(a, b), "alpha");
    let Some(c) = call.optional(2)? else {
        return one(product);
    };
    let (product, c) = aligned(tape, product, scaled(c, "beta"))?;
    one(tape.add(product, c))
}
