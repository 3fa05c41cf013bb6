//! Types and decisions. Pure: nothing in here reads a clock, a file or a socket.

pub mod additions;
pub mod allowance;
pub mod approval;
pub mod batch;
pub mod budget;
pub mod capabilities;
pub mod chat;
pub mod command;
pub mod context;
pub mod decision;
pub mod egress;
pub mod environment;
pub mod excerpt;
pub mod failure;
pub mod ids;
pub mod install;
#[cfg(test)]
mod interleavings;
pub mod json;
pub mod limits;
pub mod media;
pub mod mute;
pub mod notices;
pub mod outbound;
pub mod outcome;
pub mod pause;
pub mod price;
pub mod queue;
pub mod roles;
pub mod run;
pub mod schedule;
pub mod space_settings;
pub mod stages;
pub mod trigger;
pub mod words;
