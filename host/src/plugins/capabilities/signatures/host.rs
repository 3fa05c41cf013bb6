use mercury_bindings::mercury::plugin::signatures::Host;
use sha2::{Digest, Sha256};

use crate::plugins::state::State;

impl Host for State {
    async fn ed25519(&mut self, key: Vec<u8>, message: Vec<u8>, signature: Vec<u8>) -> wasmtime::Result<bool> {
        self.count_call()?;
        Ok(super::ed25519(&key, &message, &signature))
    }

    async fn rsa_sha256(
        &mut self,
        modulus: Vec<u8>,
        exponent: Vec<u8>,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<bool> {
        self.count_call()?;
        Ok(super::rsa_sha256(&modulus, &exponent, &message, &signature))
    }

    async fn sha256(&mut self, message: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        self.count_call()?;
        Ok(Sha256::digest(&message).to_vec())
    }
}
