//! The real agent in its container: its sub-agents, what it can and cannot reach, and how its end
//! is told.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use mercury_tests::{
    docker::require_runsc,
    full_image,
    host::{Answer, Host, Setup},
    model::{Model, Turn},
};
use serde_json::{Value, json};

/// A host whose real agent asks `model`, and whose guard denies `gws`.
async fn host(runtime: &str, model: &Model) -> Host {
    Setup::with_image(runtime, &full_image())
        .set("MERCURY_MODEL_ENDPOINTS", &format!("{{\"anthropic\":\"{}\"}}", model.url()))
        .set("MERCURY_MODEL_MAX_RETRIES_PER_LEG", "1")
        .yaml("plugins:\n  permission-guard:\n    settings:\n      denied-clis: gws\n")
        .start()
        .await
}

/// One without that guard: what an agent cannot do then is kept from it by the container itself.
async fn unguarded(runtime: &str, model: &Model) -> Host {
    Setup::with_image(runtime, &full_image())
        .set("MERCURY_MODEL_ENDPOINTS", &format!("{{\"anthropic\":\"{}\"}}", model.url()))
        .yaml("plugins:\n  permission-guard:\n    enabled: false\n")
        .start()
        .await
}

/// The text of the tool result that the model was given with its request number `index`.
fn told(model: &Model, index: usize) -> String {
    let messages = model.requests()[index]["messages"].as_array().unwrap().clone();
    messages.last().unwrap().to_string()
}

/// The text file that came with the answer.
fn file(answer: &Answer) -> String {
    let data = answer.body["files"][0]["data"].as_str().unwrap_or_else(|| panic!("a file: {:#}", answer.body));
    String::from_utf8(STANDARD.decode(data).unwrap()).unwrap()
}

async fn both_runtimes() -> [&'static str; 2] {
    require_runsc().await;
    ["runc", "runsc"]
}

