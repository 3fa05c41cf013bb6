use mercury_bindings::mercury::plugin::kv::{Error, Host};

use crate::{
    plugins::{capabilities::not_granted, state::State},
    store::KvError,
};

/// The largest value: 1 MiB, as `wit/capabilities.wit` says.
const MOST_VALUE: usize = 1 << 20;
/// The longest key, in bytes: 4 KiB: a thousand of them are one answer.
const MOST_KEY: usize = 4 << 10;

impl State {
    /// The quota, or the error that names the missing line of the manifest.
    fn quota(&mut self) -> wasmtime::Result<Result<u64, Error>> {
        self.count_call()?;
        Ok(match self.manifest.kv.quota_bytes {
            0 => Err(Error::Denied(not_granted("kv", "[kv] quota-bytes = …"))),
            quota => Ok(quota),
        })
    }

    async fn store_value(
        &mut self,
        key: String,
        value: Vec<u8>,
        expected: Option<Option<Vec<u8>>>,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let quota = match self.quota()? {
            Ok(quota) => quota,
            Err(error) => return Ok(Err(error)),
        };
        if value.len() > MOST_VALUE || key.len() > MOST_KEY {
            return Ok(Err(Error::TooLarge));
        }
        let _turn = self.access.turn.lock().await;
        Ok(self.services.store.kv_set(&self.manifest.name, &key, value, expected, quota).await.map_err(|error| {
            match error {
                KvError::Quota { .. } | KvError::Keys => Error::QuotaExceeded,
                KvError::Store(error) => storage(error),
            }
        }))
    }
}

impl Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        if let Err(error) = self.quota()? {
            return Ok(Err(error));
        }
        let _turn = self.access.turn.lock().await;
        Ok(self.services.store.kv_get(&self.manifest.name, &key).await.map_err(storage))
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.store_value(key, value, None).await?.map(drop))
    }

    async fn replace(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, Error>> {
        self.store_value(key, value, Some(expected)).await
    }

    async fn remove(&mut self, key: String) -> wasmtime::Result<Result<bool, Error>> {
        if let Err(error) = self.quota()? {
            return Ok(Err(error));
        }
        let _turn = self.access.turn.lock().await;
        Ok(self.services.store.kv_remove(&self.manifest.name, &key).await.map_err(storage))
    }

    async fn keys(&mut self, prefix: String, after: Option<String>) -> wasmtime::Result<Result<Vec<String>, Error>> {
        if let Err(error) = self.quota()? {
            return Ok(Err(error));
        }
        let _turn = self.access.turn.lock().await;
        Ok(self.services.store.kv_keys(&self.manifest.name, &prefix, after.as_deref()).await.map_err(storage))
    }
}

/// The guest learns that storage failed; where the database lies is the operator's business.
fn storage(error: crate::store::StoreError) -> Error {
    tracing::error!(%error, "a plugin's state could not be read or written");
    Error::Storage("the host's database does not answer".into())
}
