//! One person known under two ids of a platform: rights, mutes and space go along once the adapter says so.

use bytes::Bytes;
use mercury_tests::{
    host::{Answer, Host, Setup},
    parley::{self, bring, command, post},
};
use serde_json::{Value, json};

use super::{decided, said, say};

/// Ada's id that the operator knows, and the platform's own.
const PHONE: &str = "parley:972@s";
const LID: &str = "parley:244@lid";

/// A host whose direct conversations get spaces by themselves, or not; the configuration names `admins`.
async fn start(admins: &str, auto: bool) -> Host {
    let setup = Setup::scripted("runc").set("MERCURY_ADMINS", admins);
    let mut host = parley::prepare(setup, &[], "");
    host.set("MERCURY_DM_AUTO_SPACE_ENABLED", if auto { "true" } else { "false" });
    host.start().await;
    parley::running(&host).await;
    host
}

async fn learn(host: &Host, alias: &str, person: &str, source: &str) -> String {
    let answer = post(host, "/learn", &json!({ "alias": alias, "person": person, "source": source })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body.as_str().unwrap().to_owned()
}

async fn person(host: &Host, alias: &str) -> String {
    post(host, "/person", &json!({ "alias": alias })).await.body.as_str().unwrap().to_owned()
}

/// To the bot alone.
fn direct(id: &str, author: &str, text: &str) -> Value {
    json!({ "id": id, "conversation": author, "direct": true, "author": author, "name": "Ada", "text": text })
}

fn in_group(id: &str, author: &str, text: &str) -> Value {
    json!({ "id": id, "conversation": "team", "author": author, "name": "Ada", "text": text, "mentions": true })
}

fn space_of(host: &Host, conversation: &str) -> String {
    let sql = format!("SELECT coalesce(space, 'none') FROM conversations WHERE id = '{conversation}'");
    host.query(&sql).unwrap()
}

/// A request of the operator, for somebody in `main`.
async fn ask(host: &Host, caller: &str, method: &str, path: &str, body: &Value) -> Answer {
    let headers = [("x-mercury-caller", caller), ("x-mercury-space", "main"), ("content-type", "application/json")];
    host.request(method, path, &headers, Bytes::from(body.to_string())).await.unwrap()
}

/// How many lines of the log say this.
fn lines(host: &Host, text: &str) -> usize {
    host.log().lines().filter(|line| line.contains(text)).count()
}

/// storage.md #20 through the contract: only an adapter learns, only of its own platform, and is told what is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_learns_an_alias() {
    let host = start("", true).await;
    assert_eq!(person(&host, LID).await, "Ok(None)");
    assert_eq!(learn(&host, LID, PHONE, "key-alt").await, "Ok(true)");
    assert_eq!(learn(&host, LID, PHONE, "key-alt").await, "Ok(false)");
    assert_eq!(learn(&host, LID, PHONE, "lid-mapping").await, "Ok(false)");
    assert_eq!(person(&host, LID).await, format!("Ok(Some({PHONE:?}))"));
    assert_eq!(person(&host, PHONE).await, "Ok(None)");
    for (alias, of, source, says) in [
        ("telegram:1", PHONE, "s", "the alias `telegram:1` does not begin with `parley:`"),
        (LID, "api:root", "s", "the person `api:root` does not begin with `parley:`"),
        ("parley:", PHONE, "s", "is empty"),
        ("parley:1", "parley:2\u{7}", "s", "control character"),
        ("parley:1", "parley:2", "", "the source"),
        (LID, LID, "s", "no alias of itself"),
        (PHONE, "parley:9", "s", "is a person with an alias itself"),
        ("parley:1", LID, "s", "is an alias of"),
    ] {
        let answer = learn(&host, alias, of, source).await;
        assert!(answer.starts_with("Err(Error::Invalid(") && answer.contains(says), "{alias} {of}: {answer}");
    }
    assert!(person(&host, "api:root").await.starts_with("Err(Error::Invalid("));
    assert_eq!(learn(&host, LID, "parley:973@s", "key-alt").await, "Ok(true)", "the number has changed");
    assert_eq!(host.query::<i64>("SELECT count(*) FROM aliases").unwrap(), 1);
}

