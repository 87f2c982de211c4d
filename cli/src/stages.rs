//! The table of a model's stages on its way through a recipe.

use lapidary_study::recipe::Stage;

use crate::output::{self, grouped};

/// The stages as a table for people, with a line below that says how latency was taken.
pub fn table(stages: &[Stage]) -> String {
    // The main metric is enough here; the JSON document has all.
    let metric = ["accuracy", "mse"]
        .into_iter()
        .find(|m| stages.iter().any(|s| s.metrics.contains_key(*m)));
    let mut header = vec!["stage"];
    header.extend(metric);
    header.extend(["params", "bytes", "MACs", "zeros", "latency ms"]);
    let rows = stages
        .iter()
        .map(|stage| {
            let mut row = vec![stage.name.clone()];
            row.extend(metric.map(|m| {
                stage
                    .metrics
                    .get(m)
                    .map_or_else(|| "–".to_owned(), |v| format!("{v:.4}"))
            }));
            row.extend([
                grouped(stage.size.params as u64),
                grouped(stage.bytes),
                match stage.size.macs_partial {
                    true => format!("≥ {}", grouped(stage.size.macs)),
                    false => grouped(stage.size.macs),
                },
                format!("{:.1} %", stage.size.sparsity * 100.0),
                stage
                    .latency
                    .map_or_else(|| "–".to_owned(), |l| format!("{:.3}", l.ms)),
            ]);
            row
        })
        .collect();
    let mut text = output::table(&header, &header[1..], rows);
    if let Some(latency) = stages.iter().find_map(|s| s.latency) {
        text.push_str(&format!(
            "\nlatency: median in {}, batch {}, {} threads",
            latency.runtime, latency.batch, latency.threads
        ));
        if stages.iter().any(|s| s.latency.is_none()) {
            text.push_str("; – where this runtime runs integers as floats");
        }
    }
    text
}

/// Tells what the optimizers had to say, on stderr.
pub fn tell_notes(stages: &[Stage]) {
    for stage in stages {
        for note in &stage.notes {
            eprintln!("{}: {note}", stage.name);
        }
    }
}
