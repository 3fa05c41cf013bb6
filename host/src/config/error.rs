use std::path::PathBuf;

/// Why the configuration cannot be used. Each text says where the value stands.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {}: {source}. MERCURY_CONFIG_FILE names it; set it to `none` to run without a file", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the configuration file {} is not valid YAML:\n{message}", path.display())]
    Syntax { path: PathBuf, message: String },
    #[error("the configuration file {} must be a mapping of sections (`server:`, `agent:` and so on)", path.display())]
    NotAMapping { path: PathBuf },
    #[error("{}", problems.join("; "))]
    Invalid { problems: Vec<String> },
    #[error("cannot read {}: {message}", path.display())]
    DotEnv { path: PathBuf, message: String },
}
