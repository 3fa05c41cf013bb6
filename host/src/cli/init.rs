use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path, process::ExitCode};

use anyhow::{Context, Result};

use super::{Project, terminal};

const ENV: &str = "\
# Secrets and machine settings of this project. Not for version control. A value with quotes inside, as JSON has
# them, is taken as it stands, to the line's end.
MERCURY_ANTHROPIC_API_KEY=
# In place of a key, sign in with an account: mercury auth login anthropic
# MERCURY_OPENAI_API_KEY=
# MERCURY_GEMINI_API_KEY=
# MERCURY_GROQ_API_KEY=

# Who may send messages over HTTP, and who may read metrics. Needed to listen wider than loopback.
# MERCURY_CHAT_API_KEY=
# MERCURY_API_SECRET=

# runc is the default. runsc (gVisor) isolates far better: `mercury doctor` says whether it works here.
# MERCURY_CONTAINER_RUNTIME=runsc
# The image that `./dev image` builds.
MERCURY_AGENT_IMAGE=mercury-agent:latest
";

const YAML: &str = "\
# Rename to mercury.yaml to use. A variable of the same meaning in .env wins over a value here.

# server:
#   port: 8787
#   bind: 127.0.0.1

# model:
#   chain:
#     - { provider: anthropic, model: claude-opus-4-8 }
#     - { provider: openai, model: gpt-4o }

# runtime:
#   data_dir: .mercury
#   max_concurrency: 2

# agent:
#   image: mercury-agent:latest
#   container_runtime: runsc
#   container_timeout_ms: 300000
#   memory_mb: 2048
#   env_allow: [BILLING_KEY]  # gives the agent MERCURY_BILLING_KEY; nothing passes unnamed
#   bubblewrap: true         # the agent in bubblewrap inside a runc container
#   network: open            # or none, or filtered with a list of hosts: docs/network.md
#   egress: [api.anthropic.com, \"*.github.com\"]

# plugins:
#   permission-guard:
#     settings:
#       denied-clis: gws,ymail
#   redact:
#     enabled: true
";

/// How every agent behaves, until somebody says otherwise.
pub(super) const AGENTS: &str = "\
# How to behave

Answer briefly and plainly. Say what you did and what you did not do.
Files that you write to `outbox/` are attached to your reply.
";

pub(super) fn init(project: &Project) -> Result<ExitCode> {
    let folder = &project.folder;
    write_new(&folder.join(".env"), ENV, 0o600)?;
    write_new(&folder.join("mercury.example.yaml"), YAML, 0o644)?;
    let data = folder.join(".mercury");
    std::os::unix::fs::DirBuilderExt::mode(fs::DirBuilder::new().recursive(true), 0o700)
        .create(&data)
        .with_context(|| format!("{} cannot be made", data.display()))?;
    for name in ["spaces", "global"] {
        let path = data.join(name);
        fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    }
    write_new(&data.join("global/AGENTS.md"), AGENTS, 0o644)?;
    terminal::line("\nNext: put a model key into .env, then `mercury doctor`, then `mercury run`.");
    Ok(ExitCode::SUCCESS)
}

/// Never overwrites: what is there is the operator's.
fn write_new(path: &Path, content: &str, mode: u32) -> Result<()> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Ok(mut file) => {
            file.write_all(content.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))?;
            terminal::line(format!("✓ {}", path.display()));
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            terminal::line(format!("• {} is there already", path.display()))
        }
        Err(error) => return Err(error).with_context(|| format!("{} cannot be made", path.display())),
    }
    Ok(())
}
