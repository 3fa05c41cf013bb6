//! The rule for tool calls: what each tool's arguments name, and which rule looks at it.

use serde_json::{Map, Value};

use crate::paths::{normalise, refuse_outside, refuse_protected};
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::shell;

/// Arguments that hold shell text, in whatever tool.
const COMMAND_KEYS: &[&str] = &["command", "commands", "cmd", "script", "shell_command"];
/// Arguments that hold a path, in whatever tool.
const PATH_KEYS: &[&str] =
    &["path", "paths", "file_path", "filePath", "file", "files", "filename", "directory", "dir", "cwd", "workdir"];
/// Arguments with patterns that select files below the path.
const PATTERN_KEYS: &[&str] = &["glob", "include"];
/// Arguments with text that ends up in the file.
const CONTENT_KEYS: &[&str] =
    &["content", "contents", "text", "newText", "new_text", "newString", "new_string", "file_text", "insert_text"];

/// Decides about one call of `tool` in the space; `arguments` is the tool's own JSON.
pub fn check(policy: &Policy, space: &str, tool: &str, arguments: &str) -> Result<(), Refusal> {
    let Ok(Value::Object(arguments)) = serde_json::from_str(arguments) else {
        return Err(Refusal::MalformedArguments);
    };
    let tool = tool.to_ascii_lowercase();
    if tool == "subagent" {
        // Each of its own tool calls is checked when it is made.
        return Ok(());
    }
    let workspace = format!("/spaces/{space}");
    let call = Call { policy, workspace, arguments: &arguments };
    call.paths(&tool)?;
    if matches!(tool.as_str(), "write" | "edit" | "multiedit" | "create" | "append") {
        call.written()?;
    }
    call.commands()
}

/// What somebody has to approve before the call is made, in words for that person. For calls that
/// [`check`] lets pass.
pub fn approval(policy: &Policy, space: &str, tool: &str, arguments: &str) -> Option<String> {
    if policy.asking.before.is_empty() {
        return None;
    }
    if policy.asking.before.contains(&tool.to_ascii_lowercase()) {
        return Some(format!("The assistant wants to use the tool `{tool}`."));
    }
    match check(&policy.for_asking(), space, tool, arguments) {
        Ok(()) => None,
        Err(Refusal::DeniedCli { cli }) => Some(format!("The assistant wants to run `{cli}`.")),
        // It may be one of the programs in question, or not: that is for a person to see.
        Err(_) => Some("The assistant wants to run something of which cannot be told beforehand what it does.".into()),
    }
}

struct Call<'a> {
    policy: &'a Policy,
    workspace: String,
    arguments: &'a Map<String, Value>,
}

