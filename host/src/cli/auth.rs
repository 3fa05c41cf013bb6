//! Signing in to model providers, for `mercury run` to use.

use std::{
    collections::BTreeMap,
    io::{BufRead, IsTerminal},
    process::{ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};

use super::{Project, terminal};
use crate::{
    clock,
    config::Config,
    credentials::{
        Account, AuthFile, Condition, Credentials, Settings, Standing,
        login::{self, Dialogue, Wishes},
    },
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury auth login anthropic                     sign in with a browser\n  mercury auth login openai-codex --device-code    type a code on another machine\n  mercury auth status\n  mercury auth logout anthropic"
)]
pub(super) struct Auth {
    #[command(subcommand)]
    command: AuthCommand,
}

#[derive(Debug, Subcommand)]
enum AuthCommand {
    /// Sign in with an account (Claude, GitHub Copilot, ChatGPT). A running host uses it at once.
    #[command(
        after_help = "Examples:\n  mercury auth login                               choose from a list\n  mercury auth login anthropic\n  mercury auth login github-copilot --enterprise company.ghe.com\n  mercury auth login openai-codex --device-code    for a machine without a browser\n\nOn a machine without a browser, open the address on another one and paste the address that it ends on."
    )]
    Login {
        /// anthropic, github-copilot or openai-codex.
        provider: Option<String>,
        /// Do not try to open a browser.
        #[arg(long)]
        no_browser: bool,
        /// Type a code on another machine (openai-codex; github-copilot always does).
        #[arg(long)]
        device_code: bool,
        /// The address of a GitHub Enterprise; empty for github.com.
        #[arg(long, value_name = "DOMAIN")]
        enterprise: Option<String>,
    },
    /// Forget a sign-in. Without a provider: list them.
    #[command(after_help = "Example:\n  mercury auth logout anthropic")]
    Logout { provider: Option<String> },
    /// Show who is signed in, and which keys are set.
    #[command(after_help = "Examples:\n  mercury auth status\n  mercury auth status --json")]
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Auth {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = lenient_config(project)?;
        let settings = Settings::new(&config, &project.environment).map_err(anyhow::Error::msg)?;
        let file = AuthFile::new(&settings.auth_path);
        match self.command {
            AuthCommand::Login { provider, no_browser, device_code, enterprise } => {
                let account = match provider {
                    Some(id) => by_id(&id)?,
                    None => choose().await?,
                };
                warn_outside_of_project(project, &config);
                let wishes = Wishes { device_code, enterprise };
                let dialogue = Terminal { browser: !no_browser };
                // Listened to before the flow begins: a person may cancel at once.
                let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
                let done = tokio::select! {
                    done = login::login(account, &file, settings.endpoints, &wishes, &dialogue) => done,
                    _ = interrupt.recv() => bail!("the sign-in was cancelled; nothing has changed"),
                };
                done.with_context(|| format!("signing in to {} failed", account.id()))?;
                terminal::line(format!("✓ Signed in to {}. Kept in {}.", account.name(), file.path().display()));
                Ok(ExitCode::SUCCESS)
            }
            AuthCommand::Logout { provider } => logout(&file, provider).await,
            AuthCommand::Status { json } => {
                let standing = Credentials::open(settings).standing().await;
                if json { print_json(&standing, &file) } else { print(&standing, &file) }
            }
        }
    }
}

