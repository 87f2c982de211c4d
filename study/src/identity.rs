//! What makes a study the study it is: whatever decides its trials, but for the budget. A store keeps it beside the trials,
//! so that they can be read without the study file.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::goal::Goal;
use lapidary_core::json::Json;
use lapidary_core::registry::{Origin, Registry};
use lapidary_core::space::{Point, Space};
use lapidary_core::stop::StopRule;
use serde::Deserialize;
use serde_json::json;

use crate::measure::RUNTIME;

/// What makes a study the study it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// Where to search.
    pub space: Arc<Space>,
    /// What is good.
    pub goal: Goal,
    /// Name of the search strategy.
    pub strategy: String,
    /// The strategy's settings, as they were given.
    pub settings: Json,
    /// Seed of the searcher and all evaluations.
    pub seed: u64,
    /// Trials that may be open at once.
    pub window: usize,
    /// Whether repeated points are evaluated again.
    pub repeats: bool,
    /// Points evaluated first.
    pub start: Vec<Point>,
    /// When running trials are stopped.
    pub stop: Option<StopRule>,
    /// What a trial is, as the study file says it; `null` where it does not.
    pub evaluate: Json,
    /// Name of what runs the models when they are measured.
    pub runtime: String,
    /// Versions of the plug-ins that take part, by name.
    pub plugins: BTreeMap<String, String>,
}

/// Two identities differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which part, as `window` or `space lr float`.
    pub what: String,
    /// What it was.
    pub was: String,
    /// What it is.
    pub is: String,
}

/// As it goes on from "was begun".
impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, was, is } = self;
        match what.strip_prefix("plugins") {
            Some("") => write!(f, "with other plug-ins: {was} then, {is} now"),
            Some(name) => write!(f, "with plug-in{name} {was}; this is {is}"),
            None => write!(f, "with another {what}: {was} then, {is} now"),
        }
    }
}

impl Identity {
    /// The identity with the plug-ins of `registry` that it names: as its strategy, or anywhere in the settings or the
    /// evaluation.
    pub fn with_plugins(mut self, registry: &Registry) -> Self {
        for (entry, origin) in registry.entries() {
            let name = entry.info.name;
            if let Origin::Plugin(file) = origin
                && (self.strategy == name
                    || mentions(&self.settings, name)
                    || mentions(&self.evaluate, name))
            {
                self.plugins.insert(name.to_owned(), file.version.clone());
            }
        }
        self
    }

    /// The identity without plug-ins of which a store's `was` knows no version: studies of before did not remember all they name.
    pub(crate) fn without_unrecorded_plugins(&self, was: &Json) -> Self {
        let mut identity = self.clone();
        identity
            .plugins
            .retain(|name, _| !was["plugins"][name].is_null());
        identity
    }

    /// The identity as a JSON object.
    pub fn to_json(&self) -> Json {
        let mut json = json!({
            "space": *self.space,
            "goal": self.goal,
            "strategy": self.strategy,
            "settings": self.settings,
            "seed": self.seed,
            "window": self.window,
            "repeats": self.repeats,
            "start": self.start.iter().map(Point::to_json).collect::<Json>(),
            "evaluate": self.evaluate,
        });
        if let Some(stop) = &self.stop {
            json["stop"] = json!(stop);
        }
        if self.runtime != RUNTIME {
            json["runtime"] = json!(self.runtime);
        }
        if !self.plugins.is_empty() {
            json["plugins"] = json!(self.plugins);
        }
        json
    }

