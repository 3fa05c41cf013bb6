use std::{
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use axum::Router;
use tokio::{net::UnixListener, task::JoinHandle};

use crate::sandbox::AgentUser;

/// A served socket. Dropping it ends the server, open requests included, and removes the socket.
#[derive(Debug)]
pub struct SocketServer {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Drop for SocketServer {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Serves `router` on a new socket at `path` that only `owner` may connect to. Whatever lies there
/// is replaced: the folder belongs to one run, and a predecessor's socket is dead.
///
/// The socket is bound through its folder's descriptor, since a socket's path has 107 bytes at most
/// (`sun_path` in unix(7)) and a data directory may lie deep.
pub fn serve_on_socket(path: &Path, owner: AgentUser, router: Router) -> io::Result<SocketServer> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a socket needs a folder and a name"));
    };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let folder = std::fs::File::open(folder)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    let listener = UnixListener::bind(&short)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    crate::sandbox::own(path, owner)?;
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::warn!(%error, "a run's socket failed");
        }
    });
    Ok(SocketServer { path: path.to_owned(), task })
}
