use mercury_bindings::mercury::plugin::tasks::{Confinement as Denied, Error, Host};

use crate::{
    clock,
    domain::{
        confinement::{Confinement, Folder},
        ids::{RunId, SpaceId},
        stages::Marks,
    },
    plugins::{Interface, capabilities::not_granted, manifest::Manifest, state::State},
    store::{NewTask, TaskStart},
};

/// Bytes of a task's id.
const MOST_ID: usize = 256;
/// Bytes of a prompt, and of a system prompt.
const MOST_PROMPT: usize = 256 << 10;
/// Tools that a run may be restricted to, and bytes of a tool's name, as the host takes it.
const MOST_TOOLS: usize = 64;
const MOST_TOOL_NAME: usize = 128;

/// What a component asks for.
struct Asked {
    id: String,
    space: String,
    prompt: String,
    system_prompt: Option<String>,
    confinement: Option<Confinement>,
}

impl Host for State {
    async fn start(
        &mut self,
        id: String,
        space: String,
        prompt: String,
        system_prompt: Option<String>,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.start_task(Asked { id, space, prompt, system_prompt, confinement: None }).await
    }

    async fn start_confined(
        &mut self,
        id: String,
        space: String,
        prompt: String,
        system_prompt: Option<String>,
        denied: Denied,
        tools: Option<Vec<String>>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let confinement = Some(confinement(&self.manifest, denied, tools));
        self.start_task(Asked { id, space, prompt, system_prompt, confinement }).await
    }
}

impl State {
    async fn start_task(&mut self, asked: Asked) -> wasmtime::Result<Result<(), Error>> {
        self.count_call()?;
        let per_day = self.manifest.tasks.per_day;
        if per_day == 0 {
            return Ok(Err(Error::Denied(not_granted("tasks", "[tasks] per-day = …"))));
        }
        // What a processor sees is a person's; it may not be sent anywhere, an agent included.
        if self.interface == Interface::ResultProcessor {
            return Ok(Err(Error::Denied("a processor may not start tasks, whatever was granted".into())));
        }
        if let Some(problem) = problem(&asked) {
            return Ok(Err(Error::Other(problem)));
        }
        let Ok(space) = SpaceId::try_from(asked.space) else { return Ok(Err(Error::UnknownSpace)) };
        let Some(queue) = self.services.tasks() else {
            return Ok(Err(Error::Other("this host runs no agents".into())));
        };
        let received = clock::micros();
        let task = NewTask {
            plugin: self.manifest.name.clone(),
            id: asked.id,
            space,
            prompt: asked.prompt,
            system_prompt: asked.system_prompt,
            confinement: asked.confinement,
            run: RunId::from_uuid(uuid::Uuid::now_v7()),
            now: clock::millis(),
            per_day,
            marks: Marks { received, accepted: received, queued: received, ..Marks::default() },
        };
        Ok(match queue.start(task).await {
            Ok(TaskStart::Started | TaskStart::Known) => Ok(()),
            Ok(TaskStart::UnknownSpace) => Err(Error::UnknownSpace),
            Ok(TaskStart::Busy(wait)) => Err(Error::Busy(wait)),
            Err(error) => {
                tracing::error!(%error, "a plugin's task could not be queued");
                Err(Error::Other("the host's database does not answer".into()))
            }
        })
    }
}

fn problem(asked: &Asked) -> Option<String> {
    let system = asked.system_prompt.as_deref().unwrap_or_default();
    let tools = asked.confinement.as_ref().and_then(|confinement| confinement.tools.as_deref()).unwrap_or_default();
    // Named on a command line, with commas between them.
    let named = |tool: &String| {
        (1..=MOST_TOOL_NAME).contains(&tool.len())
            && tool.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
            && !tool.starts_with('-')
    };
    if asked.id.is_empty() {
        return Some("the id is empty".to_owned());
    }
    if asked.id.len() > MOST_ID {
        return Some(format!("the id has more than {MOST_ID} bytes"));
    }
    if asked.prompt.trim().is_empty() {
        return Some("the prompt is empty".to_owned());
    }
    if asked.prompt.len().max(system.len()) > MOST_PROMPT {
        return Some(format!("a prompt has more than {MOST_PROMPT} bytes"));
    }
    if tools.len() > MOST_TOOLS {
        return Some(format!("more than {MOST_TOOLS} tools are named"));
    }
    let bad = tools.iter().find(|tool| !named(tool))?;
    Some(format!("`{}` is no name of a tool: letters, digits, `-` and `_`", bad.escape_debug()))
}

/// The folders are those that the component itself was granted, and no more is written there by its agent
/// than by it.
fn confinement(manifest: &Manifest, denied: Denied, tools: Option<Vec<String>>) -> Confinement {
    let granted = manifest.folders.iter().map(|grant| Folder { name: grant.space_folder.clone(), write: grant.write });
    Confinement {
        no_network: denied.contains(Denied::NO_NETWORK),
        read_only: denied.contains(Denied::READ_ONLY),
        folders: denied.contains(Denied::OWN_FOLDERS).then(|| granted.collect()),
        tools,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(tools: Option<Vec<String>>) -> Asked {
        let confinement = Some(Confinement { tools, ..Confinement::default() });
        Asked { id: "1".into(), space: "main".into(), prompt: "x".into(), system_prompt: None, confinement }
    }

    #[test]
    fn what_cannot_be_asked_for() {
        let tools = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(problem(&asked(tools(&["read", "web_search", "my-tool"]))), None);
        assert_eq!(problem(&asked(Some(Vec::new()))), None);
        for bad in ["", "read,bash", "--tools", "a b", "read\n", &"x".repeat(129)] {
            assert!(problem(&asked(tools(&[bad]))).unwrap().contains("no name of a tool"), "{bad:?}");
        }
        assert!(problem(&asked(Some(vec!["x".into(); 65]))).unwrap().contains("64"));
        assert!(problem(&Asked { id: String::new(), ..asked(None) }).unwrap().contains("id"));
        assert!(problem(&Asked { prompt: " ".into(), ..asked(None) }).unwrap().contains("prompt"));
        assert!(problem(&Asked { system_prompt: Some("x".repeat(MOST_PROMPT + 1)), ..asked(None) }).is_some());
    }
}
