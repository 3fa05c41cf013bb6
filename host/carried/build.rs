//! Builds what the host carries: the components for `wasm32-wasip2`, `entry` and `mrctl` as static
//! binaries. In a target folder of their own, since cargo holds its own one locked meanwhile.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a build script starts cargo, speaks to it on stdout, and stops the build when something is missing"
)]

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// The folders of the components that the host carries.
const COMPONENTS: &[&str] = &[
    "adapters/telegram",
    "guards/permission-guard",
    "plugins/charts",
    "plugins/napkin",
    "plugins/pdf",
    "plugins/voice-synth",
    "plugins/voice-transcribe",
    "plugins/web-search",
    "processors/long-reply",
    "processors/redact",
    "processors/rtl-marks",
    "processors/tidy-markdown",
    "processors/usage-footer",
];
const PROGRAMS: &[(&str, &str)] = &[("mercury-entry", "entry"), ("mrctl", "mrctl")];
/// What pi loads: its extensions, and the agents that they offer.
const PI: &[&str] = &["tool-guard.ts", "subagent.ts", "agents/explore.md", "agents/worker.md"];

fn main() {
    // At run time: checkouts that share a target folder share the compiled build script, too.
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let root = package.join("../..").canonicalize().expect("the workspace");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    // `<target>/<profile>/build/<package>/out`
    let target_dir = out.ancestors().nth(4).expect("cargo's layout").join("carried");
    for watched in ["components", "container/entry", "container/mrctl", "container/protocol", "container/pi", "wit"] {
        println!("cargo::rerun-if-changed=../../{watched}");
    }

    build(&root.join("components/Cargo.toml"), "wasm32-wasip2", &target_dir, &[]);
    let table: String = COMPONENTS
        .iter()
        .map(|folder| component(&root.join("components").join(folder), &target_dir.join("wasm32-wasip2/release")))
        .collect();
    fs::write(out.join("components.rs"), format!("&[{table}]")).expect("the table of components is written");

    carry_templates(&root, &out);

    let musl =
        format!("{}-unknown-linux-musl", env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets the architecture"));
    let packages: Vec<&str> = PROGRAMS.iter().flat_map(|(package, _)| ["-p", package]).collect();
    build(&root.join("Cargo.toml"), &musl, &target_dir, &packages);
    for (_, binary) in PROGRAMS {
        copy(&target_dir.join(&musl).join("release").join(binary), &out.join(binary));
    }
    for file in PI {
        copy(&root.join("container/pi").join(file), &out.join(file.replace('/', "-")));
    }
}

/// What `mercury plugins new` writes: `templates/…`, the contract as `wit/…`, the Rust SDK as `sdk/…`.
fn carry_templates(root: &Path, out: &Path) {
    let mut files = Vec::new();
    for (prefix, folder) in [("templates", "components/templates"), ("wit", "wit"), ("sdk", "components/sdk/src")] {
        let folder = root.join(folder);
        list(&folder, &mut |file| {
            let below = file.strip_prefix(&folder).expect("it was found there").to_str().expect("our own name");
            // Only the line that is current: what is frozen is the host's business.
            if !below.starts_with("frozen") {
                files.push((format!("{prefix}/{below}"), file.to_owned()));
            }
        });
    }
    files.sort();
    let mut table = String::from("&[\n");
    for (index, (path, file)) in files.iter().enumerate() {
        copy(file, &out.join(format!("template-{index}")));
        table.push_str(&format!("({path:?}, include_str!(concat!(env!(\"OUT_DIR\"), \"/template-{index}\"))),\n"));
    }
    table.push(']');
    fs::write(out.join("templates.rs"), table).expect("the output folder");
}

fn list(folder: &Path, found: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() { list(&path, found) } else { found(&path) }
    }
}

/// One row of the table: an expression of the type `Component`.
fn component(folder: &Path, built: &Path) -> String {
    let name = folder.file_name().expect("a folder").to_str().expect("UTF-8");
    let wasm = built.join(format!("{}.wasm", name.replace('-', "_")));
    let mut files = Vec::new();
    collect(folder, &mut files);
    let files: String = files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(folder).expect("below the folder");
            let executable = fs::metadata(file).expect("metadata").permissions().mode() & 0o100 != 0;
            format!("File {{ path: {path:?}, content: include_bytes!({file:?}), executable: {executable} }},")
        })
        .collect();
    let manifest = folder.join("plugin.toml");
    format!(
        "Component {{ name: {name:?}, manifest: include_str!({manifest:?}), wasm: include_bytes!({wasm:?}), files: &[{files}] }},"
    )
}

/// What belongs to the plugin beside its component: its skill, and the programs for the agent's image,
/// whose names have no ending.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    let inside = folder.ancestors().any(|above| above.ends_with("skill"));
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && (name == "skill" || (inside && name != "__pycache__")) {
            collect(&path, files);
        } else if path.is_file() && (inside || !name.contains('.')) {
            files.push(path);
        }
    }
}

fn build(manifest: &Path, target: &str, target_dir: &Path, more: &[&str]) {
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
    // What the outer cargo says to its own rustc (wrappers of clippy, flags, target folder) is not for this one.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let own = name.starts_with("CARGO_")
            && !["CARGO_HOME", "CARGO_NET", "CARGO_HTTP", "CARGO_REGIST", "CARGO_SOURCE"]
                .iter()
                .any(|keep| name.starts_with(keep));
        if own || name.starts_with("RUSTC") || name == "RUSTFLAGS" {
            cargo.env_remove(name);
        }
    }
    let status = cargo
        .args(["build", "--quiet", "--release", "--locked", "--target", target, "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(target_dir)
        .args(more)
        .status()
        .expect("cargo starts");
    assert!(
        status.success(),
        "building {} for {target} failed. If the target is missing: `rustup target add {target}`",
        manifest.display()
    );
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}
