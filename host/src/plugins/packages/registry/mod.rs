//! A package in an OCI registry.
//!
//! The layout is that of the WebAssembly ecosystem (CNCF TAG Runtime, "Wasm OCI Artifact layout"):
//! config `application/vnd.wasm.config.v0+json`, and a layer `application/wasm` with the component, so
//! that other tools find it. All else of the package (manifest, signature, skill, programs) is one
//! further layer, a compressed tar.

mod login;
mod publish;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use oci_client::{
    Reference,
    errors::OciDistributionError,
    manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest},
    secrets::RegistryAuth,
};
use reqwest::{Client, Response, header, redirect};
use sha2::{Digest, Sha256};

use super::{MOST_BYTES, archive, hex};
use crate::{domain::deception::deceives, plugins::manifest::Manifest};
use login::{Operation, authorize};
pub(super) use publish::push;

pub(super) const CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub(super) const COMPONENT: &str = "application/wasm";
/// Everything of a package but its component.
pub(super) const REST: &str = "application/vnd.mercury.plugin.v1.tar+gzip";

/// Bytes of the description of an artefact: 1 MiB.
const MOST_DESCRIPTION: u64 = 1 << 20;
/// Redirections of one request, as to a registry's store.
const MOST_HOPS: usize = 5;
/// For all of one package.
const PATIENCE: Duration = Duration::from_secs(600);
/// For a connection, and between two pieces of an answer.
const SILENCE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("`{text}` names no package: write `oci://registry.example/name:1.0.0`")]
    Reference { text: String },
    #[error("{reference}: the registry cannot be asked")]
    Unreachable { reference: String, source: reqwest::Error },
    #[error(
        "{reference}: the registry does not give it: {said} (status {status}). Where it wants to know you, use `docker login`"
    )]
    Refused { reference: String, status: u16, said: String },
    #[error(
        "{registry} sends to `{realm}` for a token, which is not its own, or not encrypted: your credentials are not sent there"
    )]
    Realm { registry: String, realm: String },
    #[error("{reference}: it took longer than {} s", PATIENCE.as_secs())]
    TooSlow { reference: String },
    #[error("{reference}: {reason}")]
    Layout { reference: String, reason: String },
    #[error("{reference}: what came is not what its digest {expected} says")]
    Digest { reference: String, expected: String },
    #[error("{reference} cannot be stored: {source}")]
    Store { reference: String, source: std::io::Error },
    #[error("{reference}: {source}")]
    Archive { reference: String, source: archive::ArchiveError },
    #[error("the registry credentials in {} cannot be used: {reason}", path.display())]
    Credentials { path: PathBuf, reason: String },
    #[error(
        "{reference} is there already, and who installed it would find another behind its name. Publish under a new version, or with --overwrite"
    )]
    Exists { reference: String },
    #[error("{reference}: the registry does not take it")]
    Push { reference: String, source: Box<OciDistributionError> },
}

pub(super) fn parse(text: &str) -> Result<Reference, RegistryError> {
    Reference::try_from(text).map_err(|_| RegistryError::Reference { text: text.chars().take(200).collect() })
}

/// Where the artefact's present version is, without the digest that it had earlier.
pub(super) fn newest(reference: &Reference) -> Reference {
    match reference.tag() {
        Some(tag) => {
            Reference::with_tag(reference.registry().to_owned(), reference.repository().to_owned(), tag.to_owned())
        }
        None => reference.clone(),
    }
}

/// Fetches a package into `folder`, and returns the digest under which it stays the same.
pub(super) async fn pull(
    reference: &Reference,
    docker_config: Option<&Path>,
    folder: &Path,
) -> Result<String, RegistryError> {
    let registry = Registry::of(reference, docker_config)?;
    let late = |_| RegistryError::TooSlow { reference: reference.whole() };
    tokio::time::timeout(PATIENCE, registry.pull(folder)).await.map_err(late)?
}

/// A registry, asked about one artefact.
///
/// The library for registries is used for what we send. What we receive comes from anybody: here every
/// answer is bounded, no address but the registry's own is asked (a layer may name others), and an
/// encrypted connection never leads to one that is not.
struct Registry<'a> {
    reference: &'a Reference,
    docker_config: Option<&'a Path>,
    client: Client,
    /// For its token server, which is told who we are, in the body as well: it sends nobody to another one.
    token_client: Client,
    /// Scheme and host.
    base: String,
}

