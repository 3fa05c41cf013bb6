//! Where this run's files, sockets and programs are. Reads the environment, touches no file.

use std::ffi::OsString;
use std::path::PathBuf;

use mercury_protocol::paths;

#[derive(Clone, Debug)]
pub struct Place {
    /// `None` for a run by hand: the request is stdin then, and the reply goes to stdout.
    pub io_dir: Option<PathBuf>,
    /// The agent's home, a tmpfs of this run.
    pub home: PathBuf,
    /// What pi calls its agent directory. Made by us, in `home`.
    pub agent_dir: PathBuf,
    /// The host's socket for this run.
    pub socket: PathBuf,
    /// What the host brought along: `bin/`, `pi/`.
    pub tools_dir: PathBuf,
    /// The skills of plugins. May be missing.
    pub skills_dir: PathBuf,
    /// The operator's resources for every run. May be missing.
    pub global_dir: PathBuf,
    /// Where the kernel shows this container's control group.
    pub control_groups: PathBuf,
    /// `PATH` of this process, where `pi` is looked up.
    pub path: OsString,
}

impl Place {
    /// Each place can be named by a variable; unset or empty means where the host mounts it.
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let named =
            |name: &str, usual: &str| variable(name).filter(|it| !it.is_empty()).unwrap_or_else(|| usual.into());
        let home = PathBuf::from(named("HOME", paths::HOME));
        let socket = PathBuf::from(paths::RUN_DIR).join(paths::SOCKET);
        Self {
            io_dir: variable("IO_DIR").filter(|it| !it.is_empty()).map(PathBuf::from),
            agent_dir: home.join(".pi/agent"),
            home,
            socket: variable("API_SOCKET").filter(|it| !it.is_empty()).map_or(socket, PathBuf::from),
            tools_dir: named("MERCURY_TOOLS_DIR", paths::TOOLS_DIR).into(),
            skills_dir: named("MERCURY_SKILLS_DIR", paths::SKILLS_DIR).into(),
            global_dir: named("MERCURY_GLOBAL_DIR", paths::GLOBAL_DIR).into(),
            control_groups: named("MERCURY_CONTROL_GROUPS", "/sys/fs/cgroup").into(),
            path: named("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        }
    }

    /// The system prompt is handed to pi as a file. It lies in the tmpfs rather than in the IO
    /// directory, whose name pi never learns.
    pub fn system_prompt(&self) -> PathBuf {
        self.agent_dir.join("mercury-system-prompt.md")
    }

    /// The only extensions that pi loads, in this order: the guard is asked first.
    pub fn extensions(&self) -> Vec<PathBuf> {
        ["tool-guard.ts", "subagent.ts"].map(|name| self.tools_dir.join("pi").join(name)).into()
    }
}
