//! A plug-in's optimizer as one of ours.

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::model::Model;
use lapidary_core::optimizer::{OptimizeContext, OptimizeError, Optimized, Optimizer};
use lapidary_core::registry::{BuildError, Info};
use lapidary_plugin::abi::Status;
use lapidary_plugin::wire::{Done, Message, Task, Trouble, write};

use crate::callbacks::Served;
use crate::instance::{Call, Order, Over};
use crate::launcher::Launcher;

/// An optimizer behind the border.
pub(crate) struct PluginOptimizer {
    name: &'static str,
    launcher: Arc<Launcher>,
    settings: Vec<u8>,
}

impl PluginOptimizer {
    /// Looks that the plug-in takes the settings; it is built anew for every run, each in an instance of its own.
    pub fn build(
        launcher: &Arc<Launcher>,
        info: &Info,
        settings: &Json,
    ) -> Result<Self, BuildError> {
        let name = info.name;
        let broken = |reason: String| BuildError::Broken { name, reason };
        let mut text = Vec::new();
        write(&mut text, settings);
        let settings = text;
        let mut instance = launcher.begin().map_err(|e| broken(e.to_string()))?;
        let reply = instance.call(Call::Build, &settings);
        let reply = reply.map_err(|over| broken(format!("the plug-in {}", over.0)))?;
        let reason = reply.bytes.text();
        match reply.status {
            Status::OK => Ok(Self {
                name,
                launcher: launcher.clone(),
                settings,
            }),
            Status::SETTINGS => Err(info.refuse(reason)),
            Status::UNFIT => Err(BuildError::Unfit { name, reason }),
            _ => Err(broken(reason)),
        }
    }

    fn wrong(&self, reason: String) -> OptimizeError {
        OptimizeError::Method {
            optimizer: self.name.to_owned(),
            reason,
        }
    }
}

impl Optimizer for PluginOptimizer {
    fn optimize(
        &self,
        model: &dyn Model,
        cx: &OptimizeContext<'_>,
    ) -> Result<Optimized, OptimizeError> {
        let mut served = Served::new(model, cx);
        let task = Task {
            seed: cx.seed,
            cancelled: cx.cancel.is_cancelled(),
        };
        let order = Order {
            settings: &self.settings,
            task: &Message::new(&task, Vec::new()).text,
        };
        let instance = self.launcher.begin();
        let mut instance = instance.map_err(|e| self.wrong(e.to_string()))?;
        let reply = instance
            .optimize(&order, &mut served)
            .map_err(|Over(reason)| {
                if cx.cancel.is_cancelled() {
                    return OptimizeError::Cancelled;
                }
                self.wrong(format!("the plug-in {reason}"))
            })?;
        let answer = Message {
            text: reply.bytes.get().to_vec(),
            pieces: Vec::new(),
        };
        if reply.status != Status::OK {
            let trouble = answer.read::<Trouble>();
            return Err(match trouble {
                Ok(trouble) => trouble.into(),
                Err(_) => self.wrong(reply.bytes.text()),
            });
        }
        let done: Done = answer
            .read()
            .map_err(|e| self.wrong(format!("what it gave back: {e}")))?;
        let model = served.take(done.model).map_err(OptimizeError::from)?;
        Ok(Optimized {
            model,
            notes: done.notes,
        })
    }
}
