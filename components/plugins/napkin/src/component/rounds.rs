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
/// Times that the vault is looked through to undo what a run did.
const MOST_PASSES: usize = 8;

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
    if let Some(running) = memory::load(space)?.busy_with(now) {
        return start(space, running);
    }
    files::lay_out(space)?;
    export_messages(space, options)?;
    let today = export::day(now, &options.zone);
    let begun = memory::change(space, |state| {
        if state.is_busy(now) {
            return false;
        }
        state.running = None;
        let due = state.round(space, now, today, interval, options.backfill_days);
        state.enqueue(due);
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
    let claimed = memory::change(space, |state| {
        if state.is_busy(now) {
            return None;
        }
        let work = state.next_day()?;
        state.claim(space, work, now)
    })?;
    claimed.map_or(Ok(()), |running| ask(space, &running))
}

/// Asks for a run that was claimed. It is noted before it is asked for: its hooks may be called before
/// the call returns.
fn ask(space: &str, running: &Running) -> Result<(), String> {
    memory::forget_verdict(&running.id);
    start(space, running).inspect_err(|_| {
        let _ = memory::change(space, |state| state.release(&running.id));
    })
}

/// Also for one that was asked for before: the host may have ended between the note and the call, and
/// where it had not, the same id is the same run. It writes notes and nothing else: no network, nothing of
/// the workspace but the vault, and no shell.
fn start(space: &str, running: &Running) -> Result<(), String> {
    let Running { id, work, sources, last_day, .. } = running;
    let prompt = prompts::instruction(id, work, &files::root(space), sources, last_day);
    let confinement = tasks::Confinement::NO_NETWORK | tasks::Confinement::OWN_FOLDERS;
    let tools: Vec<String> = prompts::TOOLS.map(str::to_owned).into();
    tasks::start_confined(id, space, &prompt, Some(&prompts::rules(work)), confinement, Some(&tools))
        .map_err(|error| format!("the run was not taken: {error:?}"))
}

/// Writes the next week or month that is over.
pub(super) fn consolidate(space: &str, options: &Options, now: i64) -> Result<(), String> {
    let state = memory::load(space)?;
    if let Some(running) = state.busy_with(now) {
        return start(space, running);
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
        return ask_for_period(space, work, &due.sources, &due.end.to_string(), now);
    }
    let months = periods::months_due(&digests(&files, WEEKLY), &names(&files, MONTHLY), &known, today);
    if let Some(due) = months.into_iter().find(may_try) {
        let work = Work::Month { name: due.name, digest: due.digest };
        return ask_for_period(space, work, &due.sources, "", now);
    }
    Ok(())
}

fn ask_for_period(space: &str, work: Work, sources: &[String], last_day: &str, now: i64) -> Result<(), String> {
    let claimed = memory::change(space, |state| {
        let mut running = state.claim(space, work.clone(), now)?;
        (running.sources, running.last_day) = (sources.to_vec(), last_day.to_owned());
        state.running = Some(running.clone());
        Some(running)
    })?;
    claimed.map_or(Ok(()), |running| ask(space, &running))
}

fn names(files: &Files, folder: &str) -> BTreeSet<String> {
    files.keys().filter_map(|path| note_in(path, folder)).map(str::to_owned).collect()
}

fn digests(files: &Files, folder: &str) -> BTreeMap<String, String> {
    let digest = |entry: &Entry| match entry {
        Entry::File(bytes) => signatures::sha256(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
        Entry::Large(_) | Entry::Other => String::new(),
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
    memory::keep_copy(space, &running.id, &files::read(space)?)
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

/// Right after our run: what it was not allowed to do is undone, all of it. The verdict is kept first: a
/// host that ends in between begins here again.
pub(super) fn inspect(space: &str, running: &Running, failure: Option<String>) -> Result<(), String> {
    let before = memory::copy(space, &running.id)?;
    let after = files::read(space)?;
    let problem = check::judge(&running.work, memory::verdict(&running.id)?, failure, before.as_ref(), &after);
    memory::keep_verdict(&running.id, problem.as_deref())?;
    if let (Some(problem), Some(before)) = (&problem, &before) {
        report(space, "a run's changes to the vault are undone", problem);
        undo(space, before, after)?;
    }
    Ok(())
}

/// Until nothing is left to undo: of a vault with too many files not all are seen at once.
fn undo(space: &str, before: &Files, mut after: Files) -> Result<(), String> {
    for _ in 0..MOST_PASSES {
        restore(space, before, &after)?;
        let found = files::read(space)?;
        if found == after {
            break;
        }
        after = found;
    }
    Ok(())
}

fn restore(space: &str, before: &Files, after: &Files) -> Result<(), String> {
    for path in after.keys().filter(|path| !before.contains_key(*path)) {
        files::remove(space, path)?;
    }
    let mut exports_changed = false;
    for (path, entry) in before.iter().filter(|(path, entry)| after.get(*path) != Some(*entry)) {
        match entry {
            // Kept as a digest only: they are made again.
            _ if path.starts_with(".messages/") => {
                files::remove(space, path)?;
                exports_changed = true;
            }
            Entry::File(bytes) => files::write(space, path, bytes)?,
            Entry::Large(_) | Entry::Other => {}
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
    memory::forget_verdict(id);
    if !settled {
        return Ok(());
    }
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
