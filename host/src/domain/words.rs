//! What a person reads where there is no answer: in their language, and without the machinery.
//!
//! Two voices (container.md section 11): where somebody else runs the models (`platform`), a text
//! never speaks of keys or providers; where the operator brings the keys (`byok`), it says which
//! knob to turn.

use super::{
    budget::Scope,
    failure::{Category, Failure},
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locale {
    #[default]
    English,
    Hebrew,
}

/// Whose keys the models are asked with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    #[default]
    Platform,
    Own,
}

/// How a host speaks to people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voice {
    pub locale: Locale,
    pub keys: Keys,
    /// The management console, without a slash at its end. Only for people of a platform.
    pub console: Option<String>,
}

impl Voice {
    /// One to three sentences that name no machine.
    pub fn explain(&self, failure: &Failure) -> String {
        let pick = |english: &str, hebrew: &str| match self.locale {
            Locale::English => english.to_owned(),
            Locale::Hebrew => hebrew.to_owned(),
        };
        match failure {
            Failure::Timeout { seconds } => pick(
                "This took longer than the {seconds} seconds that I have for one message, so I stopped. Try a smaller step.",
                "זה ארך יותר מ־{seconds} השניות שעומדות לרשותי להודעה אחת, ולכן עצרתי. נסו צעד קטן יותר.",
            )
            .replace("{seconds}", &seconds.to_string()),
            Failure::OutOfMemory { .. } => pick(
                "I ran out of memory over this, so I stopped. Try a smaller step.",
                "נגמר לי הזיכרון באמצע, ולכן עצרתי. נסו צעד קטן יותר.",
            ),
            Failure::Aborted => pick("Stopped.", "נעצר."),
            Failure::Crashed { .. } | Failure::BadResult { .. } | Failure::ForgedResult => pick(
                "Something went wrong while I worked on this. Please try again; if it keeps happening, tell the operator.",
                "משהו השתבש בזמן שעבדתי על זה. נסו שוב, ואם זה חוזר – פנו למפעיל.",
            ),
            Failure::Agent { category, .. } => self.explain_model(*category),
            Failure::NoCredentials { .. } => self.explain_model(Category::Auth),
            Failure::Reconnect { link, .. } => match (link, self.keys) {
                (Some(link), Keys::Platform) => pick(
                    "My sign-in to the language model has expired. Please reconnect it here, then send your message again: {link}",
                    "פג תוקף החיבור שלי למודל השפה. חברו אותו מחדש כאן, ואז שלחו את ההודעה שוב: {link}",
                )
                .replace("{link}", link),
                _ => pick(
                    "My sign-in to the language model has expired. The operator has to reconnect it; then send your message again.",
                    "פג תוקף החיבור שלי למודל השפה. על המפעיל לחבר אותו מחדש; אחר כך שלחו את ההודעה שוב.",
                ),
            },
            Failure::RefreshFailed { .. } => pick(
                "I could not renew my sign-in to the language model just now. Please try again in a minute.",
                "לא הצלחתי לחדש כרגע את החיבור שלי למודל השפה. נסו שוב בעוד דקה.",
            ),
            Failure::OutOfBudget { scope: Scope::Run, .. } => pick(
                "This used up what one request may cost, so I stopped. Please try a smaller step.",
                "הבקשה הזו ניצלה את כל מה שמותר לבקשה אחת לעלות, ולכן עצרתי. נסו צעד קטן יותר.",
            ),
            Failure::OutOfBudget { .. } => pick(
                "The allowance for today is used up. Please try again tomorrow, or ask the operator.",
                "המכסה להיום נוצלה במלואה. נסו שוב מחר, או פנו למפעיל.",
            ),
            Failure::NoPrice { .. } => pick(
                "I may not use this language model yet. The operator has to look at it.",
                "עדיין אסור לי להשתמש במודל השפה הזה. על המפעיל לבדוק זאת.",
            ),
            Failure::ImageMissing { .. }
            | Failure::RuntimeMissing { .. }
            | Failure::DockerUnavailable { .. }
            | Failure::Refused { .. } => pick(
                "I cannot start my workspace at the moment. The operator has to look at it; then send your message again.",
                "אינני מצליח לפתוח את סביבת העבודה שלי כרגע. על המפעיל לבדוק זאת; אחר כך שלחו את ההודעה שוב.",
            ),
            Failure::Storage { .. } => pick(
                "I cannot write my files at the moment. The operator has to look at it; then send your message again.",
                "אינני מצליח לכתוב את הקבצים שלי כרגע. על המפעיל לבדוק זאת; אחר כך שלחו את ההודעה שוב.",
            ),
            Failure::Lost => pick(
                "I was interrupted while I worked on this, and the work is gone. Please send it again.",
                "העבודה שלי נקטעה באמצע והלכה לאיבוד. שלחו את ההודעה שוב, בבקשה.",
            ),
            Failure::Blocked { said, .. } | Failure::Sensitive { said, .. } => said.clone(),
            Failure::HookFailed { .. } => pick(
                "I could not prepare this. Please try again; if it keeps happening, tell the operator.",
                "לא הצלחתי להתכונן לבקשה הזו. נסו שוב, ואם זה חוזר – פנו למפעיל.",
            ),
            Failure::Withheld { .. } => pick(
                "My answer could not be checked, so I may not send it. The operator has to look at it.",
                "לא ניתן היה לבדוק את התשובה שלי, ולכן אסור לי לשלוח אותה. על המפעיל לבדוק זאת.",
            ),
        }
    }

