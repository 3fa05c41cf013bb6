//! The derived image: the base image with the programs that plugins want.
//!
//! It is built in the background and named by its content; until it is there, and whenever it cannot
//! be built, agents run on the base image. The classic builder does it: it needs no session beside the
//! request, so a plain proxy carries it, and each finished step is kept, so that a build that was cut
//! off goes on from there (docs/decisions/0009-derived-images.md).

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    DaemonError, Sandbox,
    create::{LABEL_AGENT, LABEL_INSTANCE, LABEL_MANAGED},
};
use crate::domain::{
    ids::RunId,
    install::{self, Plan, Program},
};

/// Times that a build whose connection broke is taken up again.
const ATTEMPTS: u32 = 3;
/// What is logged of a failed step's output, in characters.
const TAIL: usize = 2000;

#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    #[error("the base image {image} is not on this Docker daemon")]
    BaseMissing { image: String },
    #[error("the build failed: {0}")]
    Build(DaemonError),
    #[error("Docker does not answer: {0}")]
    Docker(#[from] DaemonError),
    #[error("the build's context could not be packed: {0}")]
    Context(#[from] std::io::Error),
    #[error("the builder ended without the image {tag}")]
    Incomplete { tag: String },
}

#[derive(Debug, Default)]
pub(super) struct Derived {
    programs: Mutex<Vec<Program>>,
    /// The tag in use.
    current: Mutex<Option<String>>,
    /// Programs that the image in use has, with all that their install lines wanted.
    installed: Mutex<Vec<String>>,
    building: AtomicBool,
}

/// A tag, if there is anything to build, and the programs that are whole in it.
type Built = (Option<String>, Vec<String>);

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sandbox {
    /// Says which programs the derived image has. To be followed by [`Sandbox::rebuild`].
    pub fn want_programs(&self, programs: Vec<Program>) {
        *lock(&self.derived.programs) = programs;
    }

    /// The derived image that the next container gets, if it is built.
    pub fn derived_image(&self) -> Option<String> {
        lock(&self.derived.current).clone()
    }

    /// Whether the next container has the program, with all that its install line wanted.
    pub fn has_program(&self, name: &str) -> bool {
        self.derived_image().is_some() && lock(&self.derived.installed).iter().any(|installed| installed == name)
    }

    /// Whether `missing` is a derived image of ours; it is not used any more from now on.
    pub(super) fn lost_derived(&self, missing: &str) -> bool {
        let mut current = lock(&self.derived.current);
        if current.as_deref() == Some(missing) {
            *current = None;
        }
        missing != self.base_image() && missing.starts_with(&format!("{}:", self.repository()))
    }

    /// Builds the derived image where it is missing; the one before it is used meanwhile, and longer where
    /// the build fails, or else the base image. One build at a time: what is asked for meanwhile is built
    /// behind it.
    pub async fn rebuild(&self) {
        loop {
            if self.derived.building.swap(true, Ordering::SeqCst) {
                return;
            }
            let wanted = lock(&self.derived.programs).clone();
            self.rebuild_once(&wanted).await;
            self.derived.building.store(false, Ordering::SeqCst);
            if *lock(&self.derived.programs) == wanted {
                return;
            }
        }
    }

    async fn rebuild_once(&self, wanted: &[Program]) {
        let base = self.base_image();
        match self.build_for(&base, wanted).await {
            Ok(None) => {}
            Ok(Some((tag, installed))) => {
                *lock(&self.derived.installed) = installed;
                *lock(&self.derived.current) = tag;
            }
            Err(error) => tracing::error!(
                base,
                "the agent's image with the plugins' programs could not be built; agents run without them: {}",
                tail(&error.to_string())
            ),
        }
    }

    /// The tag to use, if any, and the programs that are in it; `None` where the image before stays.
    ///
    /// Where an install line fails (its packages are not to be had) no plugin loses a program that it brings
    /// itself: without an image before, those go into one alone.
    async fn build_for(&self, base: &str, wanted: &[Program]) -> Result<Option<Built>, DeriveError> {
        let failure = match self.derive_with(base, wanted).await {
            Ok(tag) => return Ok(Some((tag, names(wanted)))),
            Err(DeriveError::Build(error)) => error,
            Err(error) => return Err(error),
        };
        let before = self.derived_image();
        let instead = match &before {
            Some(before) => format!("the image before, {before}, stays in use"),
            None => "only what plugins bring themselves is put into the agent's image".to_owned(),
        };
        tracing::error!(
            base,
            "an install line of the plugins' programs failed, so {instead}: {}",
            tail(&failure.to_string())
        );
        if before.is_some() {
            return Ok(None);
        }
        let (programs, installed) = brought(wanted);
        Ok(Some((self.derive_with(base, &programs).await?, installed)))
    }

    /// The same for an image that is not in use yet: it is pulled if need be.
    pub async fn derive_for(&self, base: &str) -> Result<Option<String>, DeriveError> {
        if !self.daemon.has_image(base).await? {
            self.daemon.pull(base, |line| tracing::info!(base, "{line}")).await?;
        }
        self.derive(base).await
    }

    /// The tag of the image that extends `base`, built if need be. `None` where nothing is wanted.
    pub async fn derive(&self, base: &str) -> Result<Option<String>, DeriveError> {
        let programs = lock(&self.derived.programs).clone();
        self.derive_with(base, &programs).await
    }

    async fn derive_with(&self, base: &str, programs: &[Program]) -> Result<Option<String>, DeriveError> {
        let Some(plan) = Plan::of(base, programs) else { return Ok(None) };
        let id =
            self.daemon.image_id(base).await?.ok_or_else(|| DeriveError::BaseMissing { image: base.to_owned() })?;
        let tag = format!("{}:{}", self.repository(), plan.digest(&id));
        if self.daemon.has_image(&tag).await? {
            tracing::info!(tag, "the agent's image with the plugins' programs is there");
            return Ok(Some(tag));
        }
        for program in programs {
            tracing::info!(
                tag,
                program = program.name,
                install = program.install,
                bin = program.bin.is_some(),
                "goes into the agent's image"
            );
        }
        let began = Instant::now();
        let context = context(&plan)?;
        for attempt in 1.. {
            match self.daemon.build(&tag, self.build_labels(), context.clone()).await {
                Ok(()) => break,
                Err(error @ DaemonError::Unavailable(_)) if attempt < ATTEMPTS => {
                    tracing::warn!(tag, attempt, %error, "the build was cut off; taking it up where it was");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(error) => return Err(DeriveError::Build(error)),
            }
        }
        if !self.daemon.has_image(&tag).await? {
            return Err(DeriveError::Incomplete { tag });
        }
        tracing::info!(tag, seconds = began.elapsed().as_secs(), "built the agent's image with the plugins' programs");
        Ok(Some(tag))
    }

    /// Removes derived images that are not in use any more: of this agent id, or without one of this
    /// data directory. Containers that ended and pin one are removed, except those of `unfinished`
    /// runs. Best effort: what cannot be removed is said.
    pub async fn prune_derived(&self, unfinished: &[RunId]) {
        let Some(kept) = self.derived_image() else { return };
        let tags = match self.daemon.tags(&self.repository(), self.prune_label()).await {
            Ok(tags) => tags,
            Err(error) => {
                tracing::warn!(%error, "old agent images cannot be listed, so none is removed");
                return;
            }
        };
        for tag in tags.into_iter().filter(|tag| *tag != kept && !tag.contains("<none>")) {
            match self.remove_image(&tag, unfinished).await {
                Ok(()) => tracing::info!(tag, "removed an old agent image"),
                Err(error) => tracing::warn!(tag, %error, "an old agent image is still in use and stays"),
            }
        }
    }

    async fn remove_image(&self, tag: &str, unfinished: &[RunId]) -> Result<(), DaemonError> {
        if self.daemon.remove_image(tag).await.is_ok() {
            return Ok(());
        }
        for container in self.daemon.ended_on(tag).await? {
            let wanted = |run: &String| unfinished.iter().any(|kept| kept.as_str() == run);
            if !container.run.as_ref().is_some_and(wanted) {
                // Not by force: one that was started meanwhile goes on.
                let _ = self.daemon.remove_ended(&container.id).await;
            }
        }
        self.daemon.remove_image(tag).await
    }

    fn repository(&self) -> String {
        install::repository(self.config.agent_id.as_deref())
    }

    fn build_labels(&self) -> HashMap<String, String> {
        let mut labels = HashMap::from([
            (LABEL_MANAGED.to_owned(), "true".to_owned()),
            (LABEL_INSTANCE.to_owned(), self.instance.clone()),
        ]);
        if let Some(agent) = &self.config.agent_id {
            labels.insert(LABEL_AGENT.to_owned(), agent.clone());
        }
        labels
    }

    fn prune_label(&self) -> String {
        match &self.config.agent_id {
            Some(agent) => format!("{LABEL_AGENT}={agent}"),
            None => format!("{LABEL_INSTANCE}={}", self.instance),
        }
    }
}

fn names(programs: &[Program]) -> Vec<String> {
    programs.iter().map(|program| program.name.clone()).collect()
}

/// The programs that plugins bring, without their install lines; and the names of those that need none.
fn brought(programs: &[Program]) -> (Vec<Program>, Vec<String>) {
    let brought = || programs.iter().filter(|program| program.bin.is_some());
    let whole = brought().filter(|program| program.install.trim().is_empty()).map(|program| program.name.clone());
    (brought().map(|program| Program { install: String::new(), ..program.clone() }).collect(), whole.collect())
}

fn context(plan: &Plan) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        // The time is part of the builder's cache key for a copied file.
        header.set_mtime(0);
        header.set_cksum();
        tar.append_data(&mut header, name, content)
    };
    add("Dockerfile", 0o644, plan.dockerfile.as_bytes())?;
    for (name, content) in &plan.bins {
        add(name, 0o755, content)?;
    }
    tar.into_inner()
}

