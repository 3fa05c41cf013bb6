//! A fake of the providers' sign-in servers, and one of the management console.
//!
//! The provider stands in for all hosts at once: the first part of a path is the host that is meant.
//! Refresh tokens are single use, as Anthropic's and OpenAI's are; one that comes again is refused,
//! and told of.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http_body_util::Empty;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

/// What the token endpoint does with one request, in place of its duty.
#[derive(Clone, Debug)]
pub enum Fault {
    Status(u16, String),
    /// With a `Retry-After` in seconds.
    RetryAfter(u16, u64),
    /// Does its duty, after this long.
    Late(Duration),
    /// Does its duty, once it is let.
    Held,
    /// Does its duty, and says less than it should: without these fields.
    Without(Vec<&'static str>),
    /// 200 and no token.
    Malformed,
    Never,
}

#[derive(Default)]
struct Records {
    faults: VecDeque<Fault>,
    /// Refresh tokens that are good for one use.
    good: BTreeSet<String>,
    issued: u32,
    refreshes: Vec<String>,
    replays: u32,
    /// Code → challenge.
    codes: BTreeMap<String, String>,
    polls: u32,
}

#[derive(Clone)]
struct Shared(Arc<(Mutex<Records>, Semaphore)>);

impl Default for Shared {
    fn default() -> Self {
        Self(Arc::new((Mutex::default(), Semaphore::new(0))))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.0.lock().unwrap()
    }
}

pub struct Provider {
    address: SocketAddr,
    shared: Shared,
}

impl Provider {
    /// Knows the given refresh tokens.
    pub async fn start(good: &[&str]) -> Self {
        let shared = Shared::default();
        shared.lock().good.extend(good.iter().map(|token| (*token).to_owned()));
        let router = Router::new()
            .route("/claude.ai/oauth/authorize", get(authorize))
            .route("/auth.openai.com/oauth/authorize", get(authorize))
            .route("/platform.claude.com/v1/oauth/token", post(anthropic_token))
            .route("/auth.openai.com/oauth/token", post(openai_token))
            .route("/auth.openai.com/api/accounts/deviceauth/usercode", post(openai_device_code))
            .route("/auth.openai.com/api/accounts/deviceauth/token", post(openai_device_token))
            .route("/github.com/login/device/code", post(github_device_code))
            .route("/github.com/login/oauth/access_token", post(github_device_token))
            .route("/api.github.com/copilot_internal/v2/token", get(copilot_token))
            .route("/api.individual.githubcopilot.com/models", get(copilot_models))
            .with_state(shared.clone());
        Self { address: serve(router).await, shared }
    }

    /// One at whose address nobody listens.
    pub async fn absent() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap(), shared: Shared::default() }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// For the next requests to a token endpoint, one each.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.lock().faults.extend(faults);
    }

    /// Lets a request go on that is held.
    pub fn release(&self) {
        self.shared.0.1.add_permits(1);
    }

    /// The refresh tokens that came, in their order.
    pub fn refreshes(&self) -> Vec<String> {
        self.shared.lock().refreshes.clone()
    }

    /// How often a refresh token came that was used up.
    pub fn replays(&self) -> u32 {
        self.shared.lock().replays
    }
}

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// Like a person who agrees at once.
async fn authorize(State(shared): State<Shared>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    assert_eq!((query["response_type"].as_str(), query["code_challenge_method"].as_str()), ("code", "S256"));
    assert!(query["redirect_uri"].starts_with("http://localhost:"), "{query:?}");
    let mut records = shared.lock();
    let code = format!("code-{}", records.codes.len());
    records.codes.insert(code.clone(), query["code_challenge"].clone());
    Redirect::to(&format!("{}?code={code}&state={}", query["redirect_uri"], query["state"])).into_response()
}