    /// Reads what [`Identity::to_json`] wrote.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn from_json(json: &Json) -> Result<Self, String> {
        let wrong = |key: &str| format!("`{key}` is missing or wrong");
        let list = |key: &str| json[key].as_array().ok_or_else(|| wrong(key));
        let space = Arc::new(Space::deserialize(&json["space"]).map_err(|e| e.to_string())?);
        let start = list("start")?
            .iter()
            .map(|point| space.point_from_json(point).map_err(|e| e.to_string()))
            .collect::<Result<_, _>>()?;
        let goal: Goal = serde_json::from_value(json["goal"].clone()).map_err(|e| e.to_string())?;
        Ok(Self {
            goal: Goal::new(goal.objectives, goal.constraints, goal.stop_at)
                .map_err(|e| e.to_string())?,
            strategy: json["strategy"]
                .as_str()
                .ok_or_else(|| wrong("strategy"))?
                .to_owned(),
            settings: json["settings"].clone(),
            seed: json["seed"].as_u64().ok_or_else(|| wrong("seed"))?,
            window: json["window"]
                .as_u64()
                .and_then(|w| usize::try_from(w).ok())
                .ok_or_else(|| wrong("window"))?,
            repeats: json["repeats"].as_bool().ok_or_else(|| wrong("repeats"))?,
            stop: serde_json::from_value(json["stop"].clone()).map_err(|e| e.to_string())?,
            evaluate: json["evaluate"].clone(),
            runtime: json["runtime"].as_str().unwrap_or(RUNTIME).to_owned(),
            plugins: match &json["plugins"] {
                Json::Null => BTreeMap::new(),
                plugins => serde_json::from_value(plugins.clone()).map_err(|_| wrong("plugins"))?,
            },
            space,
            start,
        })
    }
}

/// An identity as stores keep it, in the form of today: older ones leave out what an axis does not say.
///
/// # Errors
/// What is wrong with its space.
pub fn renewed(mut json: Json) -> Result<Json, String> {
    let space = Space::deserialize(&json["space"]).map_err(|e| e.to_string())?;
    json["space"] = json!(space);
    Ok(json)
}

/// Whether `json` names `name` anywhere: as a text, or as a step of a recipe, `NAME:key=value`.
fn mentions(json: &Json, name: &str) -> bool {
    let names = |text: &str| text.split_once(':').map_or(text, |(step, _)| step).trim() == name;
    match json {
        Json::String(text) => names(text),
        Json::Array(values) => values.iter().any(|value| mentions(value, name)),
        Json::Object(fields) => fields.values().any(|value| mentions(value, name)),
        _ => false,
    }
}

