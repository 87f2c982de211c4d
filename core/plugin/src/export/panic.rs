//! Panics in a call: caught at the border, and told with their place instead of printed.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use lapidary_core::text::panic_text;

thread_local! {
    /// Whether this thread is in a call of the host's.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Where it panicked there.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `call`; what a panic in it says, and where it was, is the error.
pub(super) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(quieten);
    INSIDE.set(true);
    let done = catch_unwind(AssertUnwindSafe(call));
    INSIDE.set(false);
    let place = PLACE.take();
    done.map_err(|panic| match (panic_text(&*panic), place) {
        (text, Some(place)) => format!("{text}, at {place}"),
        (text, None) => text.to_owned(),
    })
}

/// Keeps panics in calls from being printed, as the host tells of them, unless somebody wants to see how they came about. A
/// plug-in has a standard library of its own: panics of the host are none of this hook's, nor are those of its other threads.
fn quieten() {
    let printed = take_hook();
    set_hook(Box::new(move |info| {
        if INSIDE.get() {
            PLACE.set(info.location().map(ToString::to_string));
        }
        if !INSIDE.get() || is_backtrace_wanted() {
            printed(info);
        }
    }));
}

fn is_backtrace_wanted() -> bool {
    std::env::var_os("RUST_BACKTRACE").is_some_and(|wanted| wanted != "0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn panics_in_a_call_are_told_and_others_are_printed() {
        static PRINTED: AtomicUsize = AtomicUsize::new(0);
        let before = take_hook();
        set_hook(Box::new(move |info| match info.payload_as_str() {
            Some("a test's") => drop(PRINTED.fetch_add(1, Ordering::Relaxed)),
            _ => before(info),
        }));
        assert_eq!(caught(|| 7), Ok(7));
        let line = line!() + 1;
        let error = caught(|| panic!("a test's")).unwrap_err();
        let place = format!("a test's, at {}:{line}:", file!());
        assert!(error.starts_with(&place), "{error}");
        let inside = usize::from(is_backtrace_wanted());
        assert_eq!(PRINTED.load(Ordering::Relaxed), inside);
        assert!(std::thread::spawn(|| panic!("a test's")).join().is_err());
        assert_eq!(PRINTED.load(Ordering::Relaxed), inside + 1);
    }
}