async fn anthropic_token(State(shared): State<Shared>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    assert_eq!(headers[header::ACCEPT], "application/json");
    assert_eq!(request["client_id"], "9d1c250a-e61b-44d9-88ed-5944d1962f5e");
    let replayed = (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant", "error_description": "used" })));
    let fields = request.as_object().unwrap().iter();
    let fields = fields.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
    token(&shared, "sk-ant-oat01", fields, |name| name.to_owned(), replayed.into_response()).await
}

async fn openai_token(State(shared): State<Shared>, body: Bytes) -> Response {
    let fields: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    assert_eq!(fields["client_id"], "app_EMoamEEZ73f0CkXaXp7hrann");
    let replayed = (StatusCode::UNAUTHORIZED, Json(json!({ "error": { "code": "refresh_token_reused" } })));
    let claims = json!({ "https://api.openai.com/auth": { "chatgpt_account_id": "account-1" } }).to_string();
    let with_claims = |name: &str| format!("{name}.{}.signature", URL_SAFE_NO_PAD.encode(&claims));
    token(&shared, "jwt", fields, with_claims, replayed.into_response()).await
}

async fn token(
    shared: &Shared,
    prefix: &str,
    fields: BTreeMap<String, String>,
    access: impl Fn(&str) -> String,
    replayed: Response,
) -> Response {
    let fault = {
        let mut records = shared.lock();
        if let Some(refresh) = fields.get("refresh_token") {
            records.refreshes.push(refresh.clone());
        }
        records.faults.pop_front()
    };
    match &fault {
        Some(Fault::Status(status, body)) => {
            return (StatusCode::from_u16(*status).unwrap(), body.clone()).into_response();
        }
        Some(Fault::RetryAfter(status, seconds)) => {
            let headers = [(header::RETRY_AFTER, seconds.to_string())];
            return (StatusCode::from_u16(*status).unwrap(), headers, "slow down").into_response();
        }
        Some(Fault::Malformed) => return Json(json!({ "token_type": "bearer" })).into_response(),
        Some(Fault::Never) => std::future::pending().await,
        Some(Fault::Late(time)) => tokio::time::sleep(*time).await,
        Some(Fault::Held) => {
            let released = shared.0.1.acquire().await;
            released.unwrap().forget();
        }
        Some(Fault::Without(_)) | None => {}
    }
    let mut records = shared.lock();
    match fields["grant_type"].as_str() {
        "refresh_token" => {
            if !records.good.remove(&fields["refresh_token"]) {
                records.replays += 1;
                return replayed;
            }
        }
        "authorization_code" => {
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(fields["code_verifier"].as_bytes()));
            assert_eq!(records.codes.remove(&fields["code"]), Some(challenge), "PKCE");
            assert!(fields.contains_key("redirect_uri"));
        }
        other => panic!("grant type {other}"),
    }
    records.issued += 1;
    let (access, refresh) = (access(&format!("{prefix}-{}", records.issued)), format!("refresh-{}", records.issued));
    records.good.insert(refresh.clone());
    let mut answer = json!({ "access_token": access, "refresh_token": refresh, "expires_in": 28800, "scope": "x" });
    if let Some(Fault::Without(names)) = fault {
        names.iter().for_each(|name| drop(answer.as_object_mut().unwrap().remove(*name)));
        records.good.insert(fields["refresh_token"].clone());
    }
    Json(answer).into_response()
}

async fn copilot_token(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let github = headers[header::AUTHORIZATION].to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    for name in ["editor-version", "editor-plugin-version", "copilot-integration-id"] {
        assert!(headers.contains_key(name), "{name}");
    }
    let fault = {
        let mut records = shared.lock();
        records.refreshes.push(github.clone());
        records.faults.pop_front()
    };
    if let Some(Fault::Status(status, body)) = fault {
        return (StatusCode::from_u16(status).unwrap(), body).into_response();
    }
    let mut records = shared.lock();
    if !records.good.contains(&github) {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "message": "Bad credentials" }))).into_response();
    }
    records.issued += 1;
    let expires = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 1500;
    Json(json!({ "token": format!("tid={}", records.issued), "expires_at": expires })).into_response()
}

async fn copilot_models() -> Json<Value> {
    Json(json!({ "data": [
        { "id": "gpt-5", "model_picker_enabled": true, "policy": { "state": "enabled" } },
        { "id": "hidden", "model_picker_enabled": false },
        { "id": "refused", "model_picker_enabled": true, "policy": { "state": "disabled" } },
    ] }))
}

async fn github_device_code(body: Bytes) -> Json<Value> {
    let fields: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    assert_eq!((fields["client_id"].as_str(), fields["scope"].as_str()), ("Iv1.b507a08c87ecfe98", "read:user"));
    Json(json!({
        "device_code": "device-1", "user_code": "WDJB-MJHT", "verification_uri": "https://github.com/login/device",
        "interval": 1, "expires_in": 60,
    }))
}