impl<'a> Registry<'a> {
    fn of(reference: &'a Reference, docker_config: Option<&'a Path>) -> Result<Self, RegistryError> {
        // Without encryption only on this machine.
        let is_local = is_loopback(reference.registry());
        let built = |redirects| {
            let client = Client::builder().connect_timeout(SILENCE).read_timeout(SILENCE).https_only(!is_local);
            let built = client.redirect(redirects).build();
            built.map_err(|source| RegistryError::Unreachable { reference: reference.whole(), source })
        };
        let client = built(redirect::Policy::custom(|attempt| {
            let falls =
                attempt.previous().iter().any(|url| url.scheme() == "https") && attempt.url().scheme() != "https";
            match () {
                () if falls => attempt.error("it is sent on to a place without encryption"),
                () if attempt.previous().len() > MOST_HOPS => attempt.error("it is sent on too often"),
                () => attempt.follow(),
            }
        }))?;
        let token_client = built(redirect::Policy::custom(|attempt| {
            let is_own = attempt.previous().iter().all(|url| url.origin() == attempt.url().origin());
            if is_own && attempt.previous().len() <= MOST_HOPS { attempt.follow() } else { attempt.stop() }
        }))?;
        let scheme = if is_local { "http" } else { "https" };
        let base = format!("{scheme}://{}", reference.resolve_registry());
        Ok(Self { reference, docker_config, client, token_client, base })
    }

    async fn authorize(&self, operation: Operation) -> Result<RegistryAuth, RegistryError> {
        authorize(self, operation).await
    }

    /// Asks with a fresh token: those of some registries live a minute.
    async fn get(&self, path: &str, accept: &str) -> Result<Response, RegistryError> {
        let auth = self.authorize(Operation::Pull).await?;
        let url = format!("{}/v2/{}/{path}", self.base, self.reference.repository());
        let request = self.client.get(url).header(header::ACCEPT, accept);
        let request = match auth {
            RegistryAuth::Anonymous => request,
            RegistryAuth::Basic(user, password) => request.basic_auth(user, Some(password)),
            RegistryAuth::Bearer(token) => request.bearer_auth(token),
        };
        request.send().await.map_err(|source| self.unreachable(source))
    }