impl Call<'_> {
    fn strings(&self, keys: &[&str]) -> Vec<&str> {
        let mut found = Vec::new();
        for key in keys {
            match self.arguments.get(*key) {
                Some(Value::String(text)) => found.push(text.as_str()),
                Some(Value::Array(items)) => found.extend(items.iter().filter_map(Value::as_str)),
                _ => {}
            }
        }
        found
    }

    /// Where relative paths start. The agent's tools drop a leading `@`.
    fn directory(&self) -> String {
        match self.strings(&["cwd", "workdir"]).first() {
            Some(path) => normalise(&self.workspace, path),
            None => self.workspace.clone(),
        }
    }

    fn paths(&self, tool: &str) -> Result<(), Refusal> {
        let directory = self.directory();
        let protected = &self.policy.protected_paths;
        let named = self.strings(PATH_KEYS);
        let base = named.first().map_or(directory.clone(), |path| normalise(&directory, path));
        for path in &named {
            refuse_protected(protected, &directory, path)?;
            refuse_protected(protected, &directory, path.trim_start_matches('@'))?;
        }
        let mut patterns = self.strings(PATTERN_KEYS);
        if tool == "find" || tool == "glob" {
            patterns.extend(self.strings(&["pattern"]));
        }
        for pattern in patterns {
            refuse_protected(protected, &base, pattern)?;
        }
        if tool == "grep" {
            // It reads everything below.
            if let Some(inner) = protected.iter().find(|pattern| pattern.is_below(&base)) {
                return Err(Refusal::ProtectedPath { path: inner.to_string() });
            }
        }
        Ok(())
    }

    fn written(&self) -> Result<(), Refusal> {
        let directory = self.directory();
        let named = self.strings(PATH_KEYS);
        for path in &named {
            let path = normalise(&directory, path.trim_start_matches('@'));
            refuse_outside(&self.workspace, &path)?;
        }
        let name = named.first().copied().unwrap_or_default();
        let mut contents: Vec<String> = self.strings(CONTENT_KEYS).into_iter().map(str::to_owned).collect();
        for edit in self.arguments.get("edits").and_then(Value::as_array).into_iter().flatten() {
            if let Value::Object(edit) = edit {
                let inner = Call { policy: self.policy, workspace: String::new(), arguments: edit };
                contents.extend(inner.strings(CONTENT_KEYS).into_iter().map(str::to_owned));
            }
        }
        contents.iter().try_for_each(|text| shell::check_content(self.policy, &directory, name, text))
    }

    fn commands(&self) -> Result<(), Refusal> {
        let directory = self.directory();
        for key in COMMAND_KEYS {
            match self.arguments.get(*key) {
                Some(Value::String(text)) => shell::check(self.policy, &directory, text)?,
                Some(Value::Array(items)) => {
                    let argv: Vec<String> = items.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                    // Either one program with its arguments, or several texts.
                    shell::check_argv(self.policy, &directory, &argv)?;
                    for text in argv.iter().filter(|text| text.contains(char::is_whitespace)) {
                        shell::check(self.policy, &directory, text)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn decide(role: &str, tool: &str, arguments: Value) -> Result<(), Refusal> {
        let policy = Policy::read(role, |key| (key == "denied-clis").then(|| "gws".to_owned()));
        check(&policy, "main", tool, &arguments.to_string())
    }

    #[test]
    fn denied_for_everybody() {
        for (tool, arguments) in [
            ("read", json!({"path": "/run/mercury-io/input.json"})),
            ("read", json!({"path": "@/proc/self/environ"})),
            ("read", json!({"file_path": "../../proc/1/environ"})),
            ("ls", json!({"path": "~/../../opt/mercury"})),
            ("grep", json!({"pattern": "x", "path": "/run"})),
            ("grep", json!({"pattern": "x", "path": "/", "glob": "*"})),
            ("find", json!({"pattern": "self/environ", "path": "/proc"})),
            ("write", json!({"path": "/etc/passwd", "content": ""})),
            ("edit", json!({"path": "../other/x", "oldText": "a", "newText": "b"})),
            ("bash", json!({"command": "cat /proc/self/environ"})),
            ("custom", json!({"cwd": "/proc/self", "command": "cat environ"})),
        ] {
            assert!(decide("admin", tool, arguments.clone()).is_err(), "{tool} {arguments}");
        }
    }

    #[test]
    fn denied_for_the_restricted() {
        for (tool, arguments) in [
            ("bash", json!({"command": "gws x"})),
            ("Bash", json!({"command": "env gws x", "timeout": 5})),
            ("shell", json!({"command": ["gws", "x"]})),
            ("exec", json!({"cmd": ["bash", "-lc", "gws x"]})),
            ("anything", json!({"script": "gws x"})),
            ("write", json!({"path": "run.sh", "content": "#!/bin/sh\nset -e\ngws x \"$1\"\n"})),
            ("write", json!({"path": "run", "content": "cd x\ngws y"})),
            ("write", json!({"path": "notes.md", "content": "#!/usr/bin/env bash\ngws y"})),
            ("write", json!({"path": "a.py", "content": "import os\nos.system('gws x')"})),
            ("write", json!({"path": "package.json", "content": "{\"scripts\":{\"x\":\"gws y\"}}"})),
            ("edit", json!({"path": "run.sh", "edits": [{"oldText": "a", "newText": "sudo gws x"}]})),
            ("edit", json!({"path": "run.sh", "newText": "if x; then gws 'y"})),
        ] {
            let decision = decide("member", tool, arguments.clone());
            assert!(matches!(decision, Err(Refusal::DeniedCli { .. })), "{tool} {arguments}: {decision:?}");
            assert_eq!(decide("admin", tool, arguments.clone()), Ok(()), "{tool} {arguments}");
        }
    }

    #[test]
    fn allowed_for_the_restricted() {
        for (tool, arguments) in [
            ("bash", json!({"command": "echo gws"})),
            ("read", json!({"path": "/etc/os-release"})),
            ("read", json!({"path": "skills/gws/SKILL.md"})),
            ("grep", json!({"pattern": "gws", "path": "."})),
            ("write", json!({"path": "notes.md", "content": "gws x is closed"})),
            ("write", json!({"path": "LICENSE", "content": "Don't (worry)\nabout gws"})),
            ("write", json!({"path": "run.sh", "content": "for f in \"$@\"; do $f; done\n# gws\necho gws"})),
            ("write", json!({"path": "/tmp/x.py", "content": "print('mygws')"})),
            ("subagent", json!({"agent": "worker", "task": "run gws x"})),
            ("custom", json!({"query": "gws x"})),
        ] {
            assert_eq!(decide("member", tool, arguments.clone()), Ok(()), "{tool} {arguments}");
        }
    }

    #[test]
    fn malformed_arguments_are_denied() {
        let policy = Policy::read("admin", |_| None);
        for arguments in ["", "{", "[]", "\"x\"", "null"] {
            assert_eq!(check(&policy, "main", "read", arguments), Err(Refusal::MalformedArguments));
        }
    }

    proptest! {
        #[test]
        fn no_arguments_panic(path in "\\PC{0,40}", content in "\\PC{0,80}") {
            let arguments = json!({"path": path, "content": content, "command": content});
            let _ = decide("member", "write", arguments);
        }
    }
}
