//! The operator's own files, `.env` and `mercury.yaml`, changed by the host at the operator's word, and the
//! host's new beginning with them.
//!
//! A change keeps every other line as it is. It is read back before it is written: a file in which it
//! would mean something else is left alone.

mod dot_env;
mod file;
mod start;
mod yaml;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, ConfigError};

pub(crate) use file::write;
use file::{Before, Change};
pub use start::{StartError, check as check_start, oddities};

const DOT_ENV: &str = ".env";
/// Only for the operator: there are secrets in it.
const PRIVATE: u32 = 0o600;

#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} cannot be written: {source}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error(
        "{} belongs to somebody else (user {user}, group {group}), who would lose it with a change: {source}. Change it by hand, or run the host as that user", path.display()
    )]
    Owned { path: PathBuf, user: u32, group: u32, source: io::Error },
    #[error(
        "{} is mounted by itself, so nothing can be put in its place. Mount the folder in which it lies, or change it outside", path.display()
    )]
    Mounted { path: PathBuf },
    #[error("{} cannot be changed without changing what else it says: {reason}. Change it by hand", path.display())]
    Entangled { path: PathBuf, reason: String },
    #[error("MERCURY_CONFIG_FILE says that no configuration file is read, so there is none to write this to")]
    NoFile,
    #[error(
        "{name} is also set in the environment in which the host was started, and would be used on. Take it out there (the service, the compose file, the shell), or set another value here"
    )]
    SetElsewhere { name: String },
    #[error("with this change the host would not start again, so it is not made: {0}")]
    Refused(Unfit),
    #[error("the project's files cannot be used as they are: {0}")]
    Broken(Unfit),
}

/// Why a host would not start with the files.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
}

/// What changes, all at once.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Of `.env`: the value, or none where the variable is taken out.
    pub variables: BTreeMap<String, Option<String>>,
    /// Of the configuration file: the path of a flag, and what it is.
    pub flags: Vec<(Vec<String>, bool)>,
}

/// The folder in which the host was started.
#[derive(Debug)]
pub struct Project {
    folder: PathBuf,
    /// Held while files are changed: each change begins with what the one before has left.
    changing: Mutex<()>,
    restart: CancellationToken,
}

impl Project {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, changing: Mutex::default(), restart: CancellationToken::new() }
    }

    /// The variables as a host that starts now would see them.
    pub fn environment(&self) -> Result<BTreeMap<String, String>, ProjectError> {
        config::environment(&self.folder).map_err(|error| ProjectError::Broken(error.into()))
    }

    /// The configuration as a host that starts now would read it.
    pub fn config(&self) -> Result<Config, ProjectError> {
        Config::load(&self.folder, &self.environment()?).map_err(|error| ProjectError::Broken(error.into()))
    }

    /// Whether the configuration file says something at `path`.
    pub fn says(&self, path: &[&str]) -> Result<bool, ProjectError> {
        let Some(file) = config::file(&self.folder, &self.environment()?) else { return Ok(false) };
        let before = Before::read(file)?;
        yaml::says(before.text(), path).map_err(|reason| before.entangled(reason))
    }

    /// Whether a host that starts now would get as far as its work.
    fn check(&self) -> Result<(), Unfit> {
        let environment = config::environment(&self.folder)?;
        let config = Config::load(&self.folder, &environment)?;
        Ok(start::check(&config, &environment)?)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder, and its files where they may lie elsewhere.
    pub fn places(&self) -> Vec<PathBuf> {
        let file = self.environment().ok().and_then(|environment| config::file(&self.folder, &environment));
        [self.folder.clone(), self.folder.join(DOT_ENV)].into_iter().chain(file).collect()
    }

    /// Whether there is a configuration file that is read.
    pub fn has_file(&self) -> Result<bool, ProjectError> {
        Ok(config::file(&self.folder, &self.environment()?).is_some_and(|path| path.is_file()))
    }

    /// Changes the files, unless a host would not start with them. Blocks.
    ///
    /// # Errors
    /// [`ProjectError`]; then the files are as they were.
    pub fn change(&self, changes: &Changes) -> Result<(), ProjectError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        file::replace(self.plan(changes)?)
    }

    /// The files as they are to be, with which a host would start. Nothing is written yet: who is killed
    /// on the way leaves nothing that was not looked at.
    fn plan(&self, changes: &Changes) -> Result<Vec<Change>, ProjectError> {
        let refused = |error: ConfigError| ProjectError::Refused(error.into());
        let mut plan = Vec::new();
        let environment = if changes.variables.is_empty() {
            self.environment()?
        } else {
            let before = Before::read(self.folder.join(DOT_ENV))?;
            let text = dot_env::change(before.text(), &changes.variables).map_err(|reason| before.entangled(reason))?;
            let environment = config::environment_with(&self.folder, &text).map_err(refused)?;
            check_taken_out(changes, &environment)?;
            plan.push(Change { before, text, mode: Some(PRIVATE) });
            environment
        };
        let config = if changes.flags.is_empty() {
            Config::load(&self.folder, &environment).map_err(refused)?
        } else {
            // The environment may name another file than the usual one, or none.
            let path = config::file(&self.folder, &environment).ok_or(ProjectError::NoFile)?;
            let before = Before::read(path)?;
            let mut text = before.text().to_owned();
            for (path, flag) in &changes.flags {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                text = yaml::set(&text, &path, *flag).map_err(|reason| before.entangled(reason))?;
            }
            let config = Config::load_with(&self.folder, &environment, &before.path, &text).map_err(refused)?;
            plan.push(Change { before, text, mode: None });
            config
        };
        match start::check(&config, &environment) {
            Err(error) if self.check().is_ok() => Err(ProjectError::Refused(error.into())),
            Err(error) => {
                // Else nothing of it could be mended step by step. A restart is refused until it is.
                tracing::warn!(%error, "the project's files are changed, and a host would not start with them, as before");
                Ok(plan)
            }
            Ok(()) => Ok(plan),
        }
    }

    /// Removes what changes have left that were broken off: secrets may be in it. Only while no other host
    /// of the project is at work. Blocks.
    pub fn sweep(&self) {
        for place in self.places().iter().skip(1) {
            file::sweep(place);
        }
    }

    /// Has the host begin anew with the files as they are now. Blocks.
    ///
    /// # Errors
    /// Where it would not start with them; then it goes on.
    pub fn restart(&self) -> Result<(), ProjectError> {
        self.check().map_err(ProjectError::Broken)?;
        self.restart.cancel();
        Ok(())
    }

    /// Waits until somebody wants that.
    pub async fn restarted(&self) {
        self.restart.cancelled().await;
    }
}

