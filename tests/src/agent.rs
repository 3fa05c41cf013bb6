//! A client at the container's end of a run's socket: what a program inside could send.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Response, body::Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::host::{Answer, Host};

/// The socket of the one run that is at work.
pub async fn socket(host: &Host) -> PathBuf {
    host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "running").await;
    let run: String = host.query("SELECT id FROM runs ORDER BY id DESC LIMIT 1").unwrap();
    host.data_dir().join("run").join(run).join("api.sock")
}

/// Sends a request and returns when its answer begins.
pub async fn begin(socket: &Path, path: &str, headers: &[(&str, &str)], body: &Value) -> Response<Incoming> {
    let stream = UnixStream::connect(socket).await.unwrap();
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = hyper::Request::post(path).header("host", "localhost").header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.send_request(request.body(Full::new(Bytes::from(body.to_string()))).unwrap()).await.unwrap()
}

/// Sends a request and reads its whole answer.
pub async fn post(socket: &Path, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let response = begin(socket, path, headers, body).await;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
    Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()) }
}
