use std::{
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use axum::http::Method;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::json;

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
    pub reply: String,
    #[serde(default)]
    pub files: Vec<ReplyFile>,
    pub run: Option<RunReport>,
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
        let message =
            json!({ "text": text, "callerId": self.caller, "spaceId": self.space, "files": files, "messageId": id });
        let base = client::base_url(&config, self.port);
        let answer = client::send(Method::POST, &base, "/chat", config.chat_api_key.as_ref(), Some(&message)).await;
        let body = answer.and_then(client::Answer::success).inspect_err(|_| {
            terminal::note(format!(
                "This message's id is {id}: send it again with --message-id {id} to get its answer."
            ));
        })?;
        if self.json {
            terminal::line(String::from_utf8_lossy(&body));
            return Ok(ExitCode::SUCCESS);
        }
        let reply: Reply = serde_json::from_slice(&body).context("the host's answer is not understood")?;
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
