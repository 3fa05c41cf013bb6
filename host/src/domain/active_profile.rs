//! What of a profile holds from the next start on: a record of a few lines, as the replaced system keeps it.

use serde_json::{Value, json};

use super::{profile::Profile, roles};

/// The record's name in the data directory.
pub const FILE: &str = "active-profile.json";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    pub name: String,
    /// All that members may do where their space says nothing.
    pub members: Option<Vec<String>>,
    /// What agents are told in each run.
    pub prompt: Option<String>,
}

/// The record of a profile; `null` where it says nothing.
pub fn record(profile: &Profile) -> String {
    let prompt = profile.profile_prompt.as_deref().map(str::trim).filter(|prompt| !prompt.is_empty());
    let record = json!({
        "name": profile.name, "memberPermissions": profile.member_permissions, "profilePrompt": prompt,
    });
    format!("{record:#}\n")
}

impl Active {
    /// Reads a record, also one of the replaced system. The second is what is odd about it.
    ///
    /// # Errors
    /// The reason why it is none.
    pub fn read(text: &str) -> Result<(Self, Vec<String>), String> {
        let record: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let name = record["name"].as_str().ok_or("it has no `name`")?.to_owned();
        let mut odd = Vec::new();
        let members = match &record["memberPermissions"] {
            Value::Null => None,
            Value::Array(list) => Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            _ => {
                odd.push("its memberPermissions are no list: members hold what they hold without a profile".to_owned());
                None
            }
        };
        // Before 0.9 was out the field had another name.
        let prompt = record["profilePrompt"].as_str().or_else(|| record["systemPrompt"].as_str()).map(str::trim);
        let prompt = prompt.filter(|prompt| !prompt.is_empty()).map(str::to_owned);
        Ok((Self { name, members: members.map(roles::with_media), prompt }, odd))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(record: Value) -> Active {
        let (active, odd) = Active::read(&record.to_string()).unwrap();
        assert!(odd.is_empty(), "{odd:?}");
        active
    }

    /// permissions.md #15 and cli.md #25 in part.
    #[test]
    fn what_is_written_is_read() {
        let profile = |text: &str| Profile::parse(text).unwrap();
        let full = profile("name: clinic\nmember_permissions: [prompt, rooms]\nprofile_prompt: Be kind.\n");
        let (active, odd) = Active::read(&record(&full)).unwrap();
        let members = ["prompt", "rooms", "media.receive", "media.send"].map(str::to_owned).to_vec();
        let expected = Active { name: "clinic".into(), members: Some(members), prompt: Some("Be kind.".into()) };
        assert_eq!((active, odd), (expected, Vec::new()));
        let bare: Value = serde_json::from_str(&record(&profile("name: general"))).unwrap();
        assert_eq!(bare, json!({ "name": "general", "memberPermissions": null, "profilePrompt": null }));
        let literal = profile("name: a\nmember_permissions: [prompt, media.send]\n");
        assert_eq!(Active::read(&record(&literal)).unwrap().0.members.unwrap(), ["prompt", "media.send"]);
    }

    /// permissions.md #14 #15 in part: records of the replaced system.
    #[test]
    fn old_records_are_read() {
        assert_eq!(read(json!({ "name": "a", "systemPrompt": "old" })).prompt.as_deref(), Some("old"));
        assert_eq!(read(json!({ "name": "a", "systemPrompt": "old", "profilePrompt": "new" })).prompt.unwrap(), "new");
        assert_eq!(read(json!({ "name": "a", "profilePrompt": " \n" })).prompt, None);
        let (active, odd) = Active::read("{\"name\": \"a\", \"memberPermissions\": \"prompt\"}").unwrap();
        assert!(active.members.is_none() && odd[0].contains("no list"), "{odd:?}");
        for broken in ["", "{", "[]", "{}", "{\"name\": 1}"] {
            assert!(Active::read(broken).is_err(), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn a_record_keeps_what_it_was_given(members in prop::option::of(prop::collection::vec("[a-z.]{1,8}", 0..6)), prompt in prop::option::of("[ -~]{0,40}")) {
            let profile = Profile { member_permissions: members.clone(), profile_prompt: prompt.clone(), ..Profile::parse("name: a").unwrap() };
            let (active, _) = Active::read(&record(&profile)).unwrap();
            prop_assert_eq!(active.members, members.map(roles::with_media));
            let prompt = prompt.map(|prompt| prompt.trim().to_owned()).filter(|prompt| !prompt.is_empty());
            prop_assert_eq!(active.prompt, prompt);
        }
    }
}
