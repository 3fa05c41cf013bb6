//! The `napkin` command, as an agent calls it. Not part of the component.
#![cfg(not(target_family = "wasm"))]
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A vault of its own for each test, gone with it.
struct Vault(PathBuf);

impl Vault {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("napkin-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("people")).unwrap();
        Self(path)
    }

    /// Exit code, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("napkin");
        let output = Command::new("python3").arg(script).args(arguments).env("NAPKIN_VAULT", &self.0).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let (code, out, error) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {error}");
        out
    }

    fn fails(&self, arguments: &[&str], code: &str) {
        let (status, out, error) = self.run(arguments);
        let error: serde_json::Value = serde_json::from_str(&error).unwrap();
        assert_eq!((status, out.as_str(), error["code"].as_str()), (1, "", Some(code)), "{arguments:?}");
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn notes_are_made_found_and_changed() {
    let vault = Vault::new("notes");
    vault.ok(&["create", "--path", "people/ada", "--content", "---\nsummary: x\n---\n# Ada\nlikes tea"]);
    vault.fails(&["create", "--path", "people/ada", "--content", "again"], "exists");
    vault.ok(&["append", "--file", "ada", "--content", "- [ ] call [[bob]]"]);
    vault.ok(&["prepend", "--file", "Ada", "--content", "first"]);
    vault.ok(&["property", "set", "--file", "ada", "--name", "status", "--value", "known"]);
    assert_eq!(
        vault.ok(&["read", "--file", "ada"]),
        "---\nsummary: x\nstatus: known\n---\nfirst\n# Ada\nlikes tea\n- [ ] call [[bob]]\n"
    );
    let found: serde_json::Value = serde_json::from_str(&vault.ok(&["search", "TEA likes", "--json"])).unwrap();
    assert_eq!(found[0]["path"], "people/ada.md");
    assert_eq!(vault.ok(&["search", "tea coffee", "--total"]), "0\n");
    assert_eq!(vault.ok(&["link", "unresolved"]), "{\"from\": \"people/ada.md\", \"link\": \"bob\"}\n");
    vault.ok(&["task", "show", "--ref", "people/ada.md:8", "--toggle"]);
    assert!(vault.ok(&["task", "list", "--done"]).contains("call"));
    vault.ok(&["delete", "--file", "ada"]);
    assert!(vault.0.join(".trash/people/ada.md").is_file());
    vault.fails(&["read", "--file", "ada"], "not-found");
}

#[test]
fn no_path_leads_out_of_the_vault() {
    let vault = Vault::new("paths");
    fs::write(vault.0.with_extension("md"), "secret").unwrap();
    let sibling = format!("../{}", vault.0.with_extension("md").file_name().unwrap().to_str().unwrap());
    std::os::unix::fs::symlink("/etc/passwd", vault.0.join("people/link.md")).unwrap();
    for path in [sibling.as_str(), "/etc/passwd", "people/link.md"] {
        vault.fails(&["read", "--path", path], "outside");
    }
    vault.fails(&["create", "--path", "../made", "--content", "x"], "outside");
    assert_eq!(vault.ok(&["file", "list"]), "\n", "a link is no note");
    fs::remove_file(vault.0.with_extension("md")).unwrap();
}

#[test]
fn a_day_has_its_note() {
    let vault = Vault::new("daily");
    vault.ok(&["daily", "append", "--date", "2026-06-02", "--content", "- met ada"]);
    vault.ok(&["daily", "append", "--date", "2026-06-02", "--content", "- left"]);
    assert_eq!(vault.ok(&["daily", "read", "--date", "2026-06-02"]), "- met ada\n- left\n");
    let (code, _, error) = vault.run(&["daily", "read", "--date", "../../etc"]);
    assert!(code == 2 && error.contains("--date"), "{error}");
}
