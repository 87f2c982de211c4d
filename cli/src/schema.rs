//! `lapidary schema`: JSON schemas of the files that people write.

use lapidary_study::{reference, schema};

use crate::args::{self, SchemaKind};
use crate::end::{End, Failure};
use crate::{installed, output};

/// Runs the command.
pub fn run(args: &args::Schema) -> Result<End, Failure> {
    let registry = installed::registry(&args.plugins)?;
    let schema = match args.kind {
        SchemaKind::Study => schema::study(&registry),
        SchemaKind::Recipe => schema::recipe(&registry),
    };
    // It is a JSON document with --json and without.
    output::print(true, &schema, String::new)?;
    Ok(End::Done)
}

/// Prints the reference page, of what is built in only.
pub fn reference() -> Result<End, Failure> {
    let page = reference::page(&installed::builtin()?);
    output::print(false, &page, || page.clone())?;
    Ok(End::Done)
}
