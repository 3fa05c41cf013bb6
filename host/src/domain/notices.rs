//! The host's own words to people about what does not happen, or not yet: short, in their language.

use super::{
    limits::{Exceeded, Reach, hours_until},
    sensitive,
    words::Locale,
};

/// What there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    NoPrompt,
    /// The role lacks the permission of this command.
    NoPermission {
        command: &'a str,
    },
    AdminsOnly {
        command: &'a str,
    },
    OperatorsOnly {
        command: &'a str,
    },
    /// A limit is reached; seen from the moment `now`.
    Limited {
        exceeded: Exceeded,
        now: i64,
    },
    /// Too much waits already; of the space, or altogether.
    QueueFull {
        minutes: u64,
    },
    /// Behind how many others, and for how long about.
    Place {
        ahead: usize,
        minutes: u64,
    },
    /// Files that the agent made, and that are not sent.
    Withheld {
        files: usize,
    },
    /// No agent begins where several people read along, while these connections are active.
    SensitiveClosed {
        names: &'a str,
    },
    /// Shall one begin all the same?
    SensitiveAsked {
        names: &'a str,
    },
    /// Nobody was asked in time: it could not be reached yet when this was written.
    SensitiveUnasked {
        names: &'a str,
    },
    /// It shall not.
    SensitiveCancelled,
    /// A pause is over.
    Resumed,
    /// Somebody's task failed.
    TaskFailed {
        task: &'a str,
        reason: &'a str,
    },
    /// It failed so often that it is stopped.
    TaskGivenUp {
        task: &'a str,
        reason: &'a str,
        times: u32,
    },
    /// Whoever made it may not do that any more.
    TaskWithdrawn {
        task: &'a str,
    },
}

/// Seconds, minutes or hours, rounded up.
fn rough(milliseconds: i64, locale: Locale) -> String {
    let seconds = milliseconds.max(0).unsigned_abs().div_ceil(1000).max(1);
    let (count, english, hebrew) = match seconds {
        0..=90 => (seconds, "second", "שניות"),
        91..=5_400 => (seconds.div_ceil(60), "minute", "דקות"),
        _ => (seconds.div_ceil(3_600), "hour", "שעות"),
    };
    match locale {
        Locale::English => format!("{count} {english}{}", if count == 1 { "" } else { "s" }),
        Locale::Hebrew => format!("{count} {hebrew}"),
    }
}

