use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    super::{
        Project, init,
        plugins::{consent, installer, reload, trust},
        terminal,
    },
    next_step, show,
};
use crate::{
    config::Config,
    plugins::packages::{self, InstallError, Installer, Listed, Offer},
    profiles::{self, Activated, Fetched, Persona, Source},
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury profiles apply research\n  mercury profiles apply ./clinic --yes --allow-unsigned\n  mercury profiles apply https://example.com/clinic.tar.gz\n  mercury profiles apply clinic.tar.gz --json    show what it would change, as JSON\n\nThe global AGENTS.md that it replaces is kept beside the new one. mercury.yaml and .env are not touched."
)]
pub(in crate::cli) struct Apply {
    /// A profile that comes along, a folder with a mercury-profile.yaml, a `.tar` or `.tar.gz` of one, or its address.
    source: String,
    /// Agree to what it changes and to what its plugins ask for, without a question.
    #[arg(short, long)]
    yes: bool,
    /// Take its plugins though nobody whom you trust has signed them. The lock remembers.
    #[arg(long)]
    allow_unsigned: bool,
    /// Print JSON and ask nothing: without --yes it only shows.
    #[arg(long)]
    json: bool,
}

impl Apply {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let fetched = profiles::fetch(&Source::parse(&self.source)?).await?;
        let installer = installer(project, &config)?;
        let listed = packages::list(&config.data_dir, &config.plugins, &trust(&config)?)?;
        let offers = offers(&installer, &fetched, &listed).await?;
        let coming: Vec<String> = offers.iter().map(|offer| offer.name().to_owned()).collect();
        profiles::check(&fetched, &listed, &coming)?;
        let change = profiles::persona(&config.data_dir, &fetched, init::AGENTS)?;
        let shown = self.json.then(|| view(&fetched, &offers, &change));
        match &shown {
            Some(shown) if !self.yes => {
                terminal::line(serde_json::to_string_pretty(&json!({ "applied": false, "change": shown }))?);
                return Ok(ExitCode::SUCCESS);
            }
            Some(_) => {}
            None => describe(&fetched, &offers, &change, project),
        }
        for offer in &offers {
            installer.signer(offer, self.allow_unsigned)?;
        }
        if !consent::ask(self.yes, "Apply it?")? {
            terminal::note("Nothing was changed.");
            return Ok(ExitCode::FAILURE);
        }
        let activated = self.commit(&config, &installer, &fetched, offers).await?;
        match shown {
            Some(shown) => {
                let whole =
                    json!({ "applied": true, "change": shown, "before": activated.before, "installed": coming });
                terminal::line(serde_json::to_string_pretty(&whole)?);
            }
            None => {
                let before = activated.before.filter(|before| *before != fetched.profile.name);
                let before = before.map(|name| format!(", in place of {}", terminal::printable(&name)));
                terminal::line(format!(
                    "\nThe profile {} is active{}. {}",
                    fetched.profile.name,
                    before.unwrap_or_default(),
                    next_step(&config.data_dir)
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The plugins, then the profile. Where a part fails, what was installed before it goes again.
    async fn commit(
        &self,
        config: &Config,
        installer: &Installer,
        fetched: &Fetched,
        offers: Vec<Offer>,
    ) -> Result<Activated> {
        let mut installed = Vec::new();
        let outcome = async {
            for offer in offers {
                let name = offer.name().to_owned();
                // Once more: the one before it may have taken its place.
                installer.check_place(&offer, false).await?;
                let signer = installer.signer(&offer, self.allow_unsigned)?;
                installer.install(offer, signer).await?;
                installed.push(name.clone());
                reload::tell_host(config, &name).await?;
            }
            Ok::<_, anyhow::Error>(profiles::activate(&config.data_dir, fetched, init::AGENTS)?)
        };
        let outcome = outcome.await;
        if outcome.is_err() {
            for name in installed.iter().rev() {
                if let Err(error) = installer.remove(name).await {
                    terminal::note(format!("the plugin {name} stays installed: {error}"));
                }
                let _ = reload::tell_host(config, name).await;
            }
        }
        outcome.context("the profile is not applied, and what was active before still is")
    }
}

/// The plugins that the profile brings and that are not here. What is here stays as it is.
async fn offers(installer: &Installer, fetched: &Fetched, listed: &[Listed]) -> Result<Vec<Offer>> {
    let mut offers = Vec::new();
    for extension in &fetched.profile.extensions {
        if listed.iter().any(|plugin| plugin.name == extension.name) {
            continue;
        }
        let Some(origin) = fetched.origin_of(extension)? else { continue };
        let source = packages::Source::parse(&origin);
        let offer = match source {
            Ok(source) => installer.fetch(&source).await,
            Err(error) => Err(error),
        };
        let offer = offer.with_context(|| format!("the plugin `{}` of the profile", extension.name))?;
        if offer.name() != extension.name {
            bail!(InstallError::OtherName { name: extension.name.clone(), found: offer.name().to_owned() });
        }
        installer.check_place(&offer, false).await?;
        offers.push(offer);
    }
    Ok(offers)
}

fn describe(fetched: &Fetched, offers: &[Offer], change: &Persona, project: &Project) {
    show::body(&fetched.profile, project);
    if let Persona::Replaces { kept } = change {
        terminal::line(format!("\nThe global AGENTS.md is another one now; it is kept as {}", kept.display()));
    }
    for offer in offers {
        terminal::line("");
        consent::show_offer(offer);
    }
}

fn view(fetched: &Fetched, offers: &[Offer], change: &Persona) -> Value {
    let kept = match change {
        Persona::Replaces { kept } => Some(kept),
        Persona::Stays | Persona::Written => None,
    };
    json!({
        "profile": fetched.profile,
        "from": fetched.place,
        "persona": *change != Persona::Stays,
        "keptPersona": kept,
        "beyondMembers": fetched.profile.beyond_members(),
        "plugins": offers.iter().map(packages::view_offer).collect::<Vec<_>>(),
    })
}
