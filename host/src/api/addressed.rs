//! Who a message of `/chat` is from, and where it belongs.

use axum::http::StatusCode;

use super::Api;
use crate::{
    app::Rooms,
    clock,
    domain::{ids::SpaceId, roles},
    http::ApiError,
    store::DirectPlace,
};

const ANONYMOUS: &str = "api:anonymous";
/// The platform of what is no other's.
const OWN: &str = "api";
/// Bytes of a platform's name.
const MOST_PLATFORM: usize = 32;

/// As the client says it.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    pub(super) caller: Option<String>,
    pub(super) space: Option<String>,
    pub(super) author_name: Option<String>,
    /// The message counts as a direct one on this platform: `space` is not looked at then.
    pub(super) platform: Option<String>,
}

#[derive(Debug)]
pub(super) struct Addressed {
    pub(super) caller: String,
    pub(super) conversation: String,
    pub(super) space: SpaceId,
}

impl Claimed {
    /// # Errors
    /// 400 where a name cannot be one, 404 where there is no such space.
    pub(super) async fn resolve(&self, api: &Api, rooms: &Rooms) -> Result<Addressed, ApiError> {
        let caller = self.caller.as_deref().filter(|caller| !caller.trim().is_empty());
        match self.platform.as_deref().filter(|platform| *platform != OWN) {
            None => self.in_space(api, rooms, caller.unwrap_or(ANONYMOUS)).await,
            Some(platform) => self.on_platform(rooms, platform, caller).await,
        }
    }

    async fn in_space(&self, api: &Api, rooms: &Rooms, caller: &str) -> Result<Addressed, ApiError> {
        let space = self.space.clone().unwrap_or_else(|| SpaceId::MAIN.to_owned());
        let space = SpaceId::try_from(space)
            .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_space", error.to_string(), ""))?;
        if !rooms.store.space_exists(&space).await? {
            return Err(ApiError::space_not_found(space.as_str()));
        }
        if api.config.chat_api_key.is_some() && is_a_program(caller) {
            // Whoever holds the chat key acts for the operator (http-api.md 2.6), until somebody says what else
            // this caller may do.
            let name = self.author_name.as_deref();
            rooms.store.welcome(&space, caller, roles::ADMIN_ROLE, name).await?;
        }
        Ok(Addressed { caller: caller.to_owned(), conversation: format!("{OWN}:{caller}"), space })
    }

    /// Who is claimed here has the role that he has on that platform, and gets no other by it: the role
    /// would be his there as well.
    async fn on_platform(&self, rooms: &Rooms, platform: &str, caller: Option<&str>) -> Result<Addressed, ApiError> {
        let bad = |code: &str, error: &str| {
            let next =
                "Send JSON such as {\"text\": \"hello\", \"platform\": \"whatsapp\", \"callerId\": \"491701234567\"}";
            ApiError::new(StatusCode::BAD_REQUEST, code, error, next)
        };
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if platform.is_empty() || platform.len() > MOST_PLATFORM || !platform.bytes().all(plain) {
            return Err(bad("bad_platform", "This is no name of a platform"));
        }
        let caller = caller.ok_or_else(|| bad("missing_caller", "A message on a platform needs its callerId"))?;
        let native = caller.strip_prefix(&format!("{platform}:")).unwrap_or(caller).trim();
        let id = format!("{platform}:{native}");
        let (auto, now) = (rooms.intake.config.auto_space.clone(), clock::millis());
        let makes_spaces = auto.is_some();
        let space = match rooms.store.see_direct(platform, &id, self.author_name.as_deref(), auto, now).await? {
            DirectPlace::Space(space) => space,
            DirectPlace::Unlinked => {
                let next = format!("Link it with `mercury conversations link {id} SPACE`");
                let error = "Conversation not linked to any space";
                return Err(ApiError::new(StatusCode::NOT_FOUND, "conversation_unlinked", error, &next));
            }
            DirectPlace::Group => {
                let error = format!("{id} is a group, and nobody in particular");
                return Err(ApiError::new(StatusCode::CONFLICT, "not_a_person", error, "Name a person as callerId"));
            }
        };
        if makes_spaces {
            rooms.runs.announce_spaces().await;
        }
        Ok(Addressed { caller: id.clone(), conversation: id, space })
    }
}

/// Nobody of a chat platform: the role would be theirs there as well.
fn is_a_program(caller: &str) -> bool {
    let of_nobody = caller.eq_ignore_ascii_case(roles::SYSTEM_ROLE);
    !of_nobody && caller.split_once(':').is_none_or(|(place, _)| [OWN, "cli"].contains(&place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_speaks_for_programs_alone() {
        for caller in ["api:ada", "cli:user", "script"] {
            assert!(is_a_program(caller), "{caller}");
        }
        for caller in ["system", "System", "telegram:4711", "whatsapp:49170", "plugin:napkin", "Api:ada"] {
            assert!(!is_a_program(caller), "{caller}");
        }
    }
}
