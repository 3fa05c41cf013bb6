//! The proxy for one run: whose requests they are, how many at once, and what they add up to.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{
    extract::Request,
    http::{HeaderMap, Method, header, uri::Scheme},
    response::Response,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{Shared, error::Error, meter::Meter};
use crate::{
    domain::{
        egress::{self, Authority, Malformed, Refusal},
        ids::RunId,
    },
    http::Closing,
    plugins::{EgressRequest, types::Caller},
    resolve::Asker,
};

/// Refusals of one run that are logged at `info`: an agent that tries on must not fill the disk.
const MOST_LOGGED: u32 = 100;

pub(super) struct Run {
    pub(super) shared: Arc<Shared>,
    pub(super) id: RunId,
    caller: Caller,
    pub(super) meter: Arc<Meter>,
    connections: Arc<Semaphore>,
    pub(super) lookups: Asker,
    carried: AtomicU32,
    refused: AtomicU32,
}

impl Run {
    pub(super) fn new(shared: Arc<Shared>, id: RunId, caller: Caller) -> Self {
        Self {
            meter: Arc::new(Meter::new(shared.rules.most_bytes)),
            connections: Arc::new(Semaphore::new(shared.limits.connections)),
            lookups: Asker::default(),
            shared,
            id,
            caller,
            carried: AtomicU32::new(0),
            refused: AtomicU32::new(0),
        }
    }

    /// Carries one request, or says why not. A kept-alive connection brings each of its requests
    /// here, so each is checked anew.
    pub(super) async fn carry(self: Arc<Self>, request: Request, closing: Closing) -> Result<Response, Error> {
        let target = match self.shared.off.clone() {
            Some(off) => Err(off),
            None => target(&request),
        };
        let named = target.as_ref().ok().cloned();
        let outcome = match target {
            Ok(authority) => self.clone().carry_to(authority, request, closing).await,
            Err(refusal) => Err(Error::Refused(refusal)),
        };
        self.record(named.as_ref(), outcome.as_ref().err());
        outcome
    }

    async fn carry_to(
        self: Arc<Self>,
        authority: Authority,
        request: Request,
        closing: Closing,
    ) -> Result<Response, Error> {
        let permit = self.admit(&authority, self.question(&authority, &request)).await?;
        let stream = self.shared.connect(&authority, &self.lookups).await?;
        if request.method() == Method::CONNECT {
            Ok(self.tunnel(stream, request, closing, permit))
        } else {
            self.forward(stream, &authority, request, closing, permit).await
        }
    }

    /// What the guards are asked.
    fn question(&self, authority: &Authority, request: &Request) -> EgressRequest {
        let plain = request.method() != Method::CONNECT;
        EgressRequest {
            host: authority.host.to_string(),
            port: authority.port,
            method: plain.then(|| request.method().to_string()),
            path: plain.then(|| request.uri().path().to_owned()),
            listed: self.shared.rules.lists(authority),
        }
    }

    /// Everything that can be decided before the name is looked up.
    async fn admit(&self, authority: &Authority, question: EgressRequest) -> Result<OwnedSemaphorePermit, Refusal> {
        let rules = &self.shared.rules;
        if self.meter.is_used_up() {
            return Err(Refusal::Quota { mib: rules.most_bytes >> 20 });
        }
        let not_listed = || Refusal::NotListed { host: authority.host.to_string(), port: authority.port };
        let listed = question.listed;
        if !listed && rules.plugins.is_empty() {
            return Err(not_listed());
        }
        let opened = self.shared.plugins.check_egress(self.caller.clone(), question, &rules.plugins).await;
        if !opened.map_err(Refusal::Guard)? && !listed {
            return Err(not_listed());
        }
        let permit = timeout(self.shared.limits.queue, self.connections.clone().acquire_owned()).await;
        permit.ok().and_then(Result::ok).ok_or(Refusal::Busy)
    }

    fn record(&self, authority: Option<&Authority>, error: Option<&Error>) {
        let outcome = error.map_or("carried", Error::code);
        metrics::counter!("mercury_egress_requests_total", "outcome" => outcome).increment(1);
        let run = self.id.as_str();
        // A target that was not understood is not repeated: it may hold a password.
        let target = authority.map_or_else(|| "(not understood)".to_owned(), ToString::to_string);
        let Some(error) = error else {
            self.carried.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(run, target, "egress carried");
            return;
        };
        let before = self.refused.fetch_add(1, Ordering::Relaxed);
        if before < MOST_LOGGED {
            tracing::info!(run, target, code = outcome, reason = %error, caller = self.caller.person, "egress refused");
        } else {
            tracing::debug!(run, target, code = outcome, "egress refused");
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let (carried, refused) = (*self.carried.get_mut(), *self.refused.get_mut());
        if carried + refused > 0 {
            let (sent, received) = (self.meter.sent(), self.meter.received());
            tracing::info!(run = self.id.as_str(), carried, refused, sent, received, "egress of the run");
        }
    }
}

/// Where a request to a proxy wants to go.
fn target(request: &Request) -> Result<Authority, Refusal> {
    let uri = request.uri();
    let text = uri.authority().ok_or(Malformed::Empty)?.as_str();
    let authority = if request.method() == Method::CONNECT {
        Authority::parse(text, None)?
    } else if uri.scheme() == Some(&Scheme::HTTP) {
        Authority::parse(text, Some(80))?
    } else {
        return Err(Refusal::Scheme);
    };
    let headers = request.headers();
    egress::check_host_header(&authority, single(headers, &header::HOST)?)?;
    Ok(authority)
}

fn single<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Refusal::HostHeader),
        (value, None) => Ok(value.map(|value| value.as_bytes())),
    }
}