fn tool_names(request: &Value) -> Vec<String> {
    let tools = request["tools"].as_array().into_iter().flatten();
    tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// agent-entry.md #48, improved (weakness E1): the host is asked before a sub-agent's tool call, and
/// what it cost is counted (weakness E8).
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_call_of_a_sub_agent_is_not_made() {
    for runtime in both_runtimes().await {
        let model = Model::start([
            Turn::Tool("subagent", json!({ "agent": "worker", "task": "List my files." })),
            Turn::Bash("env gws list; echo leaked > outbox/leak.txt".into()),
            Turn::Text("It was blocked.".into()),
            Turn::Text("The worker may not.".into()),
        ])
        .await;
        let host = host(runtime, &model).await;
        let answer = host.ask("list my files").await;
        assert_eq!(answer.reply(), "The worker may not.", "{:#}", answer.body);
        assert!(answer.body["files"].as_array().unwrap().is_empty(), "the command was not run");
        let asked = model.requests();
        assert_eq!(asked.len(), 4);
        assert!(tool_names(&asked[0]).contains(&"subagent".into()), "{:?}", tool_names(&asked[0]));
        assert!(!tool_names(&asked[1]).contains(&"subagent".into()), "a sub-agent has none of its own");
        assert!(asked[1].to_string().contains("Task: List my files.") && !asked[1].to_string().contains("<caller"));
        assert_eq!(asked[1]["model"], asked[0]["model"], "a model that the host does not permit is not asked");
        assert!(told(&model, 2).contains("hard boundary"), "{}", told(&model, 2));
        assert!(told(&model, 3).contains("It was blocked."), "{}", told(&model, 3));
        let stored: String = host.query("SELECT result FROM runs").unwrap();
        let usage = &serde_json::from_str::<Value>(&stored).unwrap()["usage"];
        assert_eq!((&usage["inputTokens"], &usage["outputTokens"]), (&json!(48), &json!(20)), "{usage}");
    }
}

/// agent-entry.md #48: parallel tasks and chains, and a model that the chain permits.
#[tokio::test(flavor = "multi_thread")]
async fn sub_agents_work_side_by_side_and_in_turn() {
    let model = Model::start([
        Turn::Tool(
            "subagent",
            json!({ "tasks": [{ "agent": "worker", "task": "a" }, { "agent": "explore", "task": "b" }] }),
        ),
        Turn::Text("a report".into()),
        Turn::Text("a report".into()),
        Turn::Tool(
            "subagent",
            json!({ "chain": [{ "agent": "worker", "task": "c" }, { "agent": "worker", "task": "on: {previous}" }] }),
        ),
        Turn::Text("step <one>".into()),
        Turn::Text("step two".into()),
        Turn::Text("All done.".into()),
    ])
    .await;
    let chain =
        r#"[{"provider":"anthropic","model":"claude-opus-4-5"},{"provider":"anthropic","model":"claude-haiku-4-5"}]"#;
    let host = Setup::with_image("runc", &full_image())
        .set("MERCURY_MODEL_ENDPOINTS", &format!("{{\"anthropic\":\"{}\"}}", model.url()))
        .set("MERCURY_MODEL_CHAIN", chain)
        .start()
        .await;
    assert_eq!(host.ask("go").await.reply(), "All done.");
    let mut models: Vec<_> = model.requests()[1..3].iter().map(|it| it["model"].as_str().unwrap().to_owned()).collect();
    models.sort();
    assert_eq!(models, ["claude-haiku-4-5", "claude-opus-4-5"], "explore's own model is in the chain, worker's is not");
    assert!(told(&model, 3).contains("2 of 2 succeeded") && told(&model, 3).contains("### explore"));
    assert!(told(&model, 5).contains("Task: on: step <one>"), "{}", told(&model, 5));
    assert!(told(&model, 6).contains("step two"));
}

/// extensions.md #34: of eight tasks four are at work at once, and the next begins when one has ended.
#[tokio::test(flavor = "multi_thread")]
async fn four_sub_agents_work_at_once() {
    let eight: Vec<_> = (0..8).map(|_| json!({ "agent": "worker", "task": "x" })).collect();
    let mut script = vec![Turn::Tool("subagent", json!({ "tasks": eight }))];
    script.extend((0..8).map(|_| Turn::Held("a report".into())));
    script.push(Turn::Text("All done.".into()));
    let model = Model::start(script).await;
    let host = host("runc", &model).await;
    let asked = async |number: usize| {
        let until = Instant::now() + Duration::from_secs(180);
        while model.requests().len() < number && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // A fifth one would have come by now.
        tokio::time::sleep(Duration::from_secs(2)).await;
        model.requests().len()
    };
    let ask = host.ask("go");
    let watch = async {
        assert_eq!(asked(5).await, 5, "the person's question, and four tasks");
        model.release();
        assert_eq!(asked(6).await, 6, "the fifth task");
        (0..7).for_each(|_| model.release());
    };
    let (answer, ()) = tokio::join!(ask, watch);
    assert_eq!(answer.reply(), "All done.");
    assert!(told(&model, 9).contains("8 of 8 succeeded"), "{}", told(&model, 9));
}

/// agent-entry.md #48, extensions.md #34: what cannot be done is said, with the agents that there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_call_of_the_subagent_tool_is_explained() {
    let nine: Vec<_> = (0..9).map(|_| json!({ "agent": "worker", "task": "x" })).collect();
    let model = Model::start([
        Turn::Tool("subagent", json!({ "tasks": nine })),
        Turn::Tool(
            "subagent",
            json!({ "agent": "worker", "task": "x", "chain": [{ "agent": "worker", "task": "x" }] }),
        ),
        Turn::Tool("subagent", json!({ "agent": "nobody", "task": "x" })),
        Turn::Tool(
            "subagent",
            json!({ "chain": [{ "agent": "worker", "task": "x" }, { "agent": "worker", "task": "y" }] }),
        ),
        Turn::Text("fine".into()),
        Turn::Error(400, "the fake refuses".into()),
        Turn::Text("So be it.".into()),
    ])
    .await;
    let host = host("runc", &model).await;
    assert_eq!(host.ask("go").await.reply(), "So be it.");
    for (index, part) in [
        (1, "at most 8"),
        (2, "exactly one of"),
        (2, "explore (bundled)"),
        (3, "no agent 'nobody'"),
        (3, "worker (bundled)"),
        (6, "stopped at step 2 (worker)"),
        (6, "the fake refuses"),
    ] {
        assert!(told(&model, index).contains(part), "`{part}` is missing in {}", told(&model, index));
        assert!(told(&model, index).contains("\"is_error\":true"), "{}", told(&model, index));
    }
}

