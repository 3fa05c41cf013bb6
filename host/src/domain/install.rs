//! From the install lines of plugins' programs to the Dockerfile of an image that has them.
//!
//! Pure: the text, and the name that its content gives it. Install lines run as root while the image
//! is built, never in an agent's container.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

/// Hex digits of an image's content in its tag.
const TAG_DIGITS: usize = 12;

/// A program that a plugin wants in the agent's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name below `/usr/local/bin`.
    pub name: String,
    /// Shell, one line; may be empty where `bin` is all there is.
    pub install: String,
    /// The program itself, where the plugin brings it.
    pub bin: Option<Vec<u8>>,
}

/// One thing to do, after what it is done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Apt(Vec<String>),
    Pip(Vec<String>),
    Npm(Vec<String>),
    Bun(Vec<String>),
    /// As its author wrote it.
    Shell(String),
}

/// What is built, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub dockerfile: String,
    /// File name in the build's context → content.
    pub bins: Vec<(String, Vec<u8>)>,
}

impl Plan {
    /// `None` where there is nothing to add to `base`.
    pub fn of(base: &str, programs: &[Program]) -> Option<Self> {
        if programs.is_empty() {
            return None;
        }
        // By name: the order in which plugins were found changes nothing.
        let mut programs: Vec<&Program> = programs.iter().collect();
        programs.sort_by(|a, b| (&a.name, &a.install).cmp(&(&b.name, &b.install)));
        let steps = merge(programs.iter().flat_map(|program| parse(&program.install)));
        let bins: Vec<(String, Vec<u8>)> = programs
            .iter()
            .filter_map(|program| Some((format!("bin-{}", program.name), program.bin.clone()?)))
            .collect();
        let mut lines = vec![format!("FROM {base}"), "USER root".to_owned()];
        if !steps.is_empty() {
            // For the steps only: an ARG is not in the image's environment.
            lines.push("ARG DEBIAN_FRONTEND=noninteractive".to_owned());
            lines.push("ARG PIP_BREAK_SYSTEM_PACKAGES=1".to_owned());
            lines.push("ARG PUPPETEER_SKIP_DOWNLOAD=true".to_owned());
        }
        lines.extend(bins.iter().map(|(file, _)| format!("COPY {file} /usr/local/bin/{}", &file["bin-".len()..])));
        lines.extend(steps.iter().map(Step::instruction));
        if !bins.is_empty() && steps.iter().any(|step| matches!(step, Step::Npm(_))) {
            // Programs that a plugin brings look for their modules beside them.
            lines.push("RUN ln -sfn \"$(npm root -g)\" /usr/local/bin/node_modules".to_owned());
        }
        lines.push("USER 1000:1000".to_owned());
        Some(Self { dockerfile: lines.join("\n") + "\n", bins })
    }

    /// Of everything that goes into the image: another content is another name.
    pub fn digest(&self, base_id: &str) -> String {
        let mut digest = Sha256::new();
        let mut part = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        part(self.dockerfile.as_bytes());
        part(base_id.as_bytes());
        for (name, content) in &self.bins {
            part(name.as_bytes());
            part(content);
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..TAG_DIGITS].to_owned()
    }
}

/// The repository of the derived images of one agent id, so that pruning never crosses agents.
pub fn repository(agent_id: Option<&str>) -> String {
    match agent_id {
        // A repository's name is lower-case (Docker's reference grammar).
        Some(agent) => format!("mercury-agent-ext-{}", agent.to_lowercase()),
        None => "mercury-agent-ext".to_owned(),
    }
}

impl Step {
    fn instruction(&self) -> String {
        let list = |words: &[String]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        match self {
            Self::Apt(words) => format!(
                "RUN apt-get update && apt-get install -y --no-install-recommends {} && rm -rf /var/lib/apt/lists/*",
                list(words)
            ),
            Self::Pip(words) => format!("RUN pip install --no-cache-dir {}", list(words)),
            Self::Npm(words) => format!("RUN npm install -g {} && npm cache clean --force", list(words)),
            Self::Bun(words) => format!("RUN bun add -g {}", list(words)),
            // The exec form: whatever the line holds, it stays one instruction.
            Self::Shell(line) => {
                format!("RUN {}", serde_json::json!(["/bin/sh", "-c", line]))
            }
        }
    }
}