impl Notice<'_> {
    pub fn say(&self, locale: Locale) -> String {
        let pick = |english: &str, hebrew: &str| match locale {
            Locale::English => english.to_owned(),
            Locale::Hebrew => hebrew.to_owned(),
        };
        match self {
            Self::NoPrompt => pick(
                "You may not ask the assistant here. An admin of this space can grant it.",
                "אין לכם הרשאה לפנות לעוזר כאן. מנהל של המרחב יכול לתת אותה.",
            ),
            Self::NoPermission { command } => pick(
                "You may not use {command} here. An admin of this space can grant it.",
                "אין לכם הרשאה להשתמש ב־{command} כאן. מנהל של המרחב יכול לתת אותה.",
            )
            .replace("{command}", command),
            Self::AdminsOnly { command } => pick(
                "In a group only admins may use {command}.",
                "בקבוצה רק מנהלים יכולים להשתמש ב־{command}.",
            )
            .replace("{command}", command),
            Self::OperatorsOnly { command } => pick(
                "Only admins whom the operator has named may use {command}.",
                "רק מנהלים שהמפעיל הגדיר יכולים להשתמש ב־{command}.",
            )
            .replace("{command}", command),
            Self::Limited { exceeded, now } => Self::limited(*exceeded, *now, locale),
            Self::QueueFull { minutes } => pick(
                "There is too much waiting already, so I did not take this. Please send it again in about {minutes} min.",
                "כבר ממתינות יותר מדי בקשות, ולכן לא קיבלתי את הבקשה הזו. שלחו אותה שוב בעוד {minutes} דקות בערך.",
            )
            .replace("{minutes}", &minutes.max(&1).to_string()),
            Self::Place { ahead, minutes } => {
                let text = match ahead {
                    0 => pick(
                        "I have this, and begin with it as soon as I am free: in about {minutes} min.",
                        "קיבלתי. אתחיל ברגע שאתפנה: בעוד {minutes} דקות בערך.",
                    ),
                    1 => pick(
                        "I have this. One request is before it; its turn comes in about {minutes} min.",
                        "קיבלתי. בקשה אחת לפניה; תורה יגיע בעוד {minutes} דקות בערך.",
                    ),
                    _ => pick(
                        "I have this. {ahead} requests are before it; its turn comes in about {minutes} min.",
                        "קיבלתי. {ahead} בקשות לפניה; תורה יגיע בעוד {minutes} דקות בערך.",
                    ),
                };
                text.replace("{ahead}", &ahead.to_string()).replace("{minutes}", &minutes.max(&1).to_string())
            }
            Self::Withheld { files } => pick(
                "(Not sent: {files} file(s). You may not receive files here; an admin of this space can grant it.)",
                "(לא נשלחו {files} קבצים. אין לכם הרשאה לקבל כאן קבצים; מנהל של המרחב יכול לתת אותה.)",
            )
            .replace("{files}", &files.to_string()),
            Self::SensitiveClosed { names } => pick(
                "{names} can be reached from here, and others read along, so I do not work in this space. An admin of the space allows it with `{command}`; the operator can set it, too.",
                "אפשר להגיע מכאן אל {names}, ואחרים קוראים כאן, ולכן אינני עובד במרחב הזה. מנהל של המרחב מאפשר זאת עם `{command}`; גם המפעיל יכול להגדיר זאת.",
            )
            .replace("{command}", sensitive::ALLOW)
            .replace("{names}", names),
            Self::SensitiveAsked { names } => pick(
                "{names} can be reached from here, and others read along. Shall I do this all the same? Answer yes or no within 5 minutes.",
                "אפשר להגיע מכאן אל {names}, ואחרים קוראים כאן. לעשות זאת בכל זאת? ענו כן או לא בתוך 5 דקות.",
            )
            .replace("{names}", names),
            Self::SensitiveUnasked { names } => pick(
                "{names} can be reached from here since you wrote this, and others read along, so I have not begun. Send it again, and I ask you first.",
                "מאז שכתבתם אפשר להגיע מכאן אל {names}, ואחרים קוראים כאן, ולכן לא התחלתי. שלחו שוב, ואשאל אתכם קודם.",
            )
            .replace("{names}", names),
            Self::SensitiveCancelled => pick("I have left it undone.", "לא עשיתי זאת."),
            Self::Resumed => pick("The pause is over; I answer again.", "ההפסקה הסתיימה; אני עונה שוב."),
            Self::TaskFailed { task, reason } => match locale {
                Locale::English => format!("The scheduled task {task} failed. {reason}"),
                Locale::Hebrew => format!("המשימה המתוזמנת {task} נכשלה. {reason}"),
            },
            Self::TaskGivenUp { task, reason, times } => match locale {
                Locale::English => format!(
                    "The scheduled task {task} failed {times} times in a row, so I have paused it. {reason} It goes on when somebody resumes it."
                ),
                Locale::Hebrew => format!(
                    "המשימה המתוזמנת {task} נכשלה {times} פעמים ברציפות, ולכן השהיתי אותה. {reason} היא תמשיך כשמישהו יפעיל אותה מחדש."
                ),
            },
            Self::TaskWithdrawn { task } => match locale {
                Locale::English => format!(
                    "I did not run the scheduled task {task}, and paused it: whoever made it may no longer make tasks here."
                ),
                Locale::Hebrew => format!(
                    "לא הרצתי את המשימה המתוזמנת {task} והשהיתי אותה: מי שיצר אותה כבר לא רשאי ליצור כאן משימות."
                ),
            },
        }
    }

    fn limited(exceeded: Exceeded, now: i64, locale: Locale) -> String {
        let limit = exceeded.limit.to_string();
        let text = match (exceeded.reach, locale) {
            (Reach::Day, Locale::English) => {
                "You have used your {limit}/{limit} messages of today. Please ask again in {hours} h."
            }
            (Reach::Day, Locale::Hebrew) => "ניצלתם {limit}/{limit} הודעות להיום. פנו שוב בעוד {hours} שעות.",
            (Reach::Person, Locale::English) => {
                "You have sent {limit} messages in a short time. Please ask again in {wait}."
            }
            (Reach::Person, Locale::Hebrew) => "שלחתם {limit} הודעות בזמן קצר. פנו שוב בעוד {wait}.",
            (Reach::Space | Reach::Host, Locale::English) => {
                "I was asked very often in a short time. Please ask again in {wait}."
            }
            (Reach::Space | Reach::Host, Locale::Hebrew) => "פנו אליי פעמים רבות בזמן קצר. פנו שוב בעוד {wait}.",
        };
        text.replace("{limit}", &limit)
            .replace("{hours}", &hours_until(exceeded.again_at, now).to_string())
            .replace("{wait}", &rough(exceeded.again_at - now, locale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Notice<'static>> {
        let exceeded = |reach| Exceeded { reach, limit: 5, again_at: 7_200_000 };
        let limited = |reach| Notice::Limited { exceeded: exceeded(reach), now: 1 };
        vec![
            Notice::NoPrompt,
            Notice::NoPermission { command: "stop" },
            Notice::AdminsOnly { command: "/help" },
            Notice::OperatorsOnly { command: "/spaces" },
            limited(Reach::Person),
            limited(Reach::Space),
            limited(Reach::Host),
            limited(Reach::Day),
            Notice::QueueFull { minutes: 3 },
            Notice::Place { ahead: 0, minutes: 3 },
            Notice::Place { ahead: 1, minutes: 3 },
            Notice::Place { ahead: 4, minutes: 3 },
            Notice::Withheld { files: 2 },
            Notice::SensitiveClosed { names: "Acme Mail" },
            Notice::SensitiveAsked { names: "Acme Mail" },
            Notice::SensitiveUnasked { names: "Acme Mail" },
            Notice::SensitiveCancelled,
            Notice::Resumed,
            Notice::TaskFailed { task: "#3", reason: "" },
            Notice::TaskGivenUp { task: "#3", reason: "", times: 5 },
            Notice::TaskWithdrawn { task: "#3" },
        ]
    }

    /// pipeline.md #32: every notice in every language, with the same figures and nothing left open.
    #[test]
    fn every_notice_in_every_language() {
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        for notice in all() {
            let (english, hebrew) = (notice.say(Locale::English), notice.say(Locale::Hebrew));
            for text in [&english, &hebrew] {
                assert!(!text.contains(['{', '}']), "{text}");
            }
            assert!(hebrew.chars().any(|c| ('א'..='ת').contains(&c)) && english.is_ascii(), "{english} {hebrew}");
            assert_eq!(digits(&english), digits(&hebrew));
        }
    }

    /// pipeline.md #33 in its words: the connections are named, and what opens the space is the command that does it.
    #[test]
    fn a_closed_space_says_how_it_is_opened() {
        let said = [Locale::English, Locale::Hebrew].map(|locale| {
            let names = "Acme Mail, Acme Trade";
            [
                Notice::SensitiveClosed { names }.say(locale),
                Notice::SensitiveAsked { names }.say(locale),
                Notice::SensitiveUnasked { names }.say(locale),
                Notice::SensitiveCancelled.say(locale),
            ]
            .join("\n")
        });
        insta::assert_snapshot!(said.join("\n\n"), @r"
        Acme Mail, Acme Trade can be reached from here, and others read along, so I do not work in this space. An admin of the space allows it with `mrctl config set security.sensitive_connections_allowed true`; the operator can set it, too.
        Acme Mail, Acme Trade can be reached from here, and others read along. Shall I do this all the same? Answer yes or no within 5 minutes.
        Acme Mail, Acme Trade can be reached from here since you wrote this, and others read along, so I have not begun. Send it again, and I ask you first.
        I have left it undone.

        אפשר להגיע מכאן אל Acme Mail, Acme Trade, ואחרים קוראים כאן, ולכן אינני עובד במרחב הזה. מנהל של המרחב מאפשר זאת עם `mrctl config set security.sensitive_connections_allowed true`; גם המפעיל יכול להגדיר זאת.
        אפשר להגיע מכאן אל Acme Mail, Acme Trade, ואחרים קוראים כאן. לעשות זאת בכל זאת? ענו כן או לא בתוך 5 דקות.
        מאז שכתבתם אפשר להגיע מכאן אל Acme Mail, Acme Trade, ואחרים קוראים כאן, ולכן לא התחלתי. שלחו שוב, ואשאל אתכם קודם.
        לא עשיתי זאת.
        ");
        let command = format!("`mrctl config set {} true`", crate::domain::space_settings::SENSITIVE_ALLOWED);
        assert!(said.iter().all(|text| text.contains(&command) && text.matches("Acme Mail, Acme Trade").count() == 3));
    }

    /// pipeline.md #29 #30: the count, the limit and the hours.
    #[test]
    fn a_limit_says_when_again() {
        let said = |reach, again_at| {
            Notice::Limited { exceeded: Exceeded { reach, limit: 2, again_at }, now: 0 }.say(Locale::English)
        };
        let day = said(Reach::Day, 3_600_001);
        assert!(day.contains("2/2") && day.contains("2 h"), "{day}");
        assert!(said(Reach::Person, 1_000).contains("1 second."));
        assert!(said(Reach::Person, 60_001).contains("61 seconds"));
        assert!(said(Reach::Space, 180_000).contains("3 minutes"));
    }
}
