//! `docs/plugins/reference.md`, made of the contract and of the manifest's own structs, so that it says
//! what the code says.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, Expr, Fields, Item, Lit, Meta, Type};

/// The files of the contract, in the order of the reference.
const CONTRACT: [&str; 5] = ["types.wit", "run.wit", "chat.wit", "capabilities.wit", "worlds.wit"];
/// Where the manifest's structs stand.
const MANIFEST: [&str; 2] = ["host/src/plugins/manifest", "host/src/plugins/capabilities"];

/// What has a table of its own.
const SECTION: &str = "section";

const HEAD: &str = "# Reference

Made of `wit/` and of the host's own structs by `./dev docs`; do not edit it. How to read a plugin's
life from the beginning is in [tutorial.md](tutorial.md), which interface is for what in [kinds.md](kinds.md),
what a component cannot do in [security.md](security.md).
";

/// The whole page.
pub fn page(root: &Path) -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n## `plugin.toml`\n\nA field that is not listed here is an error. Where one is left out and no default is said, it is empty, `false` or none.\n");
    for folder in MANIFEST {
        let mut sources = Vec::new();
        list(&root.join(folder), &mut sources);
        sources.sort_by_key(|path| (path.components().count(), !path.ends_with("mod.rs"), path.clone()));
        for source in sources {
            structs(&syn::parse_file(&fs::read_to_string(source).unwrap()).unwrap().items, &mut page);
        }
    }
    for file in CONTRACT {
        let text = fs::read_to_string(root.join("wit").join(file)).unwrap();
        let _ = write!(page, "\n## `wit/{file}`\n");
        interfaces(&text, &mut page);
    }
    page
}

fn list(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every struct that is read from the manifest: its documentation, and a row for each field.
fn structs(items: &[Item], page: &mut String) {
    for item in items {
        let Item::Struct(item) = item else { continue };
        let Fields::Named(fields) = &item.fields else { continue };
        if !derives_deserialize(&item.attrs) {
            continue;
        }
        let all_default = serde_words(&item.attrs).iter().any(|word| word == "default");
        let about = documentation(&item.attrs);
        let title =
            if item.ident == "Manifest" { "The file".to_owned() } else { title(&about, &item.ident.to_string()) };
        let _ = write!(page, "\n### {title}\n\n");
        if !about.is_empty() && about.trim_start_matches("One ") != title {
            let _ = write!(page, "{about}\n\n");
        }
        page.push_str("| field | type | |\n|---|---|---|\n");
        for field in &fields.named {
            let words = serde_words(&field.attrs);
            let name = words.iter().find_map(|word| word.strip_prefix("rename=")).map_or_else(
                || field.ident.as_ref().map(|name| name.to_string().replace('_', "-")).unwrap_or_default(),
                str::to_owned,
            );
            let needed = !all_default && !words.iter().any(|word| word.starts_with("default")) && !is_option(&field.ty);
            let about = documentation(&field.attrs).replace('\n', " ").replace('|', "\\|");
            let need = if needed { "**needed.** " } else { "" };
            let default = default_of(items, &item.ident, field).map(|value| format!(" Default: `{value}`."));
            let words = cases(items, &field.ty).unwrap_or_else(|| type_words(&field.ty));
            let about = format!("{need}{about}{}", default.unwrap_or_default());
            let _ = writeln!(page, "| `{name}` | {words} | {} |", about.trim());
        }
    }
}

/// What the field is where it is left out, as the manifest would say it: from the function that its
/// `serde(default = …)` names, from the struct's `Default`, or from its enum's.
fn default_of(items: &[Item], owner: &syn::Ident, field: &syn::Field) -> Option<String> {
    let words = serde_words(&field.attrs);
    if let Some(function) = words.iter().find_map(|word| word.strip_prefix("default=")) {
        let body = items.iter().find_map(|item| match item {
            Item::Fn(item) if item.sig.ident == function => item.block.stmts.last(),
            _ => None,
        });
        return match body? {
            syn::Stmt::Expr(value, _) => literal(value),
            syn::Stmt::Macro(value) => texts(&value.mac),
            _ => None,
        };
    }
    if let Some(item) = enum_of(items, &field.ty) {
        let usual = item.variants.iter().find(|case| case.attrs.iter().any(|word| word.path().is_ident("default")));
        return usual.map(|case| kebab(&case.ident));
    }
    let name = field.ident.as_ref()?;
    items.iter().find_map(|item| {
        let Item::Impl(item) = item else { return None };
        let of_owner = matches!(&*item.self_ty, Type::Path(path) if path.path.is_ident(owner));
        if !of_owner || !item.trait_.as_ref().is_some_and(|(_, path, _)| path.is_ident("Default")) {
            return None;
        }
        let syn::ImplItem::Fn(function) = item.items.first()? else { return None };
        let syn::Stmt::Expr(Expr::Struct(made), _) = function.block.stmts.last()? else { return None };
        let given =
            made.fields.iter().find(|given| matches!(&given.member, syn::Member::Named(known) if known == name))?;
        literal(&given.expr).filter(|value| value != "false")
    })
}

fn literal(value: &Expr) -> Option<String> {
    let number = |value: &Expr| literal(value)?.replace('_', "").parse::<u64>().ok();
    match value {
        Expr::Lit(value) => match &value.lit {
            Lit::Int(number) => Some(grouped(number.base10_parse().ok()?)),
            Lit::Bool(value) => Some(value.value.to_string()),
            _ => None,
        },
        Expr::Binary(both) if matches!(both.op, syn::BinOp::Shl(_)) => {
            Some(grouped(number(&both.left)? << number(&both.right)?))
        }
        Expr::Macro(value) => texts(&value.mac),
        _ => None,
    }
}

/// `vec!["GET".into(), …]`
fn texts(list: &syn::Macro) -> Option<String> {
    let text = list.tokens.to_string();
    let quoted: Vec<_> = text.split('"').skip(1).step_by(2).map(|word| format!("\"{word}\"")).collect();
    (!quoted.is_empty()).then(|| format!("[{}]", quoted.join(", ")))
}

/// As TOML has it: `100_000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join("_")
}

