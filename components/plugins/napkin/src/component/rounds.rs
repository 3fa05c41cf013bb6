//! The jobs, and the life of one run: asked for, prepared, inspected, ended.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use mercury_plugin::{history, log, settings, signatures, tasks};

use super::{files, memory, report};
use crate::{
    check::{self, Entry, Files},
    episode,
    export::{self, Message, Role},
    map,
    options::Options,
    periods::{self, Due, MOST_WEEKS},
    plan::{Running, Space, Work},
    prompts,
    vault::{DAILY, EPISODES, MAP, MONTHLY, WEEKLY, note_in},
};

/// Entries of the history in one call, and calls in one job: what is left comes with the next.
const PAGE: u32 = 1_000;
const MOST_PAGES: usize = 20;

/// Does something for every space that is switched on. One that fails is told and keeps nobody up.
pub(super) fn each_space(mut work: impl FnMut(&str, &Options) -> Result<(), String>) -> Result<(), String> {
    let spaces = history::spaces().map_err(|error| format!("spaces: {error:?}"))?;
    for space in spaces {
        let options = Options::read(|key| settings::get(key, Some(&space)));
        if options.interval_ms.is_none() {
            continue;
        }
        if let Err(error) = work(&space, &options) {
            report(&space, "nothing is distilled", &error);
        }
    }
    Ok(())
}

/// Exports what is new, and begins a round of the days that are due.
pub(super) fn distill(space: &str, options: &Options, now: i64) -> Result<(), String> {
    let Some(interval) = options.interval_ms else { return Ok(()) };
    // What is written while a run is at work would look like its doing.
    if memory::load(space)?.is_busy(now) {
        return Ok(());
    }
    files::lay_out(space)?;
    export_messages(space, options)?;
    let today = export::day(now, &options.zone);
    let begun = memory::change(space, |state| {
        if state.is_busy(now) {
            return false;
        }
        state.running = None;
        state.queue = state.round(space, now, today, interval, options.backfill_days);
        true
    })?;
    let written = files::read(space)?;
    if !written.contains_key(MAP) {
        draw_map(space, &written, today)?;
    }
    if begun { ask_for_next_day(space, now) } else { Ok(()) }
}

fn export_messages(space: &str, options: &Options) -> Result<(), String> {
    for _ in 0..MOST_PAGES {
        let cursor = memory::load(space)?.cursor;
        let entries = history::entries(space, cursor, PAGE).map_err(|error| format!("history: {error:?}"))?;
        let Some(last) = entries.last().map(|entry| entry.id) else { return Ok(()) };
        let messages: Vec<Message> = entries.into_iter().map(message).collect();
        let days = export::by_day(&messages, &options.zone);
        let state = memory::load(space)?;
        for (date, exported) in &days {
            let known = state.days.get(date).map_or(0, |day| day.bytes);
            if !files::append(space, &export::file_of(*date), known, &exported.text)? {
                log::warn(&format!("{space}: the exported messages were changed by somebody; they are written anew"));
                return memory::change(space, begin_export_anew);
            }
        }
        memory::change(space, |state| {
            // Another call may have been faster: then this page is in the files already.
            if state.cursor != cursor {
                return;
            }
            state.cursor = Some(last);
            for (date, exported) in &days {
                let day = state.days.entry(*date).or_default();
                day.lines += exported.lines;
                day.bytes += exported.text.len() as u64;
            }
        })?;
    }
    Ok(())
}

/// What was distilled stays so: the lines come again in the same order.
fn begin_export_anew(state: &mut Space) {
    state.cursor = None;
    for day in state.days.values_mut() {
        day.lines = 0;
        day.bytes = 0;
    }
}

fn message(entry: history::Entry) -> Message {
    let role = match entry.author {
        history::Author::Person => Role::User,
        history::Author::Assistant => Role::Assistant,
        history::Author::Ambient => Role::Ambient,
    };
    Message { role, text: entry.text, at: i64::try_from(entry.at).unwrap_or(i64::MAX) }
}

fn ask_for_next_day(space: &str, now: i64) -> Result<(), String> {
    let next = memory::change(space, |state| {
        let work = state.next_day()?;
        let attempt = state.attempts(&work);
        Some((work, attempt))
    })?;
    match next {
        Some((work, attempt)) => ask(space, work, attempt, &[], "", now),
        None => Ok(()),
    }
}

/// Asks for the run. It is noted first: its hooks may be called before this call returns.
fn ask(space: &str, work: Work, attempt: u32, sources: &[String], last_day: &str, now: i64) -> Result<(), String> {
    let id = work.id(space, attempt);
    let prompt = prompts::instruction(&id, &work, &files::root(space), sources, last_day);
    let rules = prompts::rules(&work);
    let running = Running { id: id.clone(), work, since: now };
    memory::change(space, |state| state.running = Some(running.clone()))?;
    memory::forget_verdict(&id);
    tasks::start(&id, space, &prompt, Some(&rules)).map_err(|error| {
        let _ = memory::change(space, |state| state.running = None);
        format!("the run was not taken: {error:?}")
    })
}

