//! What an optimizer may ask of its host while it is at work.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::fit::{FitContext, FitPlan, Verdict};
use lapidary_core::model::{Edit, Model, ModelError, ModelSpec, Tap, Weights};
use lapidary_core::optimizer::OptimizeContext;
use lapidary_core::samples::{Inputs, Samples};
use lapidary_core::tensor::Dense;
use lapidary_plugin::wire::{
    Description, EditForm, HostCall, Message, Piece, SamplesForm, TensorForm, Trouble,
};

/// An answer, with what its tensors are borrowed from.
pub(crate) struct Outgoing {
    /// Dropped before what it borrows from.
    pub message: Message<'static>,
    _keep: Option<Box<dyn Any>>,
}

/// What a plug-in may call back while its optimizer works.
pub(crate) trait Callbacks {
    /// Answers one call.
    fn handle(&mut self, request: &Message<'_>) -> Result<Outgoing, Trouble>;

    /// Whether nobody waits for the work any more.
    fn cancelled(&self) -> bool;
}

impl Outgoing {
    /// An answer without tensors.
    pub fn of(form: &impl serde::Serialize) -> Self {
        Self {
            message: Message::new(form, Vec::new()),
            _keep: None,
        }
    }

    /// An answer whose tensors are those of `owner`, without a copy.
    pub fn lent<T: 'static>(owner: T, message: impl FnOnce(&T) -> Message<'_>) -> Self {
        let keep = Box::new(owner);
        let message = message(&keep);
        // SAFETY: the message borrows from what the box holds, which stays where it is and is kept as long as the message.
        let message = unsafe { std::mem::transmute::<Message<'_>, Message<'static>>(message) };
        Self {
            message,
            _keep: Some(keep),
        }
    }

    fn weights(weights: &Weights) -> Self {
        // The tensors are shared: the model may go.
        Self::lent(weights.clone(), |weights| {
            let mut pieces = Vec::new();
            let forms: BTreeMap<&String, TensorForm> = (weights.iter())
                .map(|(name, tensor)| (name, TensorForm::of(tensor, &mut pieces)))
                .collect();
            Message::new(&forms, pieces)
        })
    }
}

/// The models of one run, by number.
pub(crate) struct Served<'a> {
    model: &'a dyn Model,
    cx: &'a OptimizeContext<'a>,
    /// Model n + 1 of the plug-in; `None` once it was released.
    made: Vec<Option<Box<dyn Model>>>,
    /// The run that was paused last.
    run: Option<Training>,
}

/// A run of training.
struct Training {
    /// The model that is trained.
    model: Box<dyn Model>,
    /// With what it goes on from, once it was paused.
    plan: FitPlan,
    train: Samples,
    valid: Option<Samples>,
    /// The number of the trained model.
    number: usize,
}

impl<'a> Served<'a> {
    pub fn new(model: &'a dyn Model, cx: &'a OptimizeContext<'a>) -> Self {
        Self {
            model,
            cx,
            made: Vec::new(),
            run: None,
        }
    }

    fn model(&self, number: u64) -> Result<&dyn Model, Trouble> {
        if number == 0 {
            return Ok(self.model);
        }
        let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let made = self.made.get(at).and_then(Option::as_deref);
        made.ok_or_else(|| Trouble::Graph(format!("there is no model {number}")))
    }

    /// Hands out a model.
    pub fn take(&mut self, number: u64) -> Result<Box<dyn Model>, Trouble> {
        self.model(number).map(|model| model.share())
    }

    fn number(&mut self, model: Box<dyn Model>) -> Outgoing {
        self.made.push(Some(model));
        Outgoing::of(&self.made.len())
    }

    /// Trains to the end or the next pause.
    fn train(&mut self, mut run: Training) -> Result<Outgoing, Trouble> {
        let trainable =
            (run.model.trainable()).ok_or_else(|| Trouble::Unsupported("training".to_owned()))?;
        let context = FitContext {
            cancel: self.cx.cancel,
            epoch: &|_| Verdict::Continue,
        };
        let fitted = trainable
            .fit(&run.plan, &run.train, run.valid.as_ref(), &context)
            .map_err(trouble)?;
        let number = run.number;
        self.made[number - 1] = Some(fitted.model);
        self.run = fitted.paused.map(|checkpoint| {
            run.plan.from = Some(Arc::new(checkpoint));
            run
        });
        Ok(Outgoing::of(&(number, fitted.history)))
    }

    fn samples(&self, part: &str) -> Option<&'a Samples> {
        match part {
            "train" => self.cx.train,
            "valid" => self.cx.valid,
            "calibration" => self.cx.calibration,
            _ => None,
        }
    }
}

fn wrong(reason: String) -> Trouble {
    Trouble::Graph(format!("what the plug-in asked: {reason}"))
}

fn trouble(error: ModelError) -> Trouble {
    Trouble::from(&error)
}

fn inputs(form: &BTreeMap<String, usize>, message: &Message<'_>) -> Result<Inputs, Trouble> {
    let dense = |at: usize| -> Result<Dense, String> {
        message.piece(at)?.dense().map_err(|e| e.to_string())
    };
    (form.iter())
        .map(|(name, at)| Ok((name.clone(), dense(*at).map_err(wrong)?)))
        .collect()
}

