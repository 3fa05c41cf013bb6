use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Callers};
use crate::{
    domain::ids::SpaceId,
    http::{ApiError, Given, Input, Path, Query},
    store::Conversation,
};

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Filter {
    /// `true` or `false`; anything else is ignored, as in the replaced system.
    linked: Option<String>,
    platform: Option<String>,
}

impl Filter {
    pub fn passes(&self, conversation: &Conversation) -> bool {
        let linked = match self.linked.as_deref() {
            Some("true") => conversation.space.is_some(),
            Some("false") => conversation.space.is_none(),
            _ => true,
        };
        linked && self.platform.as_ref().is_none_or(|platform| *platform == conversation.platform)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewLink {
    #[serde(default)]
    space_id: String,
}

impl Given for NewLink {
    const EXAMPLE: &'static str = "{\"spaceId\": \"main\"}";
}

/// With the names that clients of the replaced system know beside our own.
pub fn view(conversation: &Conversation) -> Value {
    let native = conversation.id.split_once(':').map_or(conversation.id.as_str(), |(_, native)| native);
    let mut view = json!(conversation);
    view["externalId"] = json!(native);
    view["kind"] = json!(if conversation.direct { "dm" } else { "group" });
    view["observedTitle"] = json!(conversation.title);
    view["spaceId"] = json!(conversation.space);
    view["firstSeenAt"] = json!(conversation.first_seen);
    view["lastSeenAt"] = json!(conversation.last_seen);
    view
}

/// Those of the caller's space; all of them for whoever is an admin of all.
pub async fn list(
    State(callers): State<Callers>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "spaces.list").await?;
    let all = match callers.is_global_admin(&caller).await? {
        true => callers.store.conversations().await?,
        false => callers.store.conversations_of(&caller.space).await?,
    };
    let shown: Vec<_> = all.iter().filter(|conversation| filter.passes(conversation)).map(view).collect();
    Ok(Json(json!({ "conversations": shown })))
}

/// A conversation brings people into a space, so an admin of one space may not fetch others' into it.
pub(super) async fn link(
    State(callers): State<Callers>,
    caller: Caller,
    Path(id): Path<String>,
    Input(given): Input<NewLink>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "spaces.rename").await?;
    callers.require_global_admin(&caller, "conversations.link").await?;
    if given.space_id.is_empty() {
        let next = format!("Send JSON such as {}", NewLink::EXAMPLE);
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_space", "Missing spaceId", &next));
    }
    let space = SpaceId::try_from(given.space_id)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_space", error.to_string(), ""))?;
    if !callers.store.space_exists(&space).await? {
        return Err(ApiError::space_not_found(space.as_str()));
    }
    if !callers.store.link(&id, Some(&space)).await? {
        return Err(unknown());
    }
    Ok(Json(json!({ "conversationId": id, "spaceId": space, "linked": true })))
}

/// Of the caller's own space, or of any for whoever is an admin of all. One of another space is not told
/// from one that does not exist. `alsoUnlinked` are those that its person has there under other ids.
pub(super) async fn unlink(
    State(callers): State<Callers>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "spaces.rename").await?;
    let known = callers.store.conversation(&id).await?;
    let own = known.as_ref().map(|known| known.space.as_deref() == Some(caller.space.as_str()));
    let may = match own {
        Some(own) => own || callers.is_global_admin(&caller).await?,
        None => false,
    };
    if !may {
        return Err(unknown());
    }
    let others = callers.store.unlink(&id).await?.ok_or_else(unknown)?;
    Ok(Json(json!({ "conversationId": id, "unlinked": true, "alsoUnlinked": others })))
}

fn unknown() -> ApiError {
    let next = "`mrctl conversations` lists those that there are";
    ApiError::new(StatusCode::NOT_FOUND, "conversation_unknown", "Conversation not found", next)
}
