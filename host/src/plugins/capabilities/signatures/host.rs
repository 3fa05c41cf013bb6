use mercury_bindings::mercury::plugin::signatures::Host;

use crate::plugins::state::State;

impl Host for State {
    async fn ed25519(&mut self, _key: Vec<u8>, _message: Vec<u8>, _signature: Vec<u8>) -> wasmtime::Result<bool> {
        self.count_call()?;
        Ok(false)
    }

    async fn rsa_sha256(
        &mut self,
        _modulus: Vec<u8>,
        _exponent: Vec<u8>,
        _message: Vec<u8>,
        _signature: Vec<u8>,
    ) -> wasmtime::Result<bool> {
        self.count_call()?;
        Ok(false)
    }

    async fn sha256(&mut self, message: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        self.count_call()?;
        Ok(<sha2::Sha256 as sha2::Digest>::digest(&message).to_vec())
    }
}
