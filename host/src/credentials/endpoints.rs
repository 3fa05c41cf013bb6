//! The addresses of the providers' sign-in servers. Source of each: pi-ai 0.87.1, `auth/oauth/*.js`.
//!
//! `MERCURY_OAUTH_STAND_IN` puts one server of this machine in the place of all of them, for tests:
//! `https://HOST/PATH` is then asked for as `STAND_IN/HOST/PATH`. Only an address of the loopback is
//! taken, so the setting cannot send a refresh token off the machine, whoever sets it.

use std::net::IpAddr;

use url::{Host, Url};

pub(super) const ANTHROPIC_AUTHORIZE: &str = "https://claude.ai/oauth/authorize";
/// The replaced system asked `console.anthropic.com` for one kind of credential and this one for
/// the other (oauth.md W15); both answer for the same client, and `pi` knows this one only.
pub(super) const ANTHROPIC_TOKEN: &str = "https://platform.claude.com/v1/oauth/token";
pub(super) const OPENAI_AUTHORIZE: &str = "https://auth.openai.com/oauth/authorize";
pub(super) const OPENAI_TOKEN: &str = "https://auth.openai.com/oauth/token";
pub(super) const OPENAI_DEVICE_CODE: &str = "https://auth.openai.com/api/accounts/deviceauth/usercode";
pub(super) const OPENAI_DEVICE_TOKEN: &str = "https://auth.openai.com/api/accounts/deviceauth/token";
pub(super) const OPENAI_DEVICE_VERIFY: &str = "https://auth.openai.com/codex/device";
pub(super) const OPENAI_DEVICE_REDIRECT: &str = "https://auth.openai.com/deviceauth/callback";
pub(super) const GITHUB_TOKEN: &str = "https://api.github.com/copilot_internal/v2/token";

/// The name of the setting.
pub const STAND_IN: &str = "MERCURY_OAUTH_STAND_IN";

/// Where requests to sign-in servers go.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    stand_in: Option<Url>,
}

impl Endpoints {
    /// # Errors
    /// Where `stand_in` is not an http URL of the loopback.
    pub fn new(stand_in: Option<&str>) -> Result<Self, String> {
        let Some(text) = stand_in.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(Self::default()) };
        let url = Url::parse(text).ok().filter(|url| url.scheme() == "http" && is_loopback(url));
        match url {
            Some(url) => Ok(Self { stand_in: Some(url) }),
            None => Err(format!(
                "{STAND_IN} must be http://127.0.0.1:PORT or http://[::1]:PORT: refresh tokens are sent there, and they must not leave this machine"
            )),
        }
    }

    pub fn is_stand_in(&self) -> bool {
        self.stand_in.is_some()
    }

    /// Where `real` is asked for.
    pub(super) fn at(&self, real: &str) -> String {
        match (&self.stand_in, real.split_once("://")) {
            (Some(stand_in), Some((_, rest))) => format!("{}/{rest}", stand_in.as_str().trim_end_matches('/')),
            _ => real.to_owned(),
        }
    }

    /// The port of a sign-in's callback. The providers know `registered`; a stand-in takes any, so
    /// tests do not meet.
    pub(super) fn callback_port(&self, registered: u16) -> u16 {
        if self.is_stand_in() { 0 } else { registered }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_can_stand_in() {
        for refused in ["https://127.0.0.1:1", "http://evil.example", "http://localhost:1", "http://10.0.0.1:1", "x"] {
            assert!(Endpoints::new(Some(refused)).unwrap_err().contains(STAND_IN), "{refused}");
        }
        let endpoints = Endpoints::new(Some("http://127.0.0.1:81/")).unwrap();
        assert_eq!(endpoints.at(ANTHROPIC_TOKEN), "http://127.0.0.1:81/platform.claude.com/v1/oauth/token");
        let real = Endpoints::new(Some(" ")).unwrap();
        assert_eq!((real.at(OPENAI_TOKEN).as_str(), real.callback_port(1455)), (OPENAI_TOKEN, 1455));
    }
}
