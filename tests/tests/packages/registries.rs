//! Packages in registries: sent there, fetched, and what a hostile registry gets of us.

use std::os::unix::fs::PermissionsExt;

use mercury_tests::{
    host::Host,
    registry::Registry,
    tls::{Authority, proxy},
};
use serde_json::json;

use super::{SKILL, bad, good, plugin, project, run_with, text, version};

const ADD: [&str; 2] = ["--yes", "--allow-unsigned"];

fn docker_config(host: &Host, config: &serde_json::Value) {
    let docker = host.folder().join(".docker");
    std::fs::create_dir_all(&docker).unwrap();
    std::fs::write(docker.join("config.json"), config.to_string()).unwrap();
}

/// `ada` with the password `secret`.
fn log_in(host: &Host, registry: &Registry) {
    registry.require_login("ada", "secret");
    docker_config(host, &json!({ "auths": { registry.host(): { "auth": "YWRhOnNlY3JldA==" } } }));
}

/// What an author sends is what an operator adds; a version that is there stays what it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_added() {
    let host = project("");
    let registry = Registry::start().await;
    log_in(&host, &registry);
    let folder = plugin(&host, "tidy", "1.0.0", SKILL);
    std::fs::create_dir_all(folder.join("skill")).unwrap();
    std::fs::write(folder.join("skill/SKILL.md"), "# Tidy\n").unwrap();
    std::fs::write(folder.join("notes.txt"), "not of the package").unwrap();
    let repository = registry.reference("").trim_end_matches(':').to_owned();
    let published = good(&host, &["publish", &repository, text(&folder), "--json"]).await.json();
    let reference = registry.reference("1.0.0");
    assert_eq!(published["reference"], reference);
    let digest = published["digest"].as_str().unwrap().to_owned();

    let manifest: serde_json::Value = serde_json::from_slice(&registry.manifest("1.0.0").unwrap()).unwrap();
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(manifest["layers"][1]["mediaType"], "application/vnd.mercury.plugin.v1.tar+gzip");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.version"], "1.0.0");

    good(&host, &["add", &reference, ADD[0], ADD[1]]).await;
    let agreed = good(&host, &["show", "tidy", "--json"]).await.json();
    assert_eq!(agreed["agreed"]["source"], format!("{reference}@{digest}"));
    let files: Vec<&String> = agreed["agreed"]["files"].as_object().unwrap().keys().collect();
    assert_eq!(files, ["plugin.toml", "skill/SKILL.md", "tidy.wasm"]);

    // Again: the same package is the same artefact. Another one does not take its name unless it is said.
    let again = good(&host, &["publish", &repository, text(&folder), "--json"]).await.json();
    assert_eq!(again["digest"].as_str(), Some(digest.as_str()));
    std::fs::write(folder.join("skill/SKILL.md"), "# Another\n").unwrap();
    bad(&host, &["publish", &repository, text(&folder)], "is there already").await;
    good(&host, &["publish", &repository, text(&folder), "--overwrite"]).await;
    good(&host, &["update", "tidy"]).await;
    let now = good(&host, &["show", "tidy", "--json"]).await.json();
    assert_ne!(now["agreed"]["source"], agreed["agreed"]["source"]);

    registry.require_login("ada", "another");
    bad(&host, &["publish", &registry.reference("2.0.0"), text(&folder)], "docker login").await;
    bad(&host, &["publish", &format!("{reference}@{digest}"), text(&folder)], "names no package").await;
}

/// `docker login` may have put the credentials into a keychain, which a helper program opens.
#[tokio::test(flavor = "multi_thread")]
async fn a_helper_program_gives_the_credentials() {
    let host = project("");
    let registry = Registry::start().await;
    registry.require_login("ada", "secret");
    let folder = plugin(&host, "tidy", "1.0.0", "");
    registry.publish("1.0.0", &folder, "tidy.wasm");
    let programs = host.folder().join("programs");
    std::fs::create_dir(&programs).unwrap();
    let put = |name: &str, script: &str| {
        let path = programs.join(format!("docker-credential-{name}"));
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let asked = host.folder().join("asked");
    put("good", &format!("cat > {}; echo '{{\"Username\":\"ada\",\"Secret\":\"secret\"}}'", asked.display()));
    put("empty", "cat > /dev/null; echo 'credentials not found in native keychain'; exit 1");
    put("broken", "cat > /dev/null; echo 'the keychain is locked' >&2; exit 1");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let reference = registry.reference("1.0.0");
    let add = async |config: serde_json::Value| {
        docker_config(&host, &config);
        run_with(&host, &["add", &reference, ADD[0], ADD[1]], &[("PATH", &path)]).await
    };
    assert!(add(json!({ "credsStore": "empty" })).await.err.contains("docker login"));
    assert!(add(json!({ "credsStore": "broken" })).await.err.contains("the keychain is locked"));
    assert!(add(json!({ "credsStore": "absent" })).await.err.contains("cannot be started"));
    // The one for this registry comes before the one for all.
    let said = add(json!({ "credsStore": "broken", "credHelpers": { registry.host(): "good" } })).await;
    assert!(said.ok, "{}", said.err);
    assert_eq!(std::fs::read_to_string(asked).unwrap(), registry.host());
    assert_eq!(version(&host, "tidy").await.as_deref(), Some("1.0.0"));
}

/// Where a registry sends us on, our credentials do not come along.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_stay_with_their_registry() {
    let host = project("");
    let (registry, other) = (Registry::start().await, Registry::start().await);
    let elsewhere = format!("http://localhost:{}", other.address().port());
    let folder = plugin(&host, "tidy", "1.0.0", "");
    for registry in [&registry, &other] {
        registry.publish("1.0.0", &folder, "tidy.wasm");
    }
    log_in(&host, &registry);
    let reference = registry.reference("1.0.0");

    registry.set_realm(&format!("{elsewhere}/token"));
    bad(&host, &["add", &reference, ADD[0], ADD[1]], "your credentials are not sent there").await;
    assert_eq!(other.asked(), []);

    registry.set_realm(&format!("http://{}/token", registry.host()));
    registry.set_store(&elsewhere);
    good(&host, &["add", &reference, ADD[0], ADD[1]]).await;
    let asked = other.asked();
    assert!(asked.len() == 2 && asked.iter().all(|asked| asked.authorization.is_none()), "{asked:?}");
}

