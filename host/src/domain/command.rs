//! Commands that people write in a chat: what is one, and who may give it.

use super::roles::{self, Held};

/// What somebody orders the host to do, in the place of asking the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Stop,
    Compact,
    Clear,
    /// With the command that it is about.
    Help(Option<String>),
    /// For how long, as it was written.
    Pause(Option<String>),
    Resume,
    Model(ModelCommand),
    Spaces(SpacesCommand),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelCommand {
    Help,
    List,
    Active,
    /// A place in the list, or a name.
    Switch(Option<String>),
    Unknown(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpacesCommand {
    Help,
    List,
    /// Id and name.
    Create(Option<(String, String)>),
    Switch(Option<String>),
    Delete(Option<String>),
    Unlink,
    Unknown(String),
}

/// Who gives a command, and where.
#[derive(Clone, Copy, Debug)]
pub struct Giver<'a> {
    pub role: &'a str,
    /// What the role may do in the space.
    pub held: &'a Held,
    /// Named in `permissions.admins`, as the platform says who it is.
    pub operator: bool,
    pub direct: bool,
}

/// Why a command is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its permission, which has its name, is missing.
    Permission,
    /// In a group only admins of the space may.
    AdminsOnly,
    /// Only the operator's own admins may.
    OperatorsOnly,
    /// Who may not ask gives no commands either.
    Prompt,
}

impl Command {
    /// The command that `prompt` is. `stop`, `compact` and `clear` need no slash where they are the whole
    /// text; of the others the first line counts. What is unknown is a prompt like any other.
    pub fn parse(prompt: &str) -> Option<Self> {
        let prompt = prompt.trim();
        let Some(line) = prompt.strip_prefix('/') else { return bare(&prompt.to_lowercase()) };
        let mut words = line.lines().next().unwrap_or_default().split_whitespace();
        let category = words.next()?.to_lowercase();
        let rest: Vec<&str> = words.collect();
        let verb = rest.first().map(|verb| verb.to_lowercase());
        let argument = || rest.get(1).map(|word| (*word).to_owned());
        Some(match category.as_str() {
            "help" => Self::Help(verb),
            "pause" => Self::Pause((!rest.is_empty()).then(|| rest.join(" "))),
            "resume" => Self::Resume,
            "model" => Self::Model(match verb.as_deref() {
                None => ModelCommand::Help,
                Some("list") => ModelCommand::List,
                Some("active") => ModelCommand::Active,
                Some("switch") => ModelCommand::Switch(argument()),
                Some(other) => ModelCommand::Unknown(other.to_owned()),
            }),
            "spaces" => Self::Spaces(match verb.as_deref() {
                None => SpacesCommand::Help,
                Some("list") => SpacesCommand::List,
                Some("create") => {
                    let name = rest.get(2..).unwrap_or_default().join(" ");
                    SpacesCommand::Create(argument().filter(|_| !name.is_empty()).map(|id| (id, name)))
                }
                Some("switch") => SpacesCommand::Switch(argument()),
                Some("delete") => SpacesCommand::Delete(argument()),
                Some("unlink") => SpacesCommand::Unlink,
                Some(other) => SpacesCommand::Unknown(other.to_owned()),
            }),
            // Chat platforms offer commands with a slash: the bare ones are understood with it as well.
            word if rest.is_empty() => return bare(word),
            _ => return None,
        })
    }

    /// As people write it, and as its permission is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Compact => "compact",
            Self::Clear => "clear",
            Self::Help(_) => "/help",
            Self::Pause(_) => "/pause",
            Self::Resume => "/resume",
            Self::Model(_) => "/model",
            Self::Spaces(_) => "/spaces",
        }
    }

    /// Whether it is carried out where the space is paused. What runs must not go on for ever only
    /// because somebody paused the space.
    pub fn works_paused(&self) -> bool {
        matches!(self, Self::Pause(_) | Self::Resume | Self::Stop)
    }

    /// # Errors
    /// Why the giver may not.
    pub fn gate(&self, giver: Giver<'_>) -> Result<(), Refusal> {
        let holds = |permission| giver.held.may(permission);
        let admin = [roles::ADMIN_ROLE, roles::SYSTEM_ROLE].contains(&giver.role);
        match self {
            Self::Stop | Self::Compact | Self::Clear if holds(self.name()) => Ok(()),
            Self::Stop | Self::Compact | Self::Clear => Err(Refusal::Permission),
            Self::Spaces(_) if giver.operator => Ok(()),
            Self::Spaces(_) => Err(Refusal::OperatorsOnly),
            _ if !giver.direct && !admin => Err(Refusal::AdminsOnly),
            _ if !holds("prompt") => Err(Refusal::Prompt),
            _ => Ok(()),
        }
    }
}

fn bare(word: &str) -> Option<Command> {
    match word {
        "stop" => Some(Command::Stop),
        "compact" => Some(Command::Compact),
        "clear" => Some(Command::Clear),
        _ => None,
    }
}

/// The answer to a question that the host itself asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assent {
    Yes,
    No,
}

