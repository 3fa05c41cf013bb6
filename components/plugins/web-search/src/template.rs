//! Addresses with names in them: `{name}` stands for a value, and what is in `[…]` is left out where
//! a value in it is empty.

use crate::values::Values;

/// # Errors
/// A name without a value outside of brackets, or a template that is not well formed.
pub fn fill(template: &str, values: &Values) -> Result<String, String> {
    let mut link = String::new();
    let mut rest = template;
    while let Some(start) = rest.find(['{', '[']) {
        link.push_str(&rest[..start]);
        let (open, from) = rest[start..].split_at(1);
        let end = if open == "{" { '}' } else { ']' };
        let (inside, behind) = from.split_once(end).ok_or_else(|| format!("`{open}` is not closed"))?;
        if open == "{" {
            link.push_str(&known(inside, values)?);
        } else if let Ok(part) = fill(inside, values) {
            link.push_str(&part);
        }
        rest = behind;
    }
    link.push_str(rest);
    Ok(link)
}

fn known(name: &str, values: &Values) -> Result<String, String> {
    values.get(name).filter(|value| !value.is_empty()).ok_or_else(|| format!("there is no value for {name}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::sites;

    fn link(id: &str, given: serde_json::Value) -> Result<String, String> {
        let site = sites::all().unwrap().into_iter().find(|site| site.id == id).unwrap();
        let given: BTreeMap<String, serde_json::Value> = serde_json::from_value(given).unwrap();
        fill(&site.url, &Values::read(&site, &given)?)
    }

    /// examples.md #12
    #[test]
    fn a_flight_to_bangkok() {
        let link = link(
            "google-flights",
            json!({"from": "tlv", "to": "BKK", "depart": "2026-11-01", "return": "2026-11-22", "adults": 2, "children": [7, 3], "stops": "nonstop"}),
        );
        assert_eq!(
            link.unwrap(),
            "https://www.google.com/travel/flights#flt=TLV.BKK.2026-11-01*BKK.TLV.2026-11-22;c:USD;e:0;px:2,c7,c3;t:f;tt:r"
        );
    }

    #[test]
    fn one_way_in_another_cabin_with_an_infant() {
        let link = link(
            "google-flights",
            json!({"from": "LHR", "to": "JFK", "depart": "2026-11-01", "infants": 1, "cabin": "business", "stops": "one", "currency": "gbp"}),
        );
        assert_eq!(
            link.unwrap(),
            "https://www.google.com/travel/flights#flt=LHR.JFK.2026-11-01;c:GBP;e:1;px:1,i0;sc:2;t:f;tt:o"
        );
    }

    #[test]
    fn the_others() {
        for (id, given, expected) in [
            (
                "skyscanner",
                json!({"from": "TLV", "to": "BKK", "depart": "2026-11-01", "return": "2026-11-22", "children": [7, 3], "stops": "nonstop"}),
                "https://www.skyscanner.com/transport/flights/tlv/bkk/261101/261122/?adults=1&children=2&childrensages=7%7C3&cabinclass=economy&currency=USD&stops=!oneOrMore",
            ),
            (
                "booking",
                json!({"city": "São Paulo", "check_in": "2026-11-01", "check_out": "2026-11-03", "children": [4, 9]}),
                "https://www.booking.com/searchresults.html?ss=S%C3%A3o%20Paulo&checkin=2026-11-01&checkout=2026-11-03&group_adults=2&no_rooms=1&group_children=2&age=4&age=9",
            ),
            (
                "kayak-cars",
                json!({"place": "Lisbon", "pick_up": "2026-11-01", "drop_off": "2026-11-03", "pick_up_hour": 9}),
                "https://www.kayak.com/cars/Lisbon/2026-11-01-09h/2026-11-03-10h",
            ),
            (
                "rentalcars",
                json!({"place": "Lisbon", "pick_up": "2026-11-01", "drop_off": "2026-11-03", "country": "Portugal"}),
                "https://www.rentalcars.com/SearchResults.do?country=Portugal&pickUpLocName=Lisbon&depDate=01%2F11%2F2026&retDate=03%2F11%2F2026&depTime=1000&retTime=1000",
            ),
            (
                "autoscout24",
                json!({"country": "DE", "make": "VW", "price_to": 9000, "body": "suv"}),
                "https://www.autoscout24.com/lst/vw?atype=C&cy=D&priceto=9000&bodytype=3&sort=price&desc=0",
            ),
            (
                "cargurus",
                json!({"postcode": "10001", "condition": "new"}),
                "https://www.cargurus.com/Cars/nl_New_Cars.d?zip=10001",
            ),
            ("zillow", json!({"city": "Austin TX", "deal": "rent"}), "https://www.zillow.com/austin-tx/rentals/"),
            ("zillow", json!({"city": "Austin TX", "deal": "buy"}), "https://www.zillow.com/austin-tx/"),
        ] {
            assert_eq!(link(id, given).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let refused = |given| link("google-flights", given).unwrap_err();
        assert!(refused(json!({"to": "BKK"})).contains("from, depart"));
        assert!(refused(json!({"from": "Tel Aviv", "to": "BKK", "depart": "2026-11-01"})).contains("three letters"));
        assert!(refused(json!({"from": "TLV", "to": "BKK", "depart": "1.11.26"})).contains("YYYY-MM-DD"));
        assert!(refused(json!({"from": "TLV", "to": "BKK", "depart": "2026-11-01", "seat": "A"})).contains("`seat`"));
        let back = json!({"from": "TLV", "to": "BKK", "depart": "2026-11-02", "return": "2026-11-01"});
        assert!(refused(back).contains("before"));
    }
}
