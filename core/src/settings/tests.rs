use std::collections::BTreeMap;

use serde_json::json;

use super::*;

/// How it goes about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Way {
    /// At random.
    Random,
    /// In order.
    Ordered,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// How many there are,
    /// in two lines.
    #[schemars(range(min = 4, max = 10))]
    count: Option<usize>,
    /// A share.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    share: f32,
    /// The way.
    way: Way,
    /// Another way.
    #[schemars(example = &"ordered")]
    other: Option<Way>,
    /// Bits.
    #[schemars(extend("enum" = [8, 4]))]
    bits: u8,
    /// Whether.
    whether: bool,
    /// Ways in turn.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    ways: Vec<Way>,
    /// Names.
    #[schemars(extend("examples" = [["a"]]))]
    names: Vec<String>,
    /// By name.
    #[schemars(extend("examples" = [{"x": 2}]))]
    levels: BTreeMap<String, Level>,
    /// Anything.
    #[schemars(with = "Option<serde_json::Map<String, Json>>")]
    table: Json,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Level(#[schemars(range(min = 1, max = 9))] u32);

impl Default for Config {
    fn default() -> Self {
        Self {
            count: None,
            share: 0.9,
            way: Way::Random,
            other: None,
            bits: 8,
            whether: true,
            ways: vec![Way::Random],
            names: Vec::new(),
            levels: BTreeMap::new(),
            table: json!({}),
        }
    }
}

impl Settings for Config {
    fn cross_check(&self) -> Result<(), String> {
        match self.whether || self.bits == 8 {
            true => Ok(()),
            false => Err("bits = 4 goes with whether = true".into()),
        }
    }
}

#[test]
fn what_there_is_to_know_comes_from_the_struct() {
    let listed = Schema::of::<Config>().list();
    let rows: Vec<[&str; 5]> = (listed.iter())
        .map(|s| {
            let default = s.default.as_deref().unwrap();
            [&s.name, &s.kind, default, &s.doc, &s.example]
        })
        .collect();
    assert_eq!(
        rows,
        [
            [
                "count",
                "whole number in 4..=10, or null",
                "null",
                "How many there are, in two lines.",
                "null"
            ],
            [
                "share",
                "number above 0 and at most 1",
                "0.9",
                "A share.",
                "0.9"
            ],
            [
                "way",
                "one of \"random\", \"ordered\"",
                "\"random\"",
                "The way.",
                "\"ordered\""
            ],
            [
                "other",
                "one of \"random\", \"ordered\", or null",
                "null",
                "Another way.",
                "\"ordered\""
            ],
            ["bits", "one of 8, 4", "8", "Bits.", "4"],
            ["whether", "true or false", "true", "Whether.", "false"],
            [
                "ways",
                "list of \"random\", \"ordered\", at least 1, each once",
                "[\"random\"]",
                "Ways in turn.",
                "[\"random\"]"
            ],
            ["names", "list of texts", "[]", "Names.", "[\"a\"]"],
            [
                "levels",
                "table of name = whole number in 1..=9",
                "{}",
                "By name.",
                "{\"x\":2}"
            ],
            ["table", "table, or null", "{}", "Anything.", "{}"],
        ]
    );
}

#[test]
fn what_does_not_fit_is_named_with_what_would() {
    let refused = |json: Json| {
        let checked = Schema::of::<Config>()
            .check(&json)
            .map_err(|e| e.to_string());
        let read = read::<Config>(&json).map_err(|e| e.to_string());
        let (read, checked) = (read.unwrap_err(), checked.err());
        format!("{}\n{read}", checked.unwrap_or_default())
    };
    for (json, text) in [
        (json!({"count": 3}), "`count` must be in 4..=10, found 3"),
        (
            json!({"count": "3"}),
            "`count` must be a whole number in 4..=10, or null, found \"3\"",
        ),
        (
            json!({"count": -1}),
            "`count` must be a whole number in 4..=10, or null, found -1",
        ),
        (
            json!({"count": 4.5}),
            "`count` must be a whole number in 4..=10, or null, found 4.5",
        ),
        (
            json!({"share": 0}),
            "`share` must be above 0 and at most 1, found 0",
        ),
        (
            json!({"share": null}),
            "`share` must be a number above 0 and at most 1, found null",
        ),
        (
            json!({"way": "rndom"}),
            "`way` must be one of \"random\", \"ordered\", found \"rndom\"",
        ),
        (
            json!({"other": 1}),
            "`other` must be one of \"random\", \"ordered\", or null, found 1",
        ),
        (json!({"bits": 5}), "`bits` must be one of 8, 4, found 5"),
        (
            json!({"whether": 1}),
            "`whether` must be true or false, found 1",
        ),
        (
            json!({"ways": []}),
            "`ways` must be a list of \"random\", \"ordered\", at least 1, each once, found a list of 0",
        ),
        (
            json!({"ways": ["random", "random"]}),
            "each once, found a list of 2",
        ),
        (
            json!({"ways": ["x"]}),
            "`ways` must be one of \"random\", \"ordered\", found \"x\"",
        ),
        (json!({"names": [1]}), "`names` must be a text, found 1"),
        (
            json!({"levels": {"lr": 0}}),
            "`lr` must be in 1..=9, found 0",
        ),
        (
            json!({"levels": 1}),
            "`levels` must be a table of name = whole number in 1..=9, found 1",
        ),
        (
            json!({"table": 3}),
            "`table` must be a table, or null, found 3",
        ),
        (
            json!({"names": 1}),
            "invalid type: integer `1`, expected a sequence, at `names`",
        ),
        (
            json!({"way": "rndom"}),
            "unknown variant `rndom`, expected `random` or `ordered`, at `way`",
        ),
        (json!({"shear": 3}), "unknown field `shear`"),
        (
            json!({"whether": false, "bits": 4}),
            "bits = 4 goes with whether = true",
        ),
        (json!([4]), "[4] is no table"),
    ] {
        let message = refused(json.clone());
        assert!(message.contains(text), "{json}: {message}");
    }
    let fine =
        json!({"count": null, "share": 1, "other": "ordered", "levels": {"a": 9}, "table": null});
    assert_eq!(read::<Config>(&fine).unwrap().other, Some(Way::Ordered));
    assert_eq!(*read::<Config>(&Json::Null).unwrap(), Config::default());
}

#[test]
fn structs_are_checked_too_and_read_only_checked() {
    let config = Config {
        share: f32::NAN,
        ..Config::default()
    };
    let message = config.check().unwrap_err().to_string();
    assert!(message.starts_with("`share` must be a number"), "{message}");
    let checked = Config::default().check().unwrap();
    let text = serde_json::to_string(&checked).unwrap();
    assert_eq!(text, serde_json::to_string(&Config::default()).unwrap());
    assert_eq!(
        serde_json::from_str::<Checked<Config>>(&text).unwrap(),
        checked
    );
    let wrong = text.replace("\"bits\":8", "\"bits\":7");
    let error = serde_json::from_str::<Checked<Config>>(&wrong).unwrap_err();
    assert!(error.to_string().contains("`bits` must be one of 8, 4"));
}

#[test]
fn an_f32_is_bounded_by_the_decimal_it_is_written_as() {
    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct Rate {
        /// A rate.
        #[schemars(range(max = 0.1))]
        rate: f32,
    }
    impl Settings for Rate {}
    assert!(f64::from(0.1f32) > 0.1);
    assert!(Rate { rate: 0.1 }.check().is_ok());
    let above = Rate { rate: 0.2 }.check().unwrap_err();
    assert_eq!(above.to_string(), "`rate` must be at most 0.1, found 0.2");
    let listed = &Schema::of::<Rate>().list()[0];
    assert_eq!(
        (&listed.default, listed.kind.as_str()),
        (&None, "number of at most 0.1")
    );
}

#[test]
fn descriptions_of_others_are_settings_too() {
    let old = Setting {
        name: "step".into(),
        kind: "int ≥ 1".into(),
        default: Some("3".into()),
        doc: "Steps.".into(),
        example: "3".into(),
    };
    let schema = Schema::listed(std::slice::from_ref(&old));
    assert_eq!(schema.list(), [old]);
    assert!(schema.check(&json!({"step": "any"})).is_ok());
    assert_eq!(Schema::given(schema.json()).unwrap().json(), schema.json());
    for wrong in [json!(null), json!(3), json!({"properties": []})] {
        assert!(Schema::given(wrong).is_none());
    }
}
