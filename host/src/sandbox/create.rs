//! The create request of a run's container. Pure, so that a golden file shows all of it.

use std::{collections::HashMap, path::PathBuf};

use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use mercury_protocol::paths;

use crate::{
    config::{Limits, Network, Runtime},
    domain::{
        confinement::Confinement,
        ids::{RunId, SpaceId},
    },
};

/// On every container of Mercury.
pub const LABEL_MANAGED: &str = "mercury.managed";
/// Of operators who run several hosts.
pub const LABEL_AGENT: &str = "mercury.agent-id";
/// The data directory's own id: another host's containers are never touched.
pub const LABEL_INSTANCE: &str = "mercury.instance";
pub const LABEL_RUN: &str = "mercury.run";

/// Resources of the operator that the agent may read, by name and order of the old system. A list
/// of what is allowed, so that a new file (`auth.json`) is not exposed by being there.
pub const GLOBAL_ENTRIES: &[&str] = &[".pi", "AGENTS.md", "skills", "agents", "commands", "prompts", "extensions"];

/// Where installers of every kind put programs. A link there is followed: what lies at its end is hidden.
const PROGRAM_DIRS: &[&str] = &["/usr/local/bin", "/usr/bin"];

/// Docker's default profile (20.10.24, `profiles/seccomp/default.json` of moby) and the five calls that
/// bubblewrap 0.8.0 was measured to need: without any one of them it does not start
/// (docs/decisions/0010-bubblewrap.md).
const BUBBLEWRAP_FILTER: &str = include_str!("bubblewrap.seccomp.json");

/// User and group of the agent. Not root, under either runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentUser {
    pub uid: u32,
    pub gid: u32,
}

/// What a container is made of. Paths are as the daemon sees them.
#[derive(Clone, Debug)]
pub struct Spec<'a> {
    pub run: &'a RunId,
    pub space: &'a SpaceId,
    pub agent_id: Option<&'a str>,
    pub instance: &'a str,
    pub image: &'a str,
    pub runtime: Runtime,
    /// The agent runs in bubblewrap inside the container. Never under gVisor.
    pub bubblewrap: bool,
    pub network: &'a Network,
    pub limits: &'a Limits,
    pub user: AgentUser,
    pub workspace: PathBuf,
    pub io_dir: PathBuf,
    pub run_dir: PathBuf,
    pub tools_dir: PathBuf,
    /// Where the plugins' skills are, if there are any.
    pub skills_dir: Option<PathBuf>,
    /// What this run is denied of the above.
    pub confinement: &'a Confinement,
    /// Programs that this caller may not run, and an empty file that no one can execute, to lie over them.
    pub hidden: &'a [String],
    pub hiding: PathBuf,
    pub global_dir: PathBuf,
    /// Those of [`GLOBAL_ENTRIES`] that exist: Docker would make a folder of a missing one.
    pub global_entries: Vec<&'static str>,
}

