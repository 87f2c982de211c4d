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
use lapidary_core::registry::{Entry, Factory, Info, Linked, Setting};

const fn setting(
    name: &'static str,
    kind: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting {
        name,
        kind,
        default,
        doc,
    }
}

/// The entry of this optimizer.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "distill",
        summary: "trains a smaller student on the outputs of the model and on the labels",
        docs: "Knowledge distillation (Hinton et al. 2015): the student learns the model's outputs, softened at a temperature, \
               together with the labels. The student is a family of the zoo with settings, or an ONNX file, and must have fewer \
               parameters. Where the goal is not met, training goes on twice more from where it was; where it still is not, a model that met the goal \
               is returned as it was.",
        settings: &[
            setting(
                "student",
                "name of a family, or path of an .onnx file",
                "\"mlp\"",
                "The student.",
            ),
            setting(
                "settings",
                "table",
                "{}",
                "Settings of the student's family.",
            ),
            setting(
                "temperature",
                "float > 0",
                "4.0",
                "Temperature T that softens both outputs.",
            ),
            setting(
                "alpha",
                "float in [0, 1]",
                "0.9",
                "Weight of the teacher's outputs in the loss; the labels have the rest.",
            ),
            setting("smoothing", "float in [0, 1)", "0.0", "Label smoothing."),
            setting(
                "epochs",
                "int ≥ 1",
                "30",
                "Passes over the training samples.",
            ),
            setting("batch", "int ≥ 1", "64", "Samples in a training step."),
            setting(
                "learning_rate",
                "float > 0",
                "0.003",
                "Peak learning rate (AdamW, cosine schedule).",
            ),
            setting(
                "patience",
                "int ≥ 1 or null",
                "null",
                "Epochs without a better validation result before training stops with the best; null trains to the end.",
            ),
        ],
        promises: &[],
    },
    factory: Factory::Optimizer(&|settings| {
        let config: Config = ENTRY.info.read_settings(settings)?;
        config.check().map_err(|reason| ENTRY.info.refuse(reason))?;
        Ok(Box::new(Distill::new(config)))
    }),
};

inventory::submit! { Linked(&ENTRY) }