/// pipeline.md #9 and the host's part of adapters.md 6.3: the person's first message finds the space of the alias,
/// with its history and the role that was given there; nothing new is made.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_finds_the_space_of_the_alias() {
    let host = start("parley:root", true).await;
    say(&host, direct("1", LID, "!reply under the alias"), "under the alias").await;
    let space = space_of(&host, LID);
    assert!(space.starts_with("dm-parley-244-lid"), "{space}");
    let grant = json!({ "platformUserId": LID, "role": "admin" });
    let headers = [("x-mercury-caller", "parley:root"), ("x-mercury-space", space.as_str())];
    let granted = host.request("POST", "/api/roles", &headers, Bytes::from(grant.to_string())).await.unwrap();
    assert_eq!(granted.status, 200, "{granted:?}");

    assert_eq!(learn(&host, LID, PHONE, "key-alt").await, "Ok(true)");
    say(&host, direct("2", PHONE, "!reply under the number"), "under the number").await;
    assert_eq!(space_of(&host, PHONE), space);
    assert_eq!(host.query::<i64>("SELECT count(*) FROM spaces").unwrap(), 2, "`main` and the one");
    let roles = format!("SELECT group_concat(person || ' ' || role) FROM members WHERE space = '{space}'");
    assert_eq!(host.query::<String>(&roles).unwrap(), format!("{PHONE} admin"));
    assert_eq!(lines(&host, "took over the space of its person's alias"), 1);

    // What the adapter does not resolve is the person's all the same.
    say(&host, direct("3", LID, "!reply once more"), "once more").await;
    let author = "SELECT author FROM inbound ORDER BY id DESC LIMIT 1";
    assert_eq!(host.query::<String>(author).unwrap(), PHONE);
}

/// pipeline.md #9: also where spaces are not made by themselves; and where the alias has none, a space is made as
/// ever, or not.
#[tokio::test(flavor = "multi_thread")]
async fn without_spaces_of_their_own() {
    let host = start("", false).await;
    assert_eq!(bring(&host, &[direct("1", LID, "hi")]).await, "[Outcome::Ignored]");
    learn(&host, LID, PHONE, "key-alt").await;
    assert_eq!(bring(&host, &[direct("2", PHONE, "hi")]).await, "[Outcome::Ignored]");
    command(&host, &["conversations", "link", LID, "main"]);
    // A file goes where its message goes.
    let mut message = direct("3", PHONE, "!reply found");
    message["file"] = json!({ "name": "a.txt", "text": "x" });
    say(&host, message, "found").await;
    assert_eq!(space_of(&host, PHONE), "main");
    assert_eq!(std::fs::read_dir(host.data_dir().join("spaces/main/inbox")).unwrap().count(), 1);

    let host = start("", true).await;
    learn(&host, LID, PHONE, "key-alt").await;
    say(&host, direct("1", PHONE, "!reply made"), "made").await;
    let space = space_of(&host, PHONE);
    assert!(space.starts_with("dm-parley-972-s"), "{space}");
}

/// pipeline.md #9: both have written before it is known. Where one had no space it takes the other's at once; where
/// both had, each keeps its own, and the operator is told once.
#[tokio::test(flavor = "multi_thread")]
async fn learned_after_both_have_written() {
    let host = start("", false).await;
    bring(&host, &[direct("1", LID, "hi"), direct("2", PHONE, "hi")]).await;
    command(&host, &["conversations", "link", LID, "main"]);
    learn(&host, LID, PHONE, "key-alt").await;
    assert_eq!(space_of(&host, PHONE), "main");

    let host = start("", true).await;
    say(&host, direct("1", LID, "!reply one"), "one").await;
    say(&host, direct("2", PHONE, "!reply two"), "two").await;
    let (of_alias, own) = (space_of(&host, LID), space_of(&host, PHONE));
    assert_ne!(of_alias, own);
    for person in ["parley:else", PHONE] {
        learn(&host, LID, person, "key-alt").await;
    }
    for (id, text) in [("3", "three"), ("4", "four")] {
        say(&host, direct(id, PHONE, &format!("!reply {text}")), text).await;
    }
    assert_eq!((space_of(&host, LID), space_of(&host, PHONE)), (of_alias.clone(), own.clone()));
    let split = "one person has two direct conversations in two spaces";
    assert_eq!(lines(&host, split), 1, "{}", host.log());
    let line = host.log().lines().find(|line| line.contains(split)).unwrap().to_owned();
    assert!([PHONE, LID, &own, &of_alias].iter().all(|name| line.contains(*name)), "{line}");
}

