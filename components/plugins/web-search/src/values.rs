//! What a person wants, checked, and in the forms that the sites' links want it.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::sites::Site;

/// What stays as it is in an address (RFC 3986, unreserved).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Names and their values, percent-encoded where they came from a person.
#[derive(Clone, Debug)]
pub struct Values(BTreeMap<String, String>);

/// Names that hold days.
const DAYS: &[&str] = &["depart", "return", "check_in", "check_out", "pick_up", "drop_off"];

impl Values {
    /// # Errors
    /// What is missing, unknown or wrong, with what it should be.
    pub fn read(site: &Site, given: &BTreeMap<String, Value>) -> Result<Self, String> {
        let has = |name: &String| given.get(name).is_some_and(|value| !text(value).is_empty());
        let missing: Vec<_> = site.required.iter().filter(|name| !has(name)).map(String::as_str).collect();
        if !missing.is_empty() {
            return Err(format!("{} needs {}; ask for it first", site.id, missing.join(", ")));
        }
        let known = |name: &String| site.required.contains(name) || site.optional.contains_key(name);
        if let Some(unknown) = given.keys().find(|name| !known(name)) {
            let names: Vec<_> = site.required.iter().chain(site.optional.keys()).map(String::as_str).collect();
            return Err(format!("{} knows no `{unknown}`; it takes {}", site.id, names.join(", ")));
        }
        let mut values = site.optional.clone();
        values.extend(given.iter().map(|(name, value)| (name.clone(), text(value))));
        let plain = |name: &str| values.get(name).cloned().unwrap_or_default();
        for day in DAYS.iter().map(|name| plain(name)).filter(|day| !day.is_empty()) {
            if !is_day(&day) {
                return Err(format!("`{day}` is no day; write YYYY-MM-DD"));
            }
        }
        for (first, last) in [("depart", "return"), ("check_in", "check_out"), ("pick_up", "drop_off")] {
            let (first, last) = (plain(first), plain(last));
            if !last.is_empty() && last < first {
                return Err(format!("{last} is before {first}"));
            }
        }
        let mut all = derived(site, &plain)?;
        for (name, value) in &values {
            all.entry(name.clone()).or_insert_with(|| utf8_percent_encode(value, PLAIN).to_string());
        }
        Ok(Self(all))
    }

    pub fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

/// Lists with commas, numbers as digits.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn is_day(text: &str) -> bool {
    let mut parts = text.split('-').map(|part| (part.len(), part.parse::<u32>()));
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let fits = |part: Option<(usize, Result<u32, _>)>, length, range: std::ops::RangeInclusive<u32>| matches!(part, Some((found, Ok(number))) if found == length && range.contains(&number));
    fits(year, 4, 2000..=2999) && fits(month, 2, 1..=12) && fits(day, 2, 1..=31) && parts.next().is_none()
}

