// A model that examples can run without an engine: y = x · w, for x `[samples, 2]`, w `[2, 1]` and y `[samples, 1]`.

use std::sync::Arc;

use lapidary_core::model::{
    Dim, Edit, Layer, Model, ModelError, NodeInfo, Port, Product, Signature, Structural, Tap, Topology, Trainable, ValueId, Weights,
};
use lapidary_core::samples::Inputs;
use lapidary_core::tensor::{DType, Dense, Tensor};

#[derive(Clone)]
pub struct Linear {
    signature: Signature,
    topology: Topology,
    weights: Weights,
}

impl Linear {
    pub fn new(w: [f32; 2]) -> Self {
        let port = |name: &str, values| Port {
            name: name.into(),
            dtype: DType::F32,
            shape: vec![Dim::Symbol("batch".into()), Dim::Fixed(values)],
            activation: None,
        };
        let node = NodeInfo {
            name: "product".into(),
            op: "Linear".into(),
            inputs: vec!["x".into(), "w".into()],
            outputs: vec!["y".into()],
        };
        let layer = Layer {
            name: node.name.clone(),
            kind: node.op.clone(),
            shape: Some(vec![1, 1]),
            weight: Some("w".into()),
            channel_axis: 1,
            product: Some(Product::Matrix),
            bias: None,
            input: "x".into(),
            output: "y".into(),
            params: 2,
            bytes: 8,
            macs: Some(2),
            bits: 32,
            sparsity: 0.0,
        };
        let w = Dense::f32(&[2, 1], w.to_vec()).expect("two numbers");
        Self {
            signature: Signature { inputs: vec![port("x", 2)], outputs: vec![port("y", 1)] },
            topology: Topology { nodes: vec![node], layers: vec![layer] },
            weights: [("w".to_owned(), Arc::new(Tensor::Dense(w)))].into(),
        }
    }
}

impl Model for Linear {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn topology(&self) -> &Topology {
        &self.topology
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn apply(&self, edits: &[Edit]) -> Result<Box<dyn Model>, ModelError> {
        let mut changed = self.clone();
        for edit in edits {
            match edit {
                Edit::SetWeight { name, tensor } if name == "w" && tensor.shape() == [2, 1] => {
                    changed.weights.insert(name.clone(), tensor.clone());
                }
                other => return Err(ModelError::Unsupported(format!("{other:?}"))),
            }
        }
        Ok(Box::new(changed))
    }

    fn forward(&self, inputs: &Inputs) -> Result<Vec<Dense>, ModelError> {
        let missing = || ModelError::MissingInput { name: "x".into(), given: inputs.keys().cloned().collect() };
        let x = inputs.get("x").and_then(Dense::as_f32).ok_or_else(missing)?;
        let w = self.weights["w"].to_f32().expect("floats");
        let y: Vec<f32> = x.rows().into_iter().map(|row| row.iter().zip(&w).map(|(x, w)| x * w).sum()).collect();
        Ok(vec![Dense::f32(&[y.len(), 1], y)?])
    }

    fn observe(&self, inputs: &Inputs, values: &[ValueId], tap: &mut dyn Tap) -> Result<(), ModelError> {
        let y = self.forward(inputs)?.remove(0);
        for value in values {
            match value.as_str() {
                "x" => tap.value(value, &inputs["x"]),
                "y" => tap.value(value, &y),
                name => return Err(ModelError::UnknownValue { name: name.into() }),
            }
        }
        Ok(())
    }

    fn file_bytes(&self) -> Result<u64, ModelError> {
        Ok(self.weights.values().map(|tensor| tensor.bytes() as u64).sum())
    }

    fn share(&self) -> Box<dyn Model> {
        Box::new(self.clone())
    }

    fn structure(&self) -> Option<&dyn Structural> {
        None
    }

    fn trainable(&self) -> Option<&dyn Trainable> {
        None
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
