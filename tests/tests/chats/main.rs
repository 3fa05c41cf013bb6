//! Chat platforms through the built binary: from an adapter to a container and back.
#![allow(clippy::unwrap_used)]

mod crashes;
mod deliveries;
mod inbox;
mod life;
mod plugins;
mod sockets;
