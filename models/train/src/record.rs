//! What is remembered of a computation, and the way back through it (reverse-mode differentiation: Griewank and Walther, "Evaluating
//! Derivatives", 2008).
//!
//! A tensor by which something is differentiated carries a [`Node`]: the nodes of what it was computed from, and how gradients pass
//! through. What nothing is differentiated by carries none and costs nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::array::Array;
use super::kernels::elementwise::add_to;

/// Gradients by the operands of a kernel, given the gradient by its result and which operands want theirs.
type Backward = Box<dyn FnOnce(Array, &[bool]) -> Vec<Option<Array>> + Send>;

/// A tensor of the device.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    /// Its elements.
    pub(super) array: Array,
    node: Option<Arc<Node>>,
}

/// A remembered result.
struct Node {
    /// Later results have larger numbers, so that the way back meets a result after everything computed from it.
    number: u64,
    operands: Vec<Option<Arc<Node>>>,
    /// Taken when gradients have passed; a leaf has none.
    backward: Mutex<Option<Backward>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Drop for Node {
    /// Long chains go one by one: left to themselves they would go by recursion, as deep as the chain is long.
    fn drop(&mut self) {
        let mut going: Vec<Arc<Node>> = self.operands.drain(..).flatten().collect();
        while let Some(node) = going.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                going.extend(node.operands.drain(..).flatten());
            }
        }
    }
}

fn numbered(operands: Vec<Option<Arc<Node>>>, backward: Option<Backward>) -> Arc<Node> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Arc::new(Node {
        number: NEXT.fetch_add(1, Ordering::Relaxed),
        operands,
        backward: Mutex::new(backward),
    })
}

impl Tensor {
    /// A tensor by which nothing is differentiated.
    pub(super) fn constant(array: Array) -> Self {
        Self { array, node: None }
    }

    /// A tensor to be differentiated by.
    pub(super) fn leaf(array: Array) -> Self {
        Self {
            array,
            node: Some(numbered(Vec::new(), None)),
        }
    }

    /// The result of a kernel on `operands`; `backward` is kept where something is differentiated by one of them.
    pub(super) fn computed<const N: usize>(
        array: Array,
        operands: [Operand; N],
        backward: impl FnOnce(Array, &[bool]) -> Vec<Option<Array>> + Send + 'static,
    ) -> Self {
        Self::computed_of(array, operands.into(), backward)
    }

    /// As [`Self::computed`], of any number of operands.
    pub(super) fn computed_of(
        array: Array,
        operands: Vec<Operand>,
        backward: impl FnOnce(Array, &[bool]) -> Vec<Option<Array>> + Send + 'static,
    ) -> Self {
        let operands: Vec<Option<Arc<Node>>> = operands.into_iter().map(|o| o.0).collect();
        let node = (operands.iter().any(Option::is_some))
            .then(|| numbered(operands, Some(Box::new(backward))));
        Self { array, node }
    }

    /// The elements and the place among what is remembered, apart.
    pub(super) fn parts(self) -> (Array, Operand) {
        (self.array, Operand(self.node))
    }

    /// Whether something is differentiated by it.
    pub(super) fn is_recorded(&self) -> bool {
        self.node.is_some()
    }
}

/// The place of a kernel's operand among what is remembered.
pub(super) struct Operand(Option<Arc<Node>>);

/// Gradients by leaves.
pub(super) struct Gradients(BTreeMap<u64, Array>);

impl Gradients {
    /// Gradients of `Σ output · gradient` for a gradient of the output's shape.
    pub(super) fn of(output: Tensor, gradient: Array) -> Self {
        let mut leaves = BTreeMap::new();
        let mut open: BTreeMap<u64, (Arc<Node>, Array)> = BTreeMap::new();
        if let Some(node) = output.node {
            open.insert(node.number, (node, gradient));
        }
        while let Some((number, (node, gradient))) = open.pop_last() {
            let backward = node
                .backward
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            let Some(backward) = backward else {
                leaves.insert(number, gradient);
                continue;
            };
            let wanted: Vec<bool> = node.operands.iter().map(Option::is_some).collect();
            let found = backward(gradient, &wanted);
            for (operand, part) in node.operands.iter().zip(found) {
                let (Some(operand), Some(part)) = (operand, part) else {
                    continue;
                };
                let sum = match open.remove(&operand.number) {
                    Some((_, sum)) => add_to(sum, &part),
                    None => part,
                };
                open.insert(operand.number, (operand.clone(), sum));
            }
        }
        Self(leaves)
    }

    /// The gradient by `leaf`, where what was differentiated depends on it.
    pub(super) fn by(&self, leaf: &Tensor) -> Option<&Array> {
        self.0.get(&leaf.node.as_ref()?.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_read_twice_gets_both_gradients() {
        let leaf = Tensor::leaf(Array::new(vec![3.0], &[1]));
        let twice = |x: &Tensor| {
            let (array, operand) = x.clone().parts();
            Tensor::computed(array, [operand], |g, _| vec![Some(g)])
        };
        let (a, b) = (twice(&leaf).parts(), twice(&leaf).parts());
        let sum = Tensor::computed(a.0, [a.1, b.1], |g, _| vec![Some(g.clone()), Some(g)]);
        let gradients = Gradients::of(sum, Array::new(vec![2.0], &[1]));
        assert_eq!(gradients.by(&leaf).unwrap().values(), [4.0]);
        assert!(
            gradients
                .by(&Tensor::constant(Array::filled(&[1], 0.0)))
                .is_none()
        );
    }

    #[test]
    fn a_long_chain_is_let_go_without_deep_recursion() {
        let mut x = Tensor::leaf(Array::filled(&[1], 1.0));
        for _ in 0..200_000 {
            let (array, operand) = x.parts();
            x = Tensor::computed(array, [operand], |g, _| vec![Some(g)]);
        }
        drop(x);
    }
}
