//! The files of plugins that the host carries, on disk: the skill that is mounted for the agent, the
//! programs for its image. The component itself is loaded from the binary.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use mercury_carried::File;

#[derive(Debug, thiserror::Error)]
#[error("the files of the built-in plugin cannot be written to {}: {source}", path.display())]
pub(super) struct UnpackError {
    path: PathBuf,
    source: io::Error,
}

/// The folder of the carried plugin `name` below `to`, written where it is missing or another
/// version's. None where it has no files.
pub(super) fn unpack(to: &Path, name: &str) -> Result<Option<PathBuf>, UnpackError> {
    let component = mercury_carried::COMPONENTS.iter().find(|component| component.name == name);
    let files = component.map_or(&[][..], |component| component.files);
    if files.is_empty() {
        return Ok(None);
    }
    let folder = to.join(name);
    let fail = |source| UnpackError { path: folder.clone(), source };
    if !holds(&folder, files) {
        // Made aside, so that a crash leaves no half skill under the name.
        let aside = to.join(format!(".{name}.{}", std::process::id()));
        write(&aside, files).map_err(fail)?;
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
            _ => fs::rename(&aside, &folder).map_err(fail)?,
        }
    }
    Ok(Some(folder))
}

/// Whether the folder has exactly these files.
fn holds(folder: &Path, files: &[File]) -> bool {
    let same = |file: &File| fs::read(folder.join(file.path)).is_ok_and(|content| content == file.content);
    files.iter().all(same) && count(folder).is_ok_and(|found| found == files.len())
}

fn count(folder: &Path) -> io::Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files += if entry.file_type()?.is_dir() { count(&entry.path())? } else { 1 };
    }
    Ok(files)
}

fn write(folder: &Path, files: &[File]) -> io::Result<()> {
    for file in files {
        let path = folder.join(file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, file.content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(if file.executable { 0o755 } else { 0o644 }))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_once_and_mended() {
        let folder = tempfile::tempdir().unwrap();
        let charts = unpack(folder.path(), "charts").unwrap().unwrap();
        let program = fs::metadata(charts.join("charts")).unwrap();
        assert_eq!(program.permissions().mode() & 0o777, 0o755);
        let written = program.modified().unwrap();
        assert!(fs::read_to_string(charts.join("skill/SKILL.md")).unwrap().starts_with("---\nname: charts\n"));

        unpack(folder.path(), "charts").unwrap();
        assert_eq!(fs::metadata(charts.join("charts")).unwrap().modified().unwrap(), written, "nothing to do");

        fs::write(charts.join("skill/SKILL.md"), "another version's").unwrap();
        fs::write(charts.join("skill/left-over.md"), "").unwrap();
        unpack(folder.path(), "charts").unwrap();
        assert!(fs::read_to_string(charts.join("skill/SKILL.md")).unwrap().starts_with("---\n"));
        assert!(!charts.join("skill/left-over.md").exists());
        assert_eq!(unpack(folder.path(), "redact").unwrap(), None);
    }

    #[test]
    fn what_manifests_name_is_carried() {
        for component in mercury_carried::COMPONENTS {
            let manifest = crate::plugins::Manifest::parse(Path::new("plugin.toml"), component.manifest).unwrap();
            let has = |path: &str| component.files.iter().any(|file| file.path == path);
            assert_eq!(manifest.name, component.name);
            for bin in manifest.agent.clis.iter().filter_map(|cli| cli.bin.as_ref()) {
                assert!(has(bin), "{}: {bin}", component.name);
            }
            if let Some(skill) = &manifest.agent.skill {
                assert!(has(&format!("{skill}/SKILL.md")), "{}: {skill}", component.name);
            }
        }
    }
}
