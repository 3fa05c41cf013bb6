//! What all HTTP listeners share: one shape of error, how bodies are read, and how sockets are served.

mod bodies;
mod bounded;
mod error;
mod extract;
mod linger;
mod serve;
mod unix;

pub use bodies::Bodies;
pub use bounded::Bounded;
pub use error::ApiError;
pub use extract::{Given, Input, Path, Query, most_body};
pub use serve::{HEAD_WITHIN, Peer, serve};
pub use unix::{Closing, SocketServer, serve_on_socket};
