//! Which ids of WhatsApp are one person, as the old system learned it.

use rusqlite::{Connection, Transaction};

use super::{
    Report,
    rows::{has_table, name},
};
use crate::store::{self, NewAlias};

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
            store::give_rows(db, &alias, &known, now)?;
            report.count("ids of one person", false);
            continue;
        }
        let new = NewAlias { alias, person, source: row.get(2)?, at: row.get(3)? };
        match store::learn_alias(db, &new)? {
            Ok(_) => report.count("ids of one person", true),
            Err(error) => left.push(format!("{} ({error})", new.alias)),
        }
    }
    name("wa_identity_aliases", &left, "they contradict each other, or what is known here", report);
    Ok(())
}

/// As conversations and people have it: with the platform, and the server that tells the two kinds of id apart.
fn id(stored: String, server: &str) -> String {
    let stored = stored.strip_prefix("whatsapp:").unwrap_or(&stored);
    let server = if stored.contains('@') { String::new() } else { format!("@{server}") };
    format!("whatsapp:{stored}{server}")
}