async fn github_device_token(State(shared): State<Shared>, body: Bytes) -> Json<Value> {
    let fields: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    assert_eq!(fields["device_code"], "device-1");
    let mut records = shared.lock();
    records.polls += 1;
    Json(match records.polls {
        1 => json!({ "error": "authorization_pending" }),
        2 => json!({ "error": "slow_down", "interval": 1 }),
        _ => {
            records.good.insert("ghu-1".to_owned());
            json!({ "access_token": "ghu-1" })
        }
    })
}

async fn openai_device_code() -> Json<Value> {
    Json(json!({ "device_auth_id": "device-2", "user_code": "ABCD-EFGH", "interval": "1" }))
}

async fn openai_device_token(State(shared): State<Shared>, Json(request): Json<Value>) -> Response {
    assert_eq!((&request["device_auth_id"], &request["user_code"]), (&json!("device-2"), &json!("ABCD-EFGH")));
    let mut records = shared.lock();
    records.polls += 1;
    if records.polls == 1 {
        return StatusCode::FORBIDDEN.into_response();
    }
    let verifier = "a-verifier-that-the-server-made";
    records.codes.insert("device-code".to_owned(), URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
    Json(json!({ "authorization_code": "device-code", "code_verifier": verifier })).into_response()
}

#[derive(Default)]
struct ConsoleRecords {
    /// What `GET` answers; nothing is 404.
    holds: Option<Value>,
    /// `POST` answers this status with this body.
    refuses: Option<(u16, String)>,
    hangs: bool,
    fetches: Vec<String>,
    writes: Vec<(HeaderMap, Value)>,
}

/// The management console's two routes for agents.
pub struct Console {
    address: SocketAddr,
    records: Arc<Mutex<ConsoleRecords>>,
}

impl Console {
    pub const SECRET: &str = "console-secret-canary";

    pub async fn start() -> Self {
        let records = Arc::<Mutex<ConsoleRecords>>::default();
        let route = get(console_get).post(console_post);
        let router = Router::new().route("/api/agent/oauth-token", route).with_state(records.clone());
        Self { address: serve(router).await, records }
    }

    /// With a slash at its end, which must not be doubled.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn hold(&self, credential: Value) {
        self.records.lock().unwrap().holds = Some(credential);
    }

    /// From now on a write-back gets this; `None` ends it.
    pub fn refuse(&self, answer: Option<(u16, String)>) {
        self.records.lock().unwrap().refuses = answer;
    }

    /// From now on a write-back gets no answer.
    pub fn hang(&self) {
        self.records.lock().unwrap().hangs = true;
    }

    /// The queries of the fetches.
    pub fn fetches(&self) -> Vec<String> {
        self.records.lock().unwrap().fetches.clone()
    }

    pub fn writes(&self) -> Vec<(HeaderMap, Value)> {
        self.records.lock().unwrap().writes.clone()
    }
}

async fn console_get(
    State(records): State<Arc<Mutex<ConsoleRecords>>>,
    headers: HeaderMap,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Response {
    let mut records = records.lock().unwrap();
    records.fetches.push(query.unwrap_or_default());
    if headers[header::AUTHORIZATION] != format!("Bearer {}", Console::SECRET) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    records.holds.clone().map_or_else(|| StatusCode::NOT_FOUND.into_response(), |held| Json(held).into_response())
}

async fn console_post(
    State(records): State<Arc<Mutex<ConsoleRecords>>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let (refuses, hangs) = {
        let mut records = records.lock().unwrap();
        records.writes.push((headers, body));
        (records.refuses.clone(), records.hangs)
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    match refuses {
        Some((status, body)) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        None => StatusCode::OK.into_response(),
    }
}

/// Follows redirects as a browser does, and returns the last page's status.
pub async fn browse(url: &str) -> u16 {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut url = url.to_owned();
    for _ in 0..5 {
        let response = client.get(url.parse().unwrap()).await.unwrap();
        match response.headers().get(header::LOCATION) {
            Some(location) => url = location.to_str().unwrap().to_owned(),
            None => return response.status().as_u16(),
        }
    }
    panic!("too many redirects")
}