/// Keeps what is seen, in order.
struct Seen(Vec<(String, Dense)>);

impl Tap for Seen {
    fn value(&mut self, id: &str, value: &Dense) {
        self.0.push((id.to_owned(), value.clone()));
    }
}

impl Callbacks for Served<'_> {
    fn handle(&mut self, request: &Message<'_>) -> Result<Outgoing, Trouble> {
        let call: HostCall = request.read().map_err(wrong)?;
        Ok(match call {
            HostCall::Describe { model } => Outgoing::of(&Description::of(self.model(model)?)),
            HostCall::Weights { model } => Outgoing::weights(self.model(model)?.weights()),
            HostCall::FileBytes { model } => {
                Outgoing::of(&self.model(model)?.file_bytes().map_err(trouble)?)
            }
            HostCall::Groups { model } => {
                let structure = self.model(model)?.structure();
                Outgoing::of(&structure.map(|s| s.groups()).unwrap_or_default())
            }
            HostCall::Apply { model, edits } => {
                let edits = (edits.into_iter())
                    .map(|edit: EditForm| edit.edit(request).map_err(wrong))
                    .collect::<Result<Vec<Edit>, _>>()?;
                let made = self.model(model)?.apply(&edits).map_err(trouble)?;
                self.number(made)
            }
            HostCall::Forward {
                model,
                inputs: form,
            } => {
                let inputs = inputs(&form, request)?;
                let outputs = self.model(model)?.forward(&inputs).map_err(trouble)?;
                Outgoing::lent(outputs, |outputs| {
                    let places: Vec<usize> = (0..outputs.len()).collect();
                    Message::new(&places, outputs.iter().map(Piece::of).collect())
                })
            }
            HostCall::Observe {
                model,
                inputs: form,
                values,
            } => {
                let inputs = inputs(&form, request)?;
                let mut seen = Seen(Vec::new());
                let model = self.model(model)?;
                model
                    .observe(&inputs, &values, &mut seen)
                    .map_err(trouble)?;
                Outgoing::lent(seen.0, |seen| {
                    let places: Vec<(&String, usize)> = (seen.iter().enumerate())
                        .map(|(at, (id, _))| (id, at))
                        .collect();
                    Message::new(&places, seen.iter().map(|(_, v)| Piece::of(v)).collect())
                })
            }
            HostCall::Fit {
                model,
                plan,
                train,
                valid,
            } => {
                let plan = plan.plan(request).map_err(wrong)?;
                let train = train.samples(request).map_err(wrong)?;
                let valid = valid.map(|valid| valid.samples(request)).transpose();
                let valid = valid.map_err(wrong)?;
                let model = self.model(model)?.share();
                self.made.push(None);
                self.train(Training {
                    model,
                    plan,
                    train,
                    valid,
                    number: self.made.len(),
                })?
            }
            HostCall::GoOn { pause } => {
                let paused = self.run.take();
                let mut run = paused.ok_or_else(|| wrong("no run is paused".to_owned()))?;
                run.plan.pause = pause;
                self.train(run)?
            }
            HostCall::Measure { model } => {
                let metrics = (self.cx.measure)(self.model(model)?).map_err(trouble)?;
                Outgoing::of(&metrics)
            }
            HostCall::Accept { metrics } => Outgoing::of(&(self.cx.accept)(&metrics)),
            HostCall::Build { spec } => {
                let made = (self.cx.build)(&ModelSpec::from(spec)).map_err(trouble)?;
                self.number(made)
            }
            HostCall::Samples { part } => Outgoing::lent(self.samples(&part).cloned(), |samples| {
                let mut pieces = Vec::new();
                let form = (samples.as_ref()).map(|samples| SamplesForm::of(samples, &mut pieces));
                Message::new(&form, pieces)
            }),
            HostCall::Progress { share, text } => {
                (self.cx.progress)(share.clamp(0.0, 1.0), &text);
                Outgoing::of(&self.cx.cancel.is_cancelled())
            }
            HostCall::Release { model } => {
                let at = usize::try_from(model).unwrap_or(usize::MAX);
                if let Some(made) = at.checked_sub(1).and_then(|at| self.made.get_mut(at)) {
                    *made = None;
                }
                Outgoing::of(&())
            }
        })
    }

    fn cancelled(&self) -> bool {
        self.cx.cancel.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_core::tensor::Tensor;

    #[test]
    fn weights_are_lent_without_a_copy() {
        let dense = Dense::f32(&[1024, 1024], vec![0.5; 1 << 20]).unwrap();
        let address = dense.as_f32().unwrap().as_ptr().cast::<u8>();
        let weights = Weights::from([("w".to_owned(), Arc::new(Tensor::from(dense)))]);
        let outgoing = Outgoing::weights(&weights);
        // The model may go; what was lent stays.
        drop(weights);
        let piece = &outgoing.message.pieces[0];
        assert_eq!(piece.bytes.as_ptr(), address);
        assert_eq!(
            (piece.shape.as_slice(), piece.bytes.len()),
            (&[1024, 1024][..], 4 << 20)
        );
        assert!(matches!(piece.dense().unwrap(), Dense::F32(a) if a.iter().all(|v| *v == 0.5)));
    }
}
