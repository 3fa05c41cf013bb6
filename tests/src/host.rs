//! The built binary as a process in a project folder of its own.

use std::{
    collections::BTreeMap,
    io::Write,
    net::Ipv4Addr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::{docker, required};

/// How long a host may take to be healthy: components may have to be compiled first.
const HEALTHY_WITHIN: Duration = Duration::from_secs(180);
/// What a test waits for in the database must come within this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A port that nobody gets who asks for any: a socket is bound to it and never listens. Whoever is told the port binds
/// and listens all the same, since both sockets allow it (`SO_REUSEADDR`).
pub struct Port {
    pub number: u16,
    _bound: TcpSocket,
}

impl Port {
    pub fn reserve() -> Self {
        let bound = TcpSocket::new_v4().unwrap();
        bound.set_reuseaddr(true).unwrap();
        bound.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self { number: bound.local_addr().unwrap().port(), _bound: bound }
    }
}

/// A project folder, and the host that runs in it, if one does.
pub struct Host {
    folder: tempfile::TempDir,
    environment: BTreeMap<String, String>,
    /// Kept between two lives of the host, too.
    port: Port,
    process: Option<Child>,
}

/// An answer of the host.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    pub fn reply(&self) -> &str {
        assert_eq!(self.status, 200, "{:#}", self.body);
        self.body["reply"].as_str().expect("a reply")
    }

    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// Says what a suite wants of its host; everything has a default.
pub struct Setup {
    environment: BTreeMap<String, String>,
    yaml: String,
}

impl Setup {
    /// The scripted agent under `runtime`. The credential is a canary: it opens nothing.
    pub fn scripted(runtime: &str) -> Self {
        Self::with_image(runtime, &crate::minimal_image())
    }

    pub fn with_image(runtime: &str, image: &str) -> Self {
        Self::on(&required("DOCKER_HOST"), runtime, image)
    }

    /// With an engine of the suite's own.
    pub fn on(engine: &str, runtime: &str, image: &str) -> Self {
        let mut setup = Self { environment: BTreeMap::new(), yaml: String::new() };
        for (name, value) in [
            ("MERCURY_CONTAINER_RUNTIME", runtime),
            ("MERCURY_AGENT_IMAGE", image),
            ("MERCURY_ANTHROPIC_API_KEY", crate::docker::CANARY),
            ("MERCURY_DOCKER_HOST", engine),
            ("MERCURY_LOG_LEVEL", "debug"),
            // What a suite puts into the folder of plugins is meant.
            ("MERCURY_PLUGIN_UNLOCKED_FOLDERS", "*"),
            // Suites ask more often than people do, and wait for nobody to write on.
            ("MERCURY_RATE_LIMIT_PER_USER", "0"),
            ("MERCURY_DEBOUNCE_MS", "0"),
        ] {
            setup = setup.set(name, value);
        }
        setup
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn yaml(mut self, yaml: &str) -> Self {
        self.yaml.push_str(yaml);
        self
    }

    /// Makes the project without starting a host.
    pub fn prepare(mut self) -> Host {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mercury.yaml"), &self.yaml).unwrap();
        let port = Port::reserve();
        self.environment.insert("MERCURY_PORT".into(), port.number.to_string());
        Host { folder, environment: self.environment, port, process: None }
    }

    pub async fn start(self) -> Host {
        let mut host = self.prepare();
        host.start().await;
        host
    }
}

impl Host {
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves the project there for whoever looks for a fault.
    pub fn keep(&mut self) {
        self.folder.disable_cleanup(true);
        println!("kept: {}", self.folder.path().display());
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join(".mercury")
    }

