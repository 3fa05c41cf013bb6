//! Where files of the host may lie.

use std::path::{Path, PathBuf};

/// Where sign-ins are kept: outside of everything that is mounted into a container.
pub(super) fn auth_path(configured: Option<String>, project: &Path, data_dir: &Path) -> Result<PathBuf, String> {
    let global = data_dir.join("global");
    let path = configured.map_or_else(|| global.join("auth.json"), |path| project.join(path));
    let path = std::path::absolute(&path).map_err(|error| format!("MERCURY_AUTH_PATH: {error}"))?;
    // Where it really lies: neither `..` nor a link makes another place of it.
    let (real, data) = (real_path(&path), real_path(data_dir));
    let in_global = real.strip_prefix(data.join("global")).is_ok_and(|inside| inside.components().count() > 1);
    if in_global || ["spaces", "io", "run"].iter().any(|name| real.starts_with(data.join(name))) {
        return Err(format!(
            "MERCURY_AUTH_PATH / runtime.auth_path: {} lies where agents can read; keep it outside of {}, or leave it unset",
            path.display(),
            data_dir.display()
        ));
    }
    Ok(path)
}

/// `path` without links and `..`, as far as it exists.
pub fn real_path(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            let mut whole = real;
            for part in rest.components() {
                match part {
                    std::path::Component::ParentDir => drop(whole.pop()),
                    part => whole.push(part),
                }
            }
            return whole;
        }
    }
    path.to_owned()
}
