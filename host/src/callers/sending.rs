//! What admins of all have the host say, word for word, outside of any run: rows that are delivered like
//! answers, so they outlast a restart and a platform that is down.

use std::collections::BTreeMap;

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Callers};
use crate::{
    clock,
    domain::{chat::OWN_SPACE, ids::SpaceId, recipient},
    http::{ApiError, Given, Input},
    store::{BROADCAST_DELIVERY, Conversation, NewDelivery},
};

/// Characters of a text, as in the replaced system.
const MOST_TEXT: usize = 4096;

#[derive(Deserialize)]
pub(super) struct Broadcast {
    #[serde(default)]
    text: String,
}

impl Given for Broadcast {
    const EXAMPLE: &'static str = "{\"text\": \"I am back at work.\"}";
}

#[derive(Deserialize)]
pub(super) struct Letter {
    #[serde(default)]
    recipient: String,
    #[serde(default)]
    text: String,
}

impl Given for Letter {
    const EXAMPLE: &'static str = "{\"recipient\": \"telegram:4711\", \"text\": \"Good morning\"}";
}

/// Writes to every direct conversation that has a space of its own. What is `delivered` is on its way:
/// it is on disk, and its adapter sends it in its own time.
pub(super) async fn broadcast(
    State(callers): State<Callers>,
    caller: Caller,
    Input(given): Input<Broadcast>,
) -> Result<Json<Value>, ApiError> {
    if callers.config.auto_space.is_none() {
        let next = "Set dm_auto_space.enabled: true, and restart; `mrctl send` writes to one person";
        let error = "dm_auto_space is not enabled";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_auto_space", error, next));
    }
    callers.require_global_admin(&caller, "broadcast").await?;
    let text = check(&given.text, Broadcast::EXAMPLE)?;
    let own = callers.store.spaces().await?.into_iter().filter(|space| space.starts_with(OWN_SPACE));
    let mut spaces: BTreeMap<String, Option<Conversation>> = own.map(|space| (space, None)).collect();
    for conversation in callers.store.conversations_of_own_spaces().await? {
        // The one with the latest message comes first.
        if let Some(place) = conversation.space.as_ref().and_then(|space| spaces.get_mut(space)) {
            place.get_or_insert(conversation);
        }
    }
    let total = spaces.len();
    let (mut deliveries, mut errors) = (Vec::new(), Vec::new());
    let id = uuid::Uuid::now_v7().simple();
    for (space, place) in spaces {
        match place.as_ref().map(|place| callers.plugins.reaches(&place.platform)) {
            Some(true) => deliveries.extend(place.map(|place| NewDelivery {
                message: format!("{BROADCAST_DELIVERY}{id}-{space}"),
                ..delivery(place, text)
            })),
            Some(false) => errors.push(json!({ "spaceId": space, "error": "its platform has no adapter at present" })),
            None => errors.push(json!({ "spaceId": space, "error": "no direct conversation is linked to it" })),
        }
    }
    let delivered = deliveries.len();
    if !callers.store.broadcast(deliveries, clock::millis()).await? {
        let next =
            "Wait until it has arrived everywhere; `mercury deliveries` shows the operator what is still on its way";
        let error = "Broadcast already in progress";
        return Err(ApiError::new(StatusCode::CONFLICT, "broadcasting", error, next));
    }
    callers.delivery.stir();
    tracing::info!(by = caller.id, total, delivered, "a broadcast was written");
    Ok(Json(json!({ "total": total, "delivered": delivered, "failed": errors.len(), "errors": errors })))
}

/// Writes to one person, or to the conversations of one space. Never makes a space.
pub(super) async fn send(
    State(callers): State<Callers>,
    caller: Caller,
    Input(given): Input<Letter>,
) -> Result<Json<Value>, ApiError> {
    callers.require_global_admin(&caller, "send").await?;
    if given.recipient.trim().is_empty() {
        return Err(bad("Missing or empty 'recipient' field", Letter::EXAMPLE));
    }
    let text = check(&given.text, Letter::EXAMPLE)?;
    let Some((space, places)) = find(&callers, given.recipient.trim()).await? else {
        let error = format!("No space of {} is known", given.recipient.trim().chars().take(100).collect::<String>());
        let next = "Name a space or a person who has written before, such as telegram:4711; `mrctl spaces list` shows the spaces";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "recipient_unknown", error, next));
    };
    let places: Vec<_> = places.into_iter().filter(|place| callers.plugins.reaches(&place.platform)).collect();
    if places.is_empty() {
        let error = format!("No conversation of {space} can be written to at present");
        let next = "Link one whose platform has an adapter; `mercury adapters` shows how they stand";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "sender_not_ready", error, next));
    }
    callers.store.send_all(places.into_iter().map(|place| delivery(place, text)).collect(), clock::millis()).await?;
    callers.delivery.stir();
    tracing::info!(by = caller.id, space, "a text was written to a space");
    Ok(Json(json!({ "delivered": true, "spaceId": space })))
}

/// The space of exactly this name, else the direct conversation of this person under any of their ids, else the
/// space that it would have of its own.
async fn find(callers: &Callers, recipient: &str) -> Result<Option<(String, Vec<Conversation>)>, ApiError> {
    let store = &callers.store;
    let conversations_of = async |name: String| -> Result<Option<(String, Vec<Conversation>)>, ApiError> {
        let Ok(space) = SpaceId::try_from(name) else { return Ok(None) };
        match store.space_exists(&space).await? {
            true => Ok(Some((space.to_string(), store.conversations_of(&space).await?))),
            false => Ok(None),
        }
    };
    if let Some(found) = conversations_of(recipient.to_owned()).await? {
        return Ok(Some(found));
    }
    let Some(meant) = recipient::read(recipient) else { return Ok(None) };
    for person in &meant.people {
        for id in store.identity(person).await?.ids() {
            let direct = match store.conversation(id).await?.filter(|known| known.direct) {
                Some(known) => Some(known),
                None => store.direct_conversation(id).await?,
            };
            if let Some(known) = direct
                && let Some(space) = known.space.clone()
            {
                return Ok(Some((space, vec![known])));
            }
        }
    }
    conversations_of(meant.space).await
}

fn delivery(place: Conversation, text: &str) -> NewDelivery {
    NewDelivery {
        message: format!("sent-{}", uuid::Uuid::now_v7().simple()),
        platform: place.platform,
        conversation: place.id,
        thread: None,
        reply_to: None,
        text: text.to_owned(),
        choices: Vec::new(),
    }
}

fn check<'a>(text: &'a str, example: &str) -> Result<&'a str, ApiError> {
    match text.trim() {
        "" => Err(bad("Missing or empty 'text' field", example)),
        text if text.chars().count() > MOST_TEXT => Err(bad("Text exceeds 4096 character limit", example)),
        text => Ok(text),
    }
}

fn bad(error: &str, example: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_text", error, &format!("Send JSON such as {example}"))
}