    async fn good(&self, answer: Response) -> Result<Response, RegistryError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let said = said(&read_bounded(answer, MOST_DESCRIPTION, self.reference).await?);
        Err(RegistryError::Refused { reference: self.reference.whole(), status: status.as_u16(), said })
    }

    fn unreachable(&self, source: reqwest::Error) -> RegistryError {
        RegistryError::Unreachable { reference: self.reference.whole(), source }
    }

    fn layout(&self, reason: impl Into<String>) -> RegistryError {
        RegistryError::Layout { reference: self.reference.whole(), reason: reason.into() }
    }

    fn stored(&self, source: std::io::Error) -> RegistryError {
        RegistryError::Store { reference: self.reference.whole(), source }
    }

    async fn pull(&self, folder: &Path) -> Result<String, RegistryError> {
        let (artefact, digest) = self.artefact().await?;
        let (component, rest) = (self.layer(&artefact, COMPONENT)?, self.layer(&artefact, REST)?);
        let size = |layer: &OciDescriptor| u64::try_from(layer.size).unwrap_or(u64::MAX);
        if size(component).saturating_add(size(rest)) > MOST_BYTES {
            return Err(self.layout(format!("it is larger than {} MiB", MOST_BYTES >> 20)));
        }
        let packed = folder.with_extension("tar.gz");
        self.fetch(rest, &packed).await?;
        std::fs::create_dir(folder).map_err(|source| self.stored(source))?;
        let (from, to) = (packed.clone(), folder.to_owned());
        let unpacked = tokio::task::spawn_blocking(move || archive::unpack(&from, &to)).await;
        unpacked
            .map_err(|panic| self.stored(std::io::Error::other(panic)))?
            .map_err(|source| RegistryError::Archive { reference: self.reference.whole(), source })?;
        let manifest = Manifest::read(folder).map_err(|error| self.layout(error.to_string()))?;
        self.fetch(component, &folder.join(manifest.component)).await?;
        Ok(digest)
    }

    /// Its description, and the digest of that.
    async fn artefact(&self) -> Result<(OciImageManifest, String), RegistryError> {
        let name = self.reference.digest().or(self.reference.tag()).unwrap_or("latest");
        let answer = self.good(self.get(&format!("manifests/{name}"), OCI_IMAGE_MEDIA_TYPE).await?).await?;
        let description = read_bounded(answer, MOST_DESCRIPTION, self.reference).await?;
        let digest = format!("sha256:{}", hex(&Sha256::digest(&description)));
        if let Some(expected) = self.reference.digest()
            && digest != expected
        {
            return Err(RegistryError::Digest { reference: self.reference.whole(), expected: expected.to_owned() });
        }
        let artefact: OciImageManifest = serde_json::from_slice(&description)
            .map_err(|error| self.layout(format!("it is no OCI artefact: {error}")))?;
        if artefact.config.media_type != CONFIG {
            let found = shown(&artefact.config.media_type);
            return Err(self.layout(format!("it is no WebAssembly artefact: its config is `{found}`, not `{CONFIG}`")));
        }
        Ok((artefact, digest))
    }

    fn layer<'m>(&self, artefact: &'m OciImageManifest, media_type: &str) -> Result<&'m OciDescriptor, RegistryError> {
        let mut layers = artefact.layers.iter().filter(|layer| layer.media_type == media_type);
        match (layers.next(), layers.next()) {
            (Some(layer), None) => Ok(layer),
            (None, _) => Err(self.layout(format!("it has no layer `{media_type}`, so it is no plugin of Mercury's"))),
            (Some(_), Some(_)) => Err(self.layout(format!("it has more than one layer `{media_type}`"))),
        }
    }

    /// A layer into a new file, never more of it than it said, and only what its digest says.
    async fn fetch(&self, layer: &OciDescriptor, to: &Path) -> Result<(), RegistryError> {
        let wrong = || RegistryError::Digest { reference: self.reference.whole(), expected: shown(&layer.digest) };
        // Also what keeps the path a path.
        let is_digest = layer.digest.strip_prefix("sha256:").is_some_and(|hex| {
            hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        });
        if !is_digest {
            return Err(wrong());
        }
        let answer = self.good(self.get(&format!("blobs/{}", layer.digest), "*/*").await?).await?;
        let mut file =
            std::fs::File::options().write(true).create_new(true).open(to).map_err(|source| self.stored(source))?;
        let (mut hasher, mut left) = (Sha256::new(), u64::try_from(layer.size).unwrap_or_default());
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.try_next().await.map_err(|source| self.unreachable(source))? {
            left = left.checked_sub(piece.len() as u64).ok_or_else(wrong)?;
            hasher.update(&piece);
            // Pieces are small, and the disk takes them at once.
            file.write_all(&piece).map_err(|source| self.stored(source))?;
        }
        if left != 0 || format!("sha256:{}", hex(&hasher.finalize())) != layer.digest {
            return Err(wrong());
        }
        Ok(())
    }
}

/// The answer, if it is no larger than `most` bytes.
async fn read_bounded(answer: Response, most: u64, reference: &Reference) -> Result<Bytes, RegistryError> {
    let unreachable = |source| RegistryError::Unreachable { reference: reference.whole(), source };
    let mut read = bytes::BytesMut::new();
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.try_next().await.map_err(unreachable)? {
        if (read.len() + piece.len()) as u64 > most {
            let reason = format!("an answer of its registry is larger than {} KiB", most >> 10);
            return Err(RegistryError::Layout { reference: reference.whole(), reason });
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}

/// What a registry says of an error, for people.
fn said(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = json["errors"][0]["message"].as_str().or(json["details"].as_str()).unwrap_or("it does not say why");
    shown(text)
}

/// A stranger's text within ours.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !deceives(*c)).take(200).collect()
}

/// Of `host`, `host:port` and `[address]:port`.
fn host_of(registry: &str) -> &str {
    match registry.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(host, _)| host),
        None => registry.rsplit_once(':').map_or(registry, |(host, _)| host),
    }
}

fn is_loopback(registry: &str) -> bool {
    is_loopback_host(host_of(registry))
}

/// A name or an address, also in brackets.
fn is_loopback_host(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_without_encryption() {
        for registry in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"] {
            assert!(is_loopback(registry), "{registry}");
        }
        for registry in ["registry.example", "localhost.example:5000", "10.0.0.1:5000", "[2001:db8::1]:5000"] {
            assert!(!is_loopback(registry), "{registry}");
        }
    }

    #[test]
    fn an_update_asks_for_the_tag_again() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = parse(&format!("r.example/p:1@{digest}")).unwrap();
        assert_eq!(newest(&pinned).whole(), "r.example/p:1");
        let fixed = parse(&format!("r.example/p@{digest}")).unwrap();
        assert_eq!(newest(&fixed).digest(), Some(digest.as_str()));
    }
}