/// Descriptions that are none, or lead elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_hostile_registry_says_is_bounded() {
    let host = project("");
    let (registry, other) = (Registry::start().await, Registry::start().await);
    let reference = registry.reference("1.0.0");
    let add = ["add", &reference, ADD[0], ADD[1]];

    registry.put_manifest("1.0.0", vec![b' '; (1 << 20) + 1]);
    bad(&host, &add, "larger than 1024 KiB").await;
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:00", "size": 1 }],
    });
    registry.put_manifest("1.0.0", index.to_string().into_bytes());
    bad(&host, &add, "it is no OCI artefact").await;

    let descriptor = |media_type: &str, digest: &str, size: i64| {
        let elsewhere = format!("http://{}/v2/somebody/plugin/blobs/x", other.host());
        json!({ "mediaType": media_type, "digest": digest, "size": size, "urls": [elsewhere] })
    };
    let (wasm, rest) = ("application/wasm", "application/vnd.mercury.plugin.v1.tar+gzip");
    let missing = format!("sha256:{}", "0".repeat(64));
    for (layers, says) in [
        // A layer may name other places to fetch it from: nobody is asked but the registry.
        (vec![descriptor(wasm, &missing, 1), descriptor(rest, &missing, 1)], "there is no such thing"),
        (vec![descriptor(wasm, &missing, 1), descriptor(rest, "sha256:../../../token", 1)], "not what its digest"),
        (vec![descriptor(wasm, &missing, 1), descriptor(rest, "sha512:00", 1)], "not what its digest"),
        (vec![descriptor(wasm, &missing, i64::MAX), descriptor(rest, &missing, 1)], "larger than 256 MiB"),
        (vec![descriptor(wasm, &missing, -1), descriptor(rest, &missing, 1)], "larger than 256 MiB"),
        (vec![descriptor(wasm, &missing, 1)], "has no layer"),
        (vec![descriptor("application/WASM", &missing, 1), descriptor(rest, &missing, 1)], "has no layer"),
        (
            vec![descriptor(wasm, &missing, 1), descriptor(rest, &missing, 1), descriptor(rest, &missing, 1)],
            "more than one",
        ),
    ] {
        let config = descriptor("application/vnd.wasm.config.v0+json", &missing, 2);
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        registry.put_manifest("1.0.0", manifest.to_string().into_bytes());
        bad(&host, &add, says).await;
    }
    assert_eq!(other.asked(), []);
    assert_eq!(version(&host, "tidy").await, None);
}

/// A registry by a public name is asked with encryption only, and only if somebody vouches for its key.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_asked_with_encryption() {
    let host = project("");
    let (authority, stranger) = (Authority::new(), Authority::new());
    let registry = Registry::start_encrypted("registry.example", &authority).await;
    let plain = Registry::start().await;
    log_in(&host, &registry);
    let folder = plugin(&host, "tidy", "1.0.0", "");
    let proxy = proxy(&[("registry.example", registry.address())]).await;
    let certificate = authority.write(host.folder());
    let trusting = [("HTTPS_PROXY", proxy.as_str()), ("SSL_CERT_FILE", text(&certificate))];
    let reference = registry.reference("1.0.0");

    let published = run_with(&host, &["publish", &reference, text(&folder)], &trusting).await;
    assert!(published.ok, "{}", published.err);
    assert!(registry.asked().iter().any(|asked| asked.method == "PUT"));
    let other = tempfile::tempdir().unwrap();
    let strange = stranger.write(other.path());
    let distrusting = [("HTTPS_PROXY", proxy.as_str()), ("SSL_CERT_FILE", text(&strange))];
    let refused = run_with(&host, &["add", &reference, ADD[0], ADD[1]], &distrusting).await;
    assert!(!refused.ok && refused.err.contains("cannot be asked"), "{}", refused.err);
    let added = run_with(&host, &["add", &reference, ADD[0], ADD[1]], &trusting).await;
    assert!(added.ok, "{}", added.err);

    // It sends on to a place without encryption: nobody goes there.
    good(&host, &["remove", "tidy"]).await;
    plain.publish("1.0.0", &folder, "tidy.wasm");
    registry.set_store(&format!("http://{}", plain.host()));
    let fallen = run_with(&host, &["add", &reference, ADD[0], ADD[1]], &trusting).await;
    assert!(!fallen.ok && fallen.err.contains("cannot be asked"), "{}", fallen.err);
    registry.set_realm(&format!("http://{}/token", plain.host()));
    let told = run_with(&host, &["add", &reference, ADD[0], ADD[1]], &trusting).await;
    assert!(!told.ok && told.err.contains("your credentials are not sent there"), "{}", told.err);
    assert_eq!(plain.asked(), []);
}
