//! What all HTTP listeners share: one shape of error, and how a unix socket is served.

mod bounded;
mod error;
mod unix;

pub use bounded::Bounded;
pub use error::ApiError;
pub use unix::{Closing, SocketServer, serve_on_socket};
