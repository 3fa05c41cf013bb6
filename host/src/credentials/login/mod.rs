//! Signing in with an account: each provider's own flow, as `pi` goes it (pi-ai 0.87.1,
//! `auth/oauth/*.js`), and the result in the same file that renewals write, under the same lock.

mod callback;
mod code;
mod device;

use std::{io, path::PathBuf};

use super::{
    Account, AuthFile, Clock, Endpoints, http::Http, refresh::RefreshError, refresh::Tokens, token_set::TokenSet,
};

/// What a flow shows to a person and asks of one.
pub trait Dialogue: Send + Sync {
    /// A page to be visited, by whatever browser.
    fn visit(&self, url: &str);
    /// A page to be visited, and the code to be typed there.
    fn enter_code(&self, url: &str, code: &str);
    fn progress(&self, text: &str);
    /// A line that the person types; `None` where nobody can.
    fn ask(&self, question: &str) -> impl Future<Output = Option<String>> + Send;
}

/// What a person may choose beforehand.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// A code that is typed on another machine, where the provider has both ways.
    pub device_code: bool,
    /// The address of a GitHub Enterprise; asked for where absent.
    pub enterprise: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error("the sign-in was not completed within {minutes} minutes. Start it again")]
    TimedOut { minutes: u64 },
    #[error("the provider did not grant the sign-in: {detail}")]
    Denied { detail: String },
    #[error("what was pasted belongs to another sign-in. Paste the address that this one led to")]
    AnotherSignIn,
    #[error(
        "no code came: the port {port} for the browser's answer is taken ({source}), and nothing was pasted. Free the port, or paste the address that the browser ends on"
    )]
    NoWayBack { port: u16, source: io::Error },
    #[error(
        "the sign-in server's answer is not understood or missing: {0}. Try again; if it lasts, look at the provider's status page"
    )]
    Server(String),
    #[error("signed in, but {} cannot be written: {source}. Mend that, then sign in again", path.display())]
    Save { path: PathBuf, source: io::Error },
}

impl From<RefreshError> for LoginError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Rejected { code } => Self::Denied { detail: code },
            RefreshError::Transient { detail, .. } => Self::Server(detail),
        }
    }
}

/// Signs in and keeps the result in `file`. Dropping the future ends the sign-in with nothing changed.
pub async fn login(
    account: Account,
    file: &AuthFile,
    endpoints: Endpoints,
    wishes: &Wishes,
    dialogue: &impl Dialogue,
) -> Result<(), LoginError> {
    let tokens = Tokens { http: Http::for_endpoints(&endpoints), endpoints };
    let clock = Clock::default();
    let signed_in = match account {
        Account::GithubCopilot => device::copilot(&tokens, wishes.enterprise.as_deref(), dialogue).await?,
        Account::OpenaiCodex if wishes.device_code => device::codex(&tokens, &clock, dialogue).await?,
        Account::Anthropic | Account::OpenaiCodex => code::sign_in(account, &tokens, &clock, dialogue).await?,
    };
    keep(account, file.clone(), Some(signed_in)).await
}

/// Forgets the sign-in, and says whether there was one.
pub async fn logout(provider: &str, file: &AuthFile) -> Result<bool, LoginError> {
    let (provider, file) = (provider.to_owned(), file.clone());
    blocking(file, move |file| {
        if !file.read().contains_key(&provider) {
            return Ok(false);
        }
        let _lock = file.lock()?;
        file.replace(&provider, None).map(|()| true)
    })
    .await
}

async fn keep(account: Account, file: AuthFile, tokens: Option<TokenSet>) -> Result<(), LoginError> {
    blocking(file, move |file| {
        let _lock = file.lock()?;
        file.replace(account.id(), tokens.map(|tokens| tokens.to_entry()))
    })
    .await
}

async fn blocking<T: Send + 'static>(
    file: AuthFile,
    work: impl FnOnce(&AuthFile) -> io::Result<T> + Send + 'static,
) -> Result<T, LoginError> {
    let path = file.path().to_owned();
    let done = tokio::task::spawn_blocking(move || work(&file)).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|source| LoginError::Save { path, source })
}
