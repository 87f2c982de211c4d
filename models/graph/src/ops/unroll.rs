//! Recurrent layers that rten has no form of, put together step by step.

use lapidary_core::model::ModelError;

use super::{
    ADD, CONCAT, GATHER, MAT_MUL, MUL, Operator, RELU, SIGMOID, SLICE, SUB, TANH, TRANSPOSE,
    UNSQUEEZE,
};
use crate::graph::{Attribute, Node};
use crate::lower::{Lowering, refusal};

/// The most steps that are written out.
const MOST_STEPS: usize = 512;

/// What a layer computes at each step (the ONNX standard, operators RNN, GRU and LSTM).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    Plain,
    Gru,
    Lstm,
}

impl Cell {
    /// Matrices side by side in each weight.
    fn gates(self) -> usize {
        match self {
            Self::Plain => 1,
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }

    fn activations(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["Tanh"],
            Self::Gru => &["Sigmoid", "Tanh"],
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

fn directions(node: &Node) -> usize {
    1 + usize::from(node.text("direction") == Some("bidirectional"))
}

fn named(node: &Node) -> Vec<String> {
    match node.attributes.get("activations") {
        Some(Attribute::Strings(list)) => (list.iter())
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect(),
        _ => Vec::new(),
    }
}

/// Whether a layer has the activations that it has by itself, and nothing else that is special.
pub(super) fn is_plain(node: &Node) -> bool {
    let usual = match node.op.as_str() {
        "GRU" => Cell::Gru,
        _ => Cell::Lstm,
    };
    let named = named(node);
    named.is_empty()
        || (named.iter())
            .zip(usual.activations().iter().cycle())
            .all(|(a, b)| a == b)
}

/// A layer being written out, in one direction.
struct Direction<'a, 't> {
    lowering: &'a mut Lowering<'t>,
    around: &'a str,
    cell: Cell,
    hidden: usize,
    functions: Vec<&'static Operator>,
    /// `Wᵀ`, the sum or parts of biases, `Rᵀ` of each gate, and peepholes.
    w: Vec<String>,
    r: Vec<String>,
    wb: Option<Vec<String>>,
    rb: Option<Vec<String>>,
    peepholes: Option<Vec<String>>,
    reset_behind: bool,
}

/// Writes a layer out step by step.
pub(super) fn unroll(
    lowering: &mut Lowering<'_>,
    node: Node,
    cell: Cell,
) -> Result<(), ModelError> {
    let what = |what: &str| refusal(&node, what);
    let (x, w, r) = match (node.input(0), node.input(1), node.input(2)) {
        (Some(x), Some(w), Some(r)) => (x.to_owned(), w.to_owned(), r.to_owned()),
        _ => return Err(what("form without weights")),
    };
    if node.float("clip", 0.0) != 0.0
        || node.int("input_forget", 0) != 0
        || node.int("layout", 0) != 0
        || node.input(4).is_some()
    {
        return Err(what(
            "form with clipping, coupled gates, another layout or lengths of sequences",
        ));
    }
    let steps = lowering.shapes.shape(&x).and_then(|shape| *shape.first()?);
    let Some(steps) = steps.filter(|&steps| (1..=MOST_STEPS).contains(&steps)) else {
        return Err(what(&format!(
            "form like this, and it is put together from others for 1 to {MOST_STEPS} steps known before running only"
        )));
    };
    let hidden = (lowering.shapes.shape(&r)).and_then(|shape| *shape.last()?);
    let Some(hidden) = hidden else {
        return Err(what("form whose number of hidden units is not known"));
    };
    let count = directions(&node);
    let names = named(&node);
    let functions = (0..cell.activations().len() * count).map(|i| {
        let usual = cell.activations()[i % cell.activations().len()];
        match names.get(i).map_or(usual, String::as_str) {
            "Sigmoid" => Ok(&SIGMOID),
            "Tanh" => Ok(&TANH),
            "Relu" => Ok(&RELU),
            other => Err(what(&format!("activation {other} here"))),
        }
    });
    let functions: Vec<&'static Operator> = functions.collect::<Result<_, _>>()?;
    let around = node.name.clone();
    // Of each direction: all states, the last state, the last cell.
    let mut given: Vec<[String; 3]> = Vec::new();
    for d in 0..count {
        let reverse = node.text("direction") == Some("reverse") || d == 1;
        let mut direction = Direction {
            lowering,
            around: &around,
            cell,
            hidden,
            functions: functions[d * cell.activations().len()..][..cell.activations().len()]
                .to_vec(),
            w: Vec::new(),
            r: Vec::new(),
            wb: None,
            rb: None,
            peepholes: None,
            reset_behind: node.int("linear_before_reset", 0) != 0,
        };
        direction.read(&node, d, &w, &r);
        given.push(direction.run(&node, d, &x, steps, reverse));
    }
    // [steps, batch, hidden] and [batch, hidden] get an axis of directions.
    for (i, axis) in [(0, 1), (1, 0), (2, 0)] {
        let Some(out) = node.outputs.get(i).filter(|name| !name.is_empty()) else {
            continue;
        };
        if i == 2 && cell != Cell::Lstm {
            continue;
        }
        let axes = lowering.list(&around, vec![axis]);
        let parts: Vec<String> = (given.iter())
            .map(|given| lowering.step(&around, &UNSQUEEZE, &[&given[i], &axes], &[]))
            .collect();
        let name = lowering.name(&around, "concat");
        let mut joined = CONCAT.node(name, parts, vec![out.clone()]);
        joined.attributes.insert("axis".into(), axis.into());
        lowering.push(joined);
    }
    Ok(())
}

impl Direction<'_, '_> {
    fn step(&mut self, op: &Operator, inputs: &[&String]) -> String {
        self.lowering.step(self.around, op, inputs, &[])
    }

    /// Index `i` of the first axis of `name`, which goes.
    fn pick(&mut self, name: &String, i: usize) -> String {
        let at = lapidary_core::tensor::array(&[], vec![i as i64]).expect("one element");
        let at = self
            .lowering
            .constant(self.around, lapidary_core::tensor::Dense::I64(at));
        self.step(&GATHER, &[name, &at])
    }

    /// The parts of `hidden` indices each of the first axis of `name`, from part `first` on.
    fn parts(&mut self, name: &String, first: usize, count: usize) -> Vec<String> {
        (first..first + count)
            .map(|i| {
                let mut at = |v: usize| self.lowering.list(self.around, vec![v as i64]);
                let (from, to, axis) = (at(i * self.hidden), at((i + 1) * self.hidden), at(0));
                self.step(&SLICE, &[name, &from, &to, &axis])
            })
            .collect()
    }

    /// The weights of direction `d`.
    fn read(&mut self, node: &Node, d: usize, w: &String, r: &String) {
        let gates = self.cell.gates();
        let mut turned = |name: &String| {
            let all = self.pick(name, d);
            let parts = self.parts(&all, 0, gates);
            (parts.iter().map(|part| self.step(&TRANSPOSE, &[part]))).collect::<Vec<_>>()
        };
        (self.w, self.r) = (turned(w), turned(r));
        if let Some(b) = node.input(3).map(str::to_owned) {
            let b = self.pick(&b, d);
            self.wb = Some(self.parts(&b, 0, gates));
            self.rb = Some(self.parts(&b, gates, gates));
        }
        if let Some(p) = node.input(7).map(str::to_owned) {
            let p = self.pick(&p, d);
            self.peepholes = Some(self.parts(&p, 0, 3));
        }
    }

    /// `x · Wᵀ` of a gate, with its bias.
    fn input_part(&mut self, x: &String, gate: usize) -> String {
        let product = self.step(&MAT_MUL, &[x, &self.w[gate].clone()]);
        match self.wb.as_ref().map(|b| b[gate].clone()) {
            Some(b) => self.step(&ADD, &[&product, &b]),
            None => product,
        }
    }

    /// `h · Rᵀ` of a gate, with its bias.
    fn state_part(&mut self, h: &String, gate: usize) -> String {
        let product = self.step(&MAT_MUL, &[h, &self.r[gate].clone()]);
        match self.rb.as_ref().map(|b| b[gate].clone()) {
            Some(b) => self.step(&ADD, &[&product, &b]),
            None => product,
        }
    }

    fn gate(&mut self, x: &String, h: &String, gate: usize) -> String {
        let (a, b) = (self.input_part(x, gate), self.state_part(h, gate));
        self.step(&ADD, &[&a, &b])
    }

    /// A gate of an LSTM, which looks at the cell where there are peepholes.
    fn peeping(
        &mut self,
        x: &String,
        h: &String,
        c: &String,
        gate: usize,
        peephole: usize,
    ) -> String {
        let sum = self.gate(x, h, gate);
        let sum = match self.peepholes.as_ref().map(|p| p[peephole].clone()) {
            Some(p) => {
                let seen = self.step(&MUL, &[c, &p]);
                self.step(&ADD, &[&sum, &seen])
            }
            None => sum,
        };
        self.step(self.functions[0], &[&sum])
    }

    /// All states `[steps, batch, hidden]`, the last one, and the last cell.
    fn run(
        &mut self,
        node: &Node,
        d: usize,
        x: &String,
        steps: usize,
        reverse: bool,
    ) -> [String; 3] {
        let order: Vec<usize> = match reverse {
            true => (0..steps).rev().collect(),
            false => (0..steps).collect(),
        };
        let zero = self.lowering.number(self.around, 0.0);
        let mut first = |i: usize| match node.input(i).map(str::to_owned) {
            Some(name) => self.pick(&name, d),
            None => {
                // Zeros for as many samples as there are.
                let x = self.pick(x, 0);
                let like = self.step(&MAT_MUL, &[&x, &self.w[0].clone()]);
                self.step(&MUL, &[&like, &zero])
            }
        };
        let (mut h, mut c) = (first(5), first(6));
        let mut states = vec![String::new(); steps];
        for t in order {
            let x = self.pick(x, t);
            (h, c) = self.next(&x, &h, &c);
            states[t].clone_from(&h);
        }
        let axis = self.lowering.list(self.around, vec![0]);
        let rows: Vec<String> = (states.iter())
            .map(|h| self.step(&UNSQUEEZE, &[h, &axis]))
            .collect();
        let rows: Vec<&String> = rows.iter().collect();
        let attributes = [("axis", Attribute::Int(0))];
        let all = self.lowering.step(self.around, &CONCAT, &rows, &attributes);
        [all, h, c]
    }

    /// State and cell behind a step.
    fn next(&mut self, x: &String, h: &String, c: &String) -> (String, String) {
        match self.cell {
            Cell::Plain => {
                let sum = self.gate(x, h, 0);
                (self.step(self.functions[0], &[&sum]), c.clone())
            }
            Cell::Gru => {
                let [f, g] = self.functions[..] else {
                    unreachable!("two functions");
                };
                let z = self.gate(x, h, 0);
                let z = self.step(f, &[&z]);
                let r = self.gate(x, h, 1);
                let r = self.step(f, &[&r]);
                let new = self.input_part(x, 2);
                let old = match self.reset_behind {
                    true => {
                        let old = self.state_part(h, 2);
                        self.step(&MUL, &[&r, &old])
                    }
                    false => {
                        let kept = self.step(&MUL, &[&r, h]);
                        self.state_part(&kept, 2)
                    }
                };
                let sum = self.step(&ADD, &[&new, &old]);
                let new = self.step(g, &[&sum]);
                // (1 − z) · new + z · h
                let apart = self.step(&SUB, &[h, &new]);
                let share = self.step(&MUL, &[&z, &apart]);
                (self.step(&ADD, &[&new, &share]), c.clone())
            }
            Cell::Lstm => {
                let [_, g, out] = self.functions[..] else {
                    unreachable!("three functions");
                };
                // Gates stand as i, o, f, c; peepholes as i, o, f.
                let i = self.peeping(x, h, c, 0, 0);
                let f = self.peeping(x, h, c, 2, 2);
                let new = self.gate(x, h, 3);
                let new = self.step(g, &[&new]);
                let (kept, taken) = (self.step(&MUL, &[&f, c]), self.step(&MUL, &[&i, &new]));
                let c = self.step(&ADD, &[&kept, &taken]);
                let o = self.peeping(x, h, &c, 1, 1);
                let shown = self.step(out, &[&c]);
                (self.step(&MUL, &[&o, &shown]), c)
            }
        }
    }
}
