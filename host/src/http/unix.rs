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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
    };

    use super::*;

    async fn ask(path: &Path) -> io::Result<String> {
        let mut stream = UnixStream::connect(path).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// http-api.md #34 (as architecture.md has it: a folder and a socket for each run, so no name is made and none
    /// is looked for): a predecessor's dead socket is replaced, as is whatever else lies there; a neighbour's is
    /// not touched; only the agents' user may connect; and the end of the server is the end of the socket.
    #[tokio::test]
    async fn a_socket_is_one_runs_own() {
        let folder = tempfile::tempdir().unwrap();
        let [own, other] = ["r1", "r2"].map(|run| folder.path().join(run).join("api.sock"));
        for path in [&own, &other] {
            std::fs::create_dir(path.parent().unwrap()).unwrap();
        }
        let user = AgentUser { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        let says = |word: &'static str| Router::new().route("/", get(move || async move { word }));
        let _neighbour = serve_on_socket(&other, user, says("the other")).unwrap();
        // Dropped without a server, a listener leaves its socket: dead.
        drop(UnixListener::bind(&own).unwrap());
        assert!(ask(&own).await.is_err());
        let first = serve_on_socket(&own, user, says("the first")).unwrap();
        assert!(ask(&own).await.unwrap().ends_with("the first"));
        let found = std::fs::metadata(&own).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!((found.mode() & 0o777, found.uid(), found.gid()), (0o600, user.uid, user.gid));
        drop(first);
        assert!(!own.exists(), "gone with its server");
        std::fs::create_dir(&own).unwrap();
        let _second = serve_on_socket(&own, user, says("the second")).unwrap();
        assert!(ask(&own).await.unwrap().ends_with("the second"));
        assert!(ask(&other).await.unwrap().ends_with("the other"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside the folders");
    }
}