/// What one install line asks for. Package managers are recognised so that several plugins' packages
/// go into one layer; a line that mixes them with anything else, or says more than names, is left
/// as it is, since its order or its flags may matter.
pub fn parse(install: &str) -> Vec<Step> {
    let parts: Vec<&str> = parts(install).into_iter().map(str::trim).filter(|part| !part.is_empty()).collect();
    let read: Vec<Part> = parts.iter().map(|part| Part::read(part)).collect();
    if read.iter().any(|part| matches!(part, Part::Other)) {
        return vec![Step::Shell(install.trim().to_owned())];
    }
    read.into_iter()
        .filter_map(|part| match part {
            Part::Step(step) => Some(step),
            Part::Other | Part::Implied | Part::Empty => None,
        })
        .collect()
}

/// Each package once, sorted, in the order apt, pip, npm, bun, and the shell lines as they came.
pub fn merge(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let mut sets: [BTreeSet<String>; 4] = Default::default();
    let mut lines: Vec<String> = Vec::new();
    for step in steps {
        let (set, words) = match step {
            Step::Apt(words) => (0, words),
            Step::Pip(words) => (1, words),
            Step::Npm(words) => (2, words),
            Step::Bun(words) => (3, words),
            Step::Shell(line) => {
                if !lines.contains(&line) {
                    lines.push(line);
                }
                continue;
            }
        };
        sets[set].extend(words);
    }
    let kinds: [Kind; 4] = [Step::Apt, Step::Pip, Step::Npm, Step::Bun];
    let packages = kinds.into_iter().zip(sets).filter(|(_, set)| !set.is_empty());
    packages.map(|(kind, set)| kind(set.into_iter().collect())).chain(lines.into_iter().map(Step::Shell)).collect()
}

/// Which manager's step the packages make.
type Kind = fn(Vec<String>) -> Step;

enum Part {
    Step(Step),
    /// Part of what the merged step does anyway.
    Implied,
    /// An install without a package.
    Empty,
    /// For the shell.
    Other,
}

/// Flags that the merged steps set themselves, or that change nothing of what is installed. Any other
/// (an index, a requirements file) leaves the line as it is: dropping it would install something else.
const IDLE_FLAGS: &[&str] = &[
    "-y",
    "--yes",
    "-q",
    "-qq",
    "--quiet",
    "-g",
    "--global",
    "--no-install-recommends",
    "--break-system-packages",
    "--no-cache-dir",
    "--no-audit",
    "--no-fund",
];

impl Part {
    fn read(part: &str) -> Self {
        let words: Vec<&str> = part.split_whitespace().collect();
        // Where the shell has a say, it has the whole say. `>` is not among these: `b>=2` is a version.
        if part.contains(['"', '\'', '$', '`', ';', '|', '&', '(', '<', '\\']) {
            return Self::Other;
        }
        let (kind, rest): (Kind, &[&str]) = match words.as_slice() {
            ["apt-get", "update"] => return Self::Implied,
            ["rm", flag, path] if flag.starts_with("-r") && path.starts_with("/var/lib/apt") => return Self::Implied,
            ["apt-get", "install", rest @ ..] | ["apt-get", "-y", "install", rest @ ..] => (Step::Apt, rest),
            ["pip", "install", rest @ ..] | ["python3", "-m", "pip", "install", rest @ ..] => (Step::Pip, rest),
            ["npm", "install", rest @ ..] if rest.iter().any(|word| ["-g", "--global"].contains(word)) => {
                (Step::Npm, rest)
            }
            ["bun", "add", rest @ ..] if rest.iter().any(|word| ["-g", "--global"].contains(word)) => (Step::Bun, rest),
            _ => return Self::Other,
        };
        if rest.iter().any(|word| word.starts_with('-') && !IDLE_FLAGS.contains(word)) {
            return Self::Other;
        }
        let packages: Vec<String> =
            rest.iter().filter(|word| !word.starts_with('-')).map(|word| (*word).to_owned()).collect();
        if packages.is_empty() { Self::Empty } else { Self::Step(kind(packages)) }
    }
}

