//! Where things are inside the container. The host mounts them, `entry` and `mrctl` find them.

/// The run's IO directory, read-write, with [`INPUT`], [`CREDENTIALS`] and [`RESULT`].
pub const IO_DIR: &str = "/run/mercury-io";
/// The run's directory with its socket. The directory is mounted rather than the socket, so
/// that a restarted host can bind a new socket in it.
pub const RUN_DIR: &str = "/run/mercury";
/// The socket's name in [`RUN_DIR`].
pub const SOCKET: &str = "api.sock";
/// What the host brings along, read-only: `bin/entry`, `bin/mrctl`, `pi/` with pi's extensions.
pub const TOOLS_DIR: &str = "/opt/mercury";
/// The agent's home: a tmpfs of the run.
pub const HOME: &str = "/home/mercury";
/// Parent of the one space that is mounted.
pub const SPACES: &str = "/spaces";
/// The global resources of the operator, read-only: `AGENTS.md`, `skills/`, `agents/` and so on.
pub const GLOBAL_DIR: &str = "/run/mercury-global";

/// The skills of plugins, read-only, a folder each. `entry` shows pi those that the request names.
pub const SKILLS_DIR: &str = "/opt/mercury-skills";

/// The request, in [`IO_DIR`]. Written by the host before the container starts; `entry` reads the
/// file and deletes it before `pi` starts.
pub const INPUT: &str = "input.json";
/// Model credentials, in [`IO_DIR`]. `entry` reads the file and deletes it before `pi` starts.
pub const CREDENTIALS: &str = "credentials.json";
/// The result, in [`IO_DIR`]. Written under another name and renamed: present means complete.
pub const RESULT: &str = "result.json";
