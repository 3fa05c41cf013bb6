use std::{
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use axum::{Extension, Router};
use tokio::{net::UnixListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Bounded;
use crate::sandbox::AgentUser;

/// Connections that one run may hold: sub-agents, model calls and 64 of the proxy among them. More
/// wait, so an agent cannot take the descriptors of the host.
const MOST_CONNECTIONS: usize = 128;

/// A served socket. Dropping it ends the server, open requests included, and removes the socket.
#[derive(Debug)]
pub struct SocketServer {
    path: PathBuf,
    task: JoinHandle<()>,
    _closing: DropGuard,
}

/// In the extensions of every request: tells what outlives its answer that the socket is gone.
#[derive(Clone, Debug, Default)]
pub struct Closing(CancellationToken);

impl Closing {
    pub async fn closed(&self) {
        self.0.cancelled().await;
    }
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
/// The socket is bound beside the run's folder and moved in when mode and owner are right: in the
/// folder itself a live agent could put a link in its place meanwhile. It is bound through a
/// descriptor, since a socket's path has 107 bytes at most (`sun_path` in unix(7)) and a data
/// directory may lie deep.
pub fn serve_on_socket(path: &Path, owner: AgentUser, router: Router) -> io::Result<SocketServer> {
    let place = path.parent().and_then(|folder| Some((folder.parent()?, folder.file_name()?)));
    let Some((staging, folder)) = place else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a socket needs a folder of its own"));
    };
    let staged = staging.join(format!(".{}.sock", folder.to_string_lossy()));
    remove_whatever_is_at(&staged)?;
    let descriptor = std::fs::File::open(staging)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
    let listener = UnixListener::bind(short.join(staged.file_name().unwrap_or_default()))?;
    std::fs::set_permissions(&staged, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    crate::sandbox::own(&staged, owner)?;
    if std::fs::rename(&staged, path).is_err() {
        remove_whatever_is_at(path)?;
        std::fs::rename(&staged, path)?;
    }
    let closing = Closing::default();
    let router = router.layer(Extension(closing.clone()));
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(Bounded::new(listener, MOST_CONNECTIONS), router).await {
            tracing::warn!(%error, "a run's socket failed");
        }
    });
    Ok(SocketServer { path: path.to_owned(), task, _closing: closing.0.drop_guard() })
}

fn remove_whatever_is_at(path: &Path) -> io::Result<()> {
    crate::sandbox::remove_tree(path)
}
