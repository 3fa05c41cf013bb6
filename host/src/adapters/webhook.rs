//! What platforms send to `/webhooks/<platform>`.

use std::sync::Arc;

use super::{Adapters, Line};
use crate::plugins::{
    CallError, Interface,
    adapter::{WEBHOOK_PATIENCE, WebhookResponse},
};

pub use crate::plugins::adapter::WebhookRequest;

#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("there is no platform of this name")]
    Unknown,
    /// Its adapter takes no webhooks: what was sent is not needed.
    #[error("this platform is not reached by webhooks")]
    NotTaken,
    #[error("the adapter is not running")]
    Down,
    #[error("the adapter did not answer within {} s", WEBHOOK_PATIENCE.as_secs())]
    Late,
    #[error("the adapter failed")]
    Failed,
}

impl Adapters {
    /// Whether a request to the platform would be handed on. To be asked before its body is read.
    ///
    /// # Errors
    /// Why not.
    pub fn takes_webhooks(&self, platform: &str) -> Result<(), WebhookError> {
        self.webhook_line(platform).map(drop)
    }

    fn webhook_line(&self, platform: &str) -> Result<Arc<Line>, WebhookError> {
        let line = self.line(platform).ok_or(WebhookError::Unknown)?;
        if !line.adapter.provides(Interface::Webhook) {
            return Err(WebhookError::NotTaken);
        }
        if line.watched.is_running() { Ok(line) } else { Err(WebhookError::Down) }
    }

    /// Hands a request to the platform's adapter and waits for its answer.
    pub async fn webhook(&self, platform: &str, request: WebhookRequest) -> Result<WebhookResponse, WebhookError> {
        let line = self.webhook_line(platform)?;
        match line.adapter.webhook(request).await {
            Ok(Ok(response)) => {
                if response.verified {
                    line.watched.sign_of_life();
                }
                Ok(response)
            }
            Ok(Err(said)) => {
                tracing::warn!(platform, "the adapter could not take a webhook: {said}");
                Err(WebhookError::Failed)
            }
            Err(CallError::Timeout { .. }) => Err(WebhookError::Late),
            Err(CallError::Busy { .. }) => Err(WebhookError::Down),
            Err(_) => Err(WebhookError::Failed),
        }
    }
}
