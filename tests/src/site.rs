//! A fake web server that agents may or may not reach: it says what it was asked, and remembers it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Request};

pub struct Site {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// Listens on all of this machine's addresses, since containers with a network reach it by the
    /// bridge.
    pub async fn start() -> Self {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let remembered = seen.clone();
        let say = move |request: Request| async move {
            let asked = format!("{} {}", request.method(), request.uri());
            remembered.lock().unwrap().push(asked.clone());
            format!("the site was asked {asked}\n")
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(say)).await.unwrap() });
        Self { address, seen }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Methods and targets of all requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}
