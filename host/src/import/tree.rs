//! The old project's files: workspaces, what all agents share, sign-ins and settings.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use cap_fs_ext::DirExt;
use cap_std::{
    ambient_authority,
    fs::{Dir, MetadataExt, OpenOptions},
};
use tokio_util::sync::CancellationToken;

use super::{Report, old::Paths};
use crate::{
    backup::{
        Places,
        walk::{Found, Step, walk},
    },
    domain::{
        active_profile::{self, Active},
        ids::SpaceId,
    },
};

#[derive(Debug, thiserror::Error)]
#[error("broken off")]
pub(super) struct BrokenOff;

/// Of the old data directory, what does not come along, with the reason.
const LEFT: &[(&str, &str)] = &[
    ("extensions", "the old extensions do not run here; see `mercury plugins list` for what is in their place"),
    ("whatsapp-auth", "WhatsApp is still to come; its device stays linked to the old host"),
];

/// Variables that name folders.
const PLACES: &[&str] = &["MERCURY_DATA_DIR", "MERCURY_AUTH_PATH", "MERCURY_HOST_DATA_DIR"];

pub(super) fn bring(
    old: &Paths,
    places: &Places,
    mut report: Report,
    cancel: &CancellationToken,
) -> io::Result<Report> {
    for folder in ["spaces", "global"] {
        if old.data_dir.join(folder).is_dir() {
            tree(old, places, folder, &mut report, cancel)?;
        }
    }
    for (name, why) in LEFT {
        if old.data_dir.join(name).exists() {
            report.leave(*name, why);
        }
    }
    let own = |name: &str| (old.data_dir.join(name), places.data_dir.join(name));
    let (from, to) = own("model-capabilities.yaml");
    setting(&from, &to, 0o600, |text| text, &mut report)?;
    let (from, to) = own(active_profile::FILE);
    match std::fs::read_to_string(&from).map(|record| Active::read(&record)) {
        // A host does not start with one that cannot be read.
        Ok(Err(reason)) => report.leave(active_profile::FILE, &reason),
        _ => setting(&from, &to, 0o600, |text| text, &mut report)?,
    }
    setting(&old.auth_path, &places.auth_path, 0o600, |text| text, &mut report)?;
    setting(&old.folder.join(".env"), &places.project.join(".env"), 0o600, without_places, &mut report)?;
    for name in ["mercury.yaml", "mercury.yml"] {
        setting(&old.folder.join(name), &places.project.join(name), 0o644, |text| text, &mut report)?;
    }
    if old.names_places {
        report.leave(
            "runtime.data_dir and runtime.auth_path of mercury.yaml",
            "they name the old project's folders: take them out of the new file, or the new host uses those",
        );
    }
    Ok(report)
}

/// Without the lines that name folders: here they would mean those of the old project.
fn without_places(content: Vec<u8>) -> Vec<u8> {
    let names_place = |line: &[u8]| {
        let line = line.trim_ascii_start();
        let line = line.strip_prefix(b"export ").unwrap_or(line).trim_ascii_start();
        PLACES.iter().any(|name| {
            line.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.trim_ascii_start().starts_with(b"="))
        })
    };
    content.split_inclusive(|byte| *byte == b'\n').filter(|line| !names_place(line)).flatten().copied().collect()
}

fn tree(old: &Paths, places: &Places, top: &str, report: &mut Report, cancel: &CancellationToken) -> io::Result<()> {
    let dry_run = report.dry_run;
    let target = match dry_run {
        true => Dir::open_ambient_dir(&places.data_dir, ambient_authority()).ok(),
        false => Some(Dir::open_ambient_dir(&places.data_dir, ambient_authority())?),
    };
    let skipped = walk(&old.data_dir.join(top), |found| {
        if cancel.is_cancelled() {
            return Err(io::Error::other(BrokenOff));
        }
        if let Some(why) = stays(top, found) {
            if let Some(why) = why {
                report.leave(format!("{top}/{}", found.path.display()), why);
            }
            return Ok(Step::Over);
        }
        let path = Path::new(top).join(&found.path);
        match entry(target.as_ref(), &path, found, dry_run) {
            Ok(Outcome::Taken) => report.count("files", true),
            Ok(Outcome::Same) => report.count("files", false),
            Ok(Outcome::Folder) => {}
            Ok(Outcome::Differs) => {
                report.leave(path.display().to_string(), "another one is there already, which stays")
            }
            Err(error) => report.leave(path.display().to_string(), &error.to_string()),
        }
        Ok(Step::On)
    })?;
    for left in skipped {
        report.leave(format!("{top}/{}", left.path.display()), left.reason);
    }
    Ok(())
}

