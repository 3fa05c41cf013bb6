//! Whether the kernel ended a process of this container for want of memory, as the container's own
//! control group counts it. Under gVisor there is no such count inside: there the whole sandbox
//! ends, and the host sees it.

use std::fs;
use std::path::Path;

/// The counter in version 2 of control groups, and in version 1.
const COUNTERS: [&str; 2] = ["memory.events", "memory/memory.oom_control"];

/// Processes of this container that the kernel has ended so far; `None` if it does not say.
pub fn killed(control_groups: &Path) -> Option<u64> {
    COUNTERS.iter().find_map(|name| count(&fs::read_to_string(control_groups.join(name)).ok()?))
}

fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read() {
        assert_eq!(count("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), Some(5));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\n"), None);
        assert_eq!(killed(Path::new("/nowhere")), None);
    }
}