/// Split at `&&`, but not inside quotes.
fn parts(line: &str) -> Vec<&str> {
    let (mut found, mut start, mut quote) = (Vec::new(), 0, None);
    let bytes = line.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (None, b'\'' | b'"') => quote = Some(bytes[at]),
            (Some(open), byte) if byte == open => quote = None,
            (None, b'&') if bytes.get(at + 1) == Some(&b'&') => {
                found.push(&line[start..at]);
                at += 1;
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    found.push(&line[start..]);
    found
}

fn quoted(word: &str) -> String {
    let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.,:/@=+~^".contains(&b));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    fn shell(line: &str) -> Vec<Step> {
        vec![Step::Shell(line.to_owned())]
    }

    /// container.md #50: what each kind of line becomes.
    #[test]
    fn install_lines() {
        assert_eq!(
            parse(
                "apt-get update && apt-get install -y --no-install-recommends jq ffmpeg && rm -rf /var/lib/apt/lists/*"
            ),
            [Step::Apt(words(&["jq", "ffmpeg"]))]
        );
        assert_eq!(parse("pip install --break-system-packages a==1 b>=2"), [Step::Pip(words(&["a==1", "b>=2"]))]);
        assert_eq!(parse("python3 -m pip install a"), [Step::Pip(words(&["a"]))]);
        assert_eq!(parse("npm install -g @scope/x@1.2 y"), [Step::Npm(words(&["@scope/x@1.2", "y"]))]);
        assert_eq!(parse("bun add -g z"), [Step::Bun(words(&["z"]))]);
        let chain = "npm install -g playwright && npx playwright install";
        assert_eq!(parse(chain), shell(chain));
        let place = "cd /opt && ./install.sh";
        assert_eq!(parse(place), shell(place), "one shell, or `cd` would be lost");
        for line in ["apt install jq", "pip3 install x", "curl -fsSL https://example.com/i.sh | sh", "npm install x"] {
            assert_eq!(parse(line), shell(line), "{line}");
        }
        let quoted = "echo 'a && b'";
        assert_eq!(parse(quoted), shell(quoted));
        assert_eq!(parse("  "), []);
        assert_eq!(parse("npm install -g --no-audit"), []);
        assert_eq!(
            parse("npm install -g a &&  && npm install -g b"),
            [Step::Npm(words(&["a"])), Step::Npm(words(&["b"]))]
        );
    }

    /// container.md W22: a flag that changes what is installed is not lost, nor taken for a package.
    #[test]
    fn flags_with_a_meaning_keep_their_line() {
        for line in [
            "pip install --index-url https://example.com/simple x",
            "pip install -r requirements.txt",
            "npm install -g --ignore-scripts x",
            "apt-get install -t bookworm-backports x",
        ] {
            assert_eq!(parse(line), shell(line), "{line}");
        }
    }

    /// container.md #51: once each, sorted, in order of managers; shell lines as they came.
    #[test]
    fn merging() {
        let merged = merge([
            Step::Shell("second".into()),
            Step::Npm(words(&["n"])),
            Step::Pip(words(&["p==2", "p==1"])),
            Step::Apt(words(&["b", "a"])),
            Step::Shell("first".into()),
            Step::Apt(words(&["a", "c"])),
            Step::Bun(words(&["u"])),
            Step::Shell("second".into()),
        ]);
        assert_eq!(
            merged,
            [
                Step::Apt(words(&["a", "b", "c"])),
                Step::Pip(words(&["p==1", "p==2"])),
                Step::Npm(words(&["n"])),
                Step::Bun(words(&["u"])),
                Step::Shell("second".into()),
                Step::Shell("first".into()),
            ]
        );
    }

    /// extensions.md #16
    #[test]
    fn several_plugins_lines() {
        let lines = ["npm install -g charts-cli", "bun add -g napkin-ai", "npm install -g a charts-cli", "echo hi"];
        assert_eq!(
            merge(lines.into_iter().flat_map(parse)),
            [Step::Npm(words(&["a", "charts-cli"])), Step::Bun(words(&["napkin-ai"])), Step::Shell("echo hi".into())]
        );
    }

    fn program(name: &str, install: &str, bin: Option<&str>) -> Program {
        Program { name: name.into(), install: install.into(), bin: bin.map(|bin| bin.as_bytes().to_vec()) }
    }

    fn realistic() -> Vec<Program> {
        vec![
            program("gws", "npm install -g @google/gws", None),
            program("charts", "apt-get install -y gnuplot && pip install 'x'", None),
            program("pdf", "apt-get update && apt-get install -y poppler-utils", None),
            program("plot", "pip install matplotlib>=3 numpy", None),
            program("notes", "", Some("#!/bin/sh\n")),
            program("bunny", "bun add -g cowsay", None),
        ]
    }

    /// container.md #52: without programs there is nothing to build; the rest is one layer a manager.
    /// No line can add an instruction, and no step needs BuildKit.
    #[test]
    fn dockerfiles() {
        assert_eq!(Plan::of("base:1", &[]), None);
        insta::assert_snapshot!(Plan::of("base:1", &realistic()).unwrap().dockerfile, @r#"
        FROM base:1
        USER root
        ARG DEBIAN_FRONTEND=noninteractive
        ARG PIP_BREAK_SYSTEM_PACKAGES=1
        ARG PUPPETEER_SKIP_DOWNLOAD=true
        COPY bin-notes /usr/local/bin/notes
        RUN apt-get update && apt-get install -y --no-install-recommends poppler-utils && rm -rf /var/lib/apt/lists/*
        RUN pip install --no-cache-dir 'matplotlib>=3' numpy
        RUN npm install -g @google/gws && npm cache clean --force
        RUN bun add -g cowsay
        RUN ["/bin/sh","-c","apt-get install -y gnuplot && pip install 'x'"]
        RUN ln -sfn "$(npm root -g)" /usr/local/bin/node_modules
        USER 1000:1000
        "#);
        let evil = Plan::of("b", &[program("x", "true\nUSER root\nENTRYPOINT evil", None)]).unwrap();
        assert_eq!(evil.dockerfile.lines().filter(|line| line.starts_with("ENTRYPOINT")).count(), 0);
    }

    /// container.md #53: the name follows from the content, and from nothing else.
    #[test]
    fn digests() {
        let digest = |base: &str, id: &str, programs: &[Program]| Plan::of(base, programs).unwrap().digest(id);
        let first = digest("base:1", "sha256:1", &realistic());
        assert!(first.len() == 12 && first.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let mut reversed = realistic();
        reversed.reverse();
        assert_eq!(digest("base:1", "sha256:1", &reversed), first);
        let mut other_bin = realistic();
        other_bin[4].bin = Some(b"#!/bin/bash\n".to_vec());
        let mut other_line = realistic();
        other_line[0].install.push_str("@2");
        for changed in [
            digest("base:2", "sha256:1", &realistic()),
            digest("base:1", "sha256:2", &realistic()),
            digest("base:1", "sha256:1", &other_bin),
            digest("base:1", "sha256:1", &other_line),
        ] {
            assert_ne!(changed, first);
        }
        assert_eq!(
            (repository(Some("A1")), repository(None)),
            ("mercury-agent-ext-a1".into(), "mercury-agent-ext".into())
        );
    }

    proptest! {
        /// No install line, whatever it holds, is more than one instruction a step.
        #[test]
        fn a_line_stays_a_line(line in "(?s).{0,60}") {
            if let Some(plan) = Plan::of("b", &[program("x", &line, None)]) {
                for found in plan.dockerfile.lines() {
                    prop_assert!(["FROM ", "USER ", "ARG ", "RUN "].iter().any(|start| found.starts_with(start)), "{found}");
                }
            }
        }
    }
}
