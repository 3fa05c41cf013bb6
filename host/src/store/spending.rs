//! The ledger: one row for every model call that was let through. A row is written before the call,
//! so money that was spent is known whatever happens to the host.
//!
//! Rows outlive the run and the space that they name: a day's budget counts them all.

use rusqlite::{Row, Transaction, params};

use super::{Store, StoreError};
use crate::domain::{
    budget::{self, Budgets, Refusal, Spent},
    ids::RunId,
    price::Tokens,
};

/// A call that is about to be made.
#[derive(Clone, Debug)]
pub struct NewCall {
    pub run: RunId,
    pub space: String,
    pub person: String,
    pub provider: String,
    pub model: String,
    /// Milliseconds since the epoch.
    pub began_at: i64,
    /// What the request alone will cost, roughly: it stands until the call is settled.
    pub asked_tokens: u64,
    /// Millionths of a US dollar; `None` where the price is not known.
    pub asked_micro_usd: Option<u64>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// With the provider's own figures.
    Complete,
    /// It broke off, or its figures never came: what is known, and an estimate of the rest.
    Estimated,
    /// The provider refused it, or was not reached: nothing is charged.
    Failed,
}

impl CallState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Estimated => "estimated",
            Self::Failed => "failed",
        }
    }
}

/// What a call came to.
#[derive(Clone, Debug)]
pub struct CallEnd {
    pub state: CallState,
    pub tokens: Tokens,
    /// `None` where the price is not known.
    pub micro_usd: Option<u64>,
    /// The model that answered, where the provider named it.
    pub model: Option<String>,
    /// Milliseconds since the epoch.
    pub ended_at: i64,
}

/// What the calls of a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSpending {
    pub tokens: Tokens,
    /// `None` where the price of one of them is not known.
    pub micro_usd: Option<u64>,
    /// Of the last call.
    pub provider: String,
    pub model: String,
}

impl Store {
    /// Lets a call through if the budgets allow it, and writes it down: one transaction, so that
    /// calls at the same moment see each other. Returns the row.
    pub async fn admit(&self, call: NewCall, budgets: Budgets) -> Result<Result<i64, Refusal>, StoreError> {
        self.write(move |db| {
            let spent = spent(db, &call, &budgets)?;
            let priced = call.asked_micro_usd.is_some();
            if let Err(refusal) = budget::admit(&budgets, &spent, &format!("{}/{}", call.provider, call.model), priced)
            {
                return Ok(Err(refusal));
            }
            db.execute(
                "INSERT INTO spending (run, space, person, provider, model, began_at, state, input, micro_usd)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'open', ?7, ?8)",
                params![
                    call.run.as_str(),
                    call.space,
                    call.person,
                    call.provider,
                    call.model,
                    call.began_at,
                    signed(call.asked_tokens),
                    call.asked_micro_usd.map(signed)
                ],
            )?;
            Ok(Ok(db.last_insert_rowid()))
        })
        .await
    }

