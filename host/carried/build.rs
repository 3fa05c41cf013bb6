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
    path::{Path, PathBuf},
    process::Command,
};

/// Components: name of the plugin, its folder, its library.
const COMPONENTS: &[(&str, &str, &str)] = &[
    ("permission-guard", "guards/permission-guard", "permission_guard"),
    ("redact", "processors/redact", "redact"),
    ("telegram", "adapters/telegram", "telegram"),
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
    for (name, folder, library) in COMPONENTS {
        copy(&target_dir.join(format!("wasm32-wasip2/release/{library}.wasm")), &out.join(format!("{name}.wasm")));
        copy(&root.join("components").join(folder).join("plugin.toml"), &out.join(format!("{name}.toml")));
    }

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
