use mercury_bindings::mercury::plugin::timers::{Error, Host};

use crate::{
    clock,
    plugins::{capabilities::not_granted, state::State},
};

/// A year, in milliseconds: as far ahead as a timer may be, as `wit/capabilities.wit` says.
const LONGEST: u64 = 365 * 24 * 60 * 60 * 1000;
/// Characters of a timer's name.
const MOST_NAME: usize = 512;

impl Host for State {
    async fn set(&mut self, name: String, after_ms: u64) -> wasmtime::Result<Result<(), Error>> {
        self.count_call()?;
        let most = self.manifest.timers.most;
        if most == 0 {
            return Ok(Err(Error::Denied(not_granted("timers", "[timers] most = …"))));
        }
        if after_ms > LONGEST {
            return Ok(Err(Error::Other("a timer is at most a year ahead".into())));
        }
        if name.chars().count() > MOST_NAME {
            return Ok(Err(Error::Other(format!("a timer's name has at most {MOST_NAME} characters"))));
        }
        let _turn = self.access.turn.lock().await;
        let due_at = clock::millis().saturating_add_unsigned(after_ms);
        Ok(match self.services.store.set_timer(&self.manifest.name, &name, due_at, most).await {
            Ok(true) => {
                self.services.timers.send_replace(());
                Ok(())
            }
            Ok(false) => Err(Error::TooMany),
            Err(error) => {
                tracing::error!(plugin = self.manifest.name, %error, "a timer could not be set");
                Err(Error::Other("the host's database does not answer".into()))
            }
        })
    }

    async fn cancel(&mut self, name: String) -> wasmtime::Result<()> {
        self.count_call()?;
        // Without the grant there is none, and the database is not asked.
        if self.manifest.timers.most == 0 {
            return Ok(());
        }
        let _turn = self.access.turn.lock().await;
        if let Err(error) = self.services.store.cancel_timer(&self.manifest.name, &name).await {
            tracing::error!(plugin = self.manifest.name, %error, "a timer could not be cancelled");
        }
        Ok(())
    }
}
