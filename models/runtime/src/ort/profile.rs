//! Reading the profile that onnxruntime writes: trace events in JSON.

use std::collections::HashMap;

use lapidary_core::runtime::{NodeTime, median};
use serde::Deserialize;

/// What the name of an event ends in that is the run of a node.
const KERNEL: &str = "_kernel_time";

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    cat: String,
    name: String,
    /// Microseconds.
    #[serde(default)]
    dur: f64,
    #[serde(default)]
    args: Args,
}

#[derive(Default, Deserialize)]
struct Args {
    #[serde(default)]
    op_name: String,
}

/// The median time of each node in the order in which they ran first, without the first `skipped` runs.
///
/// # Errors
/// When the text is of another form.
pub fn read(text: &[u8], skipped: usize) -> Result<Vec<NodeTime>, serde_json::Error> {
    let events: Vec<Event> = serde_json::from_slice(text)?;
    let mut order: Vec<(String, String)> = Vec::new();
    let mut times: HashMap<String, Vec<f64>> = HashMap::new();
    for event in events.into_iter().filter(|event| event.cat == "Node") {
        let Some(node) = event.name.strip_suffix(KERNEL) else {
            continue;
        };
        let of_node = times.entry(node.to_owned()).or_insert_with(|| {
            order.push((node.to_owned(), event.args.op_name));
            Vec::new()
        });
        of_node.push(event.dur / 1e3);
    }
    Ok(order
        .into_iter()
        .map(|(node, operator)| NodeTime {
            ms: median(times[&node].iter().skip(skipped).copied().collect()),
            node,
            operator,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_read_by_node_and_the_first_runs_left_out() {
        let text = br#"[
            {"cat": "Session", "name": "model_run", "dur": 900, "ts": 1},
            {"cat": "Node", "name": "a_fence_before", "dur": 1, "args": {"op_name": "Conv"}},
            {"cat": "Node", "name": "a_kernel_time", "dur": 5000, "args": {"op_name": "Conv"}},
            {"cat": "Node", "name": "b_kernel_time", "dur": 50, "args": {"op_name": "Relu", "provider": "x"}},
            {"cat": "Node", "name": "a_kernel_time", "dur": 2000, "args": {"op_name": "Conv"}},
            {"cat": "Node", "name": "b_kernel_time", "dur": 30, "args": {"op_name": "Relu"}}
        ]"#;
        let nodes = read(text, 1).unwrap();
        let time = |node: &str, operator: &str, ms| NodeTime {
            node: node.into(),
            operator: operator.into(),
            ms,
        };
        assert_eq!(nodes, [time("a", "Conv", 2.0), time("b", "Relu", 0.03)]);
    }
}
