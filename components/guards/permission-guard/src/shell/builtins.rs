//! Programs and shell builtins whose arguments have a meaning of their own: they run text,
//! change variables, or give names a new meaning.

use super::command::is_unseen;
use super::field::Field;
use super::programs::skip_options;
use super::walk::{Checked, Walk};
use crate::paths::HOLE;

/// Checks the arguments if `name` is one of these; `None` if it is not.
pub(crate) fn check(walk: &mut Walk<'_>, name: &str, arguments: &[Field]) -> Option<Checked> {
    Some(match name {
        "eval" => eval(walk, arguments),
        "source" | "." => source(walk, arguments),
        "trap" => arguments.first().map_or(Ok(()), |text| run(walk, text)),
        "alias" => aliases(walk, arguments),
        "hash" if arguments.iter().any(|field| field.text().starts_with("-p")) => walk.dynamic("hash -p"),
        "export" | "local" | "declare" | "typeset" | "readonly" => declare(walk, arguments),
        "read" | "mapfile" | "readarray" | "getopts" | "unset" | "let" => changes(walk, arguments),
        "printf" | "wait" if arguments.iter().any(|field| matches!(field.text().as_str(), "-v" | "-p")) => {
            changes(walk, arguments)
        }
        "test" | "[" => again(walk, arguments),
        "cd" | "pushd" => {
            if let Some(target) = arguments.iter().find_map(Field::known).filter(|t| !t.starts_with('-')) {
                walk.enter(&target);
            }
            Ok(())
        }
        "xargs" => xargs(walk, arguments),
        "watch" => watch(walk, arguments),
        "parallel" => parallel(walk, arguments),
        "find" => find(walk, arguments),
        "su" | "script" | "flock" | "runuser" => command_option(walk, name, arguments),
        "git" => git(walk, arguments),
        // Its options name a pager or a browser.
        "man" | "info" if arguments.iter().any(|field| field.text().starts_with('-')) => walk.suspects(arguments),
        "awk" | "gawk" | "mawk" | "nawk" => code(walk, arguments, |text| text.contains("system") || text.contains('|')),
        "sed" => code(walk, arguments, |text| {
            text.contains("e ") || text.rsplit('/').next().is_some_and(|flags| flags.contains('e'))
        }),
        // Words of the grammar in a place where the grammar does not want them: a construct
        // that the parser does not know, such as `select`.
        "do" | "done" | "then" | "fi" | "else" | "elif" | "esac" | "in" | "select" => walk.dynamic(name),
        _ => return None,
    })
}

fn run(walk: &mut Walk<'_>, text: &Field) -> Checked {
    if text.has_hole() {
        return walk.dynamic(&text.text());
    }
    walk.text(&text.text())
}

fn eval(walk: &mut Walk<'_>, arguments: &[Field]) -> Checked {
    let texts: Vec<String> = arguments.iter().map(Field::text).collect();
    run(walk, &Field::literal(&texts.join(" ")))
}

fn source(walk: &mut Walk<'_>, arguments: &[Field]) -> Checked {
    walk.refuse_named(arguments)?;
    // The file may set any variable.
    walk.variables.taint();
    match arguments.first() {
        Some(file) if file.known().is_none() || is_unseen(&file.text()) => {
            walk.dynamic(&format!("source {}", file.text()))
        }
        _ => Ok(()),
    }
}

fn aliases(walk: &mut Walk<'_>, arguments: &[Field]) -> Checked {
    for text in arguments.iter().map(Field::text) {
        let Some((name, value)) = text.split_once('=') else { continue };
        walk.renamed.insert(name.to_owned());
        run(walk, &Field::literal(value))?;
    }
    Ok(())
}

fn declare(walk: &mut Walk<'_>, arguments: &[Field]) -> Checked {
    // `-x`, `-r` and `-g` leave the value alone; `-n`, `-l`, `-u`, `-i` change what it means.
    let plain = |text: &str| text.chars().skip(1).all(|letter| "xrgpf".contains(letter));
    let options: Vec<String> = arguments.iter().map(Field::text).filter(|text| text.starts_with(['-', '+'])).collect();
    let as_written = options.iter().all(|text| plain(text));
    for argument in arguments {
        let text = argument.text();
        if text.starts_with(['-', '+']) {
            continue;
        }
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, value),
            None => (text.as_str(), ""),
        };
        if name.contains(HOLE) {
            walk.variables.taint();
            continue;
        }
        walk.evaluated_again(name)?;
        let append = name.ends_with('+');
        let known = as_written && !append && !value.contains(HOLE) && !name.contains('[');
        let name = name.split(['+', '[']).next().unwrap_or_default();
        if text.contains('=') {
            walk.assign(name, known.then_some(value))?;
            walk.variables.definite.insert(name.to_owned());
        } else if !as_written {
            walk.variables.assign(name, None);
        } else {
            // Perhaps a new local variable without a value.
            walk.variables.definite.remove(name);
        }
    }
    Ok(())
}

/// Builtins that put something unforeseen into the variables that they name.
fn changes(walk: &mut Walk<'_>, arguments: &[Field]) -> Checked {
    again(walk, arguments)?;
    // `mapfile -C TEXT` evaluates a text for every so many lines.
    if let Some(at) = arguments.iter().position(|field| field.text() == "-C") {
        arguments.get(at + 1).map_or(Ok(()), |text| run(walk, text))?;
    }
    for text in arguments.iter().map(Field::text) {
        if text.contains(HOLE) {
            walk.variables.taint();
        }
        for name in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            if !name.is_empty() {
                walk.variables.assign(name, None);
            }
        }
    }
    for implicit in ["REPLY", "MAPFILE", "OPTARG"] {
        walk.variables.assign(implicit, None);
    }
    Ok(())
}

