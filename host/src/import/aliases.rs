//! Which ids of WhatsApp are one person, as the old system learned it.

use rusqlite::{Connection, Transaction};

use super::{
    Report,
    rows::{has_table, name},
};
use crate::store::{self, Encounter, Met, Moved, NewAlias};

/// In the order in which they were learned: the newest counts. What is known here stays, and what this import has
/// brought of an alias is its person's.
pub(super) fn bring(from: &Connection, db: &Transaction<'_>, report: &mut Report, now: i64) -> rusqlite::Result<()> {
    if !has_table(from, "wa_identity_aliases")? {
        return Ok(());
    }
    let mut rows =
        from.prepare("SELECT lid, pn, source, updated_at FROM wa_identity_aliases ORDER BY updated_at, lid")?;
    let (mut rows, mut left) = (rows.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        let alias = id(row.get(0)?, "lid");
        let person = id(row.get(1)?, "s.whatsapp.net");
        let known = store::person_of(db, &alias)?;
        if known != alias {
            let moved = store::give_rows(db, &alias, &known, now)?;
            tell_lost(&alias, &known, &moved, report);
            report.count("ids of one person", false);
            continue;
        }
        let new = NewAlias { alias, person, source: row.get(2)?, at: row.get(3)? };
        match store::learn_alias(db, &new)? {
            Ok(learned) => {
                tell_lost(&new.alias, &new.person, &learned.moved, report);
                if let Some(encounter) = learned.encounter {
                    tell_met(encounter, report);
                }
                report.count("ids of one person", true);
            }
            Err(error) => left.push(format!("{} ({error})", new.alias)),
        }
    }
    name("wa_identity_aliases", &left, "they contradict each other, or what is known here", report);
    Ok(())
}

/// A role is never lost without a word.
fn tell_lost(alias: &str, person: &str, moved: &Moved, report: &mut Report) {
    for (space, role) in &moved.lost_roles {
        let why = format!(
            "{person} is the same person and keeps the role that is there under that id. If this one is right, give it \
             with `mrctl roles grant {person} --role {role}` in {space}"
        );
        report.leave(format!("role {role} of {alias} in space {space}"), &why);
    }
}

/// Nor does anybody's conversation come to a space, or stay out of one, without it.
fn tell_met(encounter: Encounter, report: &mut Report) {
    let Encounter { conversation, alias, met } = encounter;
    match met {
        Met::Adopted { space, moved } => {
            let why = format!(
                "{alias} is the same person, so it is linked to that one's space {space}. If that is wrong, run \
                 `mercury conversations link {conversation} SPACE` for another one"
            );
            report.leave(format!("{conversation} without a space"), &why);
            tell_lost(&alias, &conversation, &moved, report);
        }
        Met::Split { own, other } => {
            let why = format!(
                "{conversation} is the same person and stays in {own}, where what they write goes. To bring both \
                 together, run `mercury conversations link {conversation} {other}`"
            );
            report.leave(format!("space {other} of {alias} for its person"), &why);
        }
    }
}

/// As conversations and people have it: with the platform, and the server that tells the two kinds of id apart.
fn id(stored: String, server: &str) -> String {
    let stored = stored.strip_prefix("whatsapp:").unwrap_or(&stored);
    let server = if stored.contains('@') { String::new() } else { format!("@{server}") };
    format!("whatsapp:{stored}{server}")
}
