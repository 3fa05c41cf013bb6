//! What one plugin may reach, as its manifest and the operator say. Made once, when it is loaded.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use tokio::sync::Semaphore;
use url::Url;

use super::{
    capabilities::{credentials::Secrets, http::Clients},
    manifest::Manifest,
    services::Services,
};
use crate::{
    config::{PluginConfig, StandIn},
    domain::outbound::{Bucket, Grant, Target},
};

/// Requests of one plugin that may be open at once; more wait.
const MOST_OPEN: usize = 16;

pub(super) struct Access {
    pub(super) plugin: String,
    /// In the order of the manifest.
    pub(super) http: Vec<Grant>,
    pub(super) sockets: Vec<Grant>,
    pub(super) secrets: Secrets,
    pub(super) clients: Clients,
    pub(super) permits: Semaphore,
    /// Held while the database works for this plugin: its calls wait for each other, so that of those who
    /// wait for the database it is only one.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// The most bytes of a response and of a download, for each grant.
    most: Vec<(u64, u64)>,
    stand_ins: Vec<StandIn>,
    buckets: Mutex<Vec<Bucket>>,
    began: Instant,
}

impl Access {
    /// # Errors
    /// What is wrong with a grant.
    pub(super) fn new(manifest: &Manifest, config: Option<&PluginConfig>, services: &Services) -> Result<Self, String> {
        let secrets = Secrets::new(&manifest.secrets, &services.secrets)?;
        for grant in manifest.secrets.iter().filter(|grant| !grant.optional && !secrets.is_present(&grant.name)) {
            tracing::warn!(
                plugin = manifest.name,
                "{} is not set: {} needs it as its secret `{}`",
                grant.variable,
                manifest.name,
                grant.name
            );
        }
        let private = config.map(|config| config.private.clone()).unwrap_or_default();
        Ok(Self {
            plugin: manifest.name.clone(),
            http: manifest.http.iter().map(|grant| grant.read()).collect::<Result<_, _>>()?,
            sockets: manifest.sockets.iter().map(|grant| grant.read()).collect::<Result<_, _>>()?,
            secrets,
            clients: Clients::new(&manifest.name, services.resolver.clone(), private),
            permits: Semaphore::new(MOST_OPEN),
            turn: tokio::sync::Mutex::default(),
            most: manifest.http.iter().map(|grant| (grant.most_response(), grant.most_download())).collect(),
            stand_ins: config.map(|config| config.stand_ins.clone()).unwrap_or_default(),
            buckets: Mutex::new(manifest.http.iter().map(|grant| Bucket::new(grant.per_minute, 0)).collect()),
            began: Instant::now(),
        })
    }

    /// That of a call that may reach nobody.
    pub(super) fn nothing(plugin: &str, services: &Services) -> Self {
        Self {
            plugin: plugin.to_owned(),
            http: Vec::new(),
            sockets: Vec::new(),
            secrets: Secrets::none(),
            clients: Clients::new(plugin, services.resolver.clone(), Vec::new()),
            permits: Semaphore::new(MOST_OPEN),
            turn: tokio::sync::Mutex::default(),
            most: Vec::new(),
            stand_ins: Vec::new(),
            buckets: Mutex::default(),
            began: Instant::now(),
        }
    }

    /// The operator's server in the place of the target's.
    pub(super) fn stand_in(&self, target: &Target) -> Option<&Url> {
        self.stand_ins.iter().find(|stand_in| target.is_named_by(&stand_in.pattern)).map(|stand_in| &stand_in.url)
    }

    pub(super) fn most_response(&self, grant: usize) -> u64 {
        self.most.get(grant).map_or(0, |most| most.0)
    }

    pub(super) fn most_download(&self, grant: usize) -> u64 {
        self.most.get(grant).map_or(0, |most| most.1)
    }

    /// Takes one of the requests that the grant allows in a minute.
    ///
    /// # Errors
    /// Milliseconds until there is one.
    pub(super) fn take_token(&self, grant: usize) -> Result<(), u32> {
        let now = self.began.elapsed().as_millis() as u64;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.get_mut(grant).map_or(Ok(()), |bucket| bucket.take(now))
    }
}