/// permissions.md #9 #12, pipeline.md 4.3: who is configured by one id has the rights under the other from the moment
/// on that they are known to be one person's; for what concerns all spaces as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_configured_alias_makes_an_admin() {
    let host = start("244,parley:boss", true).await;
    bring(&host, &[in_group("1", PHONE, "hi")]).await;
    command(&host, &["conversations", "link", "parley:team", "main"]);
    let character = async |caller: &str| ask(&host, caller, "GET", "/api/character", &Value::Null).await.status;
    say(&host, in_group("2", PHONE, "/help"), "only admins may use").await;
    assert_eq!((character(PHONE).await, character("parley:other").await), (403, 403));
    // The same in the other direction.
    assert_eq!((character("parley:boss").await, character("parley:7@lid").await), (200, 403));

    learn(&host, LID, PHONE, "key-alt").await;
    learn(&host, "parley:7@lid", "parley:boss", "key-alt").await;
    say(&host, in_group("3", PHONE, "/help"), "forget for good").await;
    say(&host, in_group("3b", PHONE, "!reply known here"), "known here").await;
    say(&host, direct("4", PHONE, "/spaces list"), "main: 1 conversation").await;
    assert_eq!((character(PHONE).await, character("parley:7@lid").await), (200, 200));
    assert_eq!(character("parley:other").await, 403);
    // They are shown as what they are, and nobody takes it from them in a chat.
    let roles = ask(&host, "parley:boss", "GET", "/api/roles", &Value::Null).await.body;
    let shown = roles["roles"].as_array().unwrap().iter().find(|role| role["platformUserId"] == PHONE).unwrap();
    assert_eq!((&shown["role"], &shown["grantedBy"]), (&json!("admin"), &json!("configuration")), "{roles}");
    let demoted =
        ask(&host, "parley:boss", "POST", "/api/roles", &json!({ "platformUserId": PHONE, "role": "member" })).await;
    assert_eq!((demoted.status, demoted.code()), (409, "configured_admin"));
}

/// pipeline.md 49 in part: who is written to by one id is found by the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_letter_finds_a_person_by_either_id() {
    let host = start("parley:boss", true).await;
    say(&host, direct("1", PHONE, "!reply here"), "here").await;
    let send = async |to: &str| {
        ask(&host, "parley:boss", "POST", "/api/send", &json!({ "recipient": to, "text": "a letter" })).await
    };
    assert_eq!(send(LID).await.code(), "recipient_unknown");
    learn(&host, LID, PHONE, "key-alt").await;
    for to in [LID, PHONE] {
        assert_eq!(send(to).await.body["spaceId"], space_of(&host, PHONE).as_str(), "{to}");
    }
}

/// Who is muted under one id is muted under the other.
#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_no_way_out_of_a_mute() {
    let host = start("parley:root", true).await;
    bring(&host, &[in_group("1", LID, "hi")]).await;
    command(&host, &["conversations", "link", "parley:team", "main"]);
    say(&host, in_group("2", LID, "!reply heard"), "heard").await;
    let mute = json!({ "platformUserId": LID, "duration": "1h", "confirm": true });
    assert_eq!(ask(&host, "parley:root", "POST", "/api/mutes", &mute).await.status, 200);
    learn(&host, LID, PHONE, "key-alt").await;
    for (id, author) in [("3", PHONE), ("4", LID)] {
        bring(&host, &[in_group(id, author, "!reply anew")]).await;
        decided(&host).await;
    }
    assert_eq!(said(&host), ["heard"]);
    assert_eq!(ask(&host, "parley:root", "DELETE", &format!("/api/mutes/{LID}"), &Value::Null).await.status, 200);
    say(&host, in_group("5", PHONE, "!reply anew"), "anew").await;
}

/// permissions.md #11: whoever was made something less and is configured as an admin is one with the next message. It
/// is told once of each person in each space; of first contacts, and of those who were given nothing, never.
#[tokio::test(flavor = "multi_thread")]
async fn a_configured_admin_is_one_again() {
    let mut host = start("parley:boss", true).await;
    bring(&host, &[in_group("1", PHONE, "hi")]).await;
    command(&host, &["conversations", "link", "parley:team", "main"]);
    let demote = json!({ "platformUserId": PHONE, "role": "member" });
    assert_eq!(ask(&host, "parley:boss", "POST", "/api/roles", &demote).await.status, 200);
    say(&host, in_group("2", PHONE, "/help"), "only admins may use").await;
    learn(&host, LID, PHONE, "key-alt").await;
    assert_eq!(host.terminate().await, Some(0));

    host.set("MERCURY_ADMINS", "parley:boss,244");
    host.start().await;
    parley::running(&host).await;
    say(&host, in_group("3", PHONE, "/help"), "forget for good").await;
    say(&host, in_group("4", PHONE, "/help"), "forget for good").await;
    say(&host, in_group("5", "parley:boss", "/help"), "forget for good").await;
    say(&host, direct("6", PHONE, "!reply in a space of its own"), "of its own").await;
    let overridden = "is an admin all the same";
    assert_eq!(lines(&host, overridden), 1, "{}", host.log());
    let line = host.log().lines().find(|line| line.contains(overridden)).unwrap().to_owned();
    assert!(line.contains(PHONE) && line.contains("main") && line.contains("member"), "{line}");
}