fn again(walk: &mut Walk<'_>, arguments: &[Field]) -> Checked {
    arguments.iter().try_for_each(|field| walk.evaluated_again(&field.text()))
}

fn xargs(walk: &mut Walk<'_>, arguments: &[Field]) -> Checked {
    let replaced = arguments.iter().enumerate().find_map(|(index, field)| {
        let text = field.text();
        match text.strip_prefix("-I").or_else(|| text.strip_prefix("--replace=")) {
            Some("") => arguments.get(index + 1).map(Field::text),
            Some(attached) => Some(attached.to_owned()),
            None if text == "-i" || text == "--replace" => Some("{}".to_owned()),
            None => None,
        }
    });
    let long = ["arg-file", "delimiter", "max-lines", "max-args", "max-procs", "max-chars"];
    let Some(command) = skip_options(arguments, "aEdIJLnPRsS", &long) else {
        return walk.dynamic("xargs");
    };
    let mut command = command.to_vec();
    if command.is_empty() {
        return Ok(());
    }
    match replaced {
        Some(mark) if !mark.is_empty() => {
            for field in &mut command {
                let text = field.text();
                if text.contains(&mark) {
                    *field = Field::literal(&text.replace(&mark, &HOLE.to_string()));
                }
            }
        }
        // What it reads comes last, as any number of arguments.
        _ => command.push(Field::hole()),
    }
    walk.argv(&command)
}

fn watch(walk: &mut Walk<'_>, arguments: &[Field]) -> Checked {
    let Some(command) = skip_options(arguments, "nq", &["interval", "equexit"]) else {
        return walk.dynamic("watch");
    };
    eval(walk, command)
}

fn parallel(walk: &mut Walk<'_>, arguments: &[Field]) -> Checked {
    walk.suspects(arguments)?;
    let end = arguments.iter().position(|field| field.text().starts_with(":::"));
    let long = ["jobs", "delay", "timeout", "retries", "joblog", "results", "tagstring", "colsep"];
    let values = end.map_or(&[][..], |end| &arguments[end + 1..]);
    let Some(command) = skip_options(&arguments[..end.unwrap_or(arguments.len())], "jaINnLPS", &long) else {
        return walk.dynamic("parallel");
    };
    if command.is_empty() {
        if end.is_none() {
            return walk.dynamic("parallel");
        }
        return values.iter().try_for_each(|text| run(walk, text));
    }
    let texts: Vec<String> = command.iter().map(Field::text).collect();
    if texts[0].contains('{') {
        return walk.dynamic(&texts[0]);
    }
    walk.child(&format!("{} \"$@\"", texts.join(" ").replace(HOLE, "$1")))
}

fn find(walk: &mut Walk<'_>, arguments: &[Field]) -> Checked {
    let runs = |field: &Field| matches!(field.text().as_str(), "-exec" | "-execdir" | "-ok" | "-okdir");
    let mut rest = arguments;
    let mut any = false;
    while let Some(at) = rest.iter().position(runs) {
        any = true;
        let command = &rest[at + 1..];
        let ends = |field: &Field| matches!(field.text().as_str(), ";" | "+");
        let end = command.iter().position(ends).unwrap_or(command.len());
        let replaced: Vec<Field> =
            command[..end].iter().map(|field| Field::literal(&field.text().replace("{}", &HOLE.to_string()))).collect();
        walk.argv(&replaced)?;
        rest = command.get(end + 1..).unwrap_or_default();
    }
    // The files found are handed on: none may be a denied CLI's.
    if any { walk.suspects(arguments) } else { Ok(()) }
}

/// `su -c TEXT`, `script -c TEXT`, `flock FILE -c TEXT`.
fn command_option(walk: &mut Walk<'_>, name: &str, arguments: &[Field]) -> Checked {
    walk.suspects(arguments)?;
    let mut found = false;
    for (index, text) in arguments.iter().map(Field::text).enumerate() {
        if let Some(value) = text.strip_prefix("--command=") {
            found = true;
            run(walk, &Field::literal(value))?;
        } else if text == "--command" || (text.starts_with('-') && !text.starts_with("--") && text.ends_with('c')) {
            found = true;
            let argument = arguments.get(index + 1);
            argument.map_or(Ok(()), |argument| run(walk, argument))?;
        }
    }
    match name {
        "su" | "runuser" if !found => walk.shell_input(),
        _ => Ok(()),
    }
}

/// Git is a reader, but for the options and subcommands with which it starts programs.
fn git(walk: &mut Walk<'_>, arguments: &[Field]) -> Checked {
    let starts = |text: &str| {
        matches!(
            text,
            "-c" | "-x"
                | "run"
                | "foreach"
                | "config"
                | "difftool"
                | "mergetool"
                | "filter-branch"
                | "clone"
                | "fetch"
                | "pull"
                | "remote"
        ) || ["--exec", "--upload-pack", "--receive-pack", "--config", "--open-files", "-O", "ext::"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
    };
    if arguments.iter().any(|field| starts(&field.text())) {
        return walk.suspects(arguments);
    }
    walk.reader(arguments)
}

/// Languages whose programs are mostly data: the name counts where a program could be started.
fn code(walk: &mut Walk<'_>, arguments: &[Field], starts: impl Fn(&str) -> bool) -> Checked {
    for text in arguments.iter().map(Field::text).filter(|text| starts(text)) {
        walk.refuse_word(&text)?;
    }
    walk.reader(arguments)
}
