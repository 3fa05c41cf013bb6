//! A plugin that stands for somebody's own service: mail, a calendar, a broker.

use serde::{Deserialize, Serialize};

use super::{Interface, Manifest, check::MOST_ITEMS, problems::At, problems::Problems};

/// The longest name that people read, in characters.
const MOST_NAME: usize = 64;
/// The longest scope and the longest address of a picture, in characters.
const MOST_TEXT: usize = 512;

/// `[connection]`: presents the plugin as somebody's own service. It needs `permission = true` under `[agent]`,
/// and a `secret`, `connection-status` in `provides`, or both.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Connection {
    /// As people call the service: `Yahoo Mail`.
    pub display_name: String,
    /// The `https://` address of a picture.
    #[serde(default)]
    pub icon: Option<String>,
    pub category: Category,
    /// How one signs in.
    pub auth_type: AuthType,
    /// What the sign-in allows, in the service's own words.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The `name` under `[[secrets]]` without which there is no connection: while that one is set, it is active.
    #[serde(default)]
    pub secret: Option<String>,
    /// While it is active, agents run in spaces with a group only where that is allowed, and only after the
    /// person has said yes.
    #[serde(default)]
    pub sensitive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    Email,
    Drive,
    Calendar,
    Finance,
    Messaging,
    Docs,
    Workspace,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthType {
    Oauth2,
    Apikey,
    AppPassword,
    CredentialsFile,
    Form,
    Custom,
}

impl Manifest {
    pub(super) fn check_connection(&self, problems: &mut Problems) {
        let at = At::root().field("connection");
        let asked = self.provides(Interface::ConnectionStatus);
        let Some(connection) = &self.connection else {
            if asked {
                problems.say(&At::root().field("provides"), "connection-status has no use without `[connection]`");
            }
            return;
        };
        problems.unless(
            self.agent.permission,
            &at,
            "must not serve everybody: add `permission = true` under `[agent]`",
        );
        problems.unless(
            asked || connection.secret.is_some(),
            &at,
            "shows nothing: name its `secret`, or add `connection-status` to provides",
        );
        let name = connection.display_name.trim();
        problems.unless(!name.is_empty(), &at.field("display-name"), "is empty");
        problems.unless(
            name.chars().count() <= MOST_NAME && !name.chars().any(char::is_control),
            &at.field("display-name"),
            format!("must be one line of at most {MOST_NAME} characters"),
        );
        if let Some(icon) = &connection.icon {
            let fits = icon.len() <= MOST_TEXT
                && url::Url::parse(icon).is_ok_and(|url| url.scheme() == "https" && url.username().is_empty());
            problems.unless(fits, &at.field("icon"), "must be an address such as `https://example.com/mail.svg`");
        }
        if let Some(secret) = &connection.secret {
            let known = self.secrets.iter().any(|grant| grant.name == *secret);
            problems.unless(known, &at.field("secret"), format!("`{secret}` is no name under `[[secrets]]`"));
        }
        let scopes = at.field("scopes");
        problems.unless(
            connection.scopes.len() <= MOST_ITEMS,
            &scopes,
            format!("has more than {MOST_ITEMS} items, which nobody reads"),
        );
        for (index, scope) in connection.scopes.iter().enumerate() {
            let fits =
                !scope.trim().is_empty() && scope.chars().count() <= MOST_TEXT && !scope.chars().any(char::is_control);
            let most = format!("must be one line of 1 to {MOST_TEXT} characters");
            problems.unless(fits, &scopes.item(index), most);
        }
    }
}
