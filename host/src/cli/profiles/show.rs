use std::process::ExitCode;

use anyhow::Result;

use super::super::{Project, plugins::consent::one_line, terminal};
use crate::{
    domain::profile::Profile,
    profiles::{self, Source},
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury profiles show research\n  mercury profiles show ./clinic\n  mercury profiles show clinic.tar.gz --json"
)]
pub(in crate::cli) struct Show {
    /// A profile that comes along, a folder with a mercury-profile.yaml, a `.tar` or `.tar.gz` of one, or its address.
    source: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let fetched = profiles::fetch(&Source::parse(&self.source)?).await?;
        match self.json {
            true => terminal::line(serde_json::to_string_pretty(&fetched.profile)?),
            false => body(&fetched.profile, project),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What an operator reads before it is applied.
pub(super) fn body(profile: &Profile, project: &Project) {
    let description = Some(one_line(&profile.description)).filter(|text| !text.is_empty());
    let description = description.map(|text| format!(": {text}")).unwrap_or_default();
    let title = format!("{} {}", profile.name, one_line(&profile.version));
    terminal::line(format!("{}{description}", terminal::heading(&title)));
    if let Some(path) = &profile.agents_md {
        terminal::line(format!("\nPersona: {}, which becomes the global AGENTS.md", one_line(path)));
    }
    if let Some(members) = &profile.member_permissions {
        terminal::line("\nMembers may, and nothing else unless a space says so itself");
        terminal::line(format!("  {}", or_nothing(&members.join(", "))));
        let beyond = profile.beyond_members();
        if !beyond.is_empty() {
            terminal::line(format!("  Beware: without the profile they may not {}", beyond.join(", ")));
        }
    }
    if let Some(prompt) = &profile.profile_prompt {
        terminal::line("\nAgents are told in each run");
        for line in terminal::printable(prompt).lines() {
            terminal::line(format!("  | {line}"));
        }
    }
    section("Plugins", profile.extensions.iter().map(|it| format!("{} from {}", it.name, one_line(&it.source))));
    section("Needs the plugins", profile.capabilities.iter().cloned());
    section(
        "Variables for .env",
        profile.env.iter().map(|variable| {
            let required = if variable.required { "required" } else { "optional" };
            let is_set = project.environment.get(&variable.key).is_some_and(|value| !value.is_empty());
            let missing = if variable.required && !is_set { ", not set" } else { "" };
            let default = variable.default.as_deref().map(|value| format!(", usually {}", one_line(value)));
            let text = Some(one_line(&variable.description)).filter(|text| !text.is_empty());
            let text = text.map(|text| format!(": {text}")).unwrap_or_default();
            format!("{} ({required}{missing}{}){text}", variable.key, default.unwrap_or_default())
        }),
    );
    let settings = profile.defaults.settings();
    section(
        "Meant for mercury.yaml, which stays as it is",
        settings.iter().map(|(key, value)| format!("{key}: {}", one_line(value))),
    );
}

fn section(title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        terminal::line(format!("\n{title}"));
    }
    for line in lines {
        terminal::line(format!("  - {line}"));
    }
}

fn or_nothing(list: &str) -> &str {
    if list.is_empty() { "nothing but send and receive files" } else { list }
}
