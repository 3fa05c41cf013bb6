use mercury_bindings::mercury::plugin::tasks::{Error, Host};

use crate::{
    clock,
    domain::{
        ids::{RunId, SpaceId},
        stages::Marks,
    },
    plugins::{Interface, capabilities::not_granted, state::State},
    store::{NewTask, TaskStart},
};

/// Bytes of a task's id.
const MOST_ID: usize = 256;
/// Bytes of a prompt, and of a system prompt.
const MOST_PROMPT: usize = 256 << 10;

impl Host for State {
    async fn start(
        &mut self,
        id: String,
        space: String,
        prompt: String,
        system_prompt: Option<String>,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.count_call()?;
        let per_day = self.manifest.tasks.per_day;
        if per_day == 0 {
            return Ok(Err(Error::Denied(not_granted("tasks", "[tasks] per-day = …"))));
        }
        // What a processor sees is a person's; it may not be sent anywhere, an agent included.
        if self.interface == Interface::ResultProcessor {
            return Ok(Err(Error::Denied("a processor may not start tasks, whatever was granted".into())));
        }
        let problem = match (id.as_str(), prompt.trim(), system_prompt.as_deref().unwrap_or_default()) {
            ("", ..) => Some("the id is empty".to_owned()),
            (id, ..) if id.len() > MOST_ID => Some(format!("the id has more than {MOST_ID} bytes")),
            (_, "", _) => Some("the prompt is empty".to_owned()),
            (_, prompt, system) if prompt.len().max(system.len()) > MOST_PROMPT => {
                Some(format!("a prompt has more than {MOST_PROMPT} bytes"))
            }
            _ => None,
        };
        if let Some(problem) = problem {
            return Ok(Err(Error::Other(problem)));
        }
        let Ok(space) = SpaceId::try_from(space) else { return Ok(Err(Error::UnknownSpace)) };
        let Some(queue) = self.services.tasks() else {
            return Ok(Err(Error::Other("this host runs no agents".into())));
        };
        let received = clock::micros();
        let task = NewTask {
            plugin: self.manifest.name.clone(),
            id,
            space,
            prompt,
            system_prompt,
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