    /// Writes down what the call came to.
    pub async fn end_call(&self, call: i64, settlement: CallEnd) -> Result<(), StoreError> {
        self.write(move |db| {
            let CallEnd { state, tokens, micro_usd, model, ended_at } = &settlement;
            db.execute(
                "UPDATE spending SET state = ?2, input = ?3, output = ?4, cache_read = ?5, cache_write = ?6,
                        micro_usd = ?7, model = coalesce(?8, model), ended_at = ?9 WHERE id = ?1 AND state = 'open'",
                params![
                    call,
                    state.as_str(),
                    signed(tokens.input),
                    signed(tokens.output),
                    signed(tokens.cache_read),
                    signed(tokens.cache_write),
                    micro_usd.map(signed),
                    model,
                    ended_at
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Ends the calls that a predecessor had open: their estimate stands. Returns how many.
    pub async fn close_open_calls(&self) -> Result<usize, StoreError> {
        self.write(|db| db.execute("UPDATE spending SET state = 'estimated' WHERE state = 'open'", [])).await
    }

    /// What a run spent so far; `None` if no provider answered it.
    pub async fn run_spending(&self, run: &RunId) -> Result<Option<RunSpending>, StoreError> {
        let run = run.clone();
        self.read(move |db| {
            let mut rows = db.prepare_cached(
                "SELECT input, output, cache_read, cache_write, micro_usd, provider, model FROM spending
                 WHERE run = ?1 AND state <> 'failed' ORDER BY id",
            )?;
            let mut rows = rows.query([run.as_str()])?;
            let mut sum: Option<RunSpending> = None;
            while let Some(row) = rows.next()? {
                let cost = row.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs);
                let before = sum.take();
                let tokens = before.as_ref().map(|before| before.tokens).unwrap_or_default();
                let micro_usd = match &before {
                    Some(before) => before.micro_usd.zip(cost).map(|(a, b)| a + b),
                    None => cost,
                };
                sum = Some(RunSpending {
                    tokens: Tokens {
                        input: tokens.input + unsigned(row, 0)?,
                        output: tokens.output + unsigned(row, 1)?,
                        cache_read: tokens.cache_read + unsigned(row, 2)?,
                        cache_write: tokens.cache_write + unsigned(row, 3)?,
                        cache_write_long: 0,
                    },
                    micro_usd,
                    provider: row.get(5)?,
                    model: row.get(6)?,
                });
            }
            Ok(sum)
        })
        .await
    }
}

/// Only what a budget asks for is summed up.
fn spent(db: &Transaction<'_>, call: &NewCall, budgets: &Budgets) -> rusqlite::Result<Spent> {
    let mut spent = Spent::default();
    if budgets.run.is_some() {
        spent.run = db
            .prepare_cached("SELECT coalesce(sum(micro_usd), 0) FROM spending WHERE run = ?1")?
            .query_row([call.run.as_str()], |row| unsigned(row, 0))?;
    }
    if budgets.person_day.or(budgets.space_day).or(budgets.day).is_some() {
        let mut day = db.prepare_cached(
            "SELECT coalesce(sum(micro_usd) FILTER (WHERE person = ?2), 0),
                    coalesce(sum(micro_usd) FILTER (WHERE space = ?3), 0),
                    coalesce(sum(micro_usd), 0)
             FROM spending WHERE began_at >= ?1",
        )?;
        (spent.person_day, spent.space_day, spent.day) = day
            .query_row(params![budget::day_start(call.began_at), call.person, call.space], |row| {
                Ok((unsigned(row, 0)?, unsigned(row, 1)?, unsigned(row, 2)?))
            })?;
    }
    Ok(spent)
}

/// SQLite's integers are signed.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|number| number.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::budget::Scope;

    const DAY: i64 = 86_400_000;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        (folder, store)
    }

    fn call(run: &str, person: &str, space: &str, began_at: i64) -> NewCall {
        NewCall {
            run: RunId::from_stored(run.into()),
            space: space.into(),
            person: person.into(),
            provider: "p".into(),
            model: "m".into(),
            began_at,
            asked_tokens: 3,
            asked_micro_usd: Some(10),
        }
    }

    fn settled(micro_usd: Option<u64>) -> CallEnd {
        let tokens = Tokens { input: 7, output: 2, cache_read: 1, ..Tokens::default() };
        CallEnd { state: CallState::Complete, tokens, micro_usd, model: Some("m-2".into()), ended_at: 5 }
    }

    #[tokio::test]
    async fn budgets_are_kept_apart_by_run_person_space_and_day() {
        let (_folder, store) = store();
        let free = Budgets::default();
        for (person, space, at) in [("ada", "a", DAY + 1), ("bob", "a", DAY + 2), ("ada", "b", 5)] {
            let row = store.admit(call("1", person, space, at), free).await.unwrap().unwrap();
            store.end_call(row, settled(Some(100))).await.unwrap();
        }
        let ask = |budgets, call| store.admit(call, budgets);
        let refused = |answer: Result<Result<i64, Refusal>, StoreError>| match answer.unwrap() {
            Ok(_) => None,
            Err(Refusal::Exhausted { scope, .. }) => Some(scope),
            Err(other) => panic!("{other:?}"),
        };
        let now = 2 * DAY - 1;
        let person = Budgets { person_day: Some(100), ..free };
        assert_eq!(refused(ask(person, call("2", "ada", "z", now)).await), Some(Scope::PersonDay));
        assert_eq!(refused(ask(person, call("2", "eve", "a", now)).await), None);
        let space = Budgets { space_day: Some(200), ..free };
        assert_eq!(refused(ask(space, call("2", "eve", "a", now)).await), Some(Scope::SpaceDay));
        assert_eq!(refused(ask(space, call("2", "eve", "b", now)).await), None, "yesterday is over");
        let run = Budgets { run: Some(300), ..free };
        assert_eq!(refused(ask(run, call("1", "eve", "z", now)).await), Some(Scope::Run), "over midnight, too");
        let day = Budgets { day: Some(201), ..free };
        assert_eq!(refused(ask(day, call("3", "x", "y", now)).await), Some(Scope::Day), "open calls count");
    }

    #[tokio::test]
    async fn calls_at_the_same_moment_see_each_other() {
        let (_folder, store) = store();
        let budgets = Budgets { run: Some(1), ..Budgets::default() };
        let calls = (0..8).map(|n| store.admit(call("1", "ada", "a", n), budgets));
        let admitted = futures_util::future::join_all(calls).await;
        assert_eq!(admitted.into_iter().filter(|answer| answer.as_ref().unwrap().is_ok()).count(), 1);
    }

    #[tokio::test]
    async fn a_run_is_summed_up_and_an_unknown_price_stays_unknown() {
        let (_folder, store) = store();
        let run = RunId::from_stored("1".into());
        assert_eq!(store.run_spending(&run).await.unwrap(), None);
        for cost in [Some(100), Some(50)] {
            let row = store.admit(call("1", "ada", "a", 1), Budgets::default()).await.unwrap().unwrap();
            store.end_call(row, settled(cost)).await.unwrap();
            store.end_call(row, settled(Some(9_999))).await.unwrap();
        }
        let spending = store.run_spending(&run).await.unwrap().unwrap();
        assert_eq!((spending.tokens.input, spending.tokens.output, spending.micro_usd), (14, 4, Some(150)));
        assert_eq!((spending.provider.as_str(), spending.model.as_str()), ("p", "m-2"));
        let mut unpriced = call("1", "ada", "a", 1);
        unpriced.asked_micro_usd = None;
        let refused = store.admit(unpriced.clone(), Budgets { day: Some(1), ..Budgets::default() }).await.unwrap();
        assert_eq!(refused, Err(Refusal::Unpriced { model: "p/m".into() }));
        store.admit(unpriced, Budgets::default()).await.unwrap().unwrap();
        assert_eq!(store.run_spending(&run).await.unwrap().unwrap().micro_usd, None);
    }

    #[tokio::test]
    async fn what_a_dead_host_had_open_keeps_its_estimate_and_what_failed_costs_nothing() {
        let (_folder, store) = store();
        let failed = store.admit(call("1", "ada", "a", 1), Budgets::default()).await.unwrap().unwrap();
        let nothing = CallEnd {
            state: CallState::Failed,
            tokens: Tokens::default(),
            micro_usd: Some(0),
            model: None,
            ended_at: 2,
        };
        store.end_call(failed, nothing).await.unwrap();
        store.admit(call("1", "ada", "a", 1), Budgets::default()).await.unwrap().unwrap();
        assert_eq!((store.close_open_calls().await.unwrap(), store.close_open_calls().await.unwrap()), (1, 0));
        let spending = store.run_spending(&RunId::from_stored("1".into())).await.unwrap().unwrap();
        assert_eq!((spending.tokens.input, spending.micro_usd), (3, Some(10)));
    }
}
