//! Who we are to a registry: what `docker login` keeps, in its file or with its helper programs, and the
//! token that it is exchanged for.
//!
//! Credentials go to the registry that they are of and to its own token server, encrypted, and nowhere
//! else, whatever an answer says.

use std::{io::Cursor, path::Path};

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::{Reference, secrets::RegistryAuth};
use reqwest::{Client, Url, header};
use serde::Deserialize;

use super::{Registry, RegistryError, is_loopback, is_loopback_host, read_bounded, said};

/// Under this name Docker's own client keeps the credentials of its Hub.
const HUB: &str = "https://index.docker.io/v1/";
/// Bytes of a token server's answer: 64 KiB.
const MOST_TOKEN: u64 = 64 << 10;

/// What may be done with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Pull,
    Push,
}

impl Operation {
    fn scope(self, reference: &Reference) -> String {
        let actions = match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        };
        format!("repository:{}:{actions}", reference.repository())
    }
}

/// What the registry asks for.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Token { realm: String, service: Option<String> },
}

impl Challenge {
    fn is_for_token(&self) -> bool {
        matches!(self, Self::Token { .. })
    }
}

#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: String,
}

/// What opens the registry for `operation`.
pub(super) async fn authorize(registry: &Registry<'_>, operation: Operation) -> Result<RegistryAuth, RegistryError> {
    let Registry { reference, docker_config, client, token_client, base } = registry;
    let answer = client.get(format!("{base}/v2/")).send().await.map_err(|source| registry.unreachable(source))?;
    let challenges = answer.headers().get_all(header::WWW_AUTHENTICATE).iter();
    let challenges = challenges.filter_map(|value| challenge(value.to_str().ok()?));
    let Some(challenge) = challenges.max_by_key(Challenge::is_for_token) else {
        return Ok(RegistryAuth::Anonymous);
    };
    let credential = match docker_config {
        Some(path) => stored(path.to_path_buf(), reference.registry().to_owned()).await?,
        None => None,
    };
    match (challenge, credential) {
        (Challenge::Basic, Some(DockerCredential::UsernamePassword(user, password))) => {
            Ok(RegistryAuth::Basic(user, password))
        }
        (Challenge::Basic, Some(DockerCredential::IdentityToken(_)) | None) => Ok(RegistryAuth::Anonymous),
        (Challenge::Token { realm, service }, credential) => {
            let realm = token_server(reference.registry(), &realm, credential.is_some())?;
            token(token_client, reference, realm, service, credential, operation).await.map(RegistryAuth::Bearer)
        }
    }
}

