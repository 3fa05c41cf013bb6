//! Whom somebody means who wants to write to a person: `main`, `telegram:4711`, `+49 170 1234567`.

use super::chat::own_space;

/// The platform of a number that names none, as in the replaced system.
const USUAL_PLATFORM: &str = "whatsapp";
/// Where its telephone numbers live.
const PHONES: &str = "s.whatsapp.net";

/// Where a recipient is looked for, beside a space of exactly this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Ids that may be the person's, whose direct conversation may be linked to any space.
    pub people: Vec<String>,
    /// The space that the person's direct conversation would have of its own.
    pub space: String,
}

/// None where nothing is left that names somebody.
pub fn read(text: &str) -> Option<Recipient> {
    let (platform, native) = match text.trim().split_once(':') {
        Some((platform, native)) => (platform.to_lowercase(), native.trim()),
        None => (USUAL_PLATFORM.to_owned(), text.trim()),
    };
    // A telephone number is written in many ways, and an account of WhatsApp carries its server.
    let (native, server) = match platform == USUAL_PLATFORM {
        true => {
            let (number, server) = native.split_once('@').unwrap_or((native, PHONES));
            let number = number.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_lowercase();
            (number, Some(server))
        }
        false => (native.to_owned(), None),
    };
    if platform.is_empty() || native.is_empty() {
        return None;
    }
    let person = format!("{platform}:{native}");
    let account = server.map(|server| format!("{person}@{server}"));
    Some(Recipient { space: own_space(&platform, &person), people: account.into_iter().chain([person]).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// http-api.md #23 in part.
    #[test]
    fn people_are_named_in_many_ways() {
        for text in ["+49 170-1234567", "491701234567@s.whatsapp.net", "whatsapp:+491701234567", "491701234567@lid"] {
            assert_eq!(read(text).unwrap().space, "dm-491701234567", "{text}");
        }
        let telegram = read("telegram:4711").unwrap();
        assert_eq!((&telegram.people[..], &*telegram.space), (&["telegram:4711".to_owned()][..], "dm-telegram-4711"));
        for (text, account) in
            [("+49 170-1234567", "whatsapp:491701234567@s.whatsapp.net"), ("whatsapp:244@lid", "whatsapp:244@lid")]
        {
            assert_eq!(read(text).unwrap().people[0], account);
        }
        assert_eq!(read("Telegram: 4711"), Some(telegram));
        for nobody in ["", " ", "+", "@lid", "telegram:", ":4711"] {
            assert_eq!(read(nobody), None, "{nobody}");
        }
    }
}