/// Everything is stated, nothing is left to a default of the daemon: network, runtime, user, and
/// that there is no privilege.
pub fn request(spec: &Spec<'_>) -> ContainerCreateBody {
    let network = if spec.confinement.no_network { &Network::None } else { spec.network };
    let text = |values: &[String]| Some(values.to_vec());
    ContainerCreateBody {
        image: Some(spec.image.to_owned()),
        entrypoint: text(&[format!("{}/bin/entry", paths::TOOLS_DIR)]),
        cmd: text(&[]),
        user: Some(format!("{}:{}", spec.user.uid, spec.user.gid)),
        working_dir: Some(format!("{}/{}", paths::SPACES, spec.space)),
        env: Some(environment(spec)),
        labels: Some(labels(spec)),
        attach_stdin: Some(false),
        attach_stdout: Some(false),
        attach_stderr: Some(false),
        open_stdin: Some(false),
        tty: Some(false),
        host_config: Some(HostConfig {
            runtime: Some(spec.runtime.name().to_owned()),
            binds: Some(binds(spec)),
            network_mode: Some(match network {
                // What a filtered agent reaches, it reaches by the run's socket.
                Network::None | Network::Filtered => "none".to_owned(),
                Network::Bridge => "bridge".to_owned(),
                Network::Named(name) => name.clone(),
            }),
            extra_hosts: (*network == Network::Bridge).then(|| vec!["host.docker.internal:host-gateway".to_owned()]),
            auto_remove: Some(false),
            privileged: Some(false),
            cap_drop: text(&["ALL".to_owned()]),
            security_opt: Some(security(spec)),
            readonly_rootfs: Some(true),
            tmpfs: Some(tmpfs(spec)),
            memory: Some(spec.limits.memory_bytes),
            // Equal to the memory: no swap, so the limit is a limit.
            memory_swap: Some(spec.limits.memory_bytes),
            nano_cpus: Some(spec.limits.nano_cpus),
            pids_limit: Some(spec.limits.pids),
            ipc_mode: Some("private".to_owned()),
            init: Some(false),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(HashMap::from([
                    ("max-size".to_owned(), "1m".to_owned()),
                    ("max-file".to_owned(), "1".to_owned()),
                ])),
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// With bubblewrap the system call filter is Docker's own with five calls more; nothing else is
/// relaxed: neither privilege nor capability, and the paths of /proc stay masked.
fn security(spec: &Spec<'_>) -> Vec<String> {
    let mut options = vec!["no-new-privileges".to_owned()];
    if spec.bubblewrap && spec.runtime == Runtime::Runc {
        options.push(format!("seccomp={BUBBLEWRAP_FILTER}"));
    }
    options
}

fn environment(spec: &Spec<'_>) -> Vec<String> {
    let mut environment = vec![
        format!("HOME={}", paths::HOME),
        format!("PATH={}/bin:{}/.local/bin:/usr/local/bin:/usr/bin:/bin", paths::TOOLS_DIR, paths::HOME),
        format!("IO_DIR={}", paths::IO_DIR),
        format!("API_SOCKET={}/{}", paths::RUN_DIR, paths::SOCKET),
        // Only for clients of the old system, which insist on one; the socket is the transport.
        "API_URL=http://localhost".to_owned(),
        format!("CONTAINER_RUNTIME={}", spec.runtime.name()),
    ];
    if spec.bubblewrap && spec.runtime == Runtime::Runc {
        environment.push("CONTAINER_BUBBLEWRAP=1".to_owned());
    }
    environment
}

fn labels(spec: &Spec<'_>) -> HashMap<String, String> {
    let mut labels = HashMap::from([
        (LABEL_MANAGED.to_owned(), "true".to_owned()),
        (LABEL_INSTANCE.to_owned(), spec.instance.to_owned()),
        (LABEL_RUN.to_owned(), spec.run.to_string()),
    ]);
    if let Some(agent) = spec.agent_id {
        labels.insert(LABEL_AGENT.to_owned(), agent.to_owned());
    }
    labels
}

fn binds(spec: &Spec<'_>) -> Vec<String> {
    let mut binds = workspace(spec);
    binds.extend([
        format!("{}:{}:rw", spec.io_dir.display(), paths::IO_DIR),
        // Read-only: an agent that could put a socket of its own in the place would answer for the host.
        format!("{}:{}:ro", spec.run_dir.display(), paths::RUN_DIR),
        format!("{}:{}:ro", spec.tools_dir.display(), paths::TOOLS_DIR),
    ]);
    if let Some(skills) = &spec.skills_dir {
        binds.push(format!("{}:{}:ro", skills.display(), paths::SKILLS_DIR));
    }
    for program in spec.hidden {
        binds.extend(PROGRAM_DIRS.iter().map(|dir| format!("{}:{dir}/{program}:ro", spec.hiding.display())));
    }
    for entry in &spec.global_entries {
        binds.push(format!("{}:{}/{entry}:ro", spec.global_dir.join(entry).display(), paths::GLOBAL_DIR));
    }
    binds
}

fn workspace(spec: &Spec<'_>) -> Vec<String> {
    let (from, to) = (spec.workspace.display(), format!("{}/{}", paths::SPACES, spec.space));
    let how = |write: bool| if write && !spec.confinement.read_only { "rw" } else { "ro" };
    match &spec.confinement.folders {
        None => vec![format!("{from}:{to}:{}", how(true))],
        Some(folders) => {
            folders.iter().map(|folder| format!("{from}/{0}:{to}/{0}:{1}", folder.name, how(folder.write))).collect()
        }
    }
}

/// The writable places of a read-only root. They count against the memory limit. Where a run sees single
/// folders of its workspace only, the rest of it is one of them.
fn tmpfs(spec: &Spec<'_>) -> HashMap<String, String> {
    let own = |size: &str| {
        let AgentUser { uid, gid } = spec.user;
        format!("rw,noexec,nosuid,nodev,size={size},mode=0755,uid={uid},gid={gid}")
    };
    let mut places = HashMap::from([
        ("/tmp".to_owned(), "rw,noexec,nosuid,nodev,size=512m,mode=1777".to_owned()),
        (paths::HOME.to_owned(), own("512m")),
    ]);
    if spec.confinement.folders.is_some() {
        places.insert(format!("{}/{}", paths::SPACES, spec.space), own("64m"));
    }
    places
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::domain::confinement::Folder;

    static FREE: Confinement = Confinement { no_network: false, read_only: false, folders: None, tools: None };

    fn golden(runtime: Runtime, network: &Network, agent_id: Option<&str>) -> String {
        // Through a value, whose maps are sorted.
        let value = serde_json::to_value(request(&spec(runtime, network, agent_id))).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    }

    fn spec<'a>(runtime: Runtime, network: &'a Network, agent_id: Option<&'a str>) -> Spec<'a> {
        static RUN: LazyLock<RunId> = LazyLock::new(|| RunId::from_stored("0198".into()));
        static SPACE: LazyLock<SpaceId> = LazyLock::new(|| SpaceId::try_from("main".to_owned()).unwrap());
        Spec {
            run: &RUN,
            space: &SPACE,
            agent_id,
            instance: "i1",
            image: "mercury-agent:latest",
            runtime,
            bubblewrap: false,
            network,
            limits: &Limits { memory_bytes: 2 << 30, nano_cpus: 2_000_000_000, pids: 512 },
            user: AgentUser { uid: 1000, gid: 1000 },
            workspace: "/vol/spaces/main".into(),
            io_dir: "/vol/io/mercury-0198".into(),
            run_dir: "/vol/run/0198".into(),
            tools_dir: "/vol/tools/d1".into(),
            skills_dir: None,
            confinement: &FREE,
            hidden: &[],
            hiding: "/vol/hidden".into(),
            global_dir: "/vol/global".into(),
            global_entries: vec![".pi", "AGENTS.md"],
        }
    }

    /// container.md #1 #73: runc has the whole hardening, and the host removes the container itself.
    #[test]
    fn runc() {
        insta::assert_snapshot!("create-runc", golden(Runtime::Runc, &Network::Bridge, None));
    }

    /// container.md #2 #4 #6: runsc with an agent id and without a network.
    #[test]
    fn runsc_without_network() {
        insta::assert_snapshot!("create-runsc-none", golden(Runtime::Runsc, &Network::None, Some("a1")));
    }

    /// container.md #3: a named network, and then no extra host.
    #[test]
    fn named_network() {
        let request = golden(Runtime::Runc, &Network::Named("net".into()), None);
        assert!(request.contains("\"NetworkMode\": \"net\"") && !request.contains("ExtraHosts"));
    }

    /// The same folder for every caller: a container can be made before its message is known.
    #[test]
    fn skills_are_mounted_to_be_read() {
        let spec = Spec { skills_dir: Some("/vol/skills/d2".into()), ..spec(Runtime::Runc, &Network::None, None) };
        let binds = request(&spec).host_config.unwrap().binds.unwrap();
        assert!(binds.contains(&"/vol/skills/d2:/opt/mercury-skills:ro".to_owned()), "{binds:?}");
    }

    /// examples.md #41: a run that is denied everything has no network, no name of the host, and of the
    /// workspace the folders of its plugin alone.
    #[test]
    fn a_confined_run() {
        let folder = |name: &str, write| Folder { name: name.to_owned(), write };
        let confinement = Confinement {
            no_network: true,
            folders: Some(vec![folder("knowledge", true), folder("shared", false)]),
            ..FREE.clone()
        };
        let request =
            |confinement: &Confinement| request(&Spec { confinement, ..spec(Runtime::Runsc, &Network::Bridge, None) });
        let value = serde_json::to_value(request(&confinement)).unwrap();
        insta::assert_snapshot!("create-confined", serde_json::to_string_pretty(&value).unwrap());

        let binds = |confinement: &Confinement| request(confinement).host_config.unwrap().binds.unwrap();
        let read_only = binds(&Confinement { read_only: true, ..confinement.clone() });
        assert!(
            read_only.contains(&"/vol/spaces/main/knowledge:/spaces/main/knowledge:ro".to_owned()),
            "{read_only:?}"
        );
        let whole = binds(&Confinement { read_only: true, ..FREE.clone() });
        assert_eq!(whole[0], "/vol/spaces/main:/spaces/main:ro");
        let none = binds(&Confinement { folders: Some(Vec::new()), ..FREE.clone() });
        assert!(none.iter().all(|bind| !bind.contains("/spaces/")), "{none:?}");
    }

    /// extensions.md #20: what a caller may not run is not there to be run.
    #[test]
    fn denied_programs_are_covered() {
        let hidden = ["gws".to_owned()];
        let spec = Spec { hidden: &hidden, ..spec(Runtime::Runsc, &Network::None, None) };
        let binds = request(&spec).host_config.unwrap().binds.unwrap();
        for dir in ["/usr/local/bin", "/usr/bin"] {
            assert!(binds.contains(&format!("/vol/hidden:{dir}/gws:ro")), "{binds:?}");
        }
    }

    /// A filtered agent has no network of its own, and no name of the host in its hosts file.
    #[test]
    fn filtered_is_no_network() {
        for runtime in [Runtime::Runc, Runtime::Runsc] {
            let request = golden(runtime, &Network::Filtered, None);
            assert!(request.contains("\"NetworkMode\": \"none\"") && !request.contains("ExtraHosts"), "{request}");
        }
    }

    /// container.md #5 #14 (as architecture.md has it): no privilege and no token, whatever is configured.
    #[test]
    fn never_privileged_never_a_token() {
        for runtime in [Runtime::Runc, Runtime::Runsc] {
            for network in [Network::None, Network::Filtered, Network::Bridge, Network::Named("n".into())] {
                let request = golden(runtime, &network, None);
                assert!(request.contains("\"Privileged\": false") && request.contains("\"ReadonlyRootfs\": true"));
                assert!(
                    !request.contains("unconfined")
                        && !request.contains("SYS_ADMIN")
                        && !request.contains("TOKEN")
                        && !request.contains("KEY")
                );
            }
        }
    }

    /// container.md #5 #6 (as architecture.md has it): bubblewrap opens five calls and nothing else, and
    /// under runsc it changes nothing.
    #[test]
    fn bubblewrap_relaxes_only_the_filter() {
        let with = |runtime, bubblewrap| {
            let mut body = request(&Spec { bubblewrap, ..spec(runtime, &Network::Bridge, None) });
            let options = body.host_config.as_mut().unwrap().security_opt.take().unwrap();
            let environment = body.env.take().unwrap();
            (serde_json::to_value(body).unwrap(), options, environment)
        };
        let (plain, plain_options, plain_environment) = with(Runtime::Runc, false);
        let (body, options, environment) = with(Runtime::Runc, true);
        assert_eq!(body, plain, "nothing but the options and the switch differs");
        assert_eq!(options[..1], plain_options[..]);
        assert_eq!(environment.last().unwrap(), "CONTAINER_BUBBLEWRAP=1");
        assert_eq!(environment[..environment.len() - 1], plain_environment[..]);
        assert_eq!(with(Runtime::Runsc, true), with(Runtime::Runsc, false));

        let filter: serde_json::Value = serde_json::from_str(options[1].strip_prefix("seccomp=").unwrap()).unwrap();
        assert_eq!(filter["defaultAction"], "SCMP_ACT_ERRNO");
        let added = filter["syscalls"].as_array().unwrap().last().unwrap();
        assert_eq!(added["names"], serde_json::json!(["clone", "mount", "pivot_root", "umount2", "unshare"]));
    }
}
