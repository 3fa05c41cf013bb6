//! `/spaces`, for the operator's admins.

use mercury_tests::{
    host::Setup,
    parley::{bring, called, delivered, direct, link_group},
};
use serde_json::json;

use super::{as_operator, decided, said, say, scripted};

/// pipeline.md #21, #22
#[tokio::test(flavor = "multi_thread")]
async fn spaces_are_made_and_linked() {
    let host = scripted().await;
    link_group(&host).await;
    for (id, text, expected) in [
        ("1", "/spaces create test-space My Test Space", "Created the space test-space (My Test Space)"),
        ("2", "/spaces create test-space", "Write `/spaces create ID NAME`"),
        ("3", "/spaces create INVALID name", "`INVALID` is not a space id"),
        ("4", "/spaces create main again", "The space main exists already."),
        ("5", "/spaces list", "main: 1 conversation\ntest-space (My Test Space): 0 conversations"),
        ("6", "/spaces switch nowhere", "There is no space nowhere."),
        ("7", "/spaces switch test-space", "This conversation belongs to test-space now."),
        ("8", "/spaces switch test-space", "This conversation belongs to test-space already."),
        ("9", "/spaces frob", "I do not know `/spaces frob`."),
        ("10", "/spaces unlink", "This conversation belongs to no space now."),
    ] {
        say(&host, direct(id, text), expected).await;
    }
    let linked = "SELECT coalesce(space, 'none') FROM conversations WHERE id = 'parley:ada'";
    assert_eq!(host.query::<String>(linked).unwrap(), "none");
}

/// pipeline.md #23, weaknesses W17, W20, W28: only who was asked answers, also without calling the bot; nothing
/// of the space is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_space_is_deleted_after_a_yes() {
    let host = scripted().await;
    say(&host, super::bob("0", "!reply in the space of Bob"), "in the space of Bob").await;
    let delete = "/spaces delete dm-parley-bob";
    say(&host, direct("1", "/spaces delete main"), "cannot be deleted").await;
    say(&host, direct("2", "/spaces delete dm-parley-ada"), "You are in dm-parley-ada.").await;
    say(&host, direct("3", delete), "Answer yes or no").await;
    say(&host, direct("4", "no"), "The space dm-parley-bob is kept.").await;
    say(&host, direct("5", "yes"), "echo: yes").await;
    say(&host, direct("6", delete), "Answer yes or no").await;
    say(&host, direct("7", "!reply something else"), "something else").await;
    say(&host, direct("8", "yes"), "echo: yes").await;
    say(&host, direct("9", delete), "Answer yes or no").await;
    say(&host, super::bob("10", "yes"), "echo: yes").await;
    assert!(host.data_dir().join("spaces/dm-parley-bob").exists());
    let mut quoting = direct("11", "Yes");
    quoting["quoted"] = json!({ "message": "x", "text": "Answer yes or no", "bot": true });
    say(&host, quoting, "Deleted the space dm-parley-bob: 4 messages; 1 conversations").await;
    assert!(!host.data_dir().join("spaces/dm-parley-bob").exists());
    let left = "SELECT count(*) FROM inbound WHERE author = 'parley:bob'";
    assert_eq!(host.query::<i64>(left).unwrap(), 0);
}

/// Killed while the files of a removed space are being deleted: nobody finds them any more, and the next start
/// deletes the rest. Killed before the removal was on the disk: the space has its files again.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_outlives_a_kill() {
    let mut host = Setup::scripted("runc").set("MERCURY_ADMINS", "parley:ada").start().await;
    let folder = host.data_dir().join("spaces/temp");
    let aside = host.data_dir().join("spaces/.removed");
    let noted = "SELECT CAST(count(*) AS TEXT) FROM removals";
    let mut files = 20_000;
    // Fewer may be gone before the host is.
    while host.query::<String>(noted).unwrap() == "0" {
        host.create_space("temp");
        std::fs::create_dir_all(folder.join("inbox")).unwrap();
        for number in 0..files {
            std::fs::write(folder.join(format!("inbox/{number}")), "secret").unwrap();
        }
        let removal = as_operator(&host, "DELETE", "/api/spaces/current", "temp", &json!(null));
        tokio::select! {
            answer = removal => assert_eq!(answer.status, 200),
            () = host.until(noted, "1") => {}
        }
        host.kill();
        assert!(!folder.exists(), "from the moment in which it is removed");
        if host.query::<String>(noted).unwrap() == "0" {
            host.start().await;
        }
        files *= 4;
    }
    host.start().await;
    host.create_space("temp");
    assert_eq!(host.chat(json!({ "text": "!ls /spaces/temp/inbox", "spaceId": "temp" })).await.reply(), "Done.");
    host.until(noted, "0").await;
    assert_eq!(std::fs::read_dir(&aside).unwrap().count(), 0);

    host.kill();
    std::fs::write(folder.join("inbox/kept"), "x").unwrap();
    std::fs::rename(&folder, aside.join("temp.0123456789abcdef")).unwrap();
    host.start().await;
    assert_eq!(host.chat(json!({ "text": "!ls /spaces/temp/inbox", "spaceId": "temp" })).await.reply(), "kept");
    let main = as_operator(&host, "DELETE", "/api/spaces/current", "main", &json!(null)).await;
    assert_eq!((main.status, main.code()), (409, "space_stays"));
}

/// What works in a space is not pulled away from under it.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_space_is_not_deleted() {
    let host = scripted().await;
    bring(&host, &[super::bob("0", "!sleep 600000")]).await;
    host.until("SELECT state FROM runs", "running").await;
    bring(&host, &[direct("1", "/spaces delete dm-parley-bob")]).await;
    delivered(&host, "Answer yes or no").await;
    bring(&host, &[direct("2", "yes")]).await;
    delivered(&host, "Something is at work in dm-parley-bob").await;
    decided(&host).await;
    assert_eq!(said(&host).len(), called(&host, "deliver").len());
    assert_eq!(host.query::<String>("SELECT state FROM runs").unwrap(), "running");
}