/// `Some` for what does not come along; with a reason, where that is worth a word.
fn stays(top: &str, found: &Found<'_>) -> Option<Option<&'static str>> {
    let mut parts = found.path.iter().map(OsStr::to_string_lossy);
    let first = parts.next().unwrap_or_default();
    match (top, first.as_ref()) {
        ("global", name) if name.starts_with("auth.json") => Some(None),
        ("global", "skills" | "extensions") => Some(Some("they come with the plugins here")),
        ("spaces", space) if SpaceId::try_from(space.to_owned()).is_err() => Some(Some("its name is none of a space")),
        ("spaces", _) if parts.next().is_none() && !found.metadata.is_dir() => Some(Some("it is no folder of a space")),
        _ => None,
    }
}

enum Outcome {
    Folder,
    Taken,
    Same,
    /// There is another one.
    Differs,
}

/// `root` is none in a dry run into nothing.
fn entry(root: Option<&Dir>, path: &Path, found: &Found<'_>, dry_run: bool) -> io::Result<Outcome> {
    let special = || io::Error::other("it is neither a file nor a folder nor a link");
    let Some(name) = path.file_name() else { return Err(special()) };
    let parent = match root {
        Some(root) => parent_of(root, path, dry_run)?,
        None => None,
    };
    let present = parent.as_ref().and_then(|parent| parent.symlink_metadata(name).ok());
    let metadata = &found.metadata;
    if metadata.is_dir() {
        match (&parent, present) {
            (_, Some(present)) if !present.is_dir() => return Ok(Outcome::Differs),
            (Some(parent), None) if !dry_run => {
                parent.create_dir(name)?;
                give(&opened(&parent.open_dir_nofollow(name)?)?, found)?;
            }
            _ => {}
        }
        return Ok(Outcome::Folder);
    }
    if metadata.is_symlink() {
        let goal = found.target()?;
        return Ok(match (&parent, present) {
            (Some(parent), Some(_)) if parent.read_link_contents(name).is_ok_and(|there| there == goal) => {
                Outcome::Same
            }
            (_, Some(_)) => Outcome::Differs,
            (Some(parent), None) if !dry_run => {
                parent.symlink_contents(&goal, name)?;
                Outcome::Taken
            }
            _ => Outcome::Taken,
        });
    }
    if !metadata.is_file() {
        return Err(special());
    }
    let mut from = found.open()?.into_std();
    match (&parent, present) {
        (Some(parent), Some(present)) => {
            let same = present.is_file() && present.len() == metadata.len() && same(&mut from, parent, name)?;
            Ok(if same { Outcome::Same } else { Outcome::Differs })
        }
        (Some(parent), None) if !dry_run => copy(&mut from, parent, name, found).map(|()| Outcome::Taken),
        _ => Ok(Outcome::Taken),
    }
}

/// The folder in which `path` is to lie, opened without following a link: an agent may have put some
/// there. None in a dry run where it is not there yet.
fn parent_of(root: &Dir, path: &Path, dry_run: bool) -> io::Result<Option<Dir>> {
    let mut folder = root.try_clone()?;
    for part in path.parent().into_iter().flat_map(Path::iter) {
        folder = match folder.open_dir_nofollow(part) {
            Ok(below) => below,
            Err(error) if error.kind() == io::ErrorKind::NotFound && dry_run => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                folder.create_dir(part)?;
                folder.open_dir_nofollow(part)?
            }
            Err(error) => return Err(error),
        };
    }
    Ok(Some(folder))
}

/// Under another name until it is whole, so that no half file is taken for somebody's own.
fn copy(from: &mut File, parent: &Dir, name: &OsStr, found: &Found<'_>) -> io::Result<()> {
    let part = format!(".importing-{:08x}", rand::random::<u32>());
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let copied = parent.open_with(&part, &options).and_then(|file| {
        let mut file = file.into_std();
        io::copy(from, &mut file)?;
        give(&file, found)?;
        // Clean-up goes by it.
        file.set_modified(found.metadata.modified()?.into_std())?;
        parent.rename(&part, parent, name)
    });
    if copied.is_err() {
        let _ = parent.remove_file(&part);
    }
    copied
}

/// The folder itself, as a file whose mode can be set: cap-std opens folders as mere places (`O_PATH`).
fn opened(folder: &Dir) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, openat};
    Ok(File::from(openat(folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
}

/// Owner and mode as they were; only root may give files away.
fn give(file: &File, found: &Found<'_>) -> io::Result<()> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(found.metadata.mode() & 0o777);
    file.set_permissions(mode)?;
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::fchown(file, Some(found.metadata.uid()), Some(found.metadata.gid()))?;
    }
    Ok(())
}

fn same(from: &mut File, parent: &Dir, name: &OsStr) -> io::Result<bool> {
    let mut there = parent.open(name)?;
    let (mut one, mut other) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let read = from.read(&mut one)?;
        if read == 0 {
            return Ok(there.read(&mut other)? == 0);
        }
        match there.read_exact(&mut other[..read]) {
            Ok(()) if one[..read] == other[..read] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// The operator's own stays; the old one is put beside it.
fn setting(
    from: &Path,
    to: &Path,
    mode: u32,
    change: impl Fn(Vec<u8>) -> Vec<u8>,
    report: &mut Report,
) -> io::Result<()> {
    let content = match std::fs::read(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => change(read?),
    };
    let mut beside = to.as_os_str().to_owned();
    beside.push(".imported");
    let beside = Path::new(&beside);
    let is = |path: &Path| std::fs::read(path).is_ok_and(|there| there == content);
    if is(to) || is(beside) {
        report.count("settings", false);
        return Ok(());
    }
    let target = if to.exists() { beside } else { to };
    if target == beside {
        report.leave(
            from.display().to_string(),
            "another one is there already; the old one is put beside it, with `.imported` at its end",
        );
    }
    report.count("settings", true);
    if report.dry_run {
        return Ok(());
    }
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = File::options().write(true).create(true).truncate(true).mode(mode).open(target)?;
    io::Write::write_all(&mut file, &content)
}
