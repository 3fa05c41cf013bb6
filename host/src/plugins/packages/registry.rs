//! A package in an OCI registry.
//!
//! The layout is that of the WebAssembly ecosystem (CNCF TAG Runtime, "Wasm OCI Artifact layout"):
//! config `application/vnd.wasm.config.v0+json`, and a layer `application/wasm` with the component, so
//! that other tools find it. All else of the package (manifest, signature, skill, programs) is one
//! further layer, a compressed tar.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::TryStreamExt;
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest},
    secrets::RegistryAuth,
};
use sha2::{Digest, Sha256};

use super::{MOST_BYTES, archive, hex};
use crate::plugins::manifest::Manifest;

pub(super) const CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub(super) const COMPONENT: &str = "application/wasm";
/// Everything of a package but its component.
pub(super) const REST: &str = "application/vnd.mercury.plugin.v1.tar+gzip";

/// Bytes of the description of an artefact: 1 MiB.
const MOST_DESCRIPTION: usize = 1 << 20;
/// For all of one package.
const PATIENCE: Duration = Duration::from_secs(600);
/// For a connection, and between two pieces of an answer.
const SILENCE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("`{text}` names no package: write `oci://registry.example/name:1.0.0`")]
    Reference { text: String },
    #[error("{reference}: the registry does not give it: {source}")]
    Registry { reference: String, source: Box<OciDistributionError> },
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
    #[error("the registry credentials in {} cannot be read: {reason}", path.display())]
    Credentials { path: PathBuf, reason: String },
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
    let pulling = pull_all(reference, docker_config, folder);
    let late = |_| RegistryError::TooSlow { reference: reference.whole() };
    tokio::time::timeout(PATIENCE, pulling).await.map_err(late)?
}

async fn pull_all(reference: &Reference, docker_config: Option<&Path>, folder: &Path) -> Result<String, RegistryError> {
    let auth = match docker_config {
        Some(path) => credentials(path, reference.registry())?,
        None => RegistryAuth::Anonymous,
    };
    let client = Client::new(ClientConfig {
        // Without encryption only on this machine.
        protocol: if is_loopback(reference.registry()) {
            ClientProtocol::HttpsExcept(vec![reference.registry().to_owned()])
        } else {
            ClientProtocol::Https
        },
        connect_timeout: Some(SILENCE),
        read_timeout: Some(SILENCE),
        platform_resolver: None,
        ..ClientConfig::default()
    });
    let refused = |source| RegistryError::Registry { reference: reference.whole(), source: Box::new(source) };
    let layout = |reason: String| layout_error(reference, reason);
    let (description, digest) =
        client.pull_manifest_raw(reference, &auth, &[OCI_IMAGE_MEDIA_TYPE]).await.map_err(refused)?;
    let expected = reference.digest().unwrap_or(&digest);
    if format!("sha256:{}", hex(&Sha256::digest(&description))) != expected {
        return Err(RegistryError::Digest { reference: reference.whole(), expected: expected.to_owned() });
    }
    if description.len() > MOST_DESCRIPTION {
        return Err(layout("its description is larger than a MiB".into()));
    }
    let artefact: OciImageManifest =
        serde_json::from_slice(&description).map_err(|error| layout(format!("it is no OCI artefact: {error}")))?;
    if artefact.config.media_type != CONFIG {
        let found: String = artefact.config.media_type.chars().filter(|c| !c.is_control()).take(80).collect();
        return Err(layout(format!("it is no WebAssembly artefact: its config is `{found}`, not `{CONFIG}`")));
    }
    let layer = |media_type: &str| {
        let mut layers = artefact.layers.iter().filter(|layer| layer.media_type == media_type);
        match (layers.next(), layers.next()) {
            (Some(layer), None) => Ok(layer),
            (None, _) => Err(layout(format!("it has no layer `{media_type}`, so it is no plugin of Mercury's"))),
            (Some(_), Some(_)) => Err(layout(format!("it has more than one layer `{media_type}`"))),
        }
    };
    let (component, rest) = (layer(COMPONENT)?, layer(REST)?);
    let size = |layer: &OciDescriptor| u64::try_from(layer.size).unwrap_or(u64::MAX);
    if size(component).saturating_add(size(rest)) > MOST_BYTES {
        return Err(layout(format!("it is larger than {} MiB", MOST_BYTES >> 20)));
    }
    let stored = |source| RegistryError::Store { reference: reference.whole(), source };
    let packed = folder.with_extension("tar.gz");
    fetch(&client, reference, rest, &packed).await?;
    std::fs::create_dir(folder).map_err(stored)?;
    let (from, to) = (packed.clone(), folder.to_owned());
    let unpacked = tokio::task::spawn_blocking(move || archive::unpack(&from, &to)).await;
    unpacked
        .map_err(|panic| stored(std::io::Error::other(panic)))?
        .map_err(|source| RegistryError::Archive { reference: reference.whole(), source })?;
    let manifest = Manifest::read(folder).map_err(|error| layout(error.to_string()))?;
    fetch(&client, reference, component, &folder.join(manifest.component)).await?;
    Ok(digest)
}

