//! `POST /chat`: a message, and its answer in the same exchange.

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Api, MOST_BODY,
    access::require,
    addressed::{Addressed, Claimed},
    files,
};
use crate::{
    app::Rooms,
    approvals::view,
    callers, clock,
    delivery::News,
    domain::{approval, ids::SpaceId},
    http::ApiError,
    store::{Accepted, NewInbound, Outbound, OutboundState},
};

/// Unknown fields are ignored, as in the replaced system.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChatRequest {
    #[serde(default)]
    text: String,
    caller_id: Option<String>,
    /// Everywhere else it is called `space`; what is meant for one space must not be said in another.
    #[serde(alias = "space")]
    space_id: Option<String>,
    author_name: Option<String>,
    platform: Option<String>,
    /// The client's own id of the message. Sent again, it gets the same answer instead of a second run.
    message_id: Option<String>,
    #[serde(default)]
    files: Vec<files::GivenFile>,
    /// Whether a question of the run ends the waiting: then the answer has `question` and no
    /// `reply`. The same message sent again waits on. Others wait while somebody else answers.
    #[serde(default)]
    questions: bool,
    /// Only questions newer than this one: what the client has shown already.
    #[serde(default)]
    questions_after: i64,
    /// The text is the answer to this question: a choice's number, id or label, or `edit …`.
    question: Option<i64>,
}

/// A message, and what its sender waits for.
struct Asked {
    message: NewInbound,
    /// To be written to the space.
    files: Vec<files::GivenFile>,
    /// What was read lives on in the files until they are written, so its part of the budget does as well.
    held: Option<OwnedSemaphorePermit>,
    questions_after: Option<i64>,
}

pub(super) async fn chat(State(api): State<Api>, request: Request) -> Result<Response, ApiError> {
    let received = clock::micros();
    require(request.headers(), api.config.chat_api_key.as_ref())?;
    let rooms = api.rooms()?;
    let asked = read(&api, rooms, request).await?;
    let questions_after = asked.questions_after;
    // A task of its own: a client that no longer waits must leave neither files of no message nor a message
    // that nobody decides.
    let accepted = tokio::spawn(keep(api.clone(), asked, received)).await.map_err(given_up)??;
    let news = tokio::select! {
        news = rooms.delivery.next(accepted.id(), questions_after) => news?,
        () = api.stopping.cancelled() => return Err(stopping()),
    };
    match news {
        News::Answer(answer) => respond(&api, rooms, answer).await,
        News::Question(question) => {
            let run = serde_json::json!({ "id": question.asked.run });
            Ok(Json(serde_json::json!({ "question": view(&question), "run": run, "files": [] })).into_response())
        }
    }
}

/// Keeps the message with its files, or neither.
async fn keep(api: Api, asked: Asked, received: u64) -> Result<Accepted, ApiError> {
    let (rooms, mut message) = (api.rooms()?, asked.message);
    if !asked.files.is_empty() {
        message.attachments = save_files(&api, rooms, &message.space, asked.files).await?;
    }
    drop(asked.held);
    let (space, saved) = (message.space.clone(), message.attachments.clone());
    let accepted = rooms.intake.accept(message, received).await;
    // Its space may be gone by now, and a later one of the same name must not find them.
    if !saved.is_empty() && !matches!(accepted, Ok(Accepted::New(_))) {
        let spaces = api.config.spaces_dir();
        let _ = tokio::task::spawn_blocking(move || files::forget(&spaces, &space, &saved)).await;
    }
    Ok(accepted?)
}

fn given_up(error: tokio::task::JoinError) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string(), "")
}

fn bad_request(code: &str, error: String, next: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, code, error, next)
}

async fn read(api: &Api, rooms: &Rooms, request: Request) -> Result<Asked, ApiError> {
    let body = api.bodies.read(request.into_body(), MOST_BODY).await?;
    let example = "Send JSON such as {\"text\": \"hello\", \"spaceId\": \"main\"}";
    let chat: ChatRequest = serde_json::from_slice(&body.bytes)
        .map_err(|error| bad_request("bad_json", format!("the body is not what /chat takes: {error}"), example))?;
    let held = body.budget;
    drop(body.bytes);
    if chat.text.trim().is_empty() {
        return Err(bad_request("missing_text", "Missing or empty 'text' field".into(), example));
    }
    if chat.files.len() > files::MOST_FILES {
        return Err(bad_request(
            "too_many_files",
            format!("Too many files (max {})", files::MOST_FILES),
            "Send them in several messages",
        ));
    }
    let claimed = Claimed {
        caller: chat.caller_id,
        space: chat.space_id,
        author_name: chat.author_name.clone(),
        platform: chat.platform,
    };
    let Addressed { caller, conversation, space } = claimed.resolve(api, rooms).await?;
    let mut text = chat.text.trim().to_owned();
    if let Some(id) = chat.question {
        check_answer(rooms, &space, id, &text).await?;
        text = format!("#{id} {text}");
    }
    let (attachments, files) = match may_send_files(api, rooms, &space, &caller, &chat.files).await? {
        true => (Vec::new(), chat.files),
        // The agent is told of them, and that is all that is left.
        false => (files::withheld(&chat.files), Vec::new()),
    };
    let message = NewInbound {
        platform: "api".to_owned(),
        // Another caller's message id is another message.
        event: match chat.message_id.filter(|id| !id.is_empty()) {
            // With its length, since a caller and an id may both hold a colon.
            Some(id) => format!("{}:{caller}:{space}:{id}", caller.len()),
            None => uuid::Uuid::now_v7().to_string(),
        },
        space,
        conversation,
        author: caller,
        author_name: chat.author_name,
        text,
        attachments,
        received_at: clock::millis(),
        chat: None,
    };
    Ok(Asked { message, files, held, questions_after: chat.questions.then_some(chat.questions_after) })
}

