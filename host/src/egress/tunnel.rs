//! CONNECT: bytes in both directions, unseen.

use std::sync::Arc;

use axum::{body::Body, extract::Request, response::Response};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::OwnedSemaphorePermit};

use super::{
    meter::{Activity, Metered},
    run::Run,
};
use crate::http::Closing;

impl Run {
    /// Answers that the tunnel is there, and carries it until an end closes it, it falls silent,
    /// the run's share is used up, or the run ends.
    pub(super) fn tunnel(
        self: Arc<Self>,
        stream: TcpStream,
        mut request: Request,
        closing: Closing,
        permit: OwnedSemaphorePermit,
    ) -> Response {
        let upgrade = hyper::upgrade::on(&mut request);
        let activity = Activity::new();
        let mut server = Metered::new(stream, self.meter.clone(), activity.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let carry = async {
                let mut client = TokioIo::new(upgrade.await.map_err(std::io::Error::other)?);
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            };
            tokio::select! {
                ended = carry => {
                    if let Err(error) = ended {
                        tracing::debug!(run = self.id.as_str(), %error, "a tunnel broke off");
                    }
                }
                () = activity.ceased(self.shared.limits.idle) => {
                    tracing::debug!(run = self.id.as_str(), "a silent tunnel was closed");
                }
                () = closing.closed() => {}
            }
        });
        Response::new(Body::empty())
    }
}
