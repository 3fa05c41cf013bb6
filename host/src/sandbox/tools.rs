//! Puts the programs that the host carries where containers can mount them.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// Writes the tools below `<data>/tools/<digest>/` and returns that folder. An older version's
/// folder stays while its containers may still run.
pub(super) fn install(data_dir: &Path) -> io::Result<PathBuf> {
    let mut digest = Sha256::new();
    for tool in mercury_carried::TOOLS {
        digest.update(tool.path);
        digest.update(tool.content);
    }
    let digest: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let folder = data_dir.join("tools").join(digest);
    if folder.join("complete").exists() {
        return Ok(folder);
    }
    for tool in mercury_carried::TOOLS {
        let path = folder.join(tool.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        // By a rename, since a container of an earlier start may be executing the file.
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, tool.content)?;
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(if tool.executable { 0o755 } else { 0o644 }))?;
        std::fs::rename(&fresh, &path)?;
    }
    std::fs::write(folder.join("complete"), "")?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    #[test]
    fn tools_are_installed_once() {
        let data = tempfile::tempdir().unwrap();
        let folder = super::install(data.path()).unwrap();
        assert!(
            folder.join("bin/entry").exists()
                && folder.join("bin/mrctl").exists()
                && folder.join("pi/tool-guard.ts").exists()
        );
        assert_eq!(super::install(data.path()).unwrap(), folder);
    }
}
