//! What an operator is shown and asked, and what is left behind.

use serde_json::Value;

use super::{bad, good, plugin, project, text, version};

const CLI: &str = "[agent]\npermission = true\n[[agent.clis]]\nname = \"gws\"\nbin = \"gws\"\n";

/// Who takes the name of a plugin of the host takes its place: not without a word of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_of_the_host_is_not_replaced_unnoticed() {
    let host = project("");
    let folder = plugin(&host, "permission-guard", "9.0.0", "");
    let add = ["add", text(&folder), "--yes", "--allow-unsigned"];
    let shown = bad(&host, &add, "--replace").await;
    assert!(shown.out.contains("Replaces  the plugin `permission-guard` of the host"), "{}", shown.out);
    let view = good(&host, &["add", text(&folder), "--json"]).await.json();
    assert_eq!(view["plugin"]["replacesBuiltIn"], true);
    good(&host, &[add.as_slice(), &["--replace"]].concat()).await;
    assert_eq!(version(&host, "permission-guard").await.as_deref(), Some("9.0.0"));

    let near = plugin(&host, "permisson-guard", "1.0.0", "");
    let shown = good(&host, &["add", text(&near), "--yes", "--allow-unsigned"]).await;
    assert!(shown.out.contains("it is not the plugin `permission-guard`"), "{}", shown.out);
}

/// A program that one plugin brings is not exchanged by another.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_plugin_has_is_not_taken() {
    let host = project("");
    for name in ["first", "second"] {
        let folder = plugin(&host, name, "1.0.0", CLI);
        std::fs::write(folder.join("gws"), name).unwrap();
    }
    let folder = |name: &str| host.folder().join(format!("{name}-source"));
    good(&host, &["add", text(&folder("first")), "--yes", "--allow-unsigned"]).await;
    bad(&host, &["add", text(&folder("second")), "--yes", "--allow-unsigned"], "`first` has the program `gws`").await;
    good(&host, &["remove", "first"]).await;
    good(&host, &["add", text(&folder("second")), "--yes", "--allow-unsigned"]).await;
}

/// A signature that comes later counts from then on: who takes it away again is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_comes_later_is_taken_up() {
    let author = project("");
    let folder = plugin(&author, "tidy", "1.0.0", "");
    let key = author.folder().join("author.key");
    let public = good(&author, &["keygen", text(&key)]).await.out.trim().to_owned();
    let host = project(&format!("  trusted_keys:\n    ada: \"{public}\"\n"));
    good(&host, &["add", text(&folder), "--yes", "--allow-unsigned"]).await;
    good(&author, &["sign", text(&key), text(&folder)]).await;
    good(&host, &["update", "tidy"]).await;
    assert!(good(&host, &["show", "tidy"]).await.out.contains("by ada"));
    std::fs::remove_file(folder.join("plugin.sig")).unwrap();
    bad(&host, &["update", "tidy", "--yes"], "--allow-unsigned").await;
    bad(&host, &["update", "tidy", "--allow-unsigned"], "held").await;
    assert!(good(&host, &["show", "tidy"]).await.out.contains("by ada"));
}

/// A purge says what there is, and leaves nothing of it, in memory neither.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_leaves_nothing() {
    let mut host = project("");
    host.start().await;
    let setting = "[settings.depth]\ntype = \"integer\"\ndescription = \"how deep\"\n";
    let folder = plugin(&host, "tidy", "1.0.0", setting);
    let add = ["add", text(&folder), "--yes", "--allow-unsigned"];
    good(&host, &add).await;
    good(&host, &["settings", "tidy", "depth", "3"]).await;
    let database = rusqlite::Connection::open(host.data_dir().join("state.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    database.execute("INSERT INTO plugin_kv VALUES ('tidy', 'k', x'00'), ('other', 'k', x'00')", []).unwrap();
    database.execute("INSERT INTO timers (plugin, name, due_at) VALUES ('tidy', 't', 1)", []).unwrap();
    let kept = good(&host, &["remove", "tidy"]).await;
    assert!(kept.err.contains("1 key, 1 timer, 1 setting") && kept.err.contains("--purge"), "{}", kept.err);

    // Whoever comes next under the name finds it, and the operator is told so.
    let shown = good(&host, &add).await;
    assert!(
        shown.out.contains("It finds what a plugin of this name has stored: 1 key, 1 timer, 1 setting"),
        "{}",
        shown.out
    );
    let purged = good(&host, &["remove", "tidy", "--purge", "--json"]).await.json();
    assert_eq!(
        (&purged["purged"]["keys"], &purged["purged"]["timers"], &purged["purged"]["settings"]),
        (&1.into(), &1.into(), &1.into())
    );
    for table in ["plugin_kv", "timers", "plugin_settings", "plugin_jobs", "plugin_tasks", "cursors"] {
        assert_eq!(
            host.query::<i64>(&format!("SELECT count(*) FROM {table} WHERE plugin = 'tidy'")),
            Some(0),
            "{table}"
        );
    }
    assert_eq!(host.query::<i64>("SELECT count(*) FROM plugin_kv WHERE plugin = 'other'"), Some(1));
    let shown = good(&host, &add).await;
    assert!(!shown.out.contains("It finds"), "{}", shown.out);
    let settings = good(&host, &["settings", "tidy", "depth", "--json"]).await.json();
    assert_eq!(settings["settings"][0]["value"], Value::Null, "{settings:#}");

    // Without a host as well; one that is there and does not answer is not worked around.
    database.execute("INSERT INTO plugin_kv VALUES ('tidy', 'k', x'00')", []).unwrap();
    host.kill();
    let lock = std::fs::File::open(host.data_dir().join("lock")).unwrap();
    lock.lock().unwrap();
    bad(&host, &["remove", "tidy", "--purge"], "does not answer").await;
    drop(lock);
    good(&host, &["remove", "tidy", "--purge"]).await;
    assert_eq!(host.query::<i64>("SELECT count(*) FROM plugin_kv WHERE plugin = 'tidy'"), Some(0));
}

/// The configuration is read at the start, and `reload` says which part of it waits for the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_says_what_needs_a_restart() {
    let mut host = project("");
    host.start().await;
    assert!(good(&host, &["reload"]).await.out.contains("Nothing has changed"));
    let yaml = host.folder().join("mercury.yaml");
    let before = std::fs::read_to_string(&yaml).unwrap();
    std::fs::write(&yaml, format!("{before}  pdf:\n    enabled: true\n")).unwrap();
    let said = good(&host, &["reload"]).await.out;
    assert!(said.contains("Not taken up: plugins.pdf was changed") && !said.contains("Nothing"), "{said}");
    assert_eq!(good(&host, &["reload", "--json"]).await.json()["needsRestart"], serde_json::json!(["plugins.pdf"]));
    std::fs::write(&yaml, before).unwrap();
    assert!(good(&host, &["reload"]).await.out.contains("Nothing has changed"));
}
