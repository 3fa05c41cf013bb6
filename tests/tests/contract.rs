//! Which components a host loads: by the contract that they say they were built for.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use mercury::plugins::{Answer, Contract, Declaration, Keeping, Processed, processor::RunResult, verdicts::Verdict};
use mercury_tests::{
    guests::{Guest, World},
    plugins::{Engine, Installed, caller},
};
use sha2::{Digest, Sha256};

const PROCESSOR: &str = "export mercury:plugin/result-processor@0.2.0;";

fn package(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn old(component: &str) -> Vec<u8> {
    std::fs::read(package("components/0.1.0").join(component)).unwrap()
}

fn trapping() -> Guest {
    Guest { body: "unreachable".into(), ..Guest::default() }
}

/// What the operator reads of a processor that cannot be loaded.
async fn refusal(wasm: Vec<u8>) -> String {
    let installed = Installed { name: "x", provides: "\"result-processor\"", manifest: "", wasm };
    Engine::bare(&[installed]).await.refusal("x").to_owned()
}

async fn refusal_of(version: &str) -> String {
    let world = World::of_edited_contract(|text| text.replace("0.2.0", version), &PROCESSOR.replace("0.2.0", version));
    refusal(world.component(&trapping())).await
}

/// Promise 19: components of the line before are loaded, called, and limited like all others.
#[tokio::test(flavor = "multi_thread")]
async fn components_of_the_old_line_keep_working() {
    let with_mode = "[settings.mode]\ndescription = \"m\"\ndefault = \"ungranted\"\n";
    let asking = "[settings.word]\ndescription = \"w\"\ndefault = \"rm\"\n";
    let egress = "[settings.deny]\ndescription = \"d\"\ndefault = \"bad.example\"\n";
    let engine = Engine::bare(&[
        Installed { name: "asking", provides: "\"tool-guard\"", manifest: asking, wasm: old("asking.wasm") },
        Installed { name: "egress", provides: "\"egress-guard\"", manifest: egress, wasm: old("egress_rules.wasm") },
        Installed { name: "hostile", provides: "\"prompt-guard\"", manifest: with_mode, wasm: old("hostile.wasm") },
        Installed { name: "redact", provides: "\"result-processor\"", manifest: "", wasm: old("redact.wasm") },
    ])
    .await;
    for plugin in engine.plugins.loaded() {
        assert_eq!(plugin.declaration().contract, Contract::V0_1, "{}", plugin.name());
    }

    let opinions = engine.plugins.consult(&caller(), "bash", r#"{"command":"rm x"}"#, &Default::default()).await;
    let Verdict::Ask(question) = &opinions[0].verdict else { panic!("asking: {opinions:?}") };
    assert_eq!(question.text, "Shall bash do rm?");

    let request = |host: &str| mercury::plugins::EgressRequest {
        host: host.into(),
        port: 443,
        method: None,
        path: None,
        listed: true,
    };
    let denied = engine.plugins.check_egress(caller(), request("bad.example"), &[]).await;
    assert_eq!(denied, Err("bad.example is closed to member".to_owned()));
    assert!(engine.plugins.check_egress(caller(), request("good.example"), &["egress".into()]).await.is_ok());

    // What the manifest lacks is told by the error that 0.1 had.
    let Answer::Deny(said) = engine.prompt("hi").await else { panic!("the guard denies") };
    assert!(said.contains("Storage") && said.contains("quota-bytes"), "{said}");
    assert_eq!(engine.seen("hostile").denials, 1);

    let result = RunResult {
        run: "r".into(),
        caller: caller(),
        platform: "api".into(),
        prompt: "p".into(),
        scheduled: false,
        reply: "the key is ghp_16C7e42F292c6912E7710c838347Ae178B4a".into(),
        failure: None,
        attachments: Vec::new(),
        usage: None,
        duration_ms: 1,
    };
    let keeping = Keeping { folder: Path::new("unused"), is_allowed: false };
    let processed = engine.plugins.process(result, Vec::new(), keeping).await;
    let Processed::Deliver { reply, attachments, .. } = processed else { panic!("the processor delivers") };
    assert_eq!((reply.as_str(), attachments.len()), ("the key is [secret removed]", 0));
}

/// Later versions of a line link by themselves, as long as the component uses nothing of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_version_of_a_line_links_by_itself() {
    let later = |text: &str| text.replace("0.2.0", "0.2.9");
    let grown = move |text: &str| later(text).replace("has: func(", "roles: func() -> list<string>;\n has: func(");
    let parts = "import mercury:plugin/permissions@0.2.9; export mercury:plugin/result-processor@0.2.9;";
    let body = "(drop (call $permissions.has (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))) unreachable";
    let wasm = World::of_edited_contract(later, parts).component(&Guest { body: body.into(), ..Guest::default() });
    let declaration = Declaration::read(&wasm).unwrap();
    assert_eq!((declaration.contract, declaration.version.to_string().as_str()), (Contract::V0_2, "0.2.9"));
    assert!(declaration.imports.contains("permissions") && declaration.exports.contains("result-processor"));
    let installed = Installed { name: "later", provides: "\"result-processor\"", manifest: "", wasm };
    assert!(Engine::bare(&[installed]).await.plugins.disabled().is_empty());

    // One that uses what only the later version has.
    let wasm = World::of_edited_contract(grown, parts)
        .component(&Guest { body: format!("(call $permissions.roles (i32.const 0)) {body}"), ..Guest::default() });
    insta::assert_snapshot!(refusal(wasm).await, @"it was built for mercury:plugin@0.2.9, and does not fit mercury:plugin@0.2.0 as this host speaks it: component imports instance `mercury:plugin/permissions@0.2.9`, but a matching implementation was not found in the linker: instance export `roles` has the wrong type: function implementation is missing. Update the host to one that speaks 0.2.9, or build the component against the wit/ folder of this host");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_contract_is_refused_with_both_versions_and_the_way_out() {
    insta::assert_snapshot!(refusal_of("0.3.0").await, @"it was built for mercury:plugin@0.3.0, and this host speaks 0.1.0 and 0.2.0. Update the host, or build the component against the wit/ folder of this host (mercury:plugin@0.2.0)");
    insta::assert_snapshot!(refusal_of("1.0.0").await, @"it was built for mercury:plugin@1.0.0, and this host speaks 0.1.0 and 0.2.0. Update the host, or build the component against the wit/ folder of this host (mercury:plugin@0.2.0)");
    insta::assert_snapshot!(refusal_of("0.0.9").await, @"it was built for mercury:plugin@0.0.9, and this host speaks 0.1.0 and 0.2.0. Build the component anew, against the wit/ folder of this host (mercury:plugin@0.2.0)");
    insta::assert_snapshot!(refusal_of("0.2.0-draft").await, @"it was built for mercury:plugin@0.2.0-draft, and this host speaks 0.1.0 and 0.2.0. Build the component anew, against the wit/ folder of this host (mercury:plugin@0.2.0)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_grew_is_refused() {
    let grown = async |version: &str| {
        let grow = |text: &str| {
            text.replace("0.2.0", version).replace(
                "        scheduled: bool,\n        /// CommonMark",
                "        scheduled: bool,\n        weather: string,\n        /// CommonMark",
            )
        };
        let world = World::of_edited_contract(grow, &PROCESSOR.replace("0.2.0", version));
        refusal(world.component(&trapping())).await
    };
    insta::assert_snapshot!(grown("0.2.9").await, @"it was built for mercury:plugin@0.2.9, and does not fit mercury:plugin@0.2.0 as this host speaks it: result-processor: failed to convert function to given type: type mismatch with parameters: expected record of 10 fields, found 11 fields. Update the host to one that speaks 0.2.9, or build the component against the wit/ folder of this host");
    insta::assert_snapshot!(grown("0.2.0").await, @"it was built for mercury:plugin@0.2.0, and does not fit mercury:plugin@0.2.0 as this host speaks it: result-processor: failed to convert function to given type: type mismatch with parameters: expected record of 10 fields, found 11 fields. Its WIT files are not those of that version: build it against an unchanged copy of the wit/ folder of this host");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_plugin_is_refused() {
    let foreign =
        World::foreign("package other:thing@1.0.0; interface i { f: func(); }", "export other:thing/i@1.0.0;");
    let foreign = foreign.component(&Guest::default());
    insta::assert_snapshot!(refusal(foreign).await, @"it neither imports nor exports anything of mercury:plugin, so it is no plugin of Mercury. Build it against the wit/ folder of this host (mercury:plugin@0.2.0)");
    insta::assert_snapshot!(refusal(wat::parse_str("(module)").unwrap()).await, @"it is not a WebAssembly component, it is a core module. Build it for `wasm32-wasip2`, or make a component of a core module with `wasm-tools component new`");
    let no_wasm = refusal(b"#!/bin/sh\n".to_vec()).await;
    insta::assert_snapshot!(no_wasm, @"it is not a WebAssembly component. Build it for `wasm32-wasip2`, or make a component of a core module with `wasm-tools component new`");
    assert_eq!(refusal(Vec::new()).await, no_wasm);
    let mixed = World::of_both_lines(&format!("import mercury:plugin/log@0.1.0; {PROCESSOR}"));
    let body = "(call $log.write (i32.const 0) (i32.const 0) (i32.const 0)) unreachable";
    let mixed = mixed.component(&Guest { body: body.into(), ..Guest::default() });
    insta::assert_snapshot!(refusal(mixed).await, @"it mixes two lines of the contract, mercury:plugin/log@0.1.0 and mercury:plugin/types@0.2.0. Build all of it, and what it is composed of, against one wit/ folder; this host's is mercury:plugin@0.2.0");
    let bare = World::of_edited_contract(|text| text.replace("@0.2.0", ""), &PROCESSOR.replace("@0.2.0", ""));
    insta::assert_snapshot!(refusal(bare.component(&trapping())).await, @"it names mercury:plugin/types without a version, so nobody can tell which contract it means. Build it against the wit/ folder of this host (mercury:plugin@0.2.0)");
    // The right contract, but not what the manifest promises.
    let other = World::of_contract("export mercury:plugin/tool-guard@0.2.0;").component(&trapping());
    insta::assert_snapshot!(refusal(other).await, @"its manifest provides result-processor, but the component does not export mercury:plugin/result-processor@0.2.0: no exported instance named `mercury:plugin/result-processor@0.2.0`. Export it, or take it out of `provides`");
    let since = old("asking.wasm");
    let installed = Installed { name: "x", provides: "\"widget\"", manifest: "", wasm: since };
    insta::assert_snapshot!(Engine::bare(&[installed]).await.refusal("x"), @"its manifest provides widget, but the component does not export mercury:plugin/widget@0.1.0: that line of the contract has no such interface. Export it, or take it out of `provides`");
}

/// A line that components were built for does not change any more.
#[test]
fn the_frozen_lines_are_as_they_were() {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(package("../wit/frozen/0.1")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        digest.update(file.file_name().unwrap().as_encoded_bytes());
        digest.update([0]);
        digest.update(std::fs::read(&file).unwrap());
    }
    let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        digest, "48713b1275d2ea64772e80b735a09bb120a74ebf61645804915104892795a3de",
        "wit/frozen/0.1 changed: components that exist were built from it"
    );
}
