//! Links that already hold a search, and what the agent is told about them.
//!
//! Pure: the sites are data ([`sites`]), a link is a template with values ([`template`]), and what a
//! template needs of the values is derived in [`values`].

pub mod sites;
pub mod template;
pub mod values;

#[cfg(target_family = "wasm")]
mod component;

/// Behind the browser's own text, which says how other things are searched.
pub const SYSTEM_PROMPT: &str = "Flights, hotels, rental cars, cars to buy and flats are exceptions from the rule about search engines: follow the skill web-search for them, and ask for what it requires before you open any page.";
