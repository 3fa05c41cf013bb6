//! Plain files of folders that strangers fill: no link, which would lead elsewhere, and nothing that
//! blocks or acts when it is opened.

use std::{fs::File, io, os::unix::fs::OpenOptionsExt as _, path::Path};

use rustix::{fs::OFlags, io::Errno};

/// Opens the file for reading. None where it is a link or a special file.
pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match File::options().read(true).custom_flags(flags.bits() as i32).open(path) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => return Ok(None),
        opened => opened?,
    };
    Ok(file.metadata()?.is_file().then_some(file))
}
