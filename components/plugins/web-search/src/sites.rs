//! The sites that are known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One entry of `sites.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Site {
    pub id: String,
    pub name: String,
    pub category: String,
    /// As [`crate::template`] reads it.
    #[serde(skip_serializing)]
    pub url: String,
    /// Seconds until the page shows results.
    pub wait_s: u32,
    /// ISO 3166 codes; none: everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    pub required: Vec<String>,
    /// Each with what stands for it when it is not given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub optional: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// The day on which somebody last saw the link work: `2026-11-25`.
    pub checked: Option<String>,
}

#[derive(Debug, Deserialize)]
struct File {
    sites: Vec<Site>,
}

/// # Errors
/// Only where the file in the component is wrong, which the tests rule out.
pub fn all() -> Result<Vec<Site>, String> {
    let file: File = serde_json::from_str(include_str!("sites.json")).map_err(|error| error.to_string())?;
    Ok(file.sites)
}

/// Those of a category, in the order to try them: first those of the region, then those for everywhere.
pub fn of_category(category: &str, region: Option<&str>) -> Result<Vec<Site>, String> {
    let region = region.map(str::to_uppercase);
    let mut sites = all()?;
    sites.retain(|site| {
        let here = site.regions.is_empty() || region.as_ref().is_none_or(|region| site.regions.contains(region));
        site.category == category && here
    });
    sites.sort_by_key(|site| region.is_some() && site.regions.is_empty());
    Ok(sites)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{template, values::Values};

    #[test]
    fn every_site_makes_a_link_of_what_it_requires_and_nothing_else() {
        let sites = all().unwrap();
        for category in ["flights", "hotels", "car-rental", "car-purchase", "apartments"] {
            assert!(sites.iter().any(|site| site.category == category), "{category}");
        }
        for site in sites {
            let given: BTreeMap<_, _> = site
                .required
                .iter()
                .map(|name| {
                    let value = match name.as_str() {
                        "from" | "to" => "TLV",
                        "country" => "IL",
                        "deal" => "rent",
                        "city" | "place" | "postcode" => "New York",
                        _ => "2026-11-01",
                    };
                    (name.clone(), serde_json::json!(value))
                })
                .collect();
            let values = Values::read(&site, &given).unwrap();
            let link = template::fill(&site.url, &values).unwrap_or_else(|error| panic!("{}: {error}", site.id));
            assert!(link.starts_with("https://") && !link.contains(['{', '[', ' ']), "{link}");
        }
    }

    #[test]
    fn the_sites_of_a_region_come_first() {
        let ids =
            |region| of_category("apartments", region).unwrap().into_iter().map(|site| site.id).collect::<Vec<_>>();
        assert_eq!(ids(Some("gb")), ["rightmove", "airbnb", "booking-apartments", "airbnb-monthly"]);
        assert!(ids(None).len() > 6);
        assert!(of_category("boats", None).unwrap().is_empty());
    }
}
