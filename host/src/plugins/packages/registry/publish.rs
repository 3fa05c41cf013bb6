//! A package into a registry, in the layout that [`super`] describes.

use std::{io::Write, path::Path};

use flate2::{Compression, GzBuilder};
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol, Config, ImageLayer},
    errors::OciDistributionError,
    manifest::{OCI_IMAGE_MEDIA_TYPE, OciImageManifest},
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{COMPONENT, CONFIG, MOST_BYTES, Operation, PATIENCE, REST, Registry, RegistryError, SILENCE, is_loopback};
use crate::plugins::{
    contract::Declaration,
    packages::{Package, hex, open_plain},
};

/// Sends the package, and returns the digest under which it stays the same. `overwrite` is the author's word
/// that another one under the name may go.
pub(in crate::plugins::packages) async fn push(
    reference: &Reference,
    docker_config: Option<&Path>,
    package: &Package,
    overwrite: bool,
) -> Result<String, RegistryError> {
    let registry = Registry::of(reference, docker_config)?;
    let late = |_| RegistryError::TooSlow { reference: reference.whole() };
    tokio::time::timeout(PATIENCE, registry.push(package, overwrite)).await.map_err(late)?
}

impl Registry<'_> {
    async fn push(&self, package: &Package, overwrite: bool) -> Result<String, RegistryError> {
        let read = package.clone();
        let packed = tokio::task::spawn_blocking(move || pack(&read)).await;
        let layers =
            packed.map_err(|panic| self.stored(std::io::Error::other(panic)))?.map_err(|source| self.stored(source))?;
        if layers.iter().map(|layer| layer.data.len() as u64).sum::<u64>() > MOST_BYTES {
            return Err(self.layout(format!("it is larger than {} MiB", MOST_BYTES >> 20)));
        }
        let config = Config::new(config(package, &layers), CONFIG.to_owned(), None);
        let artefact = OciImageManifest {
            media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
            ..OciImageManifest::build(&layers, &config, Some(annotations(package)))
        };
        match self.artefact().await {
            Ok((found, digest)) if is_same(&found, &artefact) => return Ok(digest),
            Err(RegistryError::Refused { status: 404, .. }) => {}
            Ok(_) | Err(RegistryError::Layout { .. }) if overwrite => {}
            Ok(_) | Err(RegistryError::Layout { .. }) => {
                return Err(RegistryError::Exists { reference: self.reference.whole() });
            }
            Err(error) => return Err(error),
        }
        let auth = self.authorize(Operation::Push).await?;
        let refused = |source: OciDistributionError| RegistryError::Push {
            reference: self.reference.whole(),
            source: Box::new(source),
        };
        self.library().push(self.reference, &layers, config, &auth, Some(artefact.clone())).await.map_err(refused)?;
        // What stands there now is what we sent, or somebody else was faster.
        let (found, digest) = self.artefact().await?;
        if !is_same(&found, &artefact) {
            return Err(RegistryError::Digest {
                reference: self.reference.whole(),
                expected: "of what was sent".into(),
            });
        }
        Ok(digest)
    }

    fn library(&self) -> Client {
        let registry = self.reference.resolve_registry();
        Client::new(ClientConfig {
            protocol: if is_loopback(registry) {
                ClientProtocol::HttpsExcept(vec![registry.to_owned()])
            } else {
                ClientProtocol::Https
            },
            connect_timeout: Some(SILENCE),
            read_timeout: Some(SILENCE),
            ..ClientConfig::default()
        })
    }
}

fn is_same(one: &OciImageManifest, other: &OciImageManifest) -> bool {
    let digests = |artefact: &OciImageManifest| -> Vec<String> {
        let layers = artefact.layers.iter().map(|layer| layer.digest.clone());
        layers.chain([artefact.config.digest.clone()]).collect()
    };
    digests(one) == digests(other)
}

/// The component, and all else. The same files are the same bytes, whoever packs them and when.
fn pack(package: &Package) -> std::io::Result<[ImageLayer; 2]> {
    let component = std::fs::read(package.folder.join(&package.manifest.component))?;
    let mut rest = tar::Builder::new(GzBuilder::new().mtime(0).write(Vec::new(), Compression::best()));
    for path in package.files.keys().filter(|path| **path != package.manifest.component) {
        let file = open_plain(&package.folder.join(path)).map_err(std::io::Error::other)?;
        let mut header = tar::Header::new_ustar();
        header.set_size(file.metadata()?.len());
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        rest.append_data(&mut header, path, file)?;
    }
    let mut rest = rest.into_inner()?;
    rest.flush()?;
    let layer = |data: Vec<u8>, media_type: &str| ImageLayer::new(data, media_type.to_owned(), None);
    Ok([layer(component, COMPONENT), layer(rest.finish()?, REST)])
}

/// As the layout describes it ("Wasm OCI Artifact layout", configuration).
fn config(package: &Package, layers: &[ImageLayer; 2]) -> Vec<u8> {
    let named = |interface: &str| format!("mercury:plugin/{interface}@{}", package.contract);
    let exports = package.manifest.provides.iter().map(|interface| named(interface.name()));
    let imports = Declaration::read(&layers[0].data).map(|declared| declared.imports).unwrap_or_default();
    let digests = layers.iter().map(|layer| format!("sha256:{}", hex(&Sha256::digest(&layer.data))));
    let config = json!({
        "architecture": "wasm",
        "os": "wasip2",
        // The same package is the same artefact, whenever it is sent.
        "created": jiff::Timestamp::UNIX_EPOCH.to_string(),
        "layerDigests": digests.collect::<Vec<_>>(),
        "component": { "exports": exports.collect::<Vec<_>>(), "imports": imports.iter().map(|it| named(it)).collect::<Vec<_>>(), "target": null },
    });
    config.to_string().into_bytes()
}

fn annotations(package: &Package) -> std::collections::BTreeMap<String, String> {
    let manifest = &package.manifest;
    let all = [
        ("org.opencontainers.image.title", &manifest.name),
        ("org.opencontainers.image.version", &manifest.version),
        ("org.opencontainers.image.description", &manifest.description),
    ];
    let said = all.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(key, value)| (key.to_owned(), value.clone())).collect()
}