/// The enum of that name, if it stands in the same file.
fn enum_of<'a>(items: &'a [Item], ty: &Type) -> Option<&'a syn::ItemEnum> {
    let Type::Path(path) = ty else { return None };
    items.iter().find_map(|item| match item {
        Item::Enum(item) if path.path.is_ident(&item.ident) => Some(item),
        _ => None,
    })
}

fn cases(items: &[Item], ty: &Type) -> Option<String> {
    let names: Vec<_> = enum_of(items, ty)?.variants.iter().map(|case| format!("`{}`", kebab(&case.ident))).collect();
    Some(format!("one of {}", names.join(", ")))
}

/// `AudioInput` as the manifest writes it.
fn kebab(name: &syn::Ident) -> String {
    let mut text = String::new();
    for character in name.to_string().chars() {
        if character.is_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.extend(character.to_lowercase());
    }
    text
}

/// `[[http]]` of the documentation, which names the section, else the struct's name.
fn title(about: &str, name: &str) -> String {
    let section = about.split('`').nth(1).filter(|text| text.starts_with('['));
    section.map_or_else(|| format!("`[{}]`", name.to_lowercase()), |section| format!("`{section}`"))
}

fn derives_deserialize(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("derive") => list.tokens.to_string().contains("Deserialize"),
        _ => false,
    })
}

/// The words of `#[serde(…)]`, without spaces and quotes.
fn serde_words(attributes: &[Attribute]) -> Vec<String> {
    let lists = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("serde") => Some(list.tokens.to_string()),
        _ => None,
    });
    lists.flat_map(|text| text.split(',').map(|word| word.replace([' ', '"'], "")).collect::<Vec<_>>()).collect()
}

fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
}

fn type_words(ty: &Type) -> String {
    let Type::Path(path) = ty else { return "value".into() };
    let Some(last) = path.path.segments.last() else { return "value".into() };
    let inner = match &last.arguments {
        syn::PathArguments::AngleBracketed(list) => list.args.iter().rev().find_map(|argument| match argument {
            syn::GenericArgument::Type(ty) => Some(type_words(ty)),
            _ => None,
        }),
        _ => None,
    };
    match (last.ident.to_string().as_str(), inner) {
        ("String", _) => "text".into(),
        ("bool", _) => "true or false".into(),
        ("i32" | "u8" | "u16" | "u32" | "u64" | "usize", _) => "whole number".into(),
        ("f64", _) => "number".into(),
        // Of the host's own vocabulary.
        ("Requirement", _) => "`tools`, `vision`, `audio-input`, `audio-output` or `extended-thinking`".into(),
        ("Option", Some(inner)) => inner,
        ("Vec", Some(inner)) if inner == SECTION => "sections".into(),
        ("Vec", Some(inner)) => format!("list of {inner}"),
        ("BTreeMap", Some(_)) => "a section for each name".into(),
        ("Interface", _) => "name of an interface".into(),
        ("Table", _) => "table".into(),
        _ => SECTION.into(),
    }
}

/// Every `interface` and `world` of a file: what its comment says, and its text.
fn interfaces(text: &str, page: &mut String) {
    let lines: Vec<&str> = text.lines().collect();
    let mut comment = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        if let Some(said) = line.strip_prefix("///") {
            comment.push(said.trim());
        } else if let Some((kind, name)) =
            ["interface ", "world "].iter().find_map(|kind| Some((kind.trim(), line.strip_prefix(kind)?)))
        {
            let name = name.trim_end_matches('{').trim();
            let end = (at..lines.len()).find(|&index| lines[index] == "}").unwrap_or(lines.len() - 1);
            let _ = write!(page, "\n### {kind} `{name}`\n\n");
            if !comment.is_empty() {
                let _ = write!(page, "{}\n\n", comment.join("\n"));
            }
            let _ = write!(page, "```wit\n{}\n```\n", lines[at..=end].join("\n"));
            comment.clear();
            at = end;
        } else {
            comment.clear();
        }
        at += 1;
    }
}
