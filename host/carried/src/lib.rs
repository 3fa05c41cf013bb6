//! What the host carries along, so that one binary is the whole product.

/// A component with its manifest. Loaded like anybody's.
#[derive(Clone, Copy)]
pub struct Component {
    pub name: &'static str,
    /// The text of its `plugin.toml`.
    pub manifest: &'static str,
    pub wasm: &'static [u8],
    /// What else is in its folder: a skill, programs for the agent's image.
    pub files: &'static [File],
}

/// A file of a plugin's folder.
#[derive(Clone, Copy)]
pub struct File {
    /// Below the folder.
    pub path: &'static str,
    pub content: &'static [u8],
    pub executable: bool,
}

/// A file that is mounted into every container, read-only.
#[derive(Clone, Copy)]
pub struct Tool {
    /// Below `/opt/mercury`.
    pub path: &'static str,
    pub content: &'static [u8],
    pub executable: bool,
}

macro_rules! tool {
    ($path:literal, $file:literal, $executable:literal) => {
        Tool { path: $path, content: include_bytes!(concat!(env!("OUT_DIR"), "/", $file)), executable: $executable }
    };
}

pub static COMPONENTS: &[Component] = include!(concat!(env!("OUT_DIR"), "/components.rs"));

pub static TOOLS: &[Tool] = &[
    tool!("bin/entry", "entry", true),
    tool!("bin/mrctl", "mrctl", true),
    tool!("pi/tool-guard.ts", "tool-guard.ts", false),
    tool!("pi/subagent.ts", "subagent.ts", false),
    tool!("pi/agents/explore.md", "agents-explore.md", false),
    tool!("pi/agents/worker.md", "agents-worker.md", false),
];

/// Path and content of the files that `mercury plugins new` chooses from: `templates/…`, `wit/…`, `sdk/…`.
pub static TEMPLATES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));
