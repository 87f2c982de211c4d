//! Ctrl-C: the first asks the work to stop, the second ends the program at once.

use lapidary_core::cancel::Cancel;

use crate::end::Failure;

/// Exit code of an interrupted command.
pub const EXIT_CODE: u8 = 130;

/// A flag that is set by the first Ctrl-C (or SIGTERM, SIGHUP).
pub fn watch() -> Result<Cancel, Failure> {
    let cancel = Cancel::new();
    let flag = cancel.clone();
    ctrlc::set_handler(move || {
        if flag.is_cancelled() {
            std::process::exit(i32::from(EXIT_CODE));
        }
        eprintln!("stopping; Ctrl-C again ends at once");
        flag.cancel();
    })
    .map_err(Failure::work)?;
    Ok(cancel)
}
