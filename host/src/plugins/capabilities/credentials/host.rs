use hmac::{Hmac, KeyInit, Mac};
use mercury_bindings::mercury::plugin::credentials::{Error, Host};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Unusable;
use crate::plugins::state::State;

/// Comparisons that may fail in one call of the component: a webhook brings one candidate or a few,
/// and more would be guessing.
const MOST_MISMATCHES: u32 = 16;

impl State {
    /// Why the secret could not be compared or signed with: for a call whose answer is recorded.
    pub(in crate::plugins) fn refused_comparison(&self, name: &str) -> Option<Unusable> {
        self.access.secrets.for_comparison(name).err()
    }
}

impl Host for State {
    async fn present(&mut self, name: String) -> wasmtime::Result<bool> {
        self.count_call()?;
        Ok(self.access.secrets.is_present(&name))
    }

    async fn matches(&mut self, name: String, candidate: String) -> wasmtime::Result<Result<bool, Error>> {
        self.count_call()?;
        if self.mismatches >= MOST_MISMATCHES {
            let reason = format!("credentials: more than {MOST_MISMATCHES} comparisons of one call did not match");
            return Ok(Err(Error::Denied(reason)));
        }
        let same = match self.access.secrets.for_comparison(&name) {
            // Over digests, so that not even the length is told by the time it takes.
            Ok(secret) => bool::from(Sha256::digest(secret).as_slice().ct_eq(Sha256::digest(&candidate).as_slice())),
            Err(unusable) => return Ok(Err(unusable.into())),
        };
        self.mismatches += u32::from(!same);
        Ok(Ok(same))
    }

    async fn hmac_sha256(&mut self, name: String, message: Vec<u8>) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        self.count_call()?;
        let signed = match self.access.secrets.for_comparison(&name) {
            Ok(secret) => Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map(|mac| mac.chain_update(&message)),
            Err(unusable) => return Ok(Err(unusable.into())),
        };
        Ok(signed
            .map(|mac| mac.finalize().into_bytes().to_vec())
            .map_err(|_| Error::Other("credentials: the secret is no key".into())))
    }
}

impl From<Unusable> for Error {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Missing { .. } => Self::Missing(unusable.to_string()),
            _ => Self::Denied(unusable.to_string()),
        }
    }
}
