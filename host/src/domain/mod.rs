//! Types and decisions. Pure: nothing in here reads a clock, a file or a socket.

pub mod capabilities;
pub mod decision;
pub mod failure;
pub mod ids;
pub mod outcome;
pub mod roles;
pub mod run;
pub mod stages;