    /// Where it listens, or will.
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// Changes a variable for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(required("MERCURY_BIN"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().envs(&self.environment);
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.folder.path());
        command
    }

    pub fn spawn(&mut self) {
        self.share_compiled();
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("host.log")).unwrap();
        let child = self.command(&["run"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.process = Some(child);
    }

    /// What one host compiled of the carried components, the next one finds: no suite but that of the
    /// cache itself is about compiling, and that one makes the folder before.
    fn share_compiled(&self) {
        let own = self.data_dir().join("cache");
        if own.exists() {
            return;
        }
        let shared = Path::new(&required("MERCURY_BIN")).with_file_name("compiled-for-tests");
        let private = |folder: &Path| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).unwrap();
        private(&shared.join("components"));
        // Many hosts begin at once: there is one key from the start, and it has nothing to protect.
        let mut key = tempfile::NamedTempFile::new_in(&shared).unwrap();
        key.write_all(&[7; 32]).unwrap();
        let _ = key.persist_noclobber(shared.join("components/key"));
        private(&self.data_dir());
        std::os::unix::fs::symlink(shared, own).unwrap();
    }

    /// Starts the host and waits until it is healthy.
    pub async fn start(&mut self) {
        self.spawn();
        let until = Instant::now() + HEALTHY_WITHIN;
        while self.health().await.is_none_or(|health| health["status"] == "warming") {
            assert!(Instant::now() < until, "the host is not healthy; its log:\n{}", self.log());
            if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                panic!("the host ended with {status}; its log:\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts a second host of the same project, and waits until it stands by. Its log is `second.log`.
    pub async fn start_second(&self) -> Child {
        let path = self.folder.path().join("second.log");
        let log = std::fs::File::create(&path).unwrap();
        let mut second = self.command(&["run"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            let said = std::fs::read_to_string(&path).unwrap();
            if said.contains("standing by until it ends") {
                return second;
            }
            let ended = second.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "it does not stand by ({ended:?}):\n{said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("host.log")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("a running host").id()
    }

    /// How it ended, where it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut().expect("a running host").try_wait().unwrap()
    }

    /// SIGKILL: nothing is said, nothing is closed.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("a running host");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let process = self.process.as_ref().expect("a running host");
        rustix::process::kill_process(rustix::process::Pid::from_child(process), signal).unwrap();
    }

    /// Waits for its end, and says with which code.
    pub async fn ended(&mut self) -> Option<i32> {
        let mut process = self.process.take().expect("a host that ran");
        tokio::task::spawn_blocking(move || process.wait().unwrap().code()).await.unwrap()
    }

    /// SIGTERM, and the exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.ended().await
    }

    pub async fn health(&self) -> Option<Value> {
        self.request("GET", "/health", &[], Bytes::new()).await.ok().map(|answer| answer.body)
    }

    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let (head, body) = self.exchange(method, path, headers, body).await?.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Answer { status: head.status.as_u16(), body })
    }

    /// The answer's head, and its body as it comes.
    pub async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<hyper::Response<hyper::body::Incoming>> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut request =
            hyper::Request::builder().method(method).uri(format!("http://127.0.0.1:{}{path}", self.port.number));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(client.request(request.body(Full::new(body))?).await?)
    }

    /// Changes the database beside the host, as time or an accident would.
    pub fn execute(&self, sql: &str) {
        let db = rusqlite::Connection::open(self.data_dir().join("state.db")).unwrap();
        db.busy_timeout(Duration::from_secs(10)).unwrap();
        db.execute_batch(sql).unwrap();
    }

    /// `POST /chat`; an error means that the connection broke off.
    pub async fn try_chat(&self, message: Value) -> anyhow::Result<Answer> {
        self.request("POST", "/chat", &[], Bytes::from(message.to_string())).await
    }

    pub async fn chat(&self, message: Value) -> Answer {
        self.try_chat(message).await.unwrap_or_else(|error| panic!("{error:#}; the log:\n{}", self.log()))
    }

    pub async fn ask(&self, text: &str) -> Answer {
        self.chat(json!({ "text": text })).await
    }

    /// Sends a message in the background, under its own id, and lets it go.
    pub fn send(&self, text: &str, space: &str, id: &str) {
        self.send_message(&json!({ "text": text, "spaceId": space, "messageId": id }));
    }

    /// The same for any message.
    pub fn send_message(&self, message: &Value) {
        let message = message.to_string();
        let uri = format!("http://127.0.0.1:{}/chat", self.port.number);
        tokio::spawn(async move {
            let client = Client::builder(TokioExecutor::new()).build_http();
            let request = hyper::Request::post(uri).body(Full::new(Bytes::from(message))).unwrap();
            // The host may be killed meanwhile.
            let _ = client.request(request).await;
        });
    }

    /// Reads the database beside the host.
    pub fn query<T: rusqlite::types::FromSql>(&self, sql: &str) -> Option<T> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let db = rusqlite::Connection::open_with_flags(self.data_dir().join("state.db"), flags).ok()?;
        db.query_row(sql, [], |row| row.get(0)).ok()
    }

    /// Waits until the query answers `expected`.
    pub async fn until(&self, sql: &str, expected: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let found: Option<String> = self.query(sql);
            if found.as_deref() == Some(expected) {
                return;
            }
            assert!(Instant::now() < until, "{sql} is {found:?}, not {expected}; the log:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Changes the database of a host that does not run.
    pub fn change(&self, sql: &str) {
        assert!(self.process.is_none(), "a running host has its database for itself");
        rusqlite::Connection::open(self.data_dir().join("state.db")).unwrap().execute_batch(sql).unwrap();
    }

    pub fn create_space(&self, id: &str) {
        let output = self.command(&["spaces", "create", id]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The data directory's own id, which its containers carry as a label.
    pub fn instance(&self) -> String {
        std::fs::read_to_string(self.data_dir().join("instance")).unwrap().trim().to_owned()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if self.data_dir().join("instance").exists() {
            docker::remove_all(&self.instance());
        }
    }
}
