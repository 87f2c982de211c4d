//! Plug-ins in C that are each wrong in one way: `plugin check` finds all of them. They are the example of a searcher with a line of it changed.

use std::path::Path;

use lapidary_builtin_plugins::compiled_text;
use lapidary_tests::{root, run};

/// What is changed in the example, and the property that does not hold then.
struct Mutant {
    name: &'static str,
    from: &'static str,
    to: &'static str,
    breaks: &'static str,
}

const fn mutant(
    name: &'static str,
    from: &'static str,
    to: &'static str,
    breaks: &'static str,
) -> Mutant {
    Mutant {
        name,
        from,
        to,
        breaks,
    }
}

/// Mutants of `hill_climb.c`.
const MUTANTS: &[Mutant] = &[
    mutant(
        "it maximises",
        "return a[i] < b[i];",
        "return i == 0 ? a[i] < b[i] : a[i] > b[i];",
        "better_than_random_on_smooth_worlds",
    ),
    mutant(
        "it ignores its own results",
        "    if (scored && (!s->has_best",
        "    if (scored && foreign && (!s->has_best",
        "own_results_are_learnt_or_ignored_as_declared",
    ),
    mutant(
        "it never moves the first axis",
        "        if (i > 0) fputc(',', file);\n        write_value(file, a, v);",
        "        if (i > 0) fputc(',', file);\n        if (i == 0) v = (value){true, a->high, a->last};\n        write_value(file, a, v);",
        "every_axis_moves",
    ),
    mutant(
        "it ignores its setting",
        "random_unit(&state) < s->wander",
        "random_unit(&state) < 0.1",
        "every_setting_changes_something",
    ),
    mutant(
        "it takes failed trials for the best",
        "    if (scored && (!s->has_best",
        "    if (!scored && objectives == 0) { scored = true; for (size_t i = 0; i <= s->objectives; i++) score[i] = i > 0 ? -1e9 : 0; }\n    if (scored && (!s->has_best",
        "failed_trials_are_shunned",
    ),
    mutant(
        "it ignores constraints",
        "for (size_t i = 0; i < len; i++) {\n        if (a[i] != b[i])",
        "for (size_t i = 1; i < len; i++) {\n        if (a[i] != b[i])",
        "infeasible_trials_are_shunned",
    ),
    mutant(
        "it learns from the first objective only",
        "for (size_t i = 0; i < len; i++) {\n        if (a[i] != b[i])",
        "for (size_t i = 0; i < len && i < 2; i++) {\n        if (a[i] != b[i])",
        "every_objective_is_learnt_from",
    ),
    mutant(
        "it ends after 900 trials",
        "    for (uint64_t i = 0; i < n; i++) {\n        uint64_t id = s->next++;",
        "    for (uint64_t i = 0; i < n && s->next < 900; i++) {\n        uint64_t id = s->next++;",
        "long_searches_and_many_objectives_work",
    ),
    mutant(
        "it fails at four objectives",
        "    if (scored && objectives != s->objectives)",
        "    if (s->objectives > 3) return LAPIDARY_FAILED;\n    if (scored && objectives != s->objectives)",
        "long_searches_and_many_objectives_work",
    ),
    mutant(
        "it reads the clock",
        "    uint64_t state = mix(s->seed) ^ mix(~id);",
        "    static time_t begun;\n    if (id == 0) begun = time(NULL);\n    uint64_t state = mix(s->seed) ^ mix(~id) ^ (uint64_t)(time(NULL) - begun);",
        "time_changes_nothing",
    ),
    mutant(
        "its snapshots have four bytes of a number",
        "            write_value(w.file, &s->axes[i], s->best[i]);",
        "            value v = s->best[i];\n            v.number = fmin(fmax((float)v.number, s->axes[i].low), s->axes[i].high);\n            write_value(w.file, &s->axes[i], v);",
        "snapshots_restore_the_sequence",
    ),
    mutant(
        "its snapshots forget the best",
        "    if (s->has_best) {\n        fputs(\"{\\\"point",
        "    if (s->has_best && s->next < 3) {\n        fputs(\"{\\\"point",
        "snapshots_restore_the_sequence",
    ),
    mutant(
        "it ignores the seed",
        "    uint64_t state = mix(s->seed) ^ mix(~id);",
        "    uint64_t state = mix(~id);",
        "seeds_decide",
    ),
    mutant(
        "it takes a trial twice",
        "if (i == s->pending_count) return id < s->next ? LAPIDARY_TOLD_TWICE : LAPIDARY_UNKNOWN_TRIAL;",
        "if (i == s->pending_count) return LAPIDARY_OK;",
        "wrong_tells_are_errors_that_change_nothing",
    ),
    mutant(
        "it gives one more than asked",
        "    for (uint64_t i = 0; i < n; i++) {\n        uint64_t id = s->next++;",
        "    for (uint64_t i = 0; i < n + (n > 2); i++) {\n        uint64_t id = s->next++;",
        "asks_keep_to_their_number",
    ),
    mutant(
        "its proposals leave their domain",
        "    if (a->kind == FLOAT) v.number = fmin(fmax(v.number, a->low), a->high);",
        "    if (a->kind == FLOAT) v.number = v.number * 1.01 + 0.01;",
        "values_are_in_the_space",
    ),
    mutant(
        "it takes settings that there are none of",
        "if (strcmp(key, \"wander\") != 0) return \"there is no such setting\";",
        "if (strcmp(key, \"wander\") != 0) { skip(r); continue; }",
        "wrong_settings_are_refused",
    ),
    mutant(
        "its default is another than it says",
        "    s->wander = 0.1;",
        "    s->wander = 0.3;",
        "listed_defaults_are_the_defaults",
    ),
];

/// Compiles a mutant and gives the properties that do not hold.
fn broken(folder: &Path, mutant: &Mutant) -> Vec<String> {
    let source = root().join("examples/c/hill_climb.c");
    let text = std::fs::read_to_string(source).unwrap();
    let count = text.matches(mutant.from).count();
    assert_eq!(count, 1, "{}: the line to change", mutant.name);
    let text = text.replace(mutant.from, mutant.to);
    let text = text.replace("#include <math.h>", "#include <math.h>\n#include <time.h>");
    let file = compiled_text(folder, "hill_climb", &text);
    let file = file.to_str().unwrap();
    let answer = run(&["plugin", "check", file, "--in-process", "--json"]);
    let verdicts = answer.json.as_array().unwrap().iter();
    let fails = verdicts.filter(|verdict| verdict["holds"] == false);
    fails
        .map(|verdict| verdict["property"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_mutant_in_c_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut missed = Vec::new();
    for mutant in MUTANTS {
        let broken = broken(folder.path(), mutant);
        if !broken.iter().any(|property| property == mutant.breaks) {
            missed.push(format!(
                "{}: {} holds, not {broken:?}",
                mutant.name, mutant.breaks
            ));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