    /// What a model's refusal means for a person.
    fn explain_model(&self, category: Category) -> String {
        let own = self.keys == Keys::Own;
        let (english, hebrew) = match category {
            Category::Auth if own => (
                "The model provider does not accept the API key. Check the key in the settings.",
                "ספק המודל אינו מקבל את מפתח ה־API. בדקו את המפתח בהגדרות.",
            ),
            Category::Auth if self.console.is_some() => {
                ("Your session has expired. Sign in again: {model}", "פג תוקף החיבור שלכם. התחברו מחדש: {model}")
            }
            Category::Auth => (
                "I could not sign in to the language model. The operator has to look at it.",
                "לא הצלחתי להתחבר למודל השפה. על המפעיל לבדוק זאת.",
            ),
            Category::KeyLimit if own => (
                "The API key has reached its limit. Raise the limit with the provider, or wait until it is renewed.",
                "מפתח ה־API הגיע למגבלה שלו. הגדילו אותה אצל הספק, או המתינו עד שתתחדש.",
            ),
            Category::KeyLimit => {
                ("The allowance for the language model is used up.", "המכסה של מודל השפה נוצלה במלואה.")
            }
            Category::Credits if own => (
                "The model provider's credits are used up. Add credits to the account.",
                "נגמרו הקרדיטים אצל ספק המודל. הוסיפו קרדיטים לחשבון.",
            ),
            Category::Credits => {
                ("The credits for the language model are used up.", "הקרדיטים של מודל השפה נוצלו במלואם.")
            }
            Category::RateLimit => (
                "The language model is receiving too many requests at the moment. Please try again in a minute.",
                "מודל השפה מקבל כרגע יותר מדי בקשות. נסו שוב בעוד דקה.",
            ),
            Category::ServerError => (
                "The language model does not answer at the moment. Please try again shortly.",
                "מודל השפה אינו עונה כרגע. נסו שוב בעוד רגע.",
            ),
            Category::Generic => (
                "I could not finish this. Please try again; if it keeps happening, tell the operator.",
                "לא הצלחתי לסיים את זה. נסו שוב, ואם זה חוזר – פנו למפעיל.",
            ),
        };
        let console = self.console.as_deref().filter(|_| !own);
        let text = match self.locale {
            Locale::English => english,
            Locale::Hebrew => hebrew,
        };
        let text = text.replace("{model}", &format!("{}/dashboard/model", console.unwrap_or_default()));
        match (category, console) {
            (Category::KeyLimit | Category::Credits, Some(console)) => {
                let upgrade = match self.locale {
                    Locale::English => "More of it",
                    Locale::Hebrew => "להגדלה",
                };
                format!("{text}\n\n{upgrade}: {console}/dashboard/billing")
            }
            _ => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATEGORIES: [Category; 6] = [
        Category::Auth,
        Category::KeyLimit,
        Category::Credits,
        Category::RateLimit,
        Category::ServerError,
        Category::Generic,
    ];

    fn voice(locale: Locale, keys: Keys, console: Option<&str>) -> Voice {
        Voice { locale, keys, console: console.map(str::to_owned) }
    }

    fn model(voice: &Voice, category: Category) -> String {
        voice.explain(&Failure::Agent { error: "x".into(), category })
    }

    /// container.md #43: a platform never speaks of keys and providers; with keys of one's own the
    /// text says which; a server's error is everybody's.
    #[test]
    fn the_voice_fits_whose_keys_they_are() {
        let (platform, own) = (voice(Locale::English, Keys::Platform, None), voice(Locale::English, Keys::Own, None));
        for category in CATEGORIES {
            let text = model(&platform, category).to_lowercase();
            assert!(!text.contains("api key") && !text.contains("provider"), "{text}");
        }
        assert!(model(&own, Category::Auth).contains("API key") && model(&own, Category::KeyLimit).contains("API key"));
        assert!(model(&own, Category::Credits).contains("credits"));
        assert_eq!(model(&own, Category::ServerError), model(&platform, Category::ServerError));
        let refused = Failure::ImageMissing { image: "registry/agent:1".into() };
        assert!(!platform.explain(&refused).contains("registry"));
    }

    /// container.md #44, pipeline.md #44: links lead to the console, and only people of a platform get them.
    #[test]
    fn the_console_is_linked_where_it_helps() {
        let platform = voice(Locale::English, Keys::Platform, Some("https://console.example"));
        for category in [Category::KeyLimit, Category::Credits] {
            let text = model(&platform, category);
            assert_eq!(text.matches("https://console.example/dashboard/billing").count(), 1, "{text}");
            assert!(text.contains("\n\n") && !text.contains("example//"), "{text}");
        }
        assert!(model(&platform, Category::Auth).ends_with("https://console.example/dashboard/model"));
        assert!(!model(&platform, Category::RateLimit).contains("https://"));
        let own = voice(Locale::English, Keys::Own, Some("https://console.example"));
        assert!(CATEGORIES.iter().all(|&category| !model(&own, category).contains("https://")));
    }

    /// oauth.md #52: who asks in a chat is told to reconnect, and where.
    #[test]
    fn reconnecting() {
        let link = Some("https://console.example/dashboard/model".to_owned());
        let failure = Failure::Reconnect { provider: "anthropic".into(), detail: "the provider's words".into(), link };
        let text = voice(Locale::English, Keys::Platform, None).explain(&failure);
        assert!(text.contains("reconnect") && text.ends_with("/dashboard/model") && !text.contains("provider"));
    }

    /// container.md #45: Hebrew where it is asked for, with the links kept; English otherwise.
    #[test]
    fn the_locale_is_kept() {
        let hebrew = voice(Locale::Hebrew, Keys::Platform, Some("https://console.example"));
        for category in CATEGORIES {
            assert!(model(&hebrew, category).chars().any(|c| ('א'..='ת').contains(&c)));
        }
        assert!(model(&hebrew, Category::Credits).contains("https://console.example/dashboard/billing"));
        assert!(hebrew.explain(&Failure::Timeout { seconds: 300 }).contains("300"));
        assert_eq!(Voice::default().explain(&Failure::Aborted), "Stopped.");
    }
}