/// Tries to look into the first process, and into a process of its own to see that it can look.
const PROBE: &str = r#"sleep 30 & cat > /tmp/probe.py <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def ptrace(pid):
    if libc.ptrace(16, pid, 0, 0) != 0: raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(pid, 0x40000000)
    libc.ptrace(17, pid, 0, 0)
def peek(pid):
    at = int(open(f"/proc/{pid}/maps").readline().split("-")[0], 16)
    text = ctypes.create_string_buffer(16)
    class Piece(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
    here, there = Piece(ctypes.addressof(text), 16), Piece(at or 0x400000, 16)
    if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) < 1: raise OSError(ctypes.get_errno(), "peek")
ways = {
    "mem": lambda pid: open(f"/proc/{pid}/mem", "rb").close(),
    "environ": lambda pid: open(f"/proc/{pid}/environ", "rb").read(),
    "fd": lambda pid: os.listdir(f"/proc/{pid}/fd"),
    "peek": peek,
    "ptrace": ptrace,
}
for who, pid in (("entry", 1), ("own", int(sys.argv[1]))):
    for name, look in ways.items():
        try: look(pid); print(who, name, "open")
        except OSError as error: print(who, name, "closed", error.errno)
END
python3 /tmp/probe.py $! > outbox/probe.txt 2>&1; ls -A /run/mercury-io >> outbox/probe.txt; grep -aEc '[0-9a-f]{64}' /proc/[0-9]*/environ >> outbox/probe.txt 2>/dev/null; true"#;

/// container.md W18: an agent finds the seal nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn the_agent_cannot_look_into_entry() {
    for runtime in both_runtimes().await {
        let model = Model::start([Turn::Bash(PROBE.into()), Turn::Text("looked".into())]).await;
        let host = unguarded(runtime, &model).await;
        let answer = host.ask("look").await;
        assert_eq!(answer.reply(), "looked");
        let seen = file(&answer);
        // gVisor leaves environment and descriptors open; the seal is in neither.
        let closed: &[&str] =
            if runtime == "runc" { &["mem", "environ", "fd", "peek", "ptrace"] } else { &["mem", "peek", "ptrace"] };
        for way in closed {
            assert!(seen.contains(&format!("entry {way} closed")), "{runtime}: {way}\n{seen}");
        }
        // The probe itself works: what the kernel offers at all is open on a process of its own.
        for way in ["environ", "fd"] {
            assert!(seen.contains(&format!("own {way} open")), "{runtime}: {way}\n{seen}");
        }
        assert!(!seen.contains("/proc/1/environ:1"), "{seen}");
        assert!(!seen.contains("input.json") && !seen.contains("credentials.json"), "{seen}");
        println!("{runtime}:\n{seen}");
    }
}

/// container.md W18 #69: a result that the agent writes is refused and said to be forged.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_result_is_refused() {
    for runtime in both_runtimes().await {
        let forge = r#"printf '{"sealed":"{\\"reply\\":\\"forged\\"}","mac":"%064d"}' 0 > /run/mercury-io/x
                       mv /run/mercury-io/x /run/mercury-io/result.json; sleep 20"#;
        let model = Model::start([Turn::Bash(forge.into()), Turn::Text("honest".into())]).await;
        let host = unguarded(runtime, &model).await;
        let answer = host.ask("cheat").await;
        assert_eq!((answer.status, answer.code()), (502, "forged_result"), "{:#}", answer.body);
        assert!(!answer.body.to_string().contains("\"forged\""), "{:#}", answer.body);
        assert!(host.log().contains("forged_result"), "the log says so");
    }
}

/// A model that answers 500 is reported in seconds: pi's own retries do not multiply the chain's.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_model_is_asked_once_per_attempt() {
    let model = Model::start([Turn::Error(500, "the fake is broken".into())]).await;
    let host = host("runc", &model).await;
    let began = Instant::now();
    let answer = host.ask("hello").await;
    println!("a model that answers 500 was reported after {:?}", began.elapsed());
    assert_eq!((answer.status, answer.code()), (502, "model_unavailable"), "{:#}", answer.body);
    assert_eq!(model.requests().len(), 2, "the first attempt and one more");
}

