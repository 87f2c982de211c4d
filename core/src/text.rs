//! Words for messages.

/// The names as `a, b, c`, cut after 20 with the count of the rest; `none` where there are none.
pub fn listed<S: AsRef<str>>(names: &[S]) -> String {
    const MOST: usize = 20;
    if names.is_empty() {
        return "none".into();
    }
    let mut text = names
        .iter()
        .take(MOST)
        .map(AsRef::as_ref)
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > MOST {
        text.push_str(&format!(" and {} more", names.len() - MOST));
    }
    text
}

/// What a caught panic says.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