/// Yes or no, where the text is nothing else: in English everywhere, in Hebrew where that is spoken.
pub fn assent(text: &str, locale: super::words::Locale) -> Option<Assent> {
    let hebrew = locale == super::words::Locale::Hebrew;
    match text.trim().to_lowercase().as_str() {
        "yes" => Some(Assent::Yes),
        "no" => Some(Assent::No),
        "כן" if hebrew => Some(Assent::Yes),
        "לא" if hebrew => Some(Assent::No),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{roles::Registry, words::Locale};
    use proptest::prelude::*;

    fn held(role: &str, stated: Option<&[&str]>) -> Held {
        let stated: Option<Vec<String>> = stated.map(|list| list.iter().map(|name| (*name).to_owned()).collect());
        Registry::default().held(role, stated.as_deref())
    }

    fn giver(held: &Held, direct: bool) -> Giver<'_> {
        Giver { role: held.role(), held, operator: false, direct }
    }

    /// pipeline.md #19, weakness W19: a command is the whole text, and no word of the language is one.
    #[test]
    fn bare_commands() {
        for (text, expected) in [
            ("stop", Some(Command::Stop)),
            (" STOP\n", Some(Command::Stop)),
            ("/stop", Some(Command::Stop)),
            ("compact", Some(Command::Compact)),
            ("/Clear", Some(Command::Clear)),
            ("stop all", None),
            ("/stop all", None),
            ("constructor", None),
            ("__proto__", None),
            ("/", None),
            ("", None),
            ("/unknown thing", None),
            ("please stop", None),
        ] {
            assert_eq!(Command::parse(text), expected, "{text:?}");
        }
    }

    /// pipeline.md #20, #21, #22: verbs in any case, arguments as they were written.
    #[test]
    fn slash_commands() {
        let parse = |text| Command::parse(text).unwrap();
        assert_eq!(parse("/HELP Model"), Command::Help(Some("model".into())));
        assert_eq!(parse("/pause"), Command::Pause(None));
        assert_eq!(parse("/pause  30m\nand more"), Command::Pause(Some("30m".into())));
        assert_eq!(parse("/model"), Command::Model(ModelCommand::Help));
        assert_eq!(parse("/model List"), Command::Model(ModelCommand::List));
        assert_eq!(parse("/model switch A/B"), Command::Model(ModelCommand::Switch(Some("A/B".into()))));
        assert_eq!(
            parse("/spaces create test-space My Test  Space"),
            Command::Spaces(SpacesCommand::Create(Some(("test-space".into(), "My Test Space".into()))))
        );
        assert_eq!(parse("/spaces create test-space"), Command::Spaces(SpacesCommand::Create(None)));
        assert_eq!(parse("/spaces delete Temp"), Command::Spaces(SpacesCommand::Delete(Some("Temp".into()))));
        assert_eq!(parse("/spaces frob"), Command::Spaces(SpacesCommand::Unknown("frob".into())));
    }

    /// pipeline.md #19 #20 #23, permissions.md #22 #23
    #[test]
    fn who_may_give_which() {
        let defaults = ["admin", "member", "system", "guest"].map(|role| (role, held(role, None)));
        let giver = |role: &str, direct| giver(&defaults.iter().find(|(name, _)| *name == role).unwrap().1, direct);
        let stop = Command::Stop;
        assert_eq!(stop.gate(giver("admin", false)), Ok(()));
        assert_eq!(stop.gate(giver("member", true)), Err(Refusal::Permission));
        let list = Command::Model(ModelCommand::List);
        assert_eq!(list.gate(giver("admin", false)), Ok(()));
        assert_eq!(list.gate(giver("system", false)), Ok(()));
        assert_eq!(list.gate(giver("member", false)), Err(Refusal::AdminsOnly));
        assert_eq!(list.gate(giver("member", true)), Ok(()));
        assert_eq!(list.gate(giver("guest", true)), Err(Refusal::Prompt));
        let delete = Command::Spaces(SpacesCommand::Delete(Some("temp".into())));
        assert_eq!(delete.gate(giver("admin", true)), Err(Refusal::OperatorsOnly), "an admin of the space alone");
        assert_eq!(delete.gate(Giver { operator: true, ..giver("member", false) }), Ok(()));
    }

    /// pipeline.md #19, permissions.md #22: what a space says of a role counts for commands, too.
    #[test]
    fn a_space_says_who_may_give_which() {
        let (granted, bare) = (held("member", Some(&["prompt", "stop"])), held("admin", Some(&["compact"])));
        assert_eq!(Command::Stop.gate(giver(&granted, false)), Ok(()));
        assert_eq!(Command::Clear.gate(giver(&granted, true)), Err(Refusal::Permission));
        let guest = held("guest", Some(&["prompt"]));
        assert_eq!(Command::Model(ModelCommand::List).gate(giver(&guest, true)), Ok(()));
        assert_eq!(Command::Resume.gate(giver(&granted, false)), Err(Refusal::AdminsOnly), "a role, and no permission");
        assert_eq!(Command::Compact.gate(giver(&bare, false)), Ok(()));
        assert_eq!(Command::Stop.gate(giver(&bare, false)), Err(Refusal::Permission));
        assert_eq!(Command::Help(None).gate(giver(&bare, true)), Err(Refusal::Prompt));
    }

    /// In both languages, each where it is spoken.
    #[test]
    fn yes_and_no() {
        assert_eq!(assent(" Yes ", Locale::English), Some(Assent::Yes));
        assert_eq!(assent("no", Locale::Hebrew), Some(Assent::No));
        assert_eq!(assent("כן", Locale::Hebrew), Some(Assent::Yes));
        assert_eq!(assent("לא", Locale::Hebrew), Some(Assent::No));
        assert_eq!(assent("כן", Locale::English), None);
        assert_eq!(assent("yes please", Locale::English), None);
    }

    proptest! {
        /// A member of a group orders nothing, whatever is written.
        #[test]
        fn members_of_groups_order_nothing(text in "(/?(help|pause|resume|model|spaces|stop|compact|clear)[ a-z0-9]{0,20}|.*)") {
            if let Some(command) = Command::parse(&text) {
                prop_assert!(command.gate(giver(&held("member", None), false)).is_err());
            }
        }
    }
}
