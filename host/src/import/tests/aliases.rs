//! People who were known by several ids.

use super::*;

/// What the old host still writes under an alias, and what a second import reads again, is its person's: else a mute
/// would be lost, and a role be there that no command takes.
#[tokio::test]
async fn what_is_of_an_alias_is_its_persons() {
    let projects = Projects::new();
    projects
        .old_db()
        .execute_batch(
            "INSERT INTO space_roles VALUES ('team', 'whatsapp:244@lid', 'admin', NULL, NULL, 1, 1);
             UPDATE tasks SET created_by = 'whatsapp:244@lid';",
        )
        .unwrap();
    projects.import(false).await.unwrap();
    let mute = "INSERT INTO mutes VALUES ('team', 'whatsapp:244@lid', 99, NULL, 'telegram:42', 1)";
    projects.old_db().execute_batch(mute).unwrap();
    projects.import(false).await.unwrap();
    for (rows, expected) in [
        (
            "SELECT person || ' ' || role FROM members WHERE person LIKE 'whatsapp:%'",
            "whatsapp:972509999999@s.whatsapp.net admin",
        ),
        ("SELECT person FROM mutes WHERE person LIKE 'whatsapp:%'", "whatsapp:972509999999@s.whatsapp.net"),
        ("SELECT created_by FROM tasks", "whatsapp:972509999999@s.whatsapp.net"),
    ] {
        assert_eq!(projects.new_rows(rows), [expected]);
    }
}

/// A role that gives way, and a direct conversation that meets another one of its person, are named with what to do.
#[tokio::test]
async fn what_one_person_loses_by_two_ids_is_named() {
    let (phone, lid) = ("whatsapp:972509999999@s.whatsapp.net", "whatsapp:244@lid");
    let roles = format!(
        "INSERT INTO space_roles VALUES ('team', '{lid}', 'admin', 'telegram:42', NULL, 1, 1),
             ('team', '{phone}', 'helper', 'telegram:42', NULL, 1, 1);"
    );
    let conversation = "INSERT INTO conversations (platform, external_id, kind, space_id, first_seen_at, last_seen_at)
         VALUES ('whatsapp', '244@lid', 'dm', 'team', 1, 1);";
    let told = async |rows: &[&str]| {
        let projects = Projects::new();
        projects.old_db().execute_batch(&rows.concat()).unwrap();
        let again = async || {
            let left = projects.import(false).await.unwrap().left.into_iter();
            let of_it =
                left.filter(|left| ["role ", "space team", "whatsapp:"].iter().any(|it| left.what.starts_with(it)));
            of_it.map(|left| (left.what, left.why)).collect::<Vec<_>>()
        };
        // A second time the old role comes along, and gives way.
        [again().await, again().await]
    };
    let told_of = |what: String, why: String| vec![(what, why)];
    let role = told_of(
        format!("role admin of {lid} in space team"),
        format!(
            "{phone} is the same person and keeps the role that is there under that id. If this one is right, give it \
             with `mrctl roles grant {phone} --role admin` in team"
        ),
    );
    assert_eq!(told(&[roles.as_str()]).await, [role.clone(), role]);
    let adopted = told_of(
        format!("{phone} without a space"),
        format!(
            "{lid} is the same person, so it is linked to that one's space team. If that is wrong, run `mercury \
             conversations link {phone} SPACE` for another one"
        ),
    );
    assert_eq!(told(&[conversation]).await, [adopted, Vec::new()]);
    let split = told_of(
        format!("space team of {lid} for its person"),
        format!(
            "{phone} is the same person and stays in main, where what they write goes. To bring both together, run \
             `mercury conversations link {phone} team`"
        ),
    );
    let own = "UPDATE conversations SET space_id = 'main' WHERE external_id LIKE '9725%';";
    assert_eq!(told(&[conversation, own]).await, [split, Vec::new()]);
}
