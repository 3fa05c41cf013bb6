//! What calls the assistant in a group, as each space says it.

use mercury_tests::parley::{bring, group, link_group};
use serde_json::json;

use super::{as_operator, decided, said, say, scripted, set};

/// pipeline.md #11, #13, #15, #16, config.md #17 in part: the space's word counts from the next message on, and
/// one that is none is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_space_says_what_calls_the_assistant() {
    let host = scripted().await;
    link_group(&host).await;
    let ignored = async |id: &str, text: &str| {
        assert_eq!(bring(&host, &[group(id, text)]).await, "[Outcome::Ignored]", "{text}");
    };
    say(&host, group("1", "@Mercury\n!reply by default"), "by default").await;
    set(&host, "main", "trigger.patterns", "Jeeves, @Jeeves").await;
    ignored("2", "@Mercury hi").await;
    say(&host, group("3", "jeeves!\n!reply at your service"), "at your service").await;
    set(&host, "main", "trigger.case_sensitive", "true").await;
    ignored("4", "jeeves hi").await;
    say(&host, group("5", "Jeeves\n!reply sir"), "sir").await;
    set(&host, "main", "trigger.match", "prefix").await;
    ignored("6", "hello Jeeves").await;
    set(&host, "main", "trigger.match", "always").await;
    say(&host, group("7", "!reply to everything"), "to everything").await;
    for (key, value) in [
        ("trigger.match", "sometimes"),
        ("trigger.case_sensitive", "yes"),
        ("trigger.media_in_groups", "1"),
        ("trigger.patterns", "two\nlines"),
    ] {
        let answer = as_operator(&host, "PUT", "/api/config", "main", &json!({ "key": key, "value": value })).await;
        assert_eq!((answer.status, answer.code()), (400, "bad_setting"), "{key}: {answer:?}");
    }
    // A stored word that is none counts for nothing.
    host.execute("UPDATE space_settings SET value = 'sometimes' WHERE key = 'trigger.match'");
    ignored("8", "whatever").await;
    decided(&host).await;
    assert_eq!(said(&host).len(), 4);
}