/// Of one header; a token, where there is a choice.
fn challenge(header: &str) -> Option<Challenge> {
    let challenges = http_auth::parse_challenges(header).ok()?;
    let found = challenges.iter().filter_map(|challenge| {
        let of = |name: &str| {
            let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        match challenge.scheme.to_ascii_lowercase().as_str() {
            "bearer" => Some(Challenge::Token { realm: of("realm")?, service: of("service") }),
            "basic" => Some(Challenge::Basic),
            _ => None,
        }
    });
    found.max_by_key(Challenge::is_for_token)
}

/// The token server, if it may be asked.
fn token_server(registry: &str, realm: &str, has_credentials: bool) -> Result<Url, RegistryError> {
    let foreign = || RegistryError::Realm { registry: registry.to_owned(), realm: super::shown(realm) };
    let url = Url::parse(realm).map_err(|_| foreign())?;
    let host = url.host_str().ok_or_else(foreign)?;
    let local = is_loopback(registry);
    if !(url.scheme() == "https" || (url.scheme() == "http" && local && is_loopback_host(host))) {
        return Err(foreign());
    }
    if has_credentials && !is_of_one_house(super::host_of(registry), host) {
        return Err(foreign());
    }
    Ok(url)
}

/// `registry.example.com` and `auth.example.com` are; addresses only if they are the same.
fn is_of_one_house(registry: &str, realm: &str) -> bool {
    let house = |host: &str| {
        let labels: Vec<&str> = host.rsplit('.').take(2).collect();
        let is_name = labels.len() == 2 && host.parse::<std::net::Ipv4Addr>().is_err() && !host.contains(':');
        is_name.then(|| labels.join(".").to_ascii_lowercase())
    };
    registry.eq_ignore_ascii_case(realm.trim_matches(['[', ']']))
        || house(registry).is_some_and(|ours| house(realm) == Some(ours))
}

async fn token(
    client: &Client,
    reference: &Reference,
    realm: Url,
    service: Option<String>,
    credential: Option<DockerCredential>,
    operation: Operation,
) -> Result<String, RegistryError> {
    let mut wanted = vec![("scope", operation.scope(reference))];
    wanted.extend(service.map(|service| ("service", service)));
    let request = match credential {
        None => client.get(realm).query(&wanted),
        Some(DockerCredential::UsernamePassword(user, password)) => {
            client.get(realm).query(&wanted).basic_auth(user, Some(password))
        }
        // OAuth 2 as the distribution project describes it ("Docker Registry v2 authentication via OAuth2").
        Some(DockerCredential::IdentityToken(token)) => {
            let grant = [("grant_type", "refresh_token"), ("client_id", "mercury")].map(|(k, v)| (k, v.to_owned()));
            wanted.extend(grant);
            wanted.push(("refresh_token", token));
            client.post(realm).form(&wanted)
        }
    };
    let unreachable = |source| RegistryError::Unreachable { reference: reference.whole(), source };
    let answer = request.send().await.map_err(unreachable)?;
    let status = answer.status();
    if status.is_redirection() {
        let to = answer.headers().get(header::LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
        let (registry, realm) = (reference.registry().to_owned(), super::shown(&to.unwrap_or_default()));
        return Err(RegistryError::Realm { registry, realm });
    }
    let body = read_bounded(answer, MOST_TOKEN, reference).await?;
    let refused = |said| RegistryError::Refused { reference: reference.whole(), status: status.as_u16(), said };
    if !status.is_success() {
        return Err(refused(said(&body)));
    }
    let token: Token = serde_json::from_slice(&body).map_err(|_| refused("its token is none".into()))?;
    Ok(token.token)
}

/// Looks as Docker's own client does, and may start a helper program.
async fn stored(path: std::path::PathBuf, registry: String) -> Result<Option<DockerCredential>, RegistryError> {
    let read = tokio::task::spawn_blocking(move || credentials(&path, &registry));
    read.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

fn credentials(path: &Path, registry: &str) -> Result<Option<DockerCredential>, RegistryError> {
    let failed = |reason: String| RegistryError::Credentials { path: path.to_owned(), reason };
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    let server = if matches!(registry, "docker.io" | "index.docker.io") { HUB } else { registry };
    match docker_credential::get_credential_from_reader(Cursor::new(text), server) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(Some(DockerCredential::UsernamePassword(user, password.trim_end_matches('\0').to_owned())))
        }
        Ok(token) => Ok(Some(token)),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        Err(CredentialRetrievalError::HelperFailure { helper, stdout, stderr }) => {
            // What a helper says that has none ("docker-credential-helpers", `credentials/error.go`).
            if stdout.trim() == "credentials not found in native keychain" {
                return Ok(None);
            }
            let words = super::shown(if stderr.trim().is_empty() { stdout.trim() } else { stderr.trim() });
            Err(failed(format!("`{helper}` failed for {registry}: {words}")))
        }
        Err(CredentialRetrievalError::HelperCommunicationError) => {
            Err(failed("the helper program that it names (`docker-credential-…`) cannot be started".into()))
        }
        Err(error) => Err(failed(format!("the entry of {registry}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::SocketAddr,
        sync::{Arc, Mutex},
    };

    use axum::{
        http::{StatusCode, Uri},
        response::{IntoResponse, Response},
    };

    use super::*;

    fn pair(user: &str, password: &str) -> Option<DockerCredential> {
        Some(DockerCredential::UsernamePassword(user.into(), password.into()))
    }

    #[test]
    fn credentials_are_those_of_docker_login() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert_eq!(credentials(&path, "r.example").unwrap(), None);
        let config =
            r#"{"auths":{"r.example":{"auth":"YWRhOnB3OjE="},"https://index.docker.io/v1/":{"auth":"YWRhOmh1Yg=="}}}"#;
        std::fs::write(&path, config).unwrap();
        assert_eq!(credentials(&path, "r.example").unwrap(), pair("ada", "pw:1"));
        assert_eq!(credentials(&path, "docker.io").unwrap(), pair("ada", "hub"));
        assert_eq!(credentials(&path, "other.example").unwrap(), None);
        for bad in [r#"{"auths":{"r.example":{"auth":"!"}}}"#, "no JSON", r#"{"credsStore":"no-such-helper"}"#] {
            std::fs::write(&path, bad).unwrap();
            let error = credentials(&path, "r.example").unwrap_err().to_string();
            assert!(error.contains("config.json"), "{error}");
        }
    }

    /// What a registry's answer says about where to go is not believed.
    #[test]
    fn credentials_go_to_the_registrys_own_house() {
        for (registry, realm) in [
            ("ghcr.io", "https://ghcr.io/token"),
            ("docker.io", "https://auth.docker.io/token"),
            ("registry.gitlab.com", "https://gitlab.com/jwt/auth"),
            ("registry.example.com:5050", "https://gitlab.example.com/jwt/auth"),
            ("127.0.0.1:5000", "http://127.0.0.1:5001/token"),
            ("[::1]:5000", "http://[::1]:5001/token"),
        ] {
            assert!(token_server(registry, realm, true).is_ok(), "{registry} {realm}");
        }
        for (registry, realm) in [
            ("ghcr.io", "https://evil.example/token"),
            ("ghcr.io", "http://ghcr.io/token"),
            ("ghcr.io", "http://127.0.0.1/token"),
            ("ghcr.io", "file:///etc/passwd"),
            ("10.0.0.1:5000", "https://10.0.0.2/token"),
            ("127.0.0.1:5000", "http://evil.example/token"),
        ] {
            assert!(token_server(registry, realm, true).is_err(), "{registry} {realm}");
        }
        assert!(token_server("ghcr.io", "https://elsewhere.example/token", false).is_ok());
        assert!(token_server("ghcr.io", "http://elsewhere.example/token", false).is_err());
    }

    /// A server that remembers what it was told, and answers what `answer` says to each path.
    async fn server(
        answer: impl Fn(&str, SocketAddr) -> Response + Clone + Send + Sync + 'static,
    ) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, told) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let router = axum::Router::new().fallback({
            let told = told.clone();
            move |uri: Uri, body: String| async move {
                told.lock().unwrap().push(format!("{uri} {body}"));
                answer(uri.path(), address)
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (address, told)
    }

    /// The refresh token stands in the body, which goes along wherever a client is sent.
    #[tokio::test]
    async fn a_token_server_sends_nobody_to_another() {
        let token = || axum::Json(serde_json::json!({ "token": "t" })).into_response();
        let (foreign, stolen) = server(move |_, _| token()).await;
        for (to, is_own) in [(format!("http://{foreign}/take"), false), ("/moved".to_owned(), true)] {
            let place = to.clone();
            let (own, told) = server(move |path, own| match path {
                "/v2/" => {
                    let challenge = format!("Bearer realm=\"http://{own}/token\"");
                    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
                }
                "/token" => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, place.clone())]).into_response(),
                _ => token(),
            })
            .await;
            let folder = tempfile::tempdir().unwrap();
            let config = folder.path().join("config.json");
            std::fs::write(&config, format!(r#"{{"auths":{{"{own}":{{"identitytoken":"refresh-me"}}}}}}"#)).unwrap();
            let reference = Reference::try_from(format!("{own}/somebody/plugin:1")).unwrap();
            let registry = Registry::of(&reference, Some(&config)).unwrap();
            let authorized = authorize(&registry, Operation::Pull).await;
            let told = told.lock().unwrap();
            assert!(told.iter().any(|told| told.contains("refresh_token=refresh-me")), "{told:?}");
            match authorized {
                Ok(RegistryAuth::Bearer(token)) => assert!(is_own && token == "t", "{to}"),
                Err(error @ RegistryError::Realm { .. }) => {
                    assert!(!is_own && error.to_string().contains(&to), "{error}")
                }
                other => panic!("{to}: {other:?}"),
            }
        }
        assert!(stolen.lock().unwrap().is_empty(), "{stolen:?}");
    }

    #[test]
    fn a_token_is_preferred_to_a_password() {
        let token = Challenge::Token { realm: "https://a.example/t".into(), service: Some("s".into()) };
        let bearer = "Bearer realm=\"https://a.example/t\",service=\"s\"";
        assert_eq!(challenge(bearer), Some(token));
        assert!(matches!(challenge(&format!("{bearer}, Basic realm=\"x\"")), Some(Challenge::Token { .. })));
        assert_eq!(challenge("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(challenge("Negotiate"), None);
        assert_eq!(challenge("Bearer service=\"s\""), None);
    }
}
