//! A fake OCI registry: the distribution API over a real socket, with tokens as the real ones give them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use sha2::{Digest, Sha256};

const REPOSITORY: &str = "somebody/plugin";
const TOKEN: &str = "token-of-the-registry";

#[derive(Default)]
struct Held {
    /// By tag and by digest.
    manifests: BTreeMap<String, Vec<u8>>,
    blobs: BTreeMap<String, Vec<u8>>,
    /// User and password that the token server wants.
    login: Option<(String, String)>,
    /// Requests, as `METHOD path`.
    asked: Vec<String>,
}

/// Ends with its runtime.
#[derive(Clone)]
pub struct Registry {
    address: SocketAddr,
    held: Arc<Mutex<Held>>,
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Registry {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registry = Self { address: listener.local_addr().unwrap(), held: Arc::default() };
        let router = Router::new().fallback(answer).with_state(registry.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        registry
    }

    pub fn require_login(&self, user: &str, password: &str) {
        self.held.lock().unwrap().login = Some((user.to_owned(), password.to_owned()));
    }

    pub fn asked(&self) -> Vec<String> {
        self.held.lock().unwrap().asked.clone()
    }

    /// `oci://…:tag`
    pub fn reference(&self, tag: &str) -> String {
        format!("oci://{}/{REPOSITORY}:{tag}", self.address)
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Publishes the plugin in `folder` in the layout of the ecosystem, and returns the digest.
    pub fn publish(&self, tag: &str, folder: &Path, component: &str) -> String {
        let packed = std::process::Command::new("tar")
            .args(["-cz", "--exclude", component, "-C"])
            .arg(folder)
            .arg(".")
            .output()
            .unwrap();
        assert!(packed.status.success());
        let wasm = std::fs::read(folder.join(component)).unwrap();
        self.publish_layers(
            tag,
            "application/vnd.wasm.config.v0+json",
            &[("application/wasm", wasm), ("application/vnd.mercury.plugin.v1.tar+gzip", packed.stdout)],
        )
    }

    pub fn publish_layers(&self, tag: &str, config_type: &str, layers: &[(&str, Vec<u8>)]) -> String {
        let mut held = self.held.lock().unwrap();
        let mut descriptor = |media_type: &str, bytes: &[u8]| {
            held.blobs.insert(digest(bytes), bytes.to_vec());
            json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
        };
        let config = descriptor(config_type, b"{}");
        let layers: Vec<_> = layers.iter().map(|(media_type, bytes)| descriptor(media_type, bytes)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers,
        });
        let manifest = manifest.to_string().into_bytes();
        held.manifests.insert(digest(&manifest), manifest.clone());
        held.manifests.insert(tag.to_owned(), manifest.clone());
        digest(&manifest)
    }

    /// Answers with other bytes than the digest says.
    pub fn tamper(&self) {
        for blob in self.held.lock().unwrap().blobs.values_mut() {
            if let Some(last) = blob.last_mut() {
                *last ^= 1;
            }
        }
    }

    fn respond(&self, uri: &Uri, headers: &HeaderMap) -> Response {
        let mut held = self.held.lock().unwrap();
        held.asked.push(uri.path().to_owned());
        let authorization =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Some((user, password)) = &held.login {
            let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            if uri.path() == "/token" {
                return match authorization == basic {
                    true => axum::Json(json!({ "token": TOKEN })).into_response(),
                    false => StatusCode::UNAUTHORIZED.into_response(),
                };
            }
            if authorization != format!("Bearer {TOKEN}") {
                let challenge = format!("Bearer realm=\"http://{}/token\",service=\"registry\"", self.address);
                let error = json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "log in first" }] });
                return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)], axum::Json(error))
                    .into_response();
            }
        }
        if uri.path() == "/v2/" {
            return axum::Json(json!({})).into_response();
        }
        let rest = uri.path().strip_prefix(&format!("/v2/{REPOSITORY}/")).unwrap_or_default();
        let found = match rest.split_once('/') {
            Some(("manifests", name)) => {
                held.manifests.get(name).map(|bytes| ("application/vnd.oci.image.manifest.v1+json", bytes.clone()))
            }
            Some(("blobs", name)) => held.blobs.get(name).map(|bytes| ("application/octet-stream", bytes.clone())),
            _ => None,
        };
        match found {
            Some((kind, bytes)) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
            None => {
                let error = json!({ "errors": [{ "code": "MANIFEST_UNKNOWN", "message": "there is no such thing" }] });
                (StatusCode::NOT_FOUND, axum::Json(error)).into_response()
            }
        }
    }
}

async fn answer(State(registry): State<Registry>, uri: Uri, headers: HeaderMap) -> Response {
    registry.respond(&uri, &headers)
}
