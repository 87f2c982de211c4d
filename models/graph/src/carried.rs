//! What a file says beside its graph.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// What a file says about a graph that changes nothing in what it computes, kept by the format that read it, so that writing
/// loses nothing. The graph only hands it on.
pub trait Carried: Any + Debug + Send + Sync {
    /// The same, the value `from` going by the name `to`.
    fn renamed(&self, from: &str, to: &str) -> Arc<dyn Carried>;
    /// Whether both say the same.
    fn same(&self, other: &dyn Carried) -> bool;
    /// For the format that made it.
    fn as_any(&self) -> &dyn Any;
}

impl PartialEq for dyn Carried {
    fn eq(&self, other: &Self) -> bool {
        self.same(other)
    }
}
