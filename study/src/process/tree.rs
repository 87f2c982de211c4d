//! All processes that descend from one, as /proc shows them.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// How long processes that do not go are killed again and again.
const PATIENCE: Duration = Duration::from_secs(2);
/// The wait between two looks for processes that are left.
const NAP: Duration = Duration::from_millis(1);

/// Whether processes can be seen on this machine.
pub fn is_seen() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// Bytes that are resident in all processes below `root` together.
pub fn memory(root: Pid) -> u64 {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    let page = page
        .and_then(|bytes| u64::try_from(bytes).ok())
        .unwrap_or(4096);
    let pages: u64 = below(root).iter().map(|process| process.pages).sum();
    pages.saturating_mul(page)
}

/// Kills all processes below `root`, those too that are born meanwhile.
pub fn kill_below(root: Pid) {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = below(root);
        if left.is_empty() || Instant::now() > until {
            return;
        }
        for process in left {
            let _ = kill(process.pid, Signal::SIGKILL);
        }
        std::thread::sleep(NAP);
    }
}

/// A process that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member {
    pid: Pid,
    parent: Pid,
    group: Pid,
    /// Pages that are resident.
    pages: u64,
}

/// The processes that descend from `root` or from a member of its group; not `root` itself.
fn below(root: Pid) -> Vec<Member> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let all: Vec<Member> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let pid: i32 = name.to_str()?.parse().ok()?;
            read(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
        })
        .collect();
    descendants(root, &all)
}

fn descendants(root: Pid, all: &[Member]) -> Vec<Member> {
    let mut children: HashMap<Pid, Vec<Member>> = HashMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(*process);
    }
    let mut found: HashMap<Pid, Member> = HashMap::new();
    let group = all.iter().filter(|process| process.group == root);
    let mut next: Vec<Member> = group.copied().collect();
    next.extend(children.get(&root).into_iter().flatten());
    while let Some(process) = next.pop() {
        if process.pid != root && found.insert(process.pid, process).is_none() {
            next.extend(children.get(&process.pid).into_iter().flatten());
        }
    }
    found.into_values().collect()
}

/// What the text of a `stat` file tells; nothing of a process that has ended and waits for its parent to notice.
fn read(pid: i32, stat: &[u8]) -> Option<Member> {
    // The name, in parentheses, may hold anything.
    let end = stat.iter().rposition(|b| *b == b')')?;
    let mut fields = std::str::from_utf8(stat.get(end + 1..)?)
        .ok()?
        .split_ascii_whitespace();
    // Fields 3, 4, 5 and 24 of proc(5).
    let state = fields.next()?;
    let parent = Pid::from_raw(fields.next()?.parse().ok()?);
    let group = Pid::from_raw(fields.next()?.parse().ok()?);
    let pages = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Member {
        pid: Pid::from_raw(pid),
        parent,
        group,
        pages,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member([pid, parent, group]: [i32; 3]) -> Member {
        let [pid, parent, group] = [pid, parent, group].map(Pid::from_raw);
        Member {
            pid,
            parent,
            group,
            pages: 1,
        }
    }

    #[test]
    fn children_of_children_and_of_the_group_are_found() {
        let all = [
            [10, 1, 10],
            [11, 10, 10],
            // Has left the group, as has its child.
            [12, 11, 12],
            [5, 12, 12],
            // Has lost its parent, not its group.
            [13, 1, 10],
            [14, 13, 14],
            [20, 1, 20],
            [21, 20, 20],
        ]
        .map(member);
        let mut found: Vec<i32> = descendants(Pid::from_raw(10), &all)
            .iter()
            .map(|process| process.pid.as_raw())
            .collect();
        found.sort();
        assert_eq!(found, [5, 11, 12, 13, 14]);
    }

    #[test]
    fn the_memory_of_a_child_is_seen() {
        let script = "x=$(head -c 30000000 /dev/zero | tr '\\0' a); sleep 100; :";
        let mut child = std::process::Command::new("sh")
            .args(["-c", &format!("sh -c \"{}\"", script.replace('$', "\\$"))])
            .spawn()
            .unwrap();
        let root = nix::unistd::getpid();
        let end = Instant::now() + Duration::from_secs(20);
        while memory(root) < 30_000_000 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        let seen = memory(root);
        let child_pid = Pid::from_raw(child.id().cast_signed());
        kill_below(child_pid);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!((30_000_000..1 << 40).contains(&seen), "{seen}");
    }

    #[test]
    fn names_may_hold_anything_and_the_dead_are_not_counted() {
        let text = |state: char| {
            format!("7 (a) b) {state} 1 42 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 99 21")
        };
        let wanted = Member {
            pages: 99,
            ..member([7, 1, 42])
        };
        assert_eq!(read(7, text('R').as_bytes()), Some(wanted));
        assert_eq!(read(7, text('Z').as_bytes()), None);
        assert_eq!(read(7, b"7 (a) R 1 42"), None);
        assert_eq!(read(7, b""), None);
    }
}
