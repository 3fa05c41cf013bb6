use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    super::{Project, terminal},
    consent, installer, reload,
};
use crate::{
    config::Config,
    plugins::packages::{self, Installer, Offer},
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury plugins update            all installed plugins\n  mercury plugins update telegram\n  mercury plugins update --json     for a schedule: what asks for more is held, and said"
)]
pub(in crate::cli) struct Update {
    /// Only this one.
    name: Option<String>,
    /// Agree to what they ask for, without a question.
    #[arg(short, long)]
    yes: bool,
    /// Take a version though nobody whom you trust has signed it.
    #[arg(long)]
    allow_unsigned: bool,
    /// Print JSON and ask nothing: without --yes, what asks for more is held.
    #[arg(long)]
    json: bool,
}

/// What became of one.
struct Outcome {
    name: String,
    state: &'static str,
    detail: String,
}

const HELD: &str = "held";
const FAILED: &str = "failed";

impl Update {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let installer = installer(project, &config)?;
        let names = match &self.name {
            Some(name) => vec![name.clone()],
            None => installer.lock()?.plugins.into_keys().collect(),
        };
        let mut outcomes = Vec::new();
        for name in names {
            // One that cannot be had must not keep the others back.
            let outcome = match self.update(&installer, &config, &name).await {
                Ok(outcome) => outcome,
                Err(error) => Outcome { name, state: FAILED, detail: format!(": {error:#}") },
            };
            if !self.json {
                let detail = terminal::printable(&outcome.detail);
                terminal::line(format!("{}: {}{detail}", outcome.name, outcome.state));
            }
            outcomes.push(outcome);
        }
        if self.json {
            let outcomes: Vec<Value> = outcomes
                .iter()
                .map(|it| json!({ "name": it.name, "state": it.state, "detail": it.detail.trim_start_matches([' ', ',', ':']) }))
                .collect();
            terminal::line(serde_json::to_string_pretty(&json!({ "plugins": outcomes }))?);
        } else if outcomes.is_empty() {
            terminal::line("No plugin is installed.");
        }
        let well = outcomes.iter().all(|outcome| ![HELD, FAILED].contains(&outcome.state));
        Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn update(&self, installer: &Installer, config: &Config, name: &str) -> Result<Outcome> {
        let named = |state, detail| Outcome { name: name.to_owned(), state, detail };
        let offer = match installer.check_update(name).await? {
            packages::Update::Current(version) => return Ok(named("up to date", format!(" at {version}"))),
            packages::Update::Newer(offer) => *offer,
        };
        let signer = installer.signer(&offer, self.allow_unsigned)?;
        installer.check_place(&offer, false).await?;
        if let Some(why) = why_to_ask(&offer) {
            if !self.json {
                consent::show_offer(&offer);
                terminal::line(format!("\n{why}"));
            }
            let asked = if self.json { Ok(self.yes) } else { consent::ask(self.yes, "Update it?") };
            if !asked.unwrap_or(false) {
                return Ok(named(HELD, format!(", its version before goes on. {why}; agree with --yes")));
            }
        }
        let before = offer.installed.as_ref().map(|installed| installed.version.clone()).unwrap_or_default();
        let agreed = installer.install(offer, signer).await?;
        let host = reload::tell_host(config, name).await?;
        Ok(named("updated", format!(" from {before} to {}. {}", agreed.version, host.note())))
    }
}

/// A new version of the same goes through; whatever widens or turns back does not.
fn why_to_ask(offer: &Offer) -> Option<String> {
    let beyond = offer.beyond();
    if !beyond.is_empty() {
        return Some(format!("It asks for more than before: {}", beyond.join("; ")));
    }
    let before = offer.installed.as_ref()?;
    if before.signer.is_some() && before.signer != offer.package.signer {
        return Some("Somebody else has signed it than before".into());
    }
    offer.is_older().then(|| format!("It is older than the installed {}", before.version))
}