/// What somebody takes out of `.env` is meant to be out of use, for it may have become known.
fn check_taken_out(changes: &Changes, environment: &BTreeMap<String, String>) -> Result<(), ProjectError> {
    let is_set = |name: &&String| environment.get(*name).is_some_and(|value| !value.trim().is_empty());
    let mut out = changes.variables.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name);
    match out.find(is_set) {
        Some(name) => Err(ProjectError::SetElsewhere { name: name.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Changes {
        let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect();
        Changes { variables, ..Changes::default() }
    }

    /// http-api.md #31 in part: other lines stay, and nobody else may read it.
    #[test]
    fn a_change_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (env, yaml) = (folder.path().join(".env"), folder.path().join("mercury.yaml"));
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let project = Project::new(folder.path().to_owned());
        project.change(&variables(&[("MERCURY_BOT_USERNAME", "one")])).unwrap();
        assert_eq!((read(&env).as_str(), mode(&env)), ("MERCURY_BOT_USERNAME=one\n", 0o600));
        std::fs::set_permissions(&env, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::write(&yaml, "# mine\nserver:\n  port: 9000 # here\n").unwrap();
        std::fs::set_permissions(&yaml, std::fs::Permissions::from_mode(0o640)).unwrap();

        let flags = vec![(vec!["ingress".to_owned(), "slack".to_owned()], true)];
        project.change(&Changes { flags: flags.clone(), ..variables(&[("MERCURY_X_TOKEN", "a b")]) }).unwrap();
        assert_eq!((read(&env).as_str(), mode(&env)), ("MERCURY_BOT_USERNAME=one\nMERCURY_X_TOKEN='a b'\n", 0o600));
        let both = "# mine\nserver:\n  port: 9000 # here\ningress:\n  slack: true\n";
        assert_eq!((read(&yaml).as_str(), mode(&yaml)), (both, 0o640));

        // A host would not start with it: both files are as they were.
        let refused = project.change(&Changes {
            flags: vec![(vec!["ingress".to_owned(), "slack".to_owned()], false)],
            ..variables(&[("MERCURY_PORT", "none")])
        });
        assert!(matches!(refused, Err(ProjectError::Refused(_))), "{refused:?}");
        assert_eq!((read(&env).lines().count(), read(&yaml).as_str()), (2, both));
        // The file is not read, so it is not written either.
        project.change(&variables(&[("MERCURY_CONFIG_FILE", "none")])).unwrap();
        std::fs::write(&yaml, "x").unwrap();
        let none = project.change(&Changes { flags, ..Changes::default() });
        assert!(matches!(none, Err(ProjectError::NoFile)), "{none:?}");
        assert_eq!((read(&yaml).as_str(), project.has_file().unwrap()), ("x", false));
    }

    /// Killed at any point, a host leaves no file that it had not looked at: here it looks at nothing.
    #[test]
    fn what_is_refused_is_never_written() {
        let folder = tempfile::tempdir().unwrap();
        let (env, yaml) = (folder.path().join(".env"), folder.path().join("mercury.yaml"));
        std::fs::write(&env, "MERCURY_BOT_USERNAME=one\n").unwrap();
        std::fs::write(&yaml, "# mine\n").unwrap();
        let project = Project::new(folder.path().to_owned());
        let number = |path: &Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
        let before = (number(&env), number(&yaml));
        let flags = vec![(vec!["ingress".to_owned(), "telegram".to_owned()], true)];
        for variables in [&[("MERCURY_PORT", "none")][..], &[("MERCURY_BOT_USERNAME", "two")]] {
            let refused = project.change(&Changes { flags: flags.clone(), ..self::variables(variables) });
            assert!(matches!(refused, Err(ProjectError::Refused(_))), "{refused:?}");
            // Neither put in place nor put back.
            assert_eq!((number(&env), number(&yaml)), before);
        }
    }

    /// Where two things are missing, each can be given.
    #[test]
    fn what_is_broken_is_mended_step_by_step() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::new(folder.path().to_owned());
        let env = folder.path().join(".env");
        std::fs::write(&env, "MERCURY_ENABLE_TELEGRAM=true\nMERCURY_OAUTH_STAND_IN=http://x.example\n").unwrap();
        project.change(&variables(&[("MERCURY_TELEGRAM_BOT_TOKEN", "1:a")])).unwrap();
        assert!(matches!(project.restart(), Err(ProjectError::Broken(_))));
        let out = BTreeMap::from([("MERCURY_OAUTH_STAND_IN".to_owned(), None)]);
        project.change(&Changes { variables: out, ..Changes::default() }).unwrap();
        project.restart().unwrap();
    }

    /// What a host that was killed has left goes, wherever the files lie; nothing else does.
    #[test]
    fn what_was_broken_off_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for (path, text) in [
            ("project/.env", "MERCURY_CONFIG_FILE=../configured/mine.yaml\n"),
            ("project/.changing-abc", "MERCURY_GROQ_API_KEY=secret\n"),
            ("configured/mine.yaml", ""),
            ("configured/.changing-def", "ingress:\n"),
            ("configured/changing-ghi", "mine"),
        ] {
            std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            std::fs::write(at(path), text).unwrap();
        }
        Project::new(at("project")).sweep();
        assert!(!at("project/.changing-abc").exists() && !at("configured/.changing-def").exists());
        assert!(
            ["project/.env", "configured/mine.yaml", "configured/changing-ghi"].iter().all(|kept| at(kept).exists())
        );
    }

    /// A restart that would end in an error is refused while the host still runs.
    #[tokio::test]
    async fn a_restart_needs_files_that_work() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::new(folder.path().to_owned());
        std::fs::write(folder.path().join("mercury.yaml"), "server: 1\n").unwrap();
        assert!(matches!(project.restart(), Err(ProjectError::Broken(_))));
        assert!(!project.restart.is_cancelled());
        for (file, text, reason) in UNFIT {
            std::fs::write(folder.path().join("mercury.yaml"), "").unwrap();
            std::fs::write(folder.path().join(file), text).unwrap();
            let refused = project.restart().unwrap_err().to_string();
            assert!(refused.contains(reason), "{text}: {refused}");
            std::fs::remove_file(folder.path().join(file)).unwrap();
        }
        assert!(!project.restart.is_cancelled());
        std::fs::write(folder.path().join("mercury.yaml"), "").unwrap();
        project.restart().unwrap();
        project.restarted().await;
    }

    /// What is taken out because it has become known is not used on from elsewhere.
    #[test]
    fn what_is_taken_out_is_out() {
        let folder = tempfile::tempdir().unwrap();
        let env = folder.path().join(".env");
        let text = "# mine\nPATH=here\nMERCURY_GROQ_API_KEY=known\n";
        std::fs::write(&env, text).unwrap();
        let project = Project::new(folder.path().to_owned());
        let out = |name: &str| Changes { variables: BTreeMap::from([(name.to_owned(), None)]), ..Changes::default() };
        // Which every process has of its own.
        let refused = project.change(&out("PATH"));
        assert!(matches!(&refused, Err(ProjectError::SetElsewhere { name }) if name == "PATH"), "{refused:?}");
        assert_eq!(std::fs::read_to_string(&env).unwrap(), text);
        project.change(&out("MERCURY_GROQ_API_KEY")).unwrap();
        assert_eq!(std::fs::read_to_string(&env).unwrap(), "# mine\nPATH=here\n");
    }

    /// What can be read, and what a host ends with nevertheless.
    const UNFIT: [(&str, &str, &str); 4] = [
        (".env", "MERCURY_ENABLE_TELEGRAM=true\n", "its secret MERCURY_TELEGRAM_BOT_TOKEN is not set"),
        (".env", "MERCURY_OAUTH_STAND_IN=http://elsewhere.example\n", "MERCURY_OAUTH_STAND_IN must be"),
        ("mercury.yaml", "plugins:\n  trusted_keys: {ada: x}\n", "plugins.trusted_keys"),
        ("mercury.yaml", "model:\n  provider: nobodys\nagent:\n  credentials: gateway\n", "`nobodys`"),
    ];

    /// The same of a plugin without which the host does not run.
    #[test]
    fn a_restart_needs_the_plugins_that_close_something() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(".mercury/plugins/closes");
        std::fs::create_dir_all(&place).unwrap();
        let head =
            "name = \"closes\"\nversion = \"1.0.0\"\ncomponent = \"x.wasm\"\nprovides = [\"result-processor\"]\n";
        std::fs::write(place.join("x.wasm"), "").unwrap();
        std::fs::write(folder.path().join("mercury.yaml"), "plugins:\n  unlocked_folders: [closes]\n").unwrap();
        let project = Project::new(folder.path().to_owned());
        let choice = "[settings.how]\ntype = \"choice\"\nchoices = [\"a\", \"b\"]\n";
        let secret = "[[secrets]]\nname = \"token\"\nvariable = \"MERCURY_CLOSES_TOKEN\"\n";
        for (more, said, reason) in [
            (secret, "", "it needs the credential MERCURY_CLOSES_TOKEN"),
            ("depends = [\"nothing\"]\n", "", "it needs the plugin `nothing`"),
            ("[[agent.clis]]\nname = \"charts\"\nbin = \"x.wasm\"\n", "  charts:\n    enabled: true\n", "`charts`"),
            ("verison = 1\n", "", "verison"),
            (choice, "  closes:\n    settings: {how: c}\n", "plugins.closes.settings.how"),
        ] {
            for required in [true, false] {
                std::fs::write(place.join("plugin.toml"), format!("{head}required = {required}\n{more}")).unwrap();
                let said = format!("plugins:\n  unlocked_folders: [closes]\n{said}");
                std::fs::write(folder.path().join("mercury.yaml"), said).unwrap();
                let checked = project.check().map_err(|error| error.to_string());
                // Who cannot read it does not know whether it closes something; a wrong value is never passed over.
                match required || more.starts_with("verison") || more == choice {
                    true => assert!(checked.as_ref().is_err_and(|error| error.contains(reason)), "{more}: {checked:?}"),
                    false => assert_eq!(checked, Ok(()), "{more}"),
                }
            }
        }
    }

    /// The operator's only way in from afar may be that host: what it cannot do without is not taken from it.
    #[test]
    fn a_host_keeps_what_it_needs() {
        let folder = tempfile::tempdir().unwrap();
        let env = folder.path().join(".env");
        let project = Project::new(folder.path().to_owned());
        project
            .change(&variables(&[("MERCURY_TELEGRAM_BOT_TOKEN", "1:a"), ("MERCURY_ENABLE_TELEGRAM", "true")]))
            .unwrap();
        let before = std::fs::read_to_string(&env).unwrap();
        let out = |name: &str| Changes { variables: BTreeMap::from([(name.to_owned(), None)]), ..Changes::default() };
        let refused = project.change(&out("MERCURY_TELEGRAM_BOT_TOKEN")).unwrap_err().to_string();
        assert!(refused.contains("telegram") && refused.contains("MERCURY_TELEGRAM_BOT_TOKEN"), "{refused}");
        assert_eq!(std::fs::read_to_string(&env).unwrap(), before);
        project.change(&out("MERCURY_ENABLE_TELEGRAM")).unwrap();
        project.change(&out("MERCURY_TELEGRAM_BOT_TOKEN")).unwrap();
    }
}
