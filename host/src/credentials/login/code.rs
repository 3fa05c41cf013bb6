//! The authorization code flow with PKCE (RFC 6749 section 4.1, RFC 7636). The code comes back by the
//! loopback, or is pasted where the browser is on another machine.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::Url;

use super::{Dialogue, LoginError, callback::Callback};
use crate::credentials::{Account, Clock, endpoints, refresh::Tokens, token_set::TokenSet};

/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// What a provider has registered for this client (pi-ai 0.87.1, auth/oauth/anthropic.js and openai-codex.js).
struct Registration {
    authorize: &'static str,
    port: u16,
    path: &'static str,
    scope: &'static str,
    extra: &'static [(&'static str, &'static str)],
}

fn registration(account: Account) -> Registration {
    match account {
        Account::Anthropic => Registration {
            authorize: endpoints::ANTHROPIC_AUTHORIZE,
            port: 53692,
            path: "/callback",
            scope: "org:create_api_key user:profile user:inference user:sessions:claude_code user:mcp_servers user:file_upload",
            extra: &[("code", "true")],
        },
        _ => Registration {
            authorize: endpoints::OPENAI_AUTHORIZE,
            port: 1455,
            path: "/auth/callback",
            scope: "openid profile email offline_access",
            extra: &[
                ("id_token_add_organizations", "true"),
                ("codex_cli_simplified_flow", "true"),
                ("originator", "pi"),
            ],
        },
    }
}

pub(super) async fn sign_in(
    account: Account,
    tokens: &Tokens,
    clock: &Clock,
    dialogue: &impl Dialogue,
) -> Result<TokenSet, LoginError> {
    let registered = registration(account);
    let verifier = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    // Its own secret: `pi` uses the verifier here, which the address would give away.
    let state = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let port = tokens.endpoints.callback_port(registered.port);
    let mut callback = Callback::open(port, registered.path, &state).await;
    let port = callback.as_ref().map_or(port, |callback| callback.port);
    let redirect = format!("http://localhost:{port}{}", registered.path);

    let mut url =
        Url::parse(&tokens.endpoints.at(registered.authorize)).map_err(|e| LoginError::Server(e.to_string()))?;
    url.query_pairs_mut()
        .extend_pairs(registered.extra)
        .append_pair("client_id", account.client_id())
        .append_pair("response_type", "code")
        .append_pair("redirect_uri", &redirect)
        .append_pair("scope", registered.scope)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256")
        .append_pair("state", &state);
    dialogue.visit(url.as_str());

    let question =
        "Sign in with your browser. If it is on another machine, paste the address that it ends on, or the code:";
    let pasted = async {
        loop {
            match dialogue.ask(question).await {
                Some(line) if line.trim().is_empty() => {}
                Some(line) => return pasted_code(&line, &state),
                // Nobody can type: only the browser may come back.
                None => std::future::pending::<()>().await,
            }
        }
    };
    let code = match &mut callback {
        Ok(callback) => tokio::select! {
            arrival = callback.arrival() => arrival.map_err(|detail| LoginError::Denied { detail }),
            code = pasted => code,
            () = tokio::time::sleep(PATIENCE) => Err(LoginError::TimedOut { minutes: PATIENCE.as_secs() / 60 }),
        },
        Err(_) => match dialogue.ask(question).await {
            Some(line) => pasted_code(&line, &state),
            None => Err(LoginError::AnotherSignIn),
        },
    };
    let code = match (code, callback) {
        (Err(LoginError::AnotherSignIn), Err(source)) => return Err(LoginError::NoWayBack { port, source }),
        (code, _) => code?,
    };
    dialogue.progress("Exchanging the code for tokens …");
    let mut parameters = vec![
        ("grant_type", "authorization_code"),
        ("client_id", account.client_id()),
        ("code", &code),
        ("redirect_uri", &redirect),
        ("code_verifier", &verifier),
    ];
    if account == Account::Anthropic {
        parameters.push(("state", &state));
    }
    Ok(tokens.exchange(account, &parameters, clock.now()).await?)
}

/// The code in what a person pasted: the whole address, `code#state`, a query, or the bare code.
fn pasted_code(input: &str, expected: &str) -> Result<String, LoginError> {
    let input = input.trim();
    let from_query = |query: &str| {
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let find = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        (find("code"), find("state"))
    };
    let (code, state) = match Url::parse(input) {
        Ok(url) => from_query(url.query().unwrap_or_default()),
        Err(_) => match input.split_once('#') {
            Some((code, state)) => (Some(code.to_owned()), Some(state.to_owned())),
            None if input.contains("code=") => from_query(input.trim_start_matches('?')),
            None => (Some(input.to_owned()), None),
        },
    };
    if state.is_some_and(|state| state != expected) {
        return Err(LoginError::AnotherSignIn);
    }
    code.filter(|code| !code.is_empty())
        .ok_or_else(|| LoginError::Denied { detail: "there is no code in what was pasted".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_paste() {
        for pasted in [
            "http://localhost:53692/callback?code=the-code&state=s",
            " the-code#s\n",
            "code=the-code&state=s",
            "?code=the-code",
            "the-code",
        ] {
            assert_eq!(pasted_code(pasted, "s").unwrap(), "the-code", "{pasted}");
        }
        assert!(matches!(pasted_code("the-code#t", "s"), Err(LoginError::AnotherSignIn)));
        assert!(matches!(pasted_code("http://localhost/callback?error=x", "s"), Err(LoginError::Denied { .. })));
    }
}