fn tail(text: &str) -> String {
    let skip = text.chars().count().saturating_sub(TAIL);
    text.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_where_an_install_line_fails() {
        let program = |name: &str, install: &str, bin: Option<&[u8]>| Program {
            name: name.into(),
            install: install.into(),
            bin: bin.map(<[u8]>::to_vec),
        };
        let wanted = vec![
            program("charts", "apt-get install -y librsvg2-bin", Some(b"C")),
            program("napkin", "", Some(b"N")),
            program("qpdf", "command -v qpdf", None),
        ];
        let (rest, whole) = brought(&wanted);
        assert_eq!(rest, [program("charts", "", Some(b"C")), program("napkin", "", Some(b"N"))]);
        assert_eq!(whole, ["napkin"]);
    }

    #[test]
    fn the_context_holds_the_programs_ready_to_run() {
        let plan = Plan { dockerfile: "FROM x\n".into(), bins: vec![("bin-a".into(), b"A".to_vec())] };
        let packed = context(&plan).unwrap();
        let mut archive = tar::Archive::new(packed.as_slice());
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap(), entry.size())
            })
            .collect();
        assert_eq!(entries, [("Dockerfile".to_owned(), 0o644, 7), ("bin-a".to_owned(), 0o755, 1)]);
        assert_eq!(context(&plan).unwrap(), packed, "the same bytes, so that the builder's cache holds");
    }
}
