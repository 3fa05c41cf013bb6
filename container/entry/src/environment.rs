//! The environment that pi gets, and with it every tool of the agent. A pure function of what we
//! inherited, the request and the credentials.

use std::collections::BTreeMap;
use std::ffi::OsString;

use mercury_protocol::io::{Credentials, ModelSettings, Request};

use crate::place::Place;

/// Names that only `entry` sets: a request or a credential cannot replace them. `IO_DIR` is
/// among them so that it never reaches pi.
const RESERVED: &[&str] = &[
    "API_SOCKET",
    "API_URL",
    "CALLER_ID",
    "HOME",
    "IO_DIR",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "MERCURY_GLOBAL_DIR",
    "MERCURY_SKILLS_DIR",
    "MERCURY_SUBAGENT_MODELS",
    "MERCURY_TOOLS_DIR",
    "NODE_OPTIONS",
    "PATH",
    "PI_CODING_AGENT_DIR",
    "PWD",
    "SPACE_ID",
];

/// Switches of pi (its `docs/environment-variables.md`) that keep it from looking for updates
/// and model catalogues at every start. The request may say otherwise.
const QUIET: &[(&str, &str)] = &[("PI_OFFLINE", "1"), ("PI_SKIP_VERSION_CHECK", "1"), ("PI_TELEMETRY", "0")];

pub fn for_pi(
    inherited: impl IntoIterator<Item = (OsString, OsString)>,
    place: &Place,
    request: &Request,
    credentials: &Credentials,
    proxy_port: Option<u16>,
) -> BTreeMap<OsString, OsString> {
    let mut all: BTreeMap<OsString, OsString> = inherited.into_iter().collect();
    all.retain(|name, _| {
        !matches!(name.to_str(), Some("IO_DIR" | "MERCURY_TOOLS_DIR" | "MERCURY_GLOBAL_DIR" | "MERCURY_SKILLS_DIR"))
    });
    for (name, value) in QUIET {
        all.entry((*name).into()).or_insert_with(|| (*value).into());
    }
    for (name, value) in request.environment.iter().chain(&credentials.environment) {
        if usable(name, value) {
            all.insert(name.into(), value.into());
        }
    }
    all.insert("API_SOCKET".into(), place.socket.clone().into());
    // Programs of the old system read it; the host in it is ignored, requests go to the socket.
    all.insert("API_URL".into(), "http://localhost".into());
    all.insert("CALLER_ID".into(), printable(&request.caller_id));
    all.insert("HOME".into(), place.home.clone().into());
    // For the `subagent` tool.
    all.insert("MERCURY_SUBAGENT_MODELS".into(), subagent_models(&request.model));
    all.insert("PATH".into(), search_path(place));
    all.insert("PI_CODING_AGENT_DIR".into(), place.agent_dir.clone().into());
    all.insert("SPACE_ID".into(), printable(&request.space_id));
    if let Some(port) = proxy_port {
        point_at_proxy(&mut all, port);
    }
    all
}

/// Variables that lead around the host's proxy, or to another one.
const OTHER_PROXIES: &[&str] = &["ALL_PROXY", "all_proxy", "FTP_PROXY", "ftp_proxy"];

/// The variables that curl, git, pip, npm, Go and pi itself look at. curl takes `http_proxy` in
/// lower case only; Node's own `fetch` looks at them only if it is told to (since 22.21 and 24).
fn point_at_proxy(all: &mut BTreeMap<OsString, OsString>, port: u16) {
    for name in OTHER_PROXIES {
        all.remove(std::ffi::OsStr::new(name));
    }
    let proxy = format!("http://127.0.0.1:{port}");
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
        all.insert(name.into(), proxy.clone().into());
    }
    for name in ["NO_PROXY", "no_proxy"] {
        all.insert(name.into(), "127.0.0.1,localhost,::1".into());
    }
    all.insert("NODE_USE_ENV_PROXY".into(), "1".into());
}

/// A name or value that no environment can hold would make the start of pi fail.
fn usable(name: &str, value: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0') && !RESERVED.contains(&name)
}