/// A text that is meant as an answer and is none would be a message for the agent.
async fn check_answer(rooms: &Rooms, space: &SpaceId, id: i64, text: &str) -> Result<(), ApiError> {
    let known = rooms.store.question(id).await?.filter(|question| question.space == *space);
    let Some(question) = known else {
        let error = format!("There is no question {id} in the space {space}");
        return Err(ApiError::new(StatusCode::NOT_FOUND, "question_unknown", error, ""));
    };
    match approval::answer(text, question.ordinal) {
        Some(_) => Ok(()),
        None => Err(bad_request(
            "bad_answer",
            format!("This does not answer question {id}"),
            "Send `allow`, `deny`, a choice's number, or `edit` and what to run instead",
        )),
    }
}

/// Whether the files of a message are kept at all: by the caller's permission, and where there is room.
async fn may_send_files(
    api: &Api,
    rooms: &Rooms,
    space: &SpaceId,
    caller: &str,
    given: &[files::GivenFile],
) -> Result<bool, ApiError> {
    if given.is_empty() {
        return Ok(true);
    }
    let role = callers::role_of(&api.config, &rooms.store, space, caller).await?;
    if !rooms.plugins.held(space, &role).await?.may_receive() {
        return Ok(false);
    }
    let bytes = given.iter().map(files::GivenFile::bytes).sum::<u64>();
    match rooms.intake.quota.left().await {
        Some(left) if left < bytes => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "storage_quota",
            "Storage quota exceeded: the files of the spaces take all that runtime.max_disk_mb gives them",
            "Send it without files; an admin of the space can clear its own: `mrctl media clear`",
        )),
        _ => Ok(true),
    }
}

async fn save_files(
    api: &Api,
    rooms: &Rooms,
    space: &SpaceId,
    given: Vec<files::GivenFile>,
) -> Result<Vec<mercury_protocol::io::Attachment>, ApiError> {
    let (spaces, space, user) = (api.config.spaces_dir(), space.clone(), rooms.sandbox.user());
    let saved = tokio::task::spawn_blocking(move || files::save(&spaces, &space, user, clock::millis(), given)).await;
    match saved {
        Ok(Ok(attachments)) => {
            let bytes = attachments.iter().filter_map(|attachment| attachment.size_bytes).sum();
            rooms.intake.quota.add(bytes);
            Ok(attachments)
        }
        Ok(Err(error @ files::FileError::NotBase64 { .. })) => {
            Err(bad_request("bad_file", error.to_string(), "Encode file data as standard base64"))
        }
        Ok(Err(error)) => Err(ApiError::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "file_not_written",
            error.to_string(),
            "Nothing was accepted; free space and send it again",
        )),
        Err(error) => Err(given_up(error)),
    }
}

fn stopping() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "stopping",
        "The host is stopping; the message is kept and its run goes on",
        "Send the same request with the same messageId once the host is back: it gets the answer, not a second run",
    )
}

async fn respond(api: &Api, rooms: &Rooms, answer: Outbound) -> Result<Response, ApiError> {
    let mut marks = match &answer.run {
        Some(run) => rooms.store.marks_of(run).await?,
        None => None,
    };
    if let Some(marks) = marks.as_mut().filter(|marks| marks.delivered == 0) {
        marks.delivered = clock::micros();
    }
    rooms.delivery.delivered(&answer).await?;
    if let (Some(run), Some(marks)) = (&answer.run, marks) {
        rooms.store.save_marks(run, marks).await?;
    }
    if let Some(problem) = answer.problem {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let mut error = ApiError::new(status, &problem.code, problem.detail, &problem.next);
        error.body.reply = Some(answer.reply);
        error.body.run = answer.run.map(|run| run.to_string());
        return Err(match problem.again_at {
            Some(at) => error.retry_after(seconds_until(at, clock::millis())),
            None => error,
        });
    }
    let run = answer.run.map(|run| {
        serde_json::json!({
            "id": run,
            "stages": marks.map(|marks| marks.stages()),
            "totalMicros": marks.map(|marks| marks.total_micros()),
        })
    });
    let suppressed = answer.state == OutboundState::Suppressed;
    let reply = if suppressed { String::new() } else { answer.reply };
    let files = if suppressed { Vec::new() } else { answer.files };
    Ok(stream(api, reply, run, files))
}

/// At least one: who asks again at once is turned away again.
fn seconds_until(at: i64, now: i64) -> u32 {
    u32::try_from(at.saturating_sub(now).max(1).unsigned_abs().div_ceil(1000)).unwrap_or(u32::MAX)
}

/// `{"reply", "run", "files": […]}`, the files streamed from disk.
fn stream(
    api: &Api,
    reply: String,
    run: Option<serde_json::Value>,
    files: Vec<crate::store::OutboundFile>,
) -> Response {
    let head = serde_json::json!({ "reply": reply, "run": run }).to_string();
    let (to, pieces) = mpsc::channel(4);
    let data_dir = api.config.data_dir.clone();
    tokio::spawn(async move {
        let opening = format!("{},\"files\":[", head.strip_suffix('}').unwrap_or(&head));
        if to.send(Ok(opening.into())).await.is_ok() {
            files::stream(data_dir, files, &to).await;
            let _ = to.send(Ok("]}".into())).await;
        }
    });
    let mut response = Response::new(Body::from_stream(ReceiverStream::new(pieces)));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
