//! A fake OCI registry: the distribution API over a real socket, with tokens as the real ones give them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
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
    /// Uploads that are not at their end.
    uploads: BTreeMap<String, Vec<u8>>,
    /// User and password that the token server wants.
    login: Option<(String, String)>,
    /// Where it sends for a token, where that is not its own.
    realm: Option<String>,
    /// Where it sends for a blob.
    store: Option<String>,
    /// Requests, as `METHOD path`, and what authorised each.
    asked: Vec<Asked>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
}

/// Ends with its runtime.
#[derive(Clone)]
pub struct Registry {
    address: SocketAddr,
    /// As clients call it: its address, or a name with encryption.
    host: String,
    held: Arc<Mutex<Held>>,
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Registry {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let registry = Self { address, host: address.to_string(), held: Arc::default() };
        let router = registry.router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        registry
    }

    /// Encrypted, as `name`, which only a proxy knows (see [`crate::tls`]).
    pub async fn start_encrypted(name: &str, authority: &crate::tls::Authority) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registry = Self { address: listener.local_addr().unwrap(), host: name.to_owned(), held: Arc::default() };
        let router = registry.router();
        let encrypted = authority.listen(listener, name);
        tokio::spawn(async move { axum::serve(encrypted, router).await.unwrap() });
        registry
    }

    fn router(&self) -> Router {
        Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(self.clone())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends to another place for a token.
    pub fn set_realm(&self, realm: &str) {
        self.held.lock().unwrap().realm = Some(realm.to_owned());
    }

    /// Sends on to another place for blobs.
    pub fn set_store(&self, store: &str) {
        self.held.lock().unwrap().store = Some(store.to_owned());
    }

    /// Has whatever is called `tag` be these bytes.
    pub fn put_manifest(&self, tag: &str, manifest: Vec<u8>) -> String {
        let mut held = self.held.lock().unwrap();
        held.manifests.insert(digest(&manifest), manifest.clone());
        held.manifests.insert(tag.to_owned(), manifest.clone());
        digest(&manifest)
    }

    /// What stands under `name`, a tag or a digest.
    pub fn manifest(&self, name: &str) -> Option<Vec<u8>> {
        self.held.lock().unwrap().manifests.get(name).cloned()
    }

    pub fn require_login(&self, user: &str, password: &str) {
        self.held.lock().unwrap().login = Some((user.to_owned(), password.to_owned()));
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.held.lock().unwrap().asked.clone()
    }

    /// `oci://…:tag`
    pub fn reference(&self, tag: &str) -> String {
        format!("oci://{}/{REPOSITORY}:{tag}", self.host)
    }

    pub fn host(&self) -> String {
        self.host.clone()
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
        drop(held);
        self.put_manifest(tag, manifest.to_string().into_bytes())
    }

    /// Answers with other bytes than the digest says.
    pub fn tamper(&self) {
        for blob in self.held.lock().unwrap().blobs.values_mut() {
            if let Some(last) = blob.last_mut() {
                *last ^= 1;
            }
        }
    }

    fn respond(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response {
        let mut held = self.held.lock().unwrap();
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        held.asked.push(Asked {
            method: method.to_string(),
            path: uri.path().to_owned(),
            authorization: authorization.map(str::to_owned),
        });
        let authorization = authorization.unwrap_or_default();
        if let Some((user, password)) = &held.login {
            let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            if uri.path() == "/token" {
                return match authorization == basic {
                    true => axum::Json(json!({ "token": TOKEN })).into_response(),
                    false => StatusCode::UNAUTHORIZED.into_response(),
                };
            }
            if authorization != format!("Bearer {TOKEN}") {
                let scheme = if self.host == self.address.to_string() { "http" } else { "https" };
                let realm = held.realm.clone().unwrap_or_else(|| format!("{scheme}://{}/token", self.host));
                let challenge = format!("Bearer realm=\"{realm}\",service=\"registry\"");
                let error = json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "log in first" }] });
                return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)], axum::Json(error))
                    .into_response();
            }
        }
        if uri.path() == "/v2/" {
            return axum::Json(json!({})).into_response();
        }
        let rest = uri.path().strip_prefix(&format!("/v2/{REPOSITORY}/")).unwrap_or_default();
        if *method != Method::GET && *method != Method::HEAD {
            return held.take(method, uri, rest, body);
        }
        if let (Some(store), true) = (&held.store, rest.starts_with("blobs/")) {
            let to = format!("{store}{}", uri.path());
            return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response();
        }
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

impl Held {
    /// Uploads: begun by a POST, fed by PATCHes, ended by a PUT with the digest; manifests by a PUT.
    fn take(&mut self, method: &Method, uri: &Uri, rest: &str, body: &[u8]) -> Response {
        let refused = (StatusCode::BAD_REQUEST, "{}").into_response();
        let at = |status: StatusCode, path: String| (status, [(header::LOCATION, path)]).into_response();
        match (method.as_str(), rest.rsplit_once('/')) {
            ("POST", Some(("blobs/uploads", ""))) => {
                let id = self.uploads.len().to_string();
                self.uploads.insert(id.clone(), Vec::new());
                at(StatusCode::ACCEPTED, format!("/v2/{REPOSITORY}/blobs/uploads/{id}"))
            }
            ("PATCH", Some(("blobs/uploads", id))) => match self.uploads.get_mut(id) {
                Some(upload) => {
                    upload.extend_from_slice(body);
                    at(StatusCode::ACCEPTED, uri.path().to_owned())
                }
                None => refused,
            },
            ("PUT", Some(("blobs/uploads", id))) => {
                let upload = [self.uploads.get(id).cloned().unwrap_or_default().as_slice(), body].concat();
                let wanted: String = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
                    .find(|(key, _)| key == "digest")
                    .map(|(_, value)| value.into_owned())
                    .unwrap_or_default();
                if digest(&upload) != wanted {
                    return refused;
                }
                self.blobs.insert(wanted.clone(), upload);
                at(StatusCode::CREATED, format!("/v2/{REPOSITORY}/blobs/{wanted}"))
            }
            ("PUT", Some(("manifests", tag))) => {
                self.manifests.insert(digest(body), body.to_vec());
                self.manifests.insert(tag.to_owned(), body.to_vec());
                at(StatusCode::CREATED, format!("/v2/{REPOSITORY}/manifests/{}", digest(body)))
            }
            _ => refused,
        }
    }
}

async fn answer(
    State(registry): State<Registry>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: bytes::Bytes,
) -> Response {
    registry.respond(&method, &uri, &headers, &body)
}
