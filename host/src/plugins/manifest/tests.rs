use proptest::prelude::*;

use super::*;

const GOOD: &str = "name = \"g\"\nversion = \"1.0.0\"\ncomponent = \"g.wasm\"\nprovides = [\"tool-guard\"]\n";

fn parse(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(Path::new("plugin.toml"), text)
}

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

/// `more` behind the good beginning.
fn with(more: &str) -> String {
    refusal(&format!("{GOOD}{more}"))
}

#[test]
fn a_small_manifest_has_safe_defaults() {
    let manifest = parse(GOOD).unwrap();
    assert_eq!(manifest.limits.memory_bytes(), 64 << 20);
    assert_eq!(manifest.kv.quota_bytes, 0);
    assert!(manifest.is_essential());
}

/// Promise 17: an unknown field is an error with its line, and with the field that was meant.
#[test]
fn a_typo_is_an_error_with_its_line_and_what_was_meant() {
    insta::assert_snapshot!(with("[limits]\nmemory-mb = 1\n"), @r#"
    plugin.toml is not a valid manifest:
    line 6, column 1: unknown field `memory-mb`; did you mean `memory-mib`?
      6 | memory-mb = 1
        | ^^^^^^^^^
    "#);
    insta::assert_snapshot!(with("[kv]\nquota = 1\n"), @r#"
    plugin.toml is not a valid manifest:
    line 6, column 1: unknown field `quota`; did you mean `quota-bytes`?
      6 | quota = 1
        | ^^^^^
    "#);
    insta::assert_snapshot!(refusal(&GOOD.replace("tool-guard", "tool-gard")), @r#"
    plugin.toml is not a valid manifest:
    line 4, column 13: unknown variant `tool-gard`; did you mean `tool-guard`?
      4 | provides = ["tool-gard"]
        |             ^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(with("[[http]]\nhost = [\"a.example\"]\n"), @r#"
    plugin.toml is not a valid manifest:
    line 6, column 1: unknown field `host`; did you mean `hosts`?
      6 | host = ["a.example"]
        | ^^^^
    "#);
    insta::assert_snapshot!(refusal(&GOOD.replace("version = \"1.0.0\"\n", "")), @r#"
    plugin.toml is not a valid manifest:
    line 1, column 1: missing field `version`
      1 | name = "g"
        | ^
    "#);
    insta::assert_snapshot!(with("[limits\n"), @r#"
    plugin.toml is not a valid manifest:
    line 5, column 8: unclosed table, expected `]`
      5 | [limits
        |        ^
    "#);
    insta::assert_snapshot!(with("[limits]\nmemory-mib = \"64\"\n"), @r#"
    plugin.toml is not a valid manifest:
    line 6, column 14: invalid type: string "64", expected u32
      6 | memory-mib = "64"
        |              ^^^^
    "#);
    insta::assert_snapshot!(with("[[folders]]\nzzz = 1\n"), @r#"
    plugin.toml is not a valid manifest:
    line 6, column 1: unknown field `zzz`, expected `space-folder` or `write`
      6 | zzz = 1
        | ^^^
    "#);
}

/// All that is wrong is said at once, each with its place.
#[test]
fn what_a_manifest_says_is_checked() {
    let text = r#"
name = "G!"
version = "1"
component = "../g.wasm"
provides = ["webhook", "webhook"]
required = true
[limits]
memory-mib = 4096
deadline-ms = 0
[[http]]
hosts = ["https://a.example/x", "*", "b.example"]
methods = ["get"]
paths = ["v1", "/a/../b"]
max-response-mib = 17
per-minute = 0
[[secrets]]
name = "Token"
variable = "TOKEN"
hosts = ["c.example"]
[[secrets]]
name = "host"
variable = "MERCURY_API_SECRET"
[kv]
quota-bytes = 9999999999
[timers]
most = 1
[messenger]
per-minute = 5
[inbox]
platform = "api"
[[folders]]
space-folder = "../other"
[[folders]]
space-folder = "inbox"
"#;
    insta::assert_snapshot!(refusal(text), @r#"
    plugin.toml is not a valid manifest:
    line 2, column 8: name: `G!`: use lower-case letters, digits and dashes, beginning with a letter or digit, 64 at most
      2 | name = "G!"
        |        ^^^^
    line 3, column 11: version: `1` is not a version such as `1.0.0`
      3 | version = "1"
        |           ^^^
    line 4, column 13: component: `../g.wasm` must be a name in the plugin's own folder, and not that of its manifest or signature
      4 | component = "../g.wasm"
        |             ^^^^^^^^^^^
    line 8, column 14: limits.memory-mib: 4096 is not between 1 and 256
      8 | memory-mib = 4096
        |              ^^^^
    line 9, column 15: limits.deadline-ms: 0 is not between 1 and 10000
      9 | deadline-ms = 0
        |               ^
    line 5, column 24: provides[1]: `webhook` is there twice
      5 | provides = ["webhook", "webhook"]
        |                        ^^^^^^^^^
    line 6, column 12: required: only a result-processor can be required
      6 | required = true
        |            ^^^^
    line 5, column 12: provides: webhook belongs to an adapter: it needs `chat-adapter` as well
      5 | provides = ["webhook", "webhook"]
        |            ^^^^^^^^^^^^^^^^^^^^^^
    line 29, column 1: inbox: only an adapter has it: add `chat-adapter` to provides
      29 | [inbox]
         | ^^^^^^^
    line 25, column 1: timers: has no use without `timer` in provides
      25 | [timers]
         | ^^^^^^^^
    line 11, column 10: http[0].hosts[0]: `https://a.example/x` is not a host: write `example.com` or `example.com:8443`, without scheme and path
      11 | hosts = ["https://a.example/x", "*", "b.example"]
         |          ^^^^^^^^^^^^^^^^^^^^^
    line 11, column 33: http[0].hosts[1]: `*`: every host cannot be granted; name those that are needed
      11 | hosts = ["https://a.example/x", "*", "b.example"]
         |                                 ^^^
    line 12, column 12: http[0].methods[0]: `get` is no method such as `GET`
      12 | methods = ["get"]
         |            ^^^^^
    line 13, column 10: http[0].paths[0]: `v1` is no path such as `/v1/*`: it begins with `/`, without `?`, `#` and `..`
      13 | paths = ["v1", "/a/../b"]
         |          ^^^^
    line 13, column 16: http[0].paths[1]: `/a/../b` is no path such as `/v1/*`: it begins with `/`, without `?`, `#` and `..`
      13 | paths = ["v1", "/a/../b"]
         |                ^^^^^^^^^
    line 14, column 20: http[0].max-response-mib: 17 is not between 1 and 16
      14 | max-response-mib = 17
         |                    ^^
    line 15, column 14: http[0].per-minute: 0 is not between 1 and 6000
      15 | per-minute = 0
         |              ^
    line 17, column 8: secrets[0].name: `Token`: use lower-case letters, digits and dashes
      17 | name = "Token"
         |        ^^^^^^^
    line 18, column 12: secrets[0].variable: `TOKEN`: the host's variables begin with MERCURY_
      18 | variable = "TOKEN"
         |            ^^^^^^^
    line 19, column 10: secrets[0].hosts[0]: `c.example` is no host of `[[http]]` or `[[sockets]]`
      19 | hosts = ["c.example"]
         |          ^^^^^^^^^^^
    and 6 more
    "#);
}

/// A connection serves nobody unasked, and shows something; each field has its place and its words.
#[test]
fn a_connection_is_checked() {
    let head = "[connection]\ndisplay-name = \"Mail\"\ncategory = \"email\"\nauth-type = \"oauth2\"\n";
    let with = |more: &str| parse(&format!("{GOOD}{head}{more}"));
    let secret = "secret = \"s\"\n[[secrets]]\nname = \"s\"\nvariable = \"MERCURY_S\"\n";
    let agent = "[agent]\npermission = true\n";
    let good = with(&format!("sensitive = true\n{secret}{agent}")).unwrap();
    let connection = good.connection.unwrap();
    assert!(connection.sensitive && connection.secret.as_deref() == Some("s"));
    for (more, said) in [
        (secret.to_owned(), "must not serve everybody: add `permission = true`"),
        (agent.to_owned(), "shows nothing: name its `secret`"),
        (
            format!("{}{agent}", secret.replace("secret = \"s\"", "secret = \"t\"")),
            "`t` is no name under `[[secrets]]`",
        ),
        (format!("icon = \"http://x.example/i.svg\"\n{secret}{agent}"), "must be an address such as `https://"),
        (format!("scopes = [\"\"]\n{secret}{agent}"), "one line of 1 to 512 characters"),
        (format!("sensitiv = true\n{secret}{agent}"), "sensitive"),
    ] {
        let refused = with(&more).unwrap_err().to_string();
        assert!(refused.contains(said) && refused.contains("line "), "{more}: {refused}");
    }
    let wrong = |from: &str, to: &str| parse(&format!("{GOOD}{head}{secret}{agent}").replace(from, to)).unwrap_err();
    assert!(wrong("\"email\"", "\"mail\"").to_string().contains("email"));
    assert!(wrong("\"Mail\"", "\" \"").to_string().contains("connection.display-name: is empty"));
    let alone = parse(&GOOD.replace("\"tool-guard\"", "\"connection-status\"")).unwrap_err().to_string();
    assert!(alone.contains("no use without `[connection]`"), "{alone}");
}

#[test]
fn what_a_plugin_does_around_runs_is_checked() {
    let text = r#"
name = "g"
version = "1.0.0"
component = "g.wasm"
provides = ["run-hook", "broker", "job", "widget"]
[run-hook]
environment = ["PATH", "MERCURY_X", "a-b", "FINE", "FINE"]
[broker]
per-minute = 601
[[broker.actions]]
name = "book it"
schema = { type = "no such type" }
[[jobs]]
name = "neither"
[[jobs]]
name = "both"
every-s = 5
cron = "* * * * *"
[[jobs]]
name = "wrong"
cron = "* * * * * *"
time-zone = "Berlin"
deadline-s = 3601
[[widgets]]
name = "w"
label = " "
[agent]
[[agent.clis]]
name = "../x"
install = "true"
[[agent.clis]]
name = "x"
bin = "../x"
[[agent.clis]]
name = "y"
[[agent.env]]
name = "PATH"
[[agent.env]]
name = "MERCURY_API_SECRET"
[[agent.env]]
name = "MERCURY_GWS"
as = "HOME"
"#;
    insta::assert_snapshot!(refusal(text), @r#"
    plugin.toml is not a valid manifest:
    line 7, column 16: run-hook.environment[0]: `PATH` is set by the host itself and by nobody else
      7 | environment = ["PATH", "MERCURY_X", "a-b", "FINE", "FINE"]
        |                ^^^^^^
    line 7, column 24: run-hook.environment[1]: `MERCURY_X` is set by the host itself and by nobody else
      7 | environment = ["PATH", "MERCURY_X", "a-b", "FINE", "FINE"]
        |                        ^^^^^^^^^^^
    line 7, column 37: run-hook.environment[2]: `a-b` is no name of a variable: use `A` to `Z`, digits and `_`
      7 | environment = ["PATH", "MERCURY_X", "a-b", "FINE", "FINE"]
        |                                     ^^^^^
    line 7, column 52: run-hook.environment[4]: `FINE` is there twice
      7 | environment = ["PATH", "MERCURY_X", "a-b", "FINE", "FINE"]
        |                                                    ^^^^^^
    line 9, column 14: broker.per-minute: 601 is not between 1 and 600
      9 | per-minute = 601
        |              ^^^
    line 11, column 8: broker.actions[0].name: `book it`: use lower-case letters, digits and dashes, beginning with a letter or digit, 64 at most
      11 | name = "book it"
         |        ^^^^^^^^^
    line 12, column 10: broker.actions[0].schema: is not a JSON Schema: "no such type" is not valid under any of the schemas listed in the 'anyOf' keyword
      12 | schema = { type = "no such type" }
         |          ^^^^^^^^^^^^^^^^^^^^^^^^^
    line 13, column 1: jobs[0]: name one of `every-s` and `cron`
      13 | [[jobs]]
         | ^^^^^^^^
    line 15, column 1: jobs[1]: name one of `every-s` and `cron`
      15 | [[jobs]]
         | ^^^^^^^^
    line 21, column 8: jobs[2].cron: `* * * * * *` is not understood: Invalid pattern: Pattern must have 5 fields when seconds are disallowed.
      21 | cron = "* * * * * *"
         |        ^^^^^^^^^^^^^
    line 22, column 13: jobs[2].time-zone: `Berlin` is no time zone such as `Europe/Berlin`
      22 | time-zone = "Berlin"
         |             ^^^^^^^^
    line 23, column 14: jobs[2].deadline-s: 3601 is not between 1 and 3600
      23 | deadline-s = 3601
         |              ^^^^
    line 26, column 9: widgets[0].label: is empty
      26 | label = " "
         |         ^^^
    line 29, column 8: agent.clis[0].name: `../x`: use letters, digits, dots, dashes and underscores, 64 at most
      29 | name = "../x"
         |        ^^^^^^
    line 33, column 7: agent.clis[1].bin: must be a name in the plugin's own folder, and not that of its manifest or signature
      33 | bin = "../x"
         |       ^^^^^^
    line 34, column 1: agent.clis[2]: name an `install` line, a `bin`, or both
      34 | [[agent.clis]]
         | ^^^^^^^^^^^^^^
    line 37, column 8: agent.env[0].name: `PATH`: the host's variables begin with MERCURY_
      37 | name = "PATH"
         |        ^^^^^^
    line 39, column 8: agent.env[1].name: `MERCURY_API_SECRET` is the host's own and passes to no agent
      39 | name = "MERCURY_API_SECRET"
         |        ^^^^^^^^^^^^^^^^^^^^
    line 39, column 8: agent.env[1].name: `API_SECRET` is the host's own in the container: name another with `as`
      39 | name = "MERCURY_API_SECRET"
         |        ^^^^^^^^^^^^^^^^^^^^
    line 42, column 6: agent.env[2].as: `HOME` cannot be set: it is no name of a variable, or the host's own
      42 | as = "HOME"
         |      ^^^^^^
    "#);
}

/// What an operator reads before agreeing cannot be arranged by who wants the agreement.
#[test]
fn marks_that_turn_text_around_are_refused_and_not_shown() {
    let refusal = with("description = \"safe \\u202E evil\"\n");
    assert!(refusal.contains("description: holds characters that steer"), "{refusal}");
    let raw = with("description = \"safe \u{202e} evil\"\n");
    assert!(raw.contains("description: holds") && !raw.contains('\u{202e}'), "{raw}");
    assert!(!with("x = \"\u{1b}[2J\"\n").contains('\u{1b}'));
    // Marks of a right-to-left language stay.
    assert!(parse(&format!("{GOOD}description = \"\u{200f}שלום\"\n")).is_ok());
}

/// What is read before agreeing fits on a screen, and is what it looks like.
#[test]
fn what_hides_a_right_is_refused() {
    let http = |hosts: &str| with(&format!("[[http]]\nhosts = [{hosts}]\n"));
    // A Cyrillic letter, and full-width ones.
    assert!(http("\"\u{430}pi.example.com\"").contains("is `xn--pi-6kc.example.com`: write that"));
    assert!(http("\"\u{ff41}pi.example.com\"").contains("is `api.example.com`: write that"));
    let many: Vec<String> = (0..65).map(|index| format!("\"h{index}.example.com\"")).collect();
    assert!(http(&many.join(", ")).contains("http[0].hosts: has more than 64 items"));
    assert!(with(&"[[http]]\nhosts = [\"a.example\"]\n".repeat(65)).contains("http: has more than 64 items"));
    let blank = "\u{2800}";
    assert!(with(&format!("description = \"fine{blank}\"\n")).contains("show nothing"));
    let long = "x".repeat(501);
    assert!(with(&format!("[settings.a]\ndescription = \"{long}\"\n")).contains("longer than 500"));
    let install = |line: &str| with(&format!("[agent]\nclis = [{{ name = \"x\", install = \"{line}\" }}]\n"));
    for line in ["npm install x\\ncurl evil", "npm install x\\tcurl", "npm install \u{e4}"] {
        assert!(install(line).contains("one line of ASCII"), "{line}");
    }
    assert!(install(&"x".repeat(1_001)).contains("longer than 1000"));
}

/// A program of the agent's own is not replaced by a plugin's, nor a variable that decides what it runs.
#[test]
fn names_of_the_agent_are_refused() {
    let cli = |cli: &str| parse(&format!("{GOOD}[agent]\nclis = [{{ {cli} }}]\n")).map_err(|error| error.to_string());
    for name in ["sh", "pi", "mrctl", "node", "entry"] {
        let refusal = cli(&format!("name = \"{name}\", install = \"true\"")).unwrap_err();
        assert!(refusal.contains("a program of the agent itself"), "{name}: {refusal}");
    }
    assert!(cli("name = \"git\", bin = \"git\"").unwrap_err().contains("a program of the agent itself"));
    cli("name = \"git\", install = \"apt-get install git\"").unwrap();
    let env = |env: &str| parse(&format!("{GOOD}[agent]\nenv = [{{ {env} }}]\n")).map_err(|error| error.to_string());
    for variable in ["name = \"MERCURY_X\", as = \"NODE_OPTIONS\"", "name = \"MERCURY_LD_PRELOAD\""] {
        assert!(env(variable).unwrap_err().contains("the host's own"), "{variable}");
    }
    assert!(env("name = \"MERCURY_OPENAI_API_KEY\", as = \"X\"").unwrap_err().contains("opens a model"));
    env("name = \"MERCURY_OPENAI_API_KEY\", host-only = true").unwrap();
}

/// A manifest is a plain file of some KiB, wherever its folder comes from.
#[test]
fn a_manifest_that_is_no_plain_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plugin.toml");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "the secret of somebody").unwrap();
    std::os::unix::fs::symlink(&secret, &path).unwrap();
    let error = Manifest::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("no plain file") && !error.contains("of somebody"), "{error}");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, format!("{GOOD}#{}", "x".repeat(256 << 10))).unwrap();
    assert!(Manifest::read(folder.path()).unwrap_err().to_string().contains("larger than 256 KiB"));
    std::fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert!(Manifest::read(folder.path()).unwrap_err().to_string().contains("no plain file"));
}

/// extensions.md #2: names of the host are refused, as such.
#[test]
fn names_of_the_host_are_refused() {
    for name in ["tasks", "whoami", "help", "prompt", "stop", "context"] {
        let error = parse(&GOOD.replace("\"g\"", &format!("\"{name}\""))).unwrap_err();
        assert!(matches!(&error, ManifestError::Reserved { name: reserved, .. } if reserved == name), "{error}");
    }
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    for component in ["../g.wasm", "/etc/passwd", ".hidden", "", "a/b.wasm", "plugin.toml"] {
        assert!(refusal(&GOOD.replace("g.wasm", component)).contains("own folder"), "{component}");
    }
}

#[test]
fn versions_are_semantic() {
    for version in ["1.0.0", "0.1.12", "1.0.0-rc.1", "1.0.0+linux-gnu", "1.2.3-a.b+c.d"] {
        assert!(parse(&GOOD.replace("1.0.0", version)).is_ok(), "{version}");
    }
    for version in ["1", "1.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0+", "1.0.0 beta", "1.0.0.0", ""] {
        assert!(refusal(&GOOD.replace("1.0.0", version)).contains("version"), "{version}");
    }
}

#[test]
fn what_is_imported_without_a_grant_is_told() {
    let imports = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let manifest = parse(&format!("{GOOD}[kv]\nquota-bytes = 1\n")).unwrap();
    assert_eq!(manifest.ungranted(&imports(&["types", "log", "kv", "settings"])), Vec::<String>::new());
    assert_eq!(manifest.ungranted(&imports(&["http", "kv", "inbox"])), ["http needs [[http]]", "inbox needs [inbox]"]);
}

#[test]
fn what_the_agent_gets() {
    let manifest = parse(&format!("{GOOD}[agent]\npermission = true\n[[agent.clis]]\nname = \"gws\"\ninstall = \"npm install -g gws\"\n[[agent.env]]\nname = \"MERCURY_GWS_TOKEN\"\nas = \"TOKEN\"\n")).unwrap();
    assert_eq!((manifest.agent.clis[0].name.as_str(), manifest.agent.permission), ("gws", true));
    assert_eq!(manifest.agent.env[0].given_as.as_deref(), Some("TOKEN"));
}

/// The manifests that come with the host are in order.
#[test]
fn built_in_manifests_are_valid() {
    for component in mercury_carried::COMPONENTS {
        parse(component.manifest).unwrap_or_else(|error| panic!("{}: {error}", component.name));
    }
}

/// Pieces of manifests, so that random texts get beyond the first character.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "name = \"g\"\n", "version = \"1.0.0\"\n", "component = \"g.wasm\"\n", "provides = [\"job\"]\n", "[limits]\n",
            "memory-mib = 1\n", "[[http]]\n", "hosts = [\"a.example\"]\n", "[[secrets]]\n", "[[broker.actions]]\n",
            "schema = {}\n", "[kv]\n", "quota-bytes = -1\n", "[settings.a]\n", "[agent]\n", "[[agent.clis]]\n", "[[jobs]]\n",
            "cron = \"1 2 3 4 5\"\n", "every-s = 99999999999999999999\n", "[inbox]\n", "platform = 1\n", "]]", "\"\"\"", "= ",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
        1 => any::<String>().prop_map(|text| text.chars().take(16).collect()),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Promise 22: any text is a manifest or an error, whose text is safe to show.
    #[test]
    fn any_text_is_a_manifest_or_an_error(text in pieces()) {
        if let Err(error) = parse(&text) {
            let shown = error.to_string();
            prop_assert!(!shown.chars().any(|c| c != '\n' && crate::domain::deception::deceives(c)), "{shown:?}");
        }
    }

    /// A good manifest with one character exchanged is still one, or an error that names a line.
    #[test]
    fn a_changed_character_is_found_or_harmless(at in 0..GOOD.len(), with in any::<char>()) {
        let mut text = GOOD.to_owned();
        text.replace_range(at..=at, &with.to_string());
        if let Err(error) = parse(&text) {
            prop_assert!(matches!(error, ManifestError::Reserved { .. }) || error.to_string().contains("line "), "{error}");
        }
    }
}

/// Every bound of a call has its range.
#[test]
fn a_limit_out_of_its_range_is_refused() {
    for (line, text) in [
        ("memory-mib = 257", "1 and 256"),
        ("deadline-ms = 0", "1 and 10000"),
        ("concurrency = 17", "1 and 16"),
        ("host-calls = 0", "1 and 1000000"),
        ("result-kib = 63", "64 and 65536"),
    ] {
        let said = with(&format!("[limits]\n{line}\n"));
        assert!(said.contains(text), "{said}");
    }
}

/// Each entry is something that the host keeps, or does again and again.
#[test]
fn lists_have_their_bounds() {
    let with = |jobs: usize| {
        let jobs: String = (0..jobs).map(|n| format!("[[jobs]]\nname = \"j{n}\"\nevery-s = 1\n")).collect();
        let text = format!("name = \"p\"\nversion = \"1.0.0\"\ncomponent = \"p.wasm\"\nprovides = [\"job\"]\n{jobs}");
        Manifest::parse(Path::new("plugin.toml"), &text)
    };
    assert!(with(64).is_ok());
    let refusal = with(65).unwrap_err().to_string();
    assert!(refusal.contains("jobs: has more than 64 items"), "{refusal}");
}
