//! Types and decisions. Pure: nothing in here reads a clock, a file or a socket.

pub mod additions;
pub mod admins;
pub mod allowance;
pub mod approval;
pub mod budget;
pub mod capabilities;
pub mod chat;
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
pub mod media;
pub mod outbound;
pub mod outcome;
pub mod page;
pub mod price;
pub mod roles;
pub mod run;
pub mod schedule;
pub mod session;
pub mod stages;
pub mod trigger;
pub mod words;