/// agent-entry.md #20: a prompt over 2 MiB reaches the model, and no argument grows with it. container.md #67: nor does
/// one with a system prompt of 300 KiB, more than Linux takes for one argument.
#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_of_three_mebibytes_reaches_the_model() {
    let arguments = "cat /proc/[0-9]*/cmdline | wc -c > outbox/size.txt";
    let model = Model::start([Turn::Bash(arguments.into()), Turn::Text("read".into())]).await;
    let host = unguarded("runc", &model).await;
    let text = format!("{}the very end", "0123456789abcdef".repeat(3 << 16));
    let system = format!("{}its very end", "fedcba9876543210".repeat(300 << 6));
    host.execute(&format!("INSERT INTO space_settings VALUES ('main', 'system_prompt', '{system}', 'x', 1)"));
    let answer = host.ask(&text).await;
    assert_eq!(answer.reply(), "read", "{:#}", answer.body);
    assert!(model.requests()[0].to_string().contains(&text), "whole");
    assert!(model.requests()[0].to_string().contains(&system), "whole");
    let size: usize = file(&answer).trim().parse().unwrap();
    assert!(size < 16_384, "{size} bytes of arguments");
}

/// Processes that nobody waits for are collected by the container's first process, and none works
/// on when the answer is out.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_what_the_agent_started() {
    for runtime in both_runtimes().await {
        let orphans = "for n in 1 2 3 4 5; do (setsid sleep 0.2 &); done; sleep 1; \
                       cat /proc/[0-9]*/stat | grep -c ') Z ' > outbox/zombies.txt; \
                       setsid sh -c 'while [ ! -e go ]; do sleep 0.1; done; echo late > outbox/late.txt' \
                       > /dev/null 2>&1 &";
        let model = Model::start([
            Turn::Bash(orphans.into()),
            Turn::Text("left".into()),
            Turn::Bash("touch go; sleep 3; echo second > outbox/second.txt".into()),
            Turn::Text("on".into()),
        ])
        .await;
        let host = unguarded(runtime, &model).await;
        let first = host.ask("leave something").await;
        assert_eq!((first.reply(), file(&first).trim()), ("left", "0"), "{runtime}");
        let second = host.ask("and on").await;
        assert_eq!((second.reply(), file(&second).trim()), ("on", "second"), "{runtime}");
        assert_eq!(second.body["files"].as_array().unwrap().len(), 1, "{runtime}: {:#}", second.body);
    }
}

/// agent-entry.md section 10: of one run the next sees its workspace and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn runs_share_nothing_but_the_workspace() {
    for runtime in both_runtimes().await {
        let host = Setup::scripted(runtime).start().await;
        let places = ["/tmp", "/home/mercury", "/home/mercury/.pi/agent", "/run/mercury-io"];
        let writes: Vec<_> = places.iter().map(|place| format!("!write {place}/mark-of-one x")).collect();
        let first = host.ask(&format!("{}\n!write kept-mark x", writes.join("\n"))).await;
        assert_eq!(first.reply().matches("wrote").count(), places.len() + 1, "{}", first.reply());
        // Whoever could put a socket there would answer for the host.
        let socket = host.ask("!write /run/mercury/mark-of-one x").await;
        assert!(socket.reply().contains("Read-only"), "{}", socket.reply());
        let looks: Vec<_> = places.iter().map(|place| format!("!ls {place}")).collect();
        let second = host.ask(&format!("{}\n!ls .", looks.join("\n"))).await;
        let seen = second.reply();
        assert!(!seen.contains("mark-of-one") && seen.contains("kept-mark"), "{runtime}: {seen}");
        assert!(!seen.contains(".mercury.session.jsonl"), "{seen}");
    }
}

/// agent-entry.md #10, #19: a model that the operator says has no tools gets none, and is told so.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_tools_is_given_none() {
    let model = Model::start([Turn::Text("From what I know: yes.".into())]).await;
    let host = Setup::with_image("runc", &full_image())
        .set("MERCURY_MODEL_ENDPOINTS", &format!("{{\"anthropic\":\"{}\"}}", model.url()))
        .set("MERCURY_MODEL_CAPABILITIES", r#"{"tools":false}"#)
        .start()
        .await;
    assert_eq!(host.ask("can you?").await.reply(), "From what I know: yes.");
    let asked = &model.requests()[0];
    assert!(tool_names(asked).is_empty(), "{:?}", tool_names(asked));
    assert!(asked["system"].to_string().contains("Tools are not available"));
    assert!(!asked["system"].to_string().contains("Tools are available"));
}

