//! The reference page: every key of a study file and every setting of what is built in, as Markdown.

use std::fmt::Write as _;

use lapidary_core::json::Json;
use lapidary_core::registry::{Entry, Kind, Registry};
use lapidary_core::settings::{Schema, Settings};

use crate::evaluate::data::DataSettings;
use crate::evaluate::train::Training;
use crate::evaluate::{ENTRIES, train};
use crate::file::section::{
    BudgetSection, ChoiceAxis, FloatAxis, GoalSection, IntAxis, MedianStop, PatienceStop,
    PercentileStop, StudySection,
};

/// What the page begins with.
const HEAD: &str = "# Reference

Every key of a study file, and every setting of the built-in search strategies, optimizers, families and runtimes. `lapidary info NAME`
shows the settings of one, of a plug-in as well; [an editor](editors.md) completes and checks them while you write.

<!-- Written by `cargo xtask docs` from the structs that the settings are read into. -->
";

/// The page for what a registry holds.
pub fn page(registry: &Registry) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Study file\n");
    section::<StudySection>(&mut page, "`[study]`");
    page.push_str(
        "\n### `[strategy]`\n\nThe settings of the strategy that `[study] strategy` names, as they stand below.\n",
    );
    section::<BudgetSection>(&mut page, "`[budget]`");
    section::<GoalSection>(&mut page, "`[goal]`");
    section::<MedianStop>(&mut page, "`[stop]` with `rule = \"median\"`");
    section::<PercentileStop>(&mut page, "`[stop]` with `rule = \"percentile\"`");
    section::<PatienceStop>(&mut page, "`[stop]` with `rule = \"patience\"`");
    section::<FloatAxis>(&mut page, "`[space]`: an axis of real numbers");
    section::<IntAxis>(&mut page, "`[space]`: an axis of whole numbers");
    section::<ChoiceAxis>(&mut page, "`[space]`: an axis of choices");
    page.push_str(
        "\nA plain value, as in `kernel = 3`, fixes an axis.\n\n### `[[start]]`\n\nA point to evaluate first: a value for each axis that is active there.\n",
    );
    page.push_str(
        "\n### `[runtime]`\n\nThe `name` of what runs models when they are measured, and its settings as they stand below.\n",
    );
    let data = Schema::of::<DataSettings>().names();
    let training = Schema::of::<Training>().names();
    for entry in ENTRIES {
        let info = &entry.info;
        let heading = format!("`[evaluate]` with `kind = \"{}\"`", info.name);
        let _ = write!(
            page,
            "\n### {heading}\n\n{}. {}\n",
            capital(info.summary),
            info.docs
        );
        table(&mut page, info.settings, &[&data[..], &training].concat());
        if info.name == train::ENTRY.info.name {
            section::<Training>(&mut page, &format!("{heading}: the training"));
        }
    }
    section::<DataSettings>(
        &mut page,
        "`[evaluate]` with `train`, `compress` and `models`: the data",
    );
    for (kind, heading) in [
        (Kind::Searcher, "Search strategies"),
        (Kind::Optimizer, "Optimizers"),
        (Kind::Family, "Families"),
        (Kind::Runtime, "Runtimes"),
    ] {
        let _ = write!(page, "\n## {heading}\n");
        let entries = registry.entries().map(|(entry, _)| entry);
        for entry in entries.filter(|entry| entry.kind() == kind) {
            installed(&mut page, entry);
        }
    }
    page
}

fn section<T: Settings>(page: &mut String, heading: &str) {
    let schema = Schema::of::<T>();
    let json = schema.json();
    let text = json.get("description").and_then(Json::as_str).unwrap_or("");
    let _ = write!(page, "\n### {heading}\n");
    // The doc comment of a section is its name in brackets where the heading says it all.
    if !text.starts_with('`') {
        let _ = write!(page, "\n{text}\n");
    }
    table(page, schema, &[]);
}

/// A text with its first letter in capitals.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn installed(page: &mut String, entry: &Entry) {
    let info = &entry.info;
    let _ = write!(
        page,
        "\n### `{}`: {}\n\n{}\n",
        info.name, info.summary, info.docs
    );
    table(page, info.settings, &[]);
}

/// The settings but for those of some names, a row each.
fn table(page: &mut String, schema: Schema, without: &[String]) {
    page.push_str("\n| name | type | default | example | meaning |\n|---|---|---|---|---|\n");
    let json = schema.json();
    let listed = schema.list().into_iter();
    for setting in listed.filter(|setting| !without.contains(&setting.name)) {
        let code = |text: &str| format!("`{}`", text.replace('|', "\\|"));
        let default = setting.default.as_deref().map_or("required".into(), code);
        let options = options(&json["properties"][&setting.name]);
        let _ = writeln!(
            page,
            "| {} | {} | {default} | {} | {}{options} |",
            code(&setting.name),
            setting.kind.replace('|', "\\|"),
            code(&setting.example),
            setting.doc.replace('|', "\\|"),
        );
    }
}

/// What each option means.
fn options(schema: &Json) -> String {
    let alternatives = ["items", "anyOf"].iter().find_map(|key| {
        let below = schema.get(key)?;
        below.get(0).or(Some(below))?.get("oneOf")?.as_array()
    });
    let all = schema
        .get("oneOf")
        .and_then(Json::as_array)
        .or(alternatives);
    let told = all.into_iter().flatten().filter_map(|option| {
        let name = option.get("const")?;
        let text = option.get("description")?.as_str()?;
        Some(format!(" `{name}`: {text}"))
    });
    told.collect()
}