/// Writes the next week or month that is over.
pub(super) fn consolidate(space: &str, options: &Options, now: i64) -> Result<(), String> {
    let state = memory::load(space)?;
    if state.is_busy(now) {
        return Ok(());
    }
    files::lay_out(space)?;
    let files = files::read(space)?;
    let today = export::day(now, &options.zone);
    let known: BTreeMap<String, String> = state
        .periods
        .iter()
        .filter(|(_, p)| !p.digest.is_empty())
        .map(|(name, p)| (name.clone(), p.digest.clone()))
        .collect();
    let weeks = periods::weeks_due(&digests(&files, DAILY), &names(&files, WEEKLY), &known, today);
    let may_try = |due: &Due| state.may_try(&due.name, now);
    if let Some(due) = weeks.into_iter().take(MOST_WEEKS).find(may_try) {
        let work = Work::Week { name: due.name, digest: due.digest };
        return ask(space, work.clone(), state.attempts(&work), &due.sources, &due.end.to_string(), now);
    }
    let months = periods::months_due(&digests(&files, WEEKLY), &names(&files, MONTHLY), &known, today);
    if let Some(due) = months.into_iter().find(may_try) {
        let work = Work::Month { name: due.name, digest: due.digest };
        return ask(space, work.clone(), state.attempts(&work), &due.sources, "", now);
    }
    Ok(())
}

fn names(files: &Files, folder: &str) -> BTreeSet<String> {
    files.keys().filter_map(|path| note_in(path, folder)).map(str::to_owned).collect()
}

fn digests(files: &Files, folder: &str) -> BTreeMap<String, String> {
    let digest = |entry: &Entry| match entry {
        Entry::File(bytes) => signatures::sha256(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
        Entry::Other => String::new(),
    };
    files.iter().filter_map(|(path, entry)| Some((note_in(path, folder)?.to_owned(), digest(entry)))).collect()
}

/// Right before our run's container starts: what is only a matter of dates is done, and a copy kept.
pub(super) fn prepare(space: &str, running: &Running) -> Result<(), String> {
    let before = files::read(space)?;
    check::fits(&before).map_err(|violation| violation.0)?;
    match &running.work {
        Work::Day { .. } => {}
        Work::Week { name, .. } => age_episodes(space, &before, name)?,
        Work::Month { .. } => put_faded_away(space, &before)?,
    }
    memory::keep_copy(space, &files::read(space)?)
}

fn age_episodes(space: &str, files: &Files, week: &str) -> Result<(), String> {
    let Some(end) = periods::monday_of(week).and_then(|monday| monday.checked_add(jiff::Span::new().days(6)).ok())
    else {
        return Ok(());
    };
    for (path, text) in files::notes(files) {
        if note_in(path, EPISODES).is_some()
            && let Some(aged) = episode::aged(text, end)
        {
            files::write(space, path, aged.as_bytes())?;
        }
    }
    Ok(())
}

fn put_faded_away(space: &str, files: &Files) -> Result<(), String> {
    for (path, text) in files::notes(files) {
        let Some(name) = note_in(path, EPISODES).filter(|_| episode::is_faded(text)) else { continue };
        let free = [format!("references/{name}.md"), format!("references/{name}-episode.md")];
        let Some(target) = free.into_iter().find(|target| !files.contains_key(target)) else { continue };
        files::write(space, &target, text.as_bytes())?;
        files::remove(space, path)?;
    }
    Ok(())
}

/// Right after our run: what it was not allowed to do is undone, all of it.
pub(super) fn inspect(space: &str, running: &Running, failure: Option<String>) -> Result<(), String> {
    let before = memory::copy(space)?;
    let after = files::read(space)?;
    let problem = match failure {
        Some(failure) => Some(failure),
        None => check::check(&running.work, &before, &after).err().map(|violation| violation.0),
    };
    if let Some(problem) = &problem {
        restore(space, &before, &after)?;
        report(space, "a run's changes to the vault were undone", problem);
    }
    memory::keep_verdict(&running.id, problem.as_deref())
}

fn restore(space: &str, before: &Files, after: &Files) -> Result<(), String> {
    for path in after.keys().filter(|path| !before.contains_key(*path)) {
        files::remove(space, path)?;
    }
    let mut exports_changed = false;
    for (path, entry) in before.iter().filter(|(path, entry)| after.get(*path) != Some(*entry)) {
        match entry {
            // Kept as a digest only: they are made again.
            Entry::File(_) if path.starts_with(".messages/") => {
                files::remove(space, path)?;
                exports_changed = true;
            }
            Entry::File(bytes) => files::write(space, path, bytes)?,
            Entry::Other => {}
        }
    }
    if exports_changed {
        memory::change(space, begin_export_anew)?;
    }
    Ok(())
}

/// The run's end. Told again until this succeeds, so a second time changes nothing.
pub(super) fn ended(id: &str, space: &str, failure: Option<String>, now: i64) -> Result<(), String> {
    let verdict = memory::verdict(id)?;
    let outcome = match (failure, verdict) {
        (Some(why), _) => Err(why),
        (None, Some(problem)) if problem.is_empty() => Ok(()),
        (None, Some(problem)) => Err(problem),
        (None, None) => Err("what the run did could not be checked".to_owned()),
    };
    let settled = memory::change(space, |state| {
        if state.running.as_ref().is_none_or(|running| running.id != id) {
            return false;
        }
        state.settle(outcome.clone(), now);
        true
    })?;
    if !settled {
        return Ok(());
    }
    memory::forget_verdict(id);
    let options = Options::read(|key| settings::get(key, Some(space)));
    draw_map(space, &files::read(space)?, export::day(now, &options.zone))?;
    if let Err(error) = ask_for_next_day(space, now) {
        report(space, "the next day waits for the next round", &error);
    }
    Ok(())
}

fn draw_map(space: &str, files: &Files, today: Date) -> Result<(), String> {
    let notes = files::notes(files);
    files::write(space, MAP, map::draw(notes.iter().copied(), today).as_bytes())
}