/// What a stand-in for pi finds inside bubblewrap.
const LOOKS: &str = r#"#!/bin/sh
cat > /dev/null
try() { if eval "$2" 2> /dev/null > /dev/null; then echo "$1 works"; else echo "$1 fails"; fi; }
{
    try "agent settings" 'echo x > "$PI_CODING_AGENT_DIR/settings.json"'
    try "io directory" 'ls /run/mercury-io'
    try "result" 'echo x > /run/mercury-io/result.json'
    try "workspace" 'echo x > kept.txt'
    try "home" 'echo x > "$HOME/x"'
    try "root" 'echo x > /usr/x'
    try "var" 'ls /var'
    try "tools" 'ls /opt/mercury/bin/mrctl'
} > looks.txt
echo '{"type":"message_end","message":{"role":"assistant","stopReason":"stop","content":[{"type":"text","text":"seen"}]}}'
"#;

/// agent-entry.md #22, #23: inside bubblewrap the agent's settings cannot be changed and the result's
/// directory is not there; the workspace works.
#[tokio::test(flavor = "multi_thread")]
async fn bubblewrap_hides_the_result() {
    use std::os::unix::fs::PermissionsExt;
    let host = Setup::scripted("runc").start().await;
    let tools = std::fs::read_dir(host.data_dir().join("tools")).unwrap().next().unwrap().unwrap().path();
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        path
    };
    let (stub, io, space) = (make("stub"), make("io"), make("space"));
    std::fs::write(stub.join("pi"), LOOKS).unwrap();
    std::fs::set_permissions(stub.join("pi"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let request = json!({
        "runId": "r", "spaceId": "main", "spaceWorkspace": "/spaces/main", "prompt": "look", "callerId": "api:x",
        "seal": "5ea1", "model": { "chain": [{ "provider": "a", "model": "m" }], "maxRetriesPerLeg": 0 },
    });
    std::fs::write(io.join("input.json"), request.to_string()).unwrap();
    let mut command = std::process::Command::new("docker");
    // The narrow seccomp profile is the host's part; here it is enough that namespaces can be made.
    command
        .args(["run", "--rm", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges"])
        .args(["--security-opt=seccomp=unconfined", "--user=1000:1000", "--read-only", "--tmpfs=/tmp:rw,mode=1777"])
        .arg("--tmpfs=/home/mercury:rw,mode=0755,uid=1000,gid=1000")
        .args(["-e", "CONTAINER_BUBBLEWRAP=1", "-e", "CONTAINER_RUNTIME=runc", "-e", "IO_DIR=/run/mercury-io"])
        .args(["-e", "HOME=/home/mercury", "-e", "PATH=/usr/local/stub:/usr/local/bin:/usr/bin:/bin"])
        .args(["--entrypoint=/opt/mercury/bin/entry", "-v", &format!("{}:/opt/mercury:ro", tools.display())])
        .args(["-v", &format!("{}:/usr/local/stub:ro", stub.display())])
        .args(["-v", &format!("{}:/run/mercury-io", io.display()), "-v", &format!("{}:/spaces/main", space.display())])
        .arg(full_image());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let result = std::fs::read_to_string(io.join("result.json"))
        .unwrap_or_else(|_| panic!("no result: {}", String::from_utf8_lossy(&output.stderr)));
    let result: Value = serde_json::from_str(&result).unwrap();
    let result: Value = serde_json::from_str(result["sealed"].as_str().unwrap()).unwrap();
    assert_eq!(result["reply"], json!("seen"), "{result:#}");
    let looks = std::fs::read_to_string(space.join("looks.txt")).unwrap();
    let expected = "agent settings fails\nio directory fails\nresult fails\nworkspace works\nhome works\n\
                    root fails\nvar fails\ntools works\n";
    assert_eq!(looks, expected);
}
