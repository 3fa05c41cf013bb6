//! The way back from the browser: one page on this machine's loopback, for as long as one sign-in takes.

use std::{collections::HashMap, io, sync::Arc};

use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::Html,
    routing::get,
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};

/// What the browser brought: a code, or the provider's word why there is none.
pub(super) type Arrival = Result<String, String>;

/// Dropping it ends the server.
pub(super) struct Callback {
    pub port: u16,
    arrivals: mpsc::Receiver<Arrival>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Waiting {
    state: Arc<str>,
    arrivals: mpsc::Sender<Arrival>,
}

impl Callback {
    pub(super) async fn open(port: u16, path: &str, state: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let port = listener.local_addr()?.port();
        let (sender, arrivals) = mpsc::channel(1);
        let router =
            Router::new().route(path, get(arrive)).with_state(Waiting { state: state.into(), arrivals: sender });
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, "the page for the browser's answer failed");
            }
        });
        Ok(Self { port, arrivals, server })
    }

    pub(super) async fn arrival(&mut self) -> Arrival {
        let arrived = self.arrivals.recv().await;
        // Lets the browser have its page.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        arrived.unwrap_or_else(|| Err("the page for the browser's answer has ended".to_owned()))
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn arrive(
    State(waiting): State<Waiting>,
    Query(query): Query<HashMap<String, String>>,
) -> (StatusCode, Html<&'static str>) {
    // Whoever does not know the state is not the browser that was sent away: it ends nothing.
    if query.get("state").map(String::as_str) != Some(&*waiting.state) {
        return (StatusCode::BAD_REQUEST, Html("<p>This belongs to another sign-in. Start it again."));
    }
    if let Some(error) = query.get("error") {
        let said: String = error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
        let _ = waiting.arrivals.try_send(Err(said));
        return (StatusCode::BAD_REQUEST, Html("<p>The sign-in was not granted. You can close this window."));
    }
    match query.get("code").filter(|code| !code.is_empty()) {
        Some(code) => {
            let _ = waiting.arrivals.try_send(Ok(code.clone()));
            (StatusCode::OK, Html("<p>Signed in. You can close this window and go back to the terminal."))
        }
        None => (StatusCode::BAD_REQUEST, Html("<p>There is no code in this address.")),
    }
}
