//! Which files of `outbox/` this run wrote, by comparing what was there before and after.
//! Looks at names and metadata only; the host decides what may leave.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The visible regular files at the outbox's top level.
#[derive(Debug, Default)]
pub struct Snapshot(BTreeMap<String, Mark>);

/// What changes when a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    size: u64,
    inode: u64,
    /// Nanoseconds since the epoch.
    modified: i128,
}

impl Snapshot {
    /// Of `<workspace>/outbox`. A missing directory is an empty one. Links are not followed and
    /// not listed; names that are not UTF-8 cannot be named in a result and are left out.
    pub fn of(workspace: &Path) -> Self {
        let Ok(entries) = fs::read_dir(workspace.join("outbox")) else {
            return Self::default();
        };
        let mark = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok().filter(|name| !name.starts_with('.'))?;
            let data = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            let modified = i128::from(data.mtime()) * 1_000_000_000 + i128::from(data.mtime_nsec());
            Some((name, Mark { size: data.size(), inode: data.ino(), modified }))
        };
        Self(entries.flatten().filter_map(mark).collect())
    }

    /// The names that are new or changed in `after`, in the order of their last write.
    pub fn written_until(&self, after: &Self) -> Vec<String> {
        let mut written: Vec<_> = after.0.iter().filter(|(name, mark)| self.0.get(*name) != Some(mark)).collect();
        written.sort_by_key(|(_, mark)| mark.modified);
        written.into_iter().map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// pipeline.md #47
    #[test]
    fn new_changed_and_replaced_files_are_named_in_order_of_writing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Snapshot::of(dir.path()).0.is_empty());
        let outbox = dir.path().join("outbox");
        fs::create_dir_all(outbox.join("sub")).unwrap();
        for name in ["old", "changed", "replaced"] {
            fs::write(outbox.join(name), "1").unwrap();
        }
        let before = Snapshot::of(dir.path());
        // File times move on with the kernel's tick, which is 10 ms at most.
        #[allow(clippy::disallowed_methods, reason = "waits for the file system's clock")]
        let tick = || std::thread::sleep(std::time::Duration::from_millis(25));
        tick();
        fs::write(outbox.join("z-first"), "x").unwrap();
        tick();
        fs::write(outbox.join("changed"), "2").unwrap();
        tick();
        fs::write(outbox.join("new"), "1").unwrap();
        fs::rename(outbox.join("new"), outbox.join("replaced")).unwrap();
        fs::write(outbox.join(".hidden"), "x").unwrap();
        fs::write(outbox.join("sub/deep"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", outbox.join("link")).unwrap();
        let written = before.written_until(&Snapshot::of(dir.path()));
        assert_eq!(written, ["z-first", "changed", "replaced"]);
    }
}
