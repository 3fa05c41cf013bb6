//! What the documents say is shown by a test is shown by a test that exists.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target" && name != ".git") {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// In the documents a test is written `file.rs::name`, with as much of the file's path as tells it apart.
#[test]
fn documents_name_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut documents, mut sources) = (Vec::new(), Vec::new());
    files(&root.join("docs"), "md", &mut documents);
    files(root, "rs", &mut sources);
    let (mut named, mut missing) = (0, Vec::new());
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for quoted in text.split('`').skip(1).step_by(2) {
            let Some((file, test)) = quoted.split_once(".rs::") else { continue };
            named += 1;
            let ending = PathBuf::from(format!("{file}.rs"));
            let exists = sources
                .iter()
                .filter(|source| source.ends_with(&ending))
                .any(|source| fs::read_to_string(source).unwrap().contains(&format!("fn {test}(")));
            if !exists {
                missing.push(format!("{}: {quoted}", document.strip_prefix(root).unwrap().display()));
            }
        }
    }
    assert!(named > 20, "the documents name only {named} tests");
    assert!(missing.is_empty(), "no such test:\n{}", missing.join("\n"));
}

/// The reference is what the contract and the manifest's structs say. `./dev docs` writes it.
#[test]
fn the_reference_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let path = root.join("docs/plugins/reference.md");
    let page = mercury_tests::reference::page(root);
    if std::env::var_os("MERCURY_WRITE_DOCS").is_some() {
        fs::write(&path, page).unwrap();
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let line = found.lines().zip(page.lines()).position(|(old, new)| old != new);
    assert!(found == page, "docs/plugins/reference.md is stale (line {line:?}): write it anew with `./dev docs`");
}