/// The first difference between two JSON texts of identities, as deep as it can be named.
pub fn difference(was: &Json, is: &Json) -> Option<Difference> {
    fn search(was: &Json, is: &Json, path: &mut Vec<String>) -> Option<(Json, Json)> {
        if was == is {
            return None;
        }
        let inside = match (was, is) {
            (Json::Object(a), Json::Object(b)) => {
                let keys = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k)));
                keys.into_iter().find_map(|key| {
                    path.push(key.clone());
                    let found = search(&was[key], &is[key], path);
                    path.pop_if(|_| found.is_none());
                    found
                })
            }
            (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
                a.iter().zip(b).find_map(|(a, b)| {
                    // Axes and objectives go by their names.
                    let name = ["name", "metric"].iter().find_map(|key| {
                        a[*key]
                            .as_str()
                            .filter(|name| b[*key].as_str() == Some(name))
                    });
                    path.push(name?.to_owned());
                    let found = search(a, b, path);
                    path.pop_if(|_| found.is_none());
                    found
                })
            }
            _ => None,
        };
        inside.or_else(|| Some((was.clone(), is.clone())))
    }
    let mut path = Vec::new();
    let (was, is) = search(was, is, &mut path)?;
    let text = |json: Json| match json {
        Json::Null => "nothing".to_owned(),
        Json::String(text) => text,
        other => other.to_string(),
    };
    Some(Difference {
        what: path.join(" "),
        was: text(was),
        is: text(is),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_core::condition::Condition;
    use lapidary_core::goal::{Constraint, Direction, Objective};
    use lapidary_core::space::{Axis, Domain};
    use lapidary_core::stop::Rule;

    fn identity() -> Identity {
        let float = |log, step| Domain::Float {
            low: 0.1,
            high: 0.7,
            log,
            step,
        };
        let int = |step| Domain::Int {
            low: 1,
            high: i64::MAX,
            log: false,
            step,
        };
        let options = vec!["a".into(), 1.into(), 0.5.into(), true.into()];
        let mut axes = vec![
            Axis::new("plain", float(false, None)),
            Axis::new("log", float(true, None)),
            Axis::new("stepped", float(false, Some(0.1))),
            Axis::new("whole", int(1)),
            Axis::new("coarse", int(3)),
            Axis::new("choice", Domain::Choice { options }),
        ];
        axes[3].when = Some(Condition::parse("choice == a and plain < 0.5").unwrap());
        let space = Arc::new(Space::new(axes).unwrap());
        let objective = |metric: &str, direction| Objective {
            metric: metric.into(),
            direction,
        };
        Identity {
            goal: Goal::new(
                vec![
                    objective("accuracy", Direction::Maximize),
                    objective("bytes", Direction::Minimize),
                ],
                vec![Constraint::parse("bytes <= 0.3").unwrap()],
                vec![Constraint::parse("accuracy > 97%").unwrap()],
            )
            .unwrap(),
            strategy: "genetic".into(),
            settings: json!({"population": 4}),
            seed: u64::MAX,
            window: 4,
            repeats: true,
            start: vec![space.middle()],
            stop: Some(StopRule {
                rule: Rule::Percentile {
                    percentile: 0.1 + 0.2,
                    min_trials: 5,
                },
                warmup: 3,
                metrics: vec![objective("accuracy", Direction::Maximize)],
            }),
            evaluate: json!({"kind": "function"}),
            runtime: RUNTIME.into(),
            plugins: BTreeMap::from([("mine".to_owned(), "1.2".to_owned())]),
            space,
        }
    }

    #[test]
    fn an_identity_is_read_again_from_its_text() {
        let text = identity().to_json().to_string();
        let read = Identity::from_json(&serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(read, identity());
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        let whole = identity().to_json();
        for key in [
            "space", "goal", "strategy", "seed", "window", "repeats", "start", "stop", "plugins",
        ] {
            let mut part = whole.clone();
            part[key] = json!({"x": 1});
            assert!(Identity::from_json(&part).is_err(), "{key}");
        }
        let mut none = whole.clone();
        none["goal"]["objectives"] = json!([]);
        assert!(Identity::from_json(&none).is_err());
        assert!(Identity::from_json(&Json::Null).is_err());
    }

    #[test]
    fn a_plugin_is_named_by_a_text_or_by_a_step_of_a_recipe() {
        let recipe =
            json!({"recipe": ["prune", " cut:bits={b},deep=1"], "with": [{"name": "sharpen"}]});
        for (name, is) in [
            ("cut", true),
            ("sharpen", true),
            ("prune", true),
            ("bits", false),
            ("cu", false),
        ] {
            assert_eq!(mentions(&recipe, name), is, "{name}");
        }
        let was = identity();
        let mut now = was.clone();
        now.plugins.insert("cut".into(), "2".into());
        assert_eq!(now.without_unrecorded_plugins(&was.to_json()), was);
        now.plugins.insert("mine".into(), "1.3".into());
        let changed = now.without_unrecorded_plugins(&was.to_json());
        assert!(difference(&was.to_json(), &changed.to_json()).is_some());
    }

    #[test]
    fn a_difference_is_named_as_deep_as_it_lies() {
        let was = identity().to_json();
        assert_eq!(difference(&was, &was), None);
        let changed = |change: fn(&mut Json)| {
            let mut is = was.clone();
            change(&mut is);
            let found = difference(&was, &is).unwrap();
            format!("{}: {} -> {}", found.what, found.was, found.is)
        };
        assert_eq!(changed(|j| j["window"] = 5.into()), "window: 4 -> 5");
        assert_eq!(
            changed(|j| j["space"][1]["float"][0] = 0.2.into()),
            "space log float: [0.1,0.7] -> [0.2,0.7]"
        );
        assert_eq!(
            changed(|j| j["space"][1]["log"] = Json::Null),
            "space log log: true -> nothing"
        );
        assert_eq!(
            changed(|j| j["goal"]["objectives"][1]["direction"] = "maximize".into()),
            "goal objectives bytes direction: minimize -> maximize"
        );
        assert_eq!(
            changed(|j| j["stop"]["rule"] = json!({"name": "median", "min_trials": 5})),
            "stop rule name: percentile -> median"
        );
        assert_eq!(
            changed(|j| j["plugins"]["mine"] = "1.3".into()),
            "plugins mine: 1.2 -> 1.3"
        );
        assert_eq!(
            changed(|j| j["plugins"] = Json::Null),
            "plugins: {\"mine\":\"1.2\"} -> nothing"
        );
        assert_eq!(
            changed(|j| j["strategy"] = "greedy".into()),
            "strategy: genetic -> greedy"
        );
    }
}
