//! A proxy in front of the Docker Engine that holds chosen requests back, so that a host can be
//! killed at exactly that point. It passes bytes on and understands only request lines.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::Notify,
};

use crate::required;

#[derive(Clone, Default)]
struct Shared {
    /// Requests whose path ends so are held.
    hold: Arc<Mutex<Option<String>>>,
    held: Arc<Notify>,
    /// Requests whose path ends so are answered with this status and message.
    refuse: Arc<Mutex<Vec<(String, u16, String)>>>,
    /// Every exchange is cut off after this time.
    cut: Arc<Mutex<Option<Duration>>>,
}

pub struct Proxy {
    shared: Shared,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Proxy {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let shared = Shared::default();
        let for_task = shared.clone();
        let engine = PathBuf::from(required("DOCKER_HOST").trim_start_matches("unix://"));
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(client, engine.clone(), for_task.clone()));
            }
        });
        Self { shared, path, _folder: folder }
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// Holds every request whose path ends in `ending` until [`Proxy::release`].
    pub fn hold(&self, ending: &str) {
        *self.shared.hold.lock().unwrap() = Some(ending.to_owned());
    }

    /// Answers every request whose path ends in `ending` as the engine would refuse it. With a space
    /// in it, `ending` is how the request line begins: `DELETE /`.
    pub fn refuse(&self, ending: &str, status: u16, message: &str) {
        self.shared.refuse.lock().unwrap().push((ending.to_owned(), status, message.to_owned()));
    }

    /// Refuses no more.
    pub fn allow(&self) {
        self.shared.refuse.lock().unwrap().clear();
    }

    /// Cuts every exchange off after `time`, as a proxy does that carries no long waits.
    pub fn cut_after(&self, time: Duration) {
        *self.shared.cut.lock().unwrap() = Some(time);
    }

    /// Waits until a request is held.
    pub async fn held(&self) {
        tokio::time::timeout(Duration::from_secs(60), self.shared.held.notified()).await.expect("a held request");
    }

    /// Requests that come from now on pass; one that is held stays held: its host is gone.
    pub fn release(&self) {
        *self.shared.hold.lock().unwrap() = None;
    }
}

async fn pass(mut client: UnixStream, engine: impl AsRef<Path>, shared: Shared) {
    let Ok(mut server) = UnixStream::connect(engine).await else { return };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let mut refusal = None;
    let requests = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            if is_held(&buffer[..read], &shared) {
                shared.held.notify_one();
                std::future::pending::<()>().await;
            }
            refusal = refused(&buffer[..read], &shared);
            if refusal.is_some() {
                return;
            }
            if to_server.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
        let _ = to_server.shutdown().await;
    };
    let answers = async {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
    };
    let cut = *shared.cut.lock().unwrap();
    let cut = async {
        match cut {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = requests => {}
        () = answers => {}
        () = cut => {}
    }
    if let Some((status, message)) = refusal {
        let body = serde_json::json!({ "message": message }).to_string();
        let head = format!(
            "HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let _ = client.write_all((head + &body).as_bytes()).await;
    }
}

fn refused(bytes: &[u8], shared: &Shared) -> Option<(u16, String)> {
    let refusals = shared.refuse.lock().unwrap();
    let found = refusals.iter().find(|(ending, ..)| match ending.contains(' ') {
        true => bytes.starts_with(ending.as_bytes()),
        false => path_of(bytes).ends_with(ending),
    });
    found.map(|(_, status, message)| (*status, message.clone()))
}

fn is_held(bytes: &[u8], shared: &Shared) -> bool {
    let Some(ending) = shared.hold.lock().unwrap().clone() else { return false };
    path_of(bytes).ends_with(&ending)
}

/// The path of the request that begins in `bytes`.
fn path_of(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    line.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default().to_owned()
}