/// A broken configuration must not keep anybody from signing in: then the defaults count.
fn lenient_config(project: &Project) -> Result<Config> {
    let error = match project.config() {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    terminal::note(format!("warning: {error:#}. Going on with the defaults"));
    let mut without_file = project.environment.clone();
    without_file.insert("MERCURY_CONFIG_FILE".to_owned(), "none".to_owned());
    if let Ok(config) = Config::load(&project.folder, &without_file) {
        return Ok(config);
    }
    const NEEDED: [&str; 3] = ["MERCURY_AUTH_PATH", "MERCURY_DATA_DIR", crate::credentials::STAND_IN];
    let needed: BTreeMap<_, _> = without_file
        .into_iter()
        .filter(|(name, _)| NEEDED.contains(&name.as_str()) || name == "MERCURY_CONFIG_FILE")
        .collect();
    Ok(Config::load(&project.folder, &needed)?)
}

fn by_id(id: &str) -> Result<Account> {
    let known = Account::ALL.map(Account::id).join(", ");
    Account::of(id).with_context(|| format!("`{id}` has no sign-in. Available: {known}"))
}

async fn choose() -> Result<Account> {
    for (index, account) in Account::ALL.into_iter().enumerate() {
        terminal::note(format!("  {}. {}  {}", index + 1, account.id(), account.name()));
    }
    let typed = read_line("Sign in to which (number or name)?").await.unwrap_or_default();
    let by_number = typed.trim().parse::<usize>().ok().and_then(|number| Account::ALL.get(number.checked_sub(1)?));
    match by_number.copied().or_else(|| Account::of(typed.trim())) {
        Some(account) => Ok(account),
        None => bail!("Invalid selection. Name one: mercury auth login {}", Account::Anthropic.id()),
    }
}

/// Signing in at the wrong place was a common reason for a service that had no credentials.
fn warn_outside_of_project(project: &Project, config: &Config) {
    let files = ["mercury.yaml", "mercury.yml", ".env"].map(|name| project.folder.join(name));
    if files.iter().chain([&config.database_path()]).any(|path| path.exists()) {
        return;
    }
    let folder = std::path::absolute(&project.folder).unwrap_or_else(|_| project.folder.clone());
    terminal::note(format!(
        "warning: {} does not look like a Mercury project (no mercury.yaml, no .env, no database).",
        folder.display()
    ));
    terminal::note(format!("         The sign-in will be kept in {}.", config.auth_path.display()));
    terminal::note("         A host that runs elsewhere will not read it: name its project with --project DIR.");
}

async fn logout(file: &AuthFile, provider: Option<String>) -> Result<ExitCode> {
    let signed_in: Vec<String> = file.read().keys().cloned().collect();
    if signed_in.is_empty() {
        terminal::line("No credentials found.");
        return Ok(ExitCode::SUCCESS);
    }
    let Some(provider) = provider else {
        terminal::line(format!("Signed in: {}", signed_in.join(", ")));
        terminal::line("Sign out with: mercury auth logout <provider>");
        return Ok(ExitCode::SUCCESS);
    };
    if login::logout(&provider, file).await? {
        terminal::line(format!("✓ Signed out of {provider}."));
    } else {
        terminal::line(format!("Nobody is signed in to {provider}. Signed in: {}", signed_in.join(", ")));
    }
    Ok(ExitCode::SUCCESS)
}

fn print(standing: &[Standing], file: &AuthFile) -> Result<ExitCode> {
    let signed_in = file.path().display().to_string();
    terminal::line(terminal::heading("Accounts"));
    for account in Account::ALL {
        let found = standing.iter().find(|it| it.provider == account.id() && it.place == signed_in);
        let has_entry = || file.tokens(account.id()).is_some();
        let text = match found {
            Some(found) => describe(found),
            None if has_entry() => "signed in, but a variable outranks it".to_owned(),
            None => "not logged in".to_owned(),
        };
        terminal::line(format!("  {:<16}{text}", account.id()));
    }
    terminal::line(terminal::heading("Variables"));
    let variables: Vec<_> = standing.iter().filter(|it| it.place != signed_in).collect();
    if variables.is_empty() {
        terminal::line("  No API keys found in .env or the environment.");
    }
    for found in variables {
        terminal::line(format!("  {:<32}{}", found.place, describe(found)));
    }
    terminal::line(format!("\nSign-ins are kept in {signed_in}."));
    Ok(ExitCode::SUCCESS)
}

fn describe(found: &Standing) -> String {
    if let Some(warning) = found.condition.warning(&found.provider, &found.place) {
        return format!("✗ {warning}");
    }
    match (&found.condition, found.ends) {
        (Condition::Expired, _) => "expired (will auto-refresh)".to_owned(),
        (_, Some(ends)) => format!("✓ logged in, {}", left(ends - clock::millis())),
        (_, None) => "✓ set".to_owned(),
    }
}

fn left(millis: i64) -> String {
    let minutes = millis.max(0) / 60_000;
    match minutes {
        0..60 => format!("access token good for {minutes} min"),
        _ => format!("access token good for {} h {} min", minutes / 60, minutes % 60),
    }
}

fn print_json(standing: &[Standing], file: &AuthFile) -> Result<ExitCode> {
    let status = serde_json::json!({ "authPath": file.path(), "credentials": standing });
    terminal::line(serde_json::to_string_pretty(&status)?);
    Ok(ExitCode::SUCCESS)
}

struct Terminal {
    /// Try to open a browser.
    browser: bool,
}

impl Dialogue for Terminal {
    fn visit(&self, url: &str) {
        terminal::note(format!("Open this address in a browser:\n\n  {url}\n"));
        if self.browser && std::io::stderr().is_terminal() {
            open_browser(url);
        }
    }

    fn enter_code(&self, url: &str, code: &str) {
        terminal::note(format!(
            "Open {} and enter this code:\n\n  {}\n",
            terminal::printable(url),
            terminal::printable(code)
        ));
        terminal::note("Waiting for the sign-in … (Ctrl-C cancels)");
    }

    fn progress(&self, text: &str) {
        terminal::note(terminal::printable(text));
    }

    async fn ask(&self, question: &str) -> Option<String> {
        read_line(question).await
    }
}

/// Without a shell: the address is one argument, whatever it holds.
fn open_browser(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = tokio::process::Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // The address stands above, for whoever has no browser here.
    let _ = command.spawn();
}

/// A line of standard input; `None` at its end. A thread of its own waits for it: when the answer
/// comes another way, it ends with the program.
async fn read_line(question: &str) -> Option<String> {
    terminal::note(question);
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        let _ = sender.send(read.ok().filter(|length| *length > 0).map(|_| line));
    });
    receiver.await.ok().flatten()
}
