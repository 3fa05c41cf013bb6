//! What a recording answers for the host.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use wasmtime::component::{Linker, Val, types::ComponentFunc};

use super::{
    recording::{Exchange, Recording},
    refusal::{self, Refusal, succeeded},
    values,
};
use crate::plugins::state::State;

/// Answers the functions of one interface from the script.
pub(super) fn link(
    linker: &mut Linker<State>,
    name: &str,
    interface: &str,
    functions: Vec<String>,
    script: &Arc<Mutex<Script>>,
) -> wasmtime::Result<()> {
    let mut instance = linker.instance(name)?;
    for function in functions {
        let call = format!("{interface}.{function}");
        let script = script.clone();
        instance.func_new_async(&function, move |mut store, ty, arguments, results| {
            let (call, script) = (call.clone(), script.clone());
            Box::new(async move {
                store.data_mut().count_call()?;
                let given = arguments.iter().map(values::to_json).collect::<Result<_, _>>();
                let given = Value::Array(given.map_err(wasmtime::Error::msg)?);
                let refusal = refusal::of(store.data_mut(), &call, &given).await;
                let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
                script.answer(&call, &ty, given, refusal, results).map_err(wasmtime::Error::msg)
            })
        })?;
    }
    Ok(())
}

/// The host's part of a recorded call.
pub(super) struct Script {
    left: Vec<Exchange>,
    pub(super) log: Vec<String>,
    /// What went wrong first: the trap that it causes says less.
    pub(super) complaint: Option<String>,
}

impl Script {
    pub(super) fn new(recording: &Recording) -> Self {
        let left = recording.traffic.iter().filter(|exchange| !exchange.call.starts_with("log."));
        Self { left: left.cloned().collect(), log: Vec::new(), complaint: None }
    }

    /// Takes the first exchange that is left and fits. The order of different calls is not looked at: a
    /// component may ask for the same things in another way.
    fn answer(
        &mut self,
        call: &str,
        ty: &ComponentFunc,
        given: Value,
        refusal: Option<Refusal>,
        results: &mut [Val],
    ) -> Result<(), String> {
        if call == "log.write" {
            let text = |index: usize| given[index].as_str().unwrap_or_default();
            self.log.push(format!("{}: {}", text(0), text(1)));
            return Ok(());
        }
        let outcome = self.take(call, ty, given, refusal).and_then(|answer| {
            for (slot, ty) in results.iter_mut().zip(ty.results()) {
                let path = format!("traffic: the answer of {call}");
                *slot = values::from_json(&answer, &ty, &path).map_err(|misfit| misfit.to_string())?;
            }
            Ok(())
        });
        if let Err(message) = &outcome {
            self.complaint.get_or_insert_with(|| message.clone());
        }
        outcome
    }

    /// The recorded answer; or the host's own refusal, where it would not do what is asked.
    fn take(
        &mut self,
        call: &str,
        ty: &ComponentFunc,
        given: Value,
        refusal: Option<Refusal>,
    ) -> Result<Value, String> {
        // What was left out in a file written by hand (an absent option) is filled in before comparing.
        let complete = |exchange: &Exchange| {
            let typed = ty.params().zip(&exchange.arguments);
            let typed = typed.map(|((name, ty), json)| {
                let value =
                    values::from_json(json, &ty, &format!("traffic: {call}: {name}")).map_err(|e| e.to_string())?;
                values::to_json(&value)
            });
            typed.collect::<Result<Vec<_>, _>>().map(Value::Array)
        };
        let mut nearest = None;
        for (index, exchange) in self.left.iter().enumerate().filter(|(_, exchange)| exchange.call == call) {
            let wanted = complete(exchange)?;
            if wanted == given {
                return match refusal {
                    Some(refusal) if succeeded(&exchange.answer) => {
                        Err(format!("it called {call}, which the host refuses: {}", refusal.reason))
                    }
                    _ => Ok(self.left.remove(index).answer),
                };
            }
            nearest.get_or_insert(wanted);
        }
        if let Some(refusal) = refusal {
            self.log.push(format!("refused by the host: {}", refusal.reason));
            return Ok(refusal.answer);
        }
        Err(match nearest {
            Some(wanted) => {
                let names: Vec<_> = ty.params().map(|(name, _)| name.to_owned()).collect();
                let named = |values: &Value| {
                    let values = values.as_array().cloned().unwrap_or_default();
                    Value::Object(names.iter().cloned().zip(values).collect())
                };
                let lines = values::differences(&named(&wanted), &named(&given)).join("\n  ");
                format!("it called {call} with other arguments than recorded:\n  {lines}")
            }
            None => format!("it called {call}, which is not in the recording, with {}", values::summary(&given)),
        })
    }

    pub(super) fn left_over(&self) -> Option<String> {
        let first = self.left.first()?;
        let arguments = values::summary(&Value::Array(first.arguments.clone()));
        Some(format!("it did not call {}, which is in the recording, with {arguments}", first.call))
    }
}