/// Forms that a site wants and no person says.
fn derived(site: &Site, plain: &dyn Fn(&str) -> String) -> Result<BTreeMap<String, String>, String> {
    let mut all = BTreeMap::new();
    let mut put = |name: &str, value: String| {
        all.insert(name.to_owned(), value);
    };
    if site.category == "flights" {
        let (from, to, depart, back) =
            (airport(&plain("from"))?, airport(&plain("to"))?, plain("depart"), plain("return"));
        let there = format!("{from}.{to}.{depart}");
        put("legs", if back.is_empty() { there } else { format!("{there}*{to}.{from}.{back}") });
        put("trip", if back.is_empty() { "tt:o" } else { "tt:r" }.to_owned());
        put("from_lower", from.to_lowercase());
        put("to_lower", to.to_lowercase());
        put("depart_short", depart.replace('-', "")[2..].to_owned());
        put("return_short", back.replace('-', "").get(2..).unwrap_or_default().to_owned());
        let stops = plain("stops");
        let code = one_of("stops", &stops, &[("nonstop", "0"), ("one", "1"), ("any", "2")])?;
        put("stops_code", code.to_owned());
        put("nonstop_only", if code == "0" { "&stops=!oneOrMore" } else { "" }.to_owned());
        let cabin = plain("cabin");
        let cabins = [("economy", ""), ("premium", ";sc:1"), ("business", ";sc:2"), ("first", ";sc:3")];
        // Economy is what the site takes without a word.
        let code = one_of("cabin", &cabin, &cabins)?;
        let people = passengers(&plain("adults"), &plain("children"), &plain("infants"))?;
        put("passengers", format!("{people}{code}"));
        put("cabin_word", if cabin == "premium" { "premiumeconomy".to_owned() } else { cabin });
        let currency = plain("currency").to_uppercase();
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("`{currency}` is no currency; write its three letters"));
        }
        put("currency", currency);
    }
    let ages = children(&plain("children"))?;
    put("children_count", if ages.is_empty() { String::new() } else { ages.len().to_string() });
    put("children_ages", ages.iter().map(u32::to_string).collect::<Vec<_>>().join("%7C"));
    put("children_as_age", ages.iter().map(|age| format!("&age={age}")).collect());
    for name in ["pick_up", "drop_off"] {
        let day = plain(name);
        let slashed = day.rsplit('-').collect::<Vec<_>>().join("%2F");
        put(&format!("{name}_slashed"), slashed);
        let hour = plain(&format!("{name}_hour"));
        if !hour.is_empty() {
            let number: u32 = hour.parse().ok().filter(|hour| *hour < 24).ok_or(format!("`{hour}` is no hour"))?;
            put(&format!("{name}_hour"), format!("{number:02}"));
        }
    }
    for name in ["make", "model"] {
        put(&format!("{name}_lower"), dashed(&plain(name)));
    }
    put("city_dashed", dashed(&plain("city")));
    let country = plain("country").to_uppercase();
    let plates =
        [("DE", "D"), ("AT", "A"), ("IT", "I"), ("ES", "E"), ("FR", "F"), ("BE", "B"), ("NL", "NL"), ("LU", "L")];
    let plate = plates.iter().find(|(code, _)| *code == country).map_or("", |(_, plate)| plate);
    put("country_plate", plate.to_owned());
    put("body_code", if plain("body") == "suv" { "3" } else { "" }.to_owned());
    let condition = plain("condition");
    if !condition.is_empty() {
        let codes = [("used", "nl_Used_Cars.d"), ("new", "nl_New_Cars.d")];
        put("condition_code", one_of("condition", &condition, &codes)?.to_owned());
    }
    let deal = plain("deal");
    if !deal.is_empty() {
        one_of("deal", &deal, &[("rent", ""), ("buy", "")])?;
        let rent = deal == "rent";
        put("deal_yad2", if rent { "rent" } else { "forsale" }.to_owned());
        put("deal_idealista", if rent { "alquiler-viviendas" } else { "venta-viviendas" }.to_owned());
        put("rentals", if rent { "rentals/" } else { "" }.to_owned());
    }
    Ok(all)
}

fn one_of<'a>(name: &str, value: &str, choices: &[(&str, &'a str)]) -> Result<&'a str, String> {
    let found = choices.iter().find(|(choice, _)| *choice == value).map(|(_, code)| *code);
    found.ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
        format!("{name} is `{value}`; use {}", names.join(", "))
    })
}

fn airport(code: &str) -> Result<String, String> {
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        Ok(code.to_uppercase())
    } else {
        Err(format!("`{code}` is no airport; write its three letters, such as TLV"))
    }
}

/// `2,c7,c3,i0`: adults, children with their ages, infants on a lap.
fn passengers(adults: &str, ages: &str, infants: &str) -> Result<String, String> {
    let number = |what: &str, text: &str, range: std::ops::RangeInclusive<u32>| {
        let number = text.parse::<u32>().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("{what} is `{text}`; use {} to {}", range.start(), range.end()))
    };
    let mut all = number("adults", adults, 1..=9)?.to_string();
    for age in children(ages)? {
        all.push_str(&format!(",c{age}"));
    }
    let infants = if infants.is_empty() { 0 } else { number("infants", infants, 0..=4)? };
    all.push_str(&",i0".repeat(infants as usize));
    Ok(all)
}

/// Ages, separated by commas.
fn children(ages: &str) -> Result<Vec<u32>, String> {
    let ages = ages.split(',').map(str::trim).filter(|age| !age.is_empty());
    ages.map(|age| {
        let years = age.parse().ok().filter(|years| *years < 18);
        years.ok_or_else(|| format!("`{age}` is no child's age; give their ages, 0 to 17"))
    })
    .collect()
}

fn dashed(text: &str) -> String {
    let words = text.to_lowercase();
    let words: Vec<_> =
        words.split(|letter: char| letter.is_whitespace() || letter == ',').filter(|word| !word.is_empty()).collect();
    utf8_percent_encode(&words.join("-"), PLAIN).to_string()
}
