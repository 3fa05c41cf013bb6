//! A request to the host's own HTTP API on this machine.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::http::{Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use mercury_protocol::socket::ErrorBody;
use secrecy::{ExposeSecret, SecretString};

use crate::config::Config;

/// How long an answer may take: a reload compiles plugins, and much may be stored of one that is to be purged.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which host a command asks; all that ask one have it.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct AtPort {
    /// The host's port, where it is not the configured one.
    #[arg(short, long, global = true)]
    pub(super) port: Option<u16>,
}

/// What proves to the host that it is its operator who asks.
pub(super) fn operator_secret(config: &Config) -> Option<&SecretString> {
    config.api_secret.as_ref().or(config.chat_api_key.as_ref())
}

/// Where the configured host listens, for a client on the same machine.
pub(super) fn base_url(config: &Config, port: Option<u16>) -> String {
    let address = if config.bind.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { config.bind };
    format!("http://{}", std::net::SocketAddr::new(address, port.unwrap_or(config.port)))
}

/// An answer that has been read.
pub(super) struct Answer {
    status: StatusCode,
    pub(super) body: Bytes,
}

impl Answer {
    /// The body of a success, or the host's own error with its next step.
    pub(super) fn success(self) -> Result<Bytes> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        match serde_json::from_slice::<ErrorBody>(&self.body) {
            Ok(error) => {
                let next = error.next.map(|next| format!("\n  → {next}")).unwrap_or_default();
                anyhow::bail!("{}{next}", error.error)
            }
            Err(_) => anyhow::bail!("the host answered with status {}", self.status),
        }
    }
}

/// A request to the host at `base`.
pub(super) struct Call<'a> {
    method: Method,
    base: &'a str,
    path: &'a str,
    secret: Option<&'a SecretString>,
    body: Option<&'a serde_json::Value>,
}

impl<'a> Call<'a> {
    pub(super) fn new(method: Method, base: &'a str, path: &'a str) -> Self {
        Self { method, base, path, secret: None, body: None }
    }

    pub(super) fn secret(self, secret: Option<&'a SecretString>) -> Self {
        Self { secret, ..self }
    }

    pub(super) fn body(self, body: Option<&'a serde_json::Value>) -> Self {
        Self { body, ..self }
    }

    /// Its answer, within two minutes.
    pub(super) async fn send(self) -> Result<Answer> {
        let base = self.base;
        within(PATIENCE, base, self.wait()).await
    }

    /// Without a limit: the answer to a message comes with its run's end.
    pub(super) async fn wait(self) -> Result<Answer> {
        read(self.begin().await?).await
    }

    /// An answer of lines, as they come. Other than with success, the host's error.
    pub(super) async fn lines(self) -> Result<Lines> {
        let response = self.begin().await?;
        if response.status().is_success() {
            return Ok(Lines { body: response.into_body(), read: bytes::BytesMut::new() });
        }
        read(response).await?.success()?;
        anyhow::bail!("the host answered nothing that is understood")
    }

    async fn begin(self) -> Result<Response<hyper::body::Incoming>> {
        let Self { method, base, path, secret, body } = self;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(secret) = secret {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", secret.expose_secret()));
        }
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body)))?;
        client.request(request).await.with_context(|| {
            format!("no host answers at {base}. Start one with `mercury run`, or name its port with --port")
        })
    }
}

async fn within(limit: Duration, base: &str, answer: impl Future<Output = Result<Answer>>) -> Result<Answer> {
    tokio::time::timeout(limit, answer).await.with_context(|| {
        let seconds = limit.as_secs_f64();
        format!(
            "{base} has not answered within {seconds} s. If another program listens there, give this host its own port with server.port / MERCURY_PORT"
        )
    })?
}

/// The lines of an answer, as they come.
pub(super) struct Lines {
    body: hyper::body::Incoming,
    read: bytes::BytesMut,
}

impl Lines {
    /// The next line without its end; none after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let mut line = self.read.split_to(end + 1);
                line.truncate(end);
                return Ok(Some(line.freeze()));
            }
            match self.body.frame().await.transpose().context("the answer broke off; the host may have been stopped")? {
                Some(frame) => self.read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                None => return Ok(None),
            }
        }
    }
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<Answer> {
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .context("the answer broke off; the host may have been stopped")?
        .to_bytes();
    Ok(Answer { status, body })
}

/// A request of the operator to the configured host, and its answer as JSON.
pub(super) async fn ask(config: &Config, at: AtPort, method: Method, path: &str) -> Result<serde_json::Value> {
    ask_with(config, at, method, path, None).await
}

/// With a body.
pub(super) async fn ask_with(
    config: &Config,
    at: AtPort,
    method: Method,
    path: &str,
    body: Option<serde_json::Value>,
) -> Result<serde_json::Value> {
    let base = base_url(config, at.port);
    let answer =
        Call::new(method, &base, path).secret(operator_secret(config)).body(body.as_ref()).send().await?.success()?;
    serde_json::from_slice(&answer).context("the host's answer is not understood")
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever has taken the port may say nothing at all.
    #[tokio::test]
    async fn silence_is_an_error() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answer = within(Duration::from_millis(100), &base, Call::new(Method::GET, &base, "/health").wait());
        let Err(error) = answer.await else { panic!("an answer") };
        assert!(format!("{error:#}").contains("has not answered within 0.1 s"), "{error:#}");
    }
}
