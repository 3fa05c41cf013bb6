use std::{
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use axum::http::Method;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::{Project, client, terminal};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury chat \"Summarise this\" -f report.pdf\n  git diff | mercury chat --space review\n  mercury chat --json \"hello\" | jq -r .reply"
)]
pub(super) struct Chat {
    /// The message; read from standard input where it is left out.
    text: Vec<String>,
    /// The space to ask in.
    #[arg(short, long, default_value = "main")]
    space: String,
    /// A file to send along. May be given several times.
    #[arg(short, long, value_name = "PATH")]
    file: Vec<PathBuf>,
    /// Who asks.
    #[arg(long, default_value = "cli:user")]
    caller: String,
    /// Where files of the reply are written. Not the project folder: an agent could name a file
    /// `mercury.yaml`.
    #[arg(short, long, value_name = "DIR", default_value = "mercury-files")]
    output: PathBuf,
    /// The host's port, where it is not the configured one.
    #[arg(short, long)]
    port: Option<u16>,
    /// Print the host's whole answer as JSON, files included; write none.
    #[arg(long)]
    json: bool,
    /// Your own id of the message: sent again, it gets the same answer instead of a second run.
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
}

/// What `/chat` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Reply {
    /// Empty where there is a question.
    #[serde(default)]
    pub reply: String,
    /// Somebody's answer is waited for.
    pub question: Option<Question>,
    #[serde(default)]
    pub files: Vec<ReplyFile>,
    pub run: Option<RunReport>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Question {
    pub id: i64,
    pub text: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReplyFile {
    filename: String,
    data: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunReport {
    pub stages: Option<Vec<StageReport>>,
    pub total_micros: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StageReport {
    pub name: String,
    pub micros: u64,
}

impl Chat {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let text = self.text()?;
        let files = self.file.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
        let id = self.message_id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().simple().to_string());
        let conversation = Conversation {
            base: client::base_url(&config, self.port),
            key: config.chat_api_key.as_ref(),
            caller: &self.caller,
            space: &self.space,
        };
        let mut message =
            json!({ "text": text, "callerId": self.caller, "spaceId": self.space, "files": files, "messageId": id });
        let told = |_: &anyhow::Error| {
            terminal::note(format!(
                "This message's id is {id}: send it again with --message-id {id} to get its answer."
            ));
        };
        if self.json {
            let body = conversation.send(&message).await.inspect_err(told)?;
            terminal::line(String::from_utf8_lossy(&body));
            return Ok(ExitCode::SUCCESS);
        }
        message["questions"] = json!(true);
        let reply = conversation.reply(message).await.inspect_err(told)?;
        terminal::line(terminal::printable(&reply.reply));
        write_files(&reply.files, &self.output)?;
        Ok(ExitCode::SUCCESS)
    }

    fn text(&self) -> Result<String> {
        let mut text = self.text.join(" ");
        if text.is_empty() && !std::io::stdin().is_terminal() {
            std::io::stdin().read_to_string(&mut text).context("standard input cannot be read as text")?;
        }
        if text.trim().is_empty() {
            bail!("empty message. Write it behind the command: mercury chat \"hello\"");
        }
        Ok(text)
    }
}

/// The host, and who speaks to it where.
struct Conversation<'a> {
    base: String,
    key: Option<&'a SecretString>,
    caller: &'a str,
    space: &'a str,
}

impl Conversation<'_> {
    async fn send(&self, message: &serde_json::Value) -> Result<Bytes> {
        client::Call::new(Method::POST, &self.base, "/chat")
            .secret(self.key)
            .body(Some(message))
            .wait()
            .await?
            .success()
    }

    /// Waits for the reply to `message`. Questions of its run are shown meanwhile; on a terminal they
    /// can be answered at once, elsewhere by somebody else.
    async fn reply(&self, mut message: serde_json::Value) -> Result<Reply> {
        let mut lines = Lines::from_terminal();
        loop {
            let reply = self.wait(&message).await?;
            let Some(question) = reply.question else { return Ok(reply) };
            terminal::note(format!("\n{}\n", terminal::printable(&question.text)));
            message["questionsAfter"] = json!(question.id);
            // The files are there already.
            message["files"] = json!([]);
            let Some(lines) = &mut lines else {
                terminal::note(format!(
                    "Waiting. `mercury approvals allow {0}` or `mercury approvals deny {0}` answers it.",
                    question.id
                ));
                continue;
            };
            // Somebody else may answer first: then the reply comes, or the next question.
            if let Some(reply) = self.answered(question.id, &message, lines).await?
                && reply.question.is_none()
            {
                return Ok(reply);
            }
        }
    }

    /// Takes lines until the host accepts one as the answer; what `message` waits for, where it comes
    /// before. A line that was sent is first told of: the run it lets go on may end at once.
    async fn answered(&self, question: i64, message: &serde_json::Value, lines: &mut Lines) -> Result<Option<Reply>> {
        let mut waiting = std::pin::pin!(self.wait(message));
        loop {
            terminal::prompt("Your answer: ");
            let line = tokio::select! {
                reply = &mut waiting => return reply.map(Some),
                line = lines.next() => line,
            };
            let answer = json!({ "text": line, "question": question, "callerId": self.caller, "spaceId": self.space });
            match self.wait(&answer).await {
                Ok(reply) => {
                    terminal::note(terminal::printable(&reply.reply));
                    return Ok(None);
                }
                Err(error) => terminal::note(terminal::printable(&format!("{error:#}"))),
            }
        }
    }

    async fn wait(&self, message: &serde_json::Value) -> Result<Reply> {
        serde_json::from_slice(&self.send(message).await?).context("the host's answer is not understood")
    }
}

/// Lines that a person types, read on a thread of their own: a read from a terminal cannot be
/// given up, and somebody else's answer must not wait for it.
struct Lines(mpsc::Receiver<String>);

impl Lines {
    /// None where nobody sits: what a script reads from standard input is not ours.
    fn from_terminal() -> Option<Self> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        let (to, lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            for line in std::io::stdin().lines() {
                let Ok(line) = line else { return };
                if to.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Some(Self(lines))
    }

    /// The next that is not empty; never, where there is no more input: whoever else may answer does.
    async fn next(&mut self) -> String {
        loop {
            match self.0.recv().await {
                Some(line) if line.trim().is_empty() => {}
                Some(line) => return line,
                None => std::future::pending().await,
            }
        }
    }
}

fn read(path: &Path) -> Result<serde_json::Value> {
    let bytes = std::fs::read(path).with_context(|| format!("the file {} cannot be read", path.display()))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(json!({ "name": name, "data": STANDARD.encode(bytes) }))
}

/// Writes the files of a reply into `folder`, under their own last names; an existing file is kept.
pub(super) fn write_files(files: &[ReplyFile], folder: &Path) -> Result<()> {
    if !files.is_empty() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    for file in files {
        let bytes = STANDARD
            .decode(&file.data)
            .with_context(|| format!("the file {} of the reply is damaged", file.filename))?;
        let name = Path::new(&file.filename).file_name().map(PathBuf::from).unwrap_or_else(|| "file".into());
        let path = (0..)
            .map(|n| folder.join(if n == 0 { name.clone() } else { PathBuf::from(format!("{n}-{}", name.display())) }))
            .find(|path| !path.exists())
            .unwrap_or_else(|| folder.join(&name));
        std::fs::write(&path, &bytes).with_context(|| format!("{} cannot be written", path.display()))?;
        terminal::note(format!("→ {} ({} KB)", path.display(), bytes.len().div_ceil(1024)));
    }
    Ok(())
}
