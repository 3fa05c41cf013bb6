//! A fake HTTP API for plugins: it says back all that it was sent, and remembers it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::to_bytes, extract::Request};

pub struct Peer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    pub async fn start() -> Self {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let remembered = seen.clone();
        let echo = move |request: Request| async move {
            let (parts, body) = request.into_parts();
            let mut text = format!("{} {}\n", parts.method, parts.uri);
            for (name, value) in &parts.headers {
                text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
            }
            let body = to_bytes(body, usize::MAX).await.unwrap();
            text.push_str(&format!("\n{}", String::from_utf8_lossy(&body)));
            remembered.lock().unwrap().push(text.clone());
            text
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(echo)).await.unwrap() });
        Self { address, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, as it was sent.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}
