//! Distillation: a smaller student learns what a teacher gives.
//!
//! The student's loss is α·T²·KL(teacher ‖ student), both softened at temperature T, plus (1 − α)·cross entropy with the
//! labels (Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015); for numeric targets both are
//! squared errors. The teacher runs once over the training samples.
//!
//! The student is built anew: a family of the zoo with its settings, or an ONNX file, whose weights are where training
//! starts. It must have fewer parameters than the teacher, and takes over the names of its inputs and outputs.

mod algorithm;
mod config;
mod error;

pub use algorithm::Distill;
pub use config::Config;
pub use error::DistillError;

use lapidary_core::inventory;
use lapidary_core::registry::{Entry, Factory, Info, Linked};
use lapidary_core::settings::Schema;

/// The entry of this optimizer.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "distill",
        summary: "trains a smaller student on the outputs of the model and on the labels",
        docs: "Knowledge distillation (Hinton et al. 2015): the student learns the model's outputs, softened at a temperature, \
               together with the labels. The student is a family of the zoo with settings, or an ONNX file, and must have fewer \
               parameters. Where the goal is not met, training goes on twice more from where it was; where it still is not, a model that met the goal \
               is returned as it was.",
        settings: Schema::of::<Config>(),
        promises: &[],
    },
    factory: Factory::Optimizer(&|settings| {
        let config = ENTRY.info.read_settings(settings)?;
        Ok(Box::new(Distill::new(config)))
    }),
};

inventory::submit! { Linked(&ENTRY) }
