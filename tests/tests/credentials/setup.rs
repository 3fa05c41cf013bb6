//! A credentials room with a clock that stands until it is moved, between a fake provider and a fake console.

use std::{
    collections::BTreeMap,
    io::Write,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use mercury::credentials::{Clock, ConsoleSettings, CredentialError, Credentials, Endpoints, Settings};
use mercury_tests::oauth::{Console, Provider};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const BLOB: &str = "MERCURY_ANTHROPIC_OAUTH_TOKEN";

pub(super) struct Bench {
    pub provider: Provider,
    pub console: Console,
    pub log: Log,
    folder: tempfile::TempDir,
    now: Arc<AtomicI64>,
    variables: BTreeMap<String, String>,
    settings: ConsoleSettings,
}

impl Bench {
    /// A provider that knows `first` and `github`, and nothing configured.
    pub(super) async fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
        Self {
            provider: Provider::start(&["first", "github"]).await,
            console: Console::start().await,
            log: Log::start(),
            folder: tempfile::tempdir().unwrap(),
            now: Arc::new(AtomicI64::new(now)),
            variables: BTreeMap::new(),
            settings: ConsoleSettings::default(),
        }
    }

    pub(super) fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.insert(name.to_owned(), value.to_string());
        self
    }

    /// A provisioned credential of Anthropic whose access token ends in `seconds`.
    pub(super) fn blob_ending_in(self, seconds: i64) -> Self {
        let blob = self.blob("first", seconds);
        self.set(BLOB, blob)
    }

    pub(super) fn blob(&self, refresh: &str, seconds: i64) -> Value {
        json!({ "access": format!("access-of-{refresh}"), "refresh": refresh, "expires": self.now() + seconds * 1000 })
    }

    /// Everything of the console that is wanted.
    pub(super) fn with_console(mut self) -> Self {
        self.settings = ConsoleSettings {
            url: Some(self.console.url()),
            secret: Some(SecretString::from(Console::SECRET)),
            agent: Some("agent-7".to_owned()),
        };
        self
    }

    pub(super) fn without_secret(mut self) -> Self {
        self.settings.secret = None;
        self
    }

    pub(super) fn without_agent(mut self) -> Self {
        self.settings.agent = None;
        self
    }

    /// As a process does that starts now.
    pub(super) fn open(&self) -> Credentials {
        self.open_at(self.auth_path())
    }

    pub(super) fn open_at(&self, auth_path: PathBuf) -> Credentials {
        let now = self.now.clone();
        Credentials::open(Settings {
            variables: self.variables.clone(),
            auth_path,
            provisioned_path: self.provisioned_path(),
            console: self.settings.clone(),
            endpoints: Endpoints::new(Some(&self.provider.url())).unwrap(),
            run_validity: Duration::from_secs(360),
            clock: Clock::new(move || now.load(Ordering::SeqCst)),
        })
    }

    pub(super) fn auth_path(&self) -> PathBuf {
        self.folder.path().join("global/auth.json")
    }

    pub(super) fn provisioned_path(&self) -> PathBuf {
        self.folder.path().join("credentials.json")
    }

    pub(super) fn sign_in(&self, provider: &str, refresh: &str, seconds: i64) {
        let mut entry = self.blob(refresh, seconds);
        entry["type"] = json!("oauth");
        let mut file = self.signed_in();
        file[provider] = entry;
        std::fs::create_dir_all(self.auth_path().parent().unwrap()).unwrap();
        std::fs::write(self.auth_path(), file.to_string()).unwrap();
    }

    /// The content of auth.json.
    pub(super) fn signed_in(&self) -> Value {
        read(self.auth_path())
    }

    /// The local copy of what was provisioned.
    pub(super) fn kept(&self) -> Value {
        read(self.provisioned_path())
    }

    pub(super) fn now(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    pub(super) fn pass(&self, time: Duration) {
        self.now.fetch_add(time.as_millis() as i64, Ordering::SeqCst);
    }

    /// Waits until the console got `count` write-backs.
    pub(super) async fn until_written(&self, count: usize) {
        self.until(|| self.console.writes().len() >= count).await;
    }

    pub(super) async fn until(&self, happened: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(15);
        while !happened() {
            assert!(Instant::now() < until, "it did not happen; the log:\n{}", self.log.text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The access token for Anthropic.
pub(super) async fn access(credentials: &Credentials) -> String {
    access_of(credentials, "anthropic").await
}

pub(super) async fn access_of(credentials: &Credentials, provider: &str) -> String {
    credentials.token(provider, MINUTE).await.unwrap().secret.expose_secret().to_owned()
}

pub(super) async fn failure(credentials: &Credentials) -> CredentialError {
    credentials.token("anthropic", MINUTE).await.unwrap_err()
}

fn read(path: PathBuf) -> Value {
    std::fs::read(path).map_or_else(|_| json!({}), |bytes| serde_json::from_slice(&bytes).unwrap())
}

/// What this process logged.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> Self {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        // One process for each test: the runner sees to it.
        let _ = tracing::subscriber::set_global_default(subscriber);
        log
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines of a level, of this project.
    pub(super) fn lines(&self, level: &str) -> Vec<String> {
        let text = self.text();
        let ours = text.lines().filter(|line| line.contains(&format!(" {level} mercury")));
        ours.map(str::to_owned).collect()
    }

    pub(super) fn assert_discreet(&self) {
        for token in ["first", "access-of-", "refresh-1", "sk-ant-oat01-", Console::SECRET, "github"] {
            let text = self.text().replace("github-copilot", "");
            assert!(!text.contains(token), "{token} is in the log:\n{text}");
        }
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
