//! A second wall inside the container, where the operator asked for it: pi in namespaces of its
//! own, by `bwrap`. It sees what it needs, and not the IO directory. Pure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use mercury_protocol::paths;

use crate::place::Place;

/// Set by the host when it made the container so that `bwrap` can work in it.
const ASKED: &str = "CONTAINER_BUBBLEWRAP";
const SWITCHES_OFF: [&str; 2] = ["DISABLE_BUBBLEWRAP", "MERCURY_DISABLE_BUBBLEWRAP"];

/// Only where the host prepared it, not switched off, and never under gVisor, which is the wall
/// itself.
pub fn wanted(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_on = |name: &str| variable(name).is_some_and(|value| value == "1" || value == "true");
    let runsc = variable("CONTAINER_RUNTIME").is_some_and(|name| name == "runsc");
    is_on(ASKED) && !runsc && !SWITCHES_OFF.into_iter().any(is_on)
}

/// What the arguments depend on, looked up in the file system before.
#[derive(Debug, Default)]
pub struct Found {
    /// `/bin` and the like: what the link holds, or `None` for a real directory.
    pub roots: Vec<(&'static str, Option<PathBuf>)>,
    /// Those of [`OPTIONAL`] that exist.
    pub optional: Vec<&'static str>,
    /// What is in pi's agent directory.
    pub agent_entries: Vec<PathBuf>,
}

/// Distributions of today link these into `/usr`; `/lib64` is not on every architecture.
const ROOTS: [&str; 4] = ["/bin", "/lib", "/lib64", "/sbin"];
/// Read-only where the image or the host has them. `/opt` holds what the host brings along, the
/// run's directory its socket.
const OPTIONAL: [&str; 6] = ["/app", "/docs", "/etc", "/opt", paths::GLOBAL_DIR, paths::RUN_DIR];

impl Found {
    pub fn look(place: &Place) -> Self {
        let root = |name: &'static str| Path::new(name).exists().then(|| (name, std::fs::read_link(name).ok()));
        let mut agent_entries: Vec<PathBuf> = std::fs::read_dir(&place.agent_dir)
            .into_iter()
            .flatten()
            .flatten()
            // A link leads to the operator's resources, which are read-only already.
            .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
            .map(|entry| entry.path())
            .collect();
        agent_entries.sort();
        Self {
            roots: ROOTS.into_iter().filter_map(root).collect(),
            optional: OPTIONAL.into_iter().filter(|path| Path::new(path).exists()).collect(),
            agent_entries,
        }
    }
}

/// The arguments of `bwrap` before `pi` and its own (agent-entry.md 7.2). The container's `/proc`
/// is passed on: a new one may not be mounted where the engine covers parts of it.
pub fn arguments(place: &Place, workspace: &Path, found: &Found) -> Vec<OsString> {
    let mut all: Vec<OsString> = Vec::new();
    let mut add = |words: &[&dyn AsRef<std::ffi::OsStr>]| all.extend(words.iter().map(|it| it.as_ref().to_owned()));
    add(&[&"--ro-bind", &"/usr", &"/usr"]);
    for (root, link) in &found.roots {
        match link {
            Some(target) => add(&[&"--symlink", target, root]),
            None => add(&[&"--ro-bind", root, root]),
        }
    }
    for path in &found.optional {
        add(&[&"--ro-bind", path, path]);
    }
    add(&[&"--bind", &workspace, &workspace, &"--bind", &place.home, &place.home]);
    // What pi is told about models and resources is not the agent's to change.
    for entry in &found.agent_entries {
        add(&[&"--ro-bind", entry, entry]);
    }
    add(&[&"--ro-bind", &"/proc", &"/proc", &"--dev", &"/dev", &"--tmpfs", &"/tmp"]);
    add(&[&"--unshare-pid", &"--new-session", &"--die-with-parent", &"--chdir", &workspace, &"--"]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// agent-entry.md #22: when it is used.
    #[test]
    fn it_is_used_only_where_it_was_prepared() {
        let is_wanted = |set: &[(&str, &str)]| {
            wanted(|name| set.iter().find(|(it, _)| *it == name).map(|(_, value)| OsString::from(value)))
        };
        let asked = ("CONTAINER_BUBBLEWRAP", "1");
        assert!(is_wanted(&[asked]) && is_wanted(&[asked, ("CONTAINER_RUNTIME", "runc")]));
        assert!(!is_wanted(&[]) && !is_wanted(&[("CONTAINER_BUBBLEWRAP", "0")]));
        for off in [("CONTAINER_RUNTIME", "runsc"), ("DISABLE_BUBBLEWRAP", "1"), ("MERCURY_DISABLE_BUBBLEWRAP", "true")]
        {
            assert!(!is_wanted(&[asked, off]), "{off:?}");
        }
    }

    /// agent-entry.md #22: the binds, in order; `/lib64` and `/docs` only if they are there.
    #[test]
    fn the_agent_sees_what_it_needs() {
        let place = Place::from_environment(|name| (name == "IO_DIR").then(|| "/run/mercury-io".into()));
        let mut found = Found {
            roots: vec![("/bin", Some("usr/bin".into())), ("/lib", None)],
            optional: vec!["/etc", "/opt", "/run/mercury"],
            agent_entries: vec!["/home/mercury/.pi/agent/models.json".into()],
        };
        let line = |found: &Found| {
            let all = arguments(&place, Path::new("/spaces/s1"), found);
            all.iter().map(|it| it.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        let expected = "--ro-bind /usr /usr --symlink usr/bin /bin --ro-bind /lib /lib \
            --ro-bind /etc /etc --ro-bind /opt /opt --ro-bind /run/mercury /run/mercury \
            --bind /spaces/s1 /spaces/s1 --bind /home/mercury /home/mercury \
            --ro-bind /home/mercury/.pi/agent/models.json /home/mercury/.pi/agent/models.json \
            --ro-bind /proc /proc --dev /dev --tmpfs /tmp \
            --unshare-pid --new-session --die-with-parent --chdir /spaces/s1 --";
        assert_eq!(line(&found), expected);
        assert!(!line(&found).contains(paths::IO_DIR), "the result's directory is not there at all");
        found.roots.push(("/lib64", Some("usr/lib64".into())));
        found.optional.push("/docs");
        let more = line(&found);
        assert!(more.contains("--symlink usr/lib64 /lib64") && more.contains("--ro-bind /docs /docs"));
    }
}
