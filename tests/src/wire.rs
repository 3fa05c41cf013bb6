//! A fake of a platform's websocket: it keeps what it was told, says what a test wants, and breaks off.

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpListener, sync::broadcast};
use tokio_tungstenite::tungstenite::Message;

#[derive(Clone, Debug)]
enum Order {
    Say(String),
    BreakOff,
}

pub struct Wire {
    port: u16,
    orders: broadcast::Sender<Order>,
    heard: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Wire {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let wire =
            Self { port, orders: broadcast::Sender::new(16), heard: Arc::default(), connections: Arc::default() };
        let (orders, heard, connections) = (wire.orders.clone(), wire.heard.clone(), wire.connections.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut orders, heard, connections) = (orders.subscribe(), heard.clone(), connections.clone());
                tokio::spawn(async move {
                    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                    *connections.lock().unwrap() += 1;
                    loop {
                        tokio::select! {
                            message = socket.next() => match message {
                                Some(Ok(Message::Text(text))) => heard.lock().unwrap().push(text.to_string()),
                                Some(Ok(_)) => {}
                                _ => return,
                            },
                            order = orders.recv() => match order {
                                Ok(Order::Say(text)) => socket.send(Message::text(text)).await.unwrap(),
                                _ => return,
                            },
                        }
                    }
                });
            }
        });
        wire
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// To every open connection.
    pub fn say(&self, text: &str) {
        self.orders.send(Order::Say(text.to_owned())).unwrap();
    }

    pub fn break_off(&self) {
        self.orders.send(Order::BreakOff).unwrap();
    }

    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Connections that stand now.
    pub fn open(&self) -> usize {
        self.orders.receiver_count()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}