/// A layer into a new file, never more of it than it said, and only what its digest says.
async fn fetch(client: &Client, reference: &Reference, layer: &OciDescriptor, to: &Path) -> Result<(), RegistryError> {
    let stored = |source| RegistryError::Store { reference: reference.whole(), source };
    let refused = |source| RegistryError::Registry { reference: reference.whole(), source: Box::new(source) };
    let wrong = || RegistryError::Digest { reference: reference.whole(), expected: layer.digest.clone() };
    let mut file = std::fs::File::options().write(true).create_new(true).open(to).map_err(stored)?;
    let mut stream = client.pull_blob_stream(reference, layer).await.map_err(refused)?.stream;
    let (mut hasher, mut left) = (Sha256::new(), u64::try_from(layer.size).unwrap_or_default());
    // The library compares the digest, too, and says so in a read error.
    let broken = |error: std::io::Error| match error.to_string() {
        said if said.contains("digest") => wrong(),
        said => layout_error(reference, format!("the answer broke off: {said}")),
    };
    while let Some(piece) = stream.try_next().await.map_err(broken)? {
        left = left.checked_sub(piece.len() as u64).ok_or_else(wrong)?;
        hasher.update(&piece);
        // Pieces are small, and the disk takes them at once.
        file.write_all(&piece).map_err(stored)?;
    }
    if left != 0 || format!("sha256:{}", hex(&hasher.finalize())) != layer.digest {
        return Err(wrong());
    }
    Ok(())
}

fn layout_error(reference: &Reference, reason: String) -> RegistryError {
    RegistryError::Layout { reference: reference.whole(), reason }
}

fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(host, _)| host),
        None => registry.rsplit_once(':').map_or(registry, |(host, _)| host),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// As `docker login` keeps them in the file itself. Helper programs are not started.
fn credentials(path: &Path, registry: &str) -> Result<RegistryAuth, RegistryError> {
    let failed = |reason: String| RegistryError::Credentials { path: path.to_owned(), reason };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(RegistryAuth::Anonymous),
        Err(error) => return Err(failed(error.to_string())),
    };
    let config: serde_json::Value = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let hub = matches!(registry, "docker.io" | "index.docker.io");
    let names = [registry, if hub { "https://index.docker.io/v1/" } else { registry }];
    let entry = names.iter().find_map(|name| config["auths"].get(*name));
    let Some(encoded) = entry.and_then(|entry| entry["auth"].as_str()).filter(|auth| !auth.is_empty()) else {
        return Ok(RegistryAuth::Anonymous);
    };
    let pair = STANDARD.decode(encoded).ok().and_then(|pair| String::from_utf8(pair).ok());
    let pair = pair.as_deref().and_then(|pair| pair.split_once(':'));
    let (user, password) = pair.ok_or_else(|| failed(format!("the entry of {registry} is no user and password")))?;
    Ok(RegistryAuth::Basic(user.to_owned(), password.trim_end_matches('\0').to_owned()))
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
    fn credentials_are_those_of_docker_login() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert_eq!(credentials(&path, "r.example").unwrap(), RegistryAuth::Anonymous);
        std::fs::write(&path, r#"{"auths":{"r.example":{"auth":"YWRhOnB3OjE="},"h.example":{}},"credsStore":"x"}"#)
            .unwrap();
        assert_eq!(credentials(&path, "r.example").unwrap(), RegistryAuth::Basic("ada".into(), "pw:1".into()));
        assert_eq!(credentials(&path, "h.example").unwrap(), RegistryAuth::Anonymous);
        assert_eq!(credentials(&path, "other.example").unwrap(), RegistryAuth::Anonymous);
        std::fs::write(&path, r#"{"auths":{"r.example":{"auth":"!"}}}"#).unwrap();
        assert!(credentials(&path, "r.example").is_err());
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