fn printable(text: &str) -> OsString {
    text.replace('\0', "").into()
}

/// The run's own models, and those that the host permits beside them.
fn subagent_models(settings: &ModelSettings) -> OsString {
    let chain = settings.chain.iter().map(|leg| format!("{}/{}", leg.provider, leg.model));
    let all: Vec<String> = chain.chain(settings.subagent_models.iter().cloned()).collect();
    printable(&serde_json::Value::from(all).to_string())
}

/// Ours first, so that an image with an `mrctl` of its own still gets the one that fits the host.
fn search_path(place: &Place) -> OsString {
    let mut path = place.tools_dir.join("bin").into_os_string();
    path.push(":");
    path.push(&place.path);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_keep_our_values_and_the_io_directory_is_not_told() {
        let place = Place::from_environment(|name| (name == "PATH").then(|| "/bin".into()));
        let request: Request = serde_json::from_value(serde_json::json!({
            "runId": "r", "spaceId": "s", "spaceWorkspace": "/spaces/s", "prompt": "x", "callerId": "api:c",
            "model": {"chain": [{"provider": "a", "model": "m"}], "subagentModels": ["a/*"]},
            "environment": {"PATH": "/evil", "CALLER_ID": "admin", "IO_DIR": "/x", "TZ": "UTC", "A": "request", "PI_OFFLINE": "0"},
        }))
        .unwrap();
        let credentials =
            Credentials { environment: [("A".into(), "credential".into()), ("HOME".into(), "/".into())].into() };
        let inherited = [("IO_DIR".into(), "/run/mercury-io".into()), ("LANG".into(), "C.UTF-8".into())];
        let all = for_pi(inherited, &place, &request, &credentials, None);
        let get = |name: &str| all.get(std::ffi::OsStr::new(name)).and_then(|it| it.to_str());
        assert_eq!(get("PATH"), Some("/opt/mercury/bin:/bin"));
        assert_eq!(get("CALLER_ID"), Some("api:c"));
        assert_eq!(get("SPACE_ID"), Some("s"));
        assert_eq!(get("HOME"), Some("/home/mercury"));
        assert_eq!(get("API_SOCKET"), Some("/run/mercury/api.sock"));
        assert_eq!(get("PI_CODING_AGENT_DIR"), Some("/home/mercury/.pi/agent"));
        assert_eq!((get("A"), get("TZ"), get("LANG")), (Some("credential"), Some("UTC"), Some("C.UTF-8")));
        assert_eq!((get("PI_OFFLINE"), get("PI_TELEMETRY")), (Some("0"), Some("0")));
        assert_eq!(get("IO_DIR"), None);
        assert_eq!(get("MERCURY_SUBAGENT_MODELS"), Some(r#"["a/m","a/*"]"#));
    }

    #[test]
    fn a_filtered_agent_is_led_to_the_proxy_and_to_no_other() {
        let place = Place::from_environment(|_| None);
        let request: Request = serde_json::from_value(serde_json::json!({
            "runId": "r", "spaceId": "s", "spaceWorkspace": "/spaces/s", "prompt": "x", "callerId": "api:c",
            "environment": {"HTTPS_PROXY": "http://corp:3128", "ALL_PROXY": "socks5://corp", "no_proxy": "*"},
        }))
        .unwrap();
        let all = for_pi([], &place, &request, &Credentials::default(), Some(4000));
        let get = |name: &str| all.get(std::ffi::OsStr::new(name)).and_then(|it| it.to_str());
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
            assert_eq!(get(name), Some("http://127.0.0.1:4000"), "{name}");
        }
        assert_eq!((get("ALL_PROXY"), get("no_proxy")), (None, Some("127.0.0.1,localhost,::1")));
        let open = for_pi([], &place, &request, &Credentials::default(), None);
        assert_eq!(
            open[std::ffi::OsStr::new("HTTPS_PROXY")],
            "http://corp:3128",
            "an open agent keeps the operator's own"
        );
    }
}
