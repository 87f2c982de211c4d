//! Resident memory of a process group.

use std::fs;
use std::path::Path;

use nix::unistd::{Pid, SysconfVar, sysconf};

/// Whether the memory of processes can be seen on this machine.
pub fn is_seen() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// Bytes that are resident in all processes of `group` together.
pub fn of(group: Pid) -> u64 {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    let page = page
        .and_then(|bytes| u64::try_from(bytes).ok())
        .unwrap_or(4096);
    let Ok(entries) = fs::read_dir("/proc") else {
        return 0;
    };
    let pages: u64 = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let pid: u32 = name.to_str()?.parse().ok()?;
            resident(&fs::read(format!("/proc/{pid}/stat")).ok()?, group)
        })
        .sum();
    pages.saturating_mul(page)
}

/// The resident pages that the text of a `stat` file tells, where it is of a process of `group`.
fn resident(stat: &[u8], group: Pid) -> Option<u64> {
    // The name, in parentheses, may hold anything.
    let end = stat.iter().rposition(|b| *b == b')')?;
    let mut fields = std::str::from_utf8(stat.get(end + 1..)?)
        .ok()?
        .split_ascii_whitespace();
    // State, parent, group, then 18 more before the resident pages: fields 3, 4, 5 and 24 of proc(5).
    let of: i32 = fields.nth(2)?.parse().ok()?;
    if of != group.as_raw() {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_memory_is_seen() {
        let eaten = std::hint::black_box(vec![1u8; 50_000_000]);
        let seen = of(nix::unistd::getpgrp());
        assert!(seen > eaten.len() as u64 && seen < 1 << 40, "{seen}");
    }

    #[test]
    fn names_may_hold_anything() {
        let text = "7 (a) b) R 1 42 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 99 21";
        assert_eq!(resident(text.as_bytes(), Pid::from_raw(42)), Some(99));
        assert_eq!(resident(text.as_bytes(), Pid::from_raw(1)), None);
        assert_eq!(resident(b"7 (a) R 1 42", Pid::from_raw(42)), None);
        assert_eq!(resident(b"", Pid::from_raw(42)), None);
    }
}
