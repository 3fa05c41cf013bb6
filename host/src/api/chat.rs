//! `POST /chat`: a message, and its answer in the same exchange.

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Api, MOST_BODY, access::require, files};
use crate::{
    app::Rooms,
    approvals::view,
    clock,
    delivery::News,
    domain::{approval, ids::SpaceId, roles},
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
    space_id: Option<String>,
    author_name: Option<String>,
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
    questions_after: Option<i64>,
}

const ANONYMOUS: &str = "api:anonymous";

pub(super) async fn chat(State(api): State<Api>, request: Request) -> Result<Response, ApiError> {
    let received = clock::micros();
    require(request.headers(), api.config.chat_api_key.as_ref())?;
    let rooms = api.rooms()?;
    let Asked { message, questions_after } = read(&api, rooms, request).await?;
    let (space, attachments) = (message.space.clone(), message.attachments.clone());
    let accepted = rooms.intake.accept(message, received).await?;
    if let Accepted::Duplicate(_) = accepted {
        files::forget(&api.config.spaces_dir(), &space, &attachments);
    }
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

fn bad_request(code: &str, error: String, next: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, code, error, next)
}

async fn read(api: &Api, rooms: &Rooms, request: Request) -> Result<Asked, ApiError> {
    let body = api.bodies.read(request.into_body(), MOST_BODY).await?;
    let example = "Send JSON such as {\"text\": \"hello\", \"spaceId\": \"main\"}";
    let chat: ChatRequest = serde_json::from_slice(&body.bytes)
        .map_err(|error| bad_request("bad_json", format!("the body is not what /chat takes: {error}"), example))?;
    // What was read lives on in the files until they are written, so its budget does as well.
    let _held = body.budget;
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
    let space = chat.space_id.unwrap_or_else(|| SpaceId::MAIN.to_owned());
    let space = SpaceId::try_from(space).map_err(|error| bad_request("bad_space", error.to_string(), ""))?;
    if !rooms.store.space_exists(&space).await? {
        return Err(ApiError::space_not_found(space.as_str()));
    }
    let caller = chat.caller_id.filter(|caller| !caller.trim().is_empty()).unwrap_or_else(|| ANONYMOUS.to_owned());
    if api.config.chat_api_key.is_some() && !caller.eq_ignore_ascii_case(roles::SYSTEM_ROLE) {
        // Whoever holds the chat key acts for the operator (http-api.md 2.6).
        rooms.store.set_role(&space, &caller, roles::ADMIN_ROLE, chat.author_name.as_deref()).await?;
    }
    let mut text = chat.text.trim().to_owned();
    if let Some(id) = chat.question {
        check_answer(rooms, &space, id, &text).await?;
        text = format!("#{id} {text}");
    }
    let attachments = save_files(api, rooms, &space, chat.files).await?;
    let message = NewInbound {
        platform: "api".to_owned(),
        // Another caller's message id is another message.
        event: match chat.message_id.filter(|id| !id.is_empty()) {
            // With its length, since a caller and an id may both hold a colon.
            Some(id) => format!("{}:{caller}:{space}:{id}", caller.len()),
            None => uuid::Uuid::now_v7().to_string(),
        },
        space,
        conversation: format!("api:{caller}"),
        author: caller,
        author_name: chat.author_name,
        text,
        attachments,
        received_at: clock::millis(),
        chat: None,
    };
    Ok(Asked { message, questions_after: chat.questions.then_some(chat.questions_after) })
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

async fn save_files(
    api: &Api,
    rooms: &Rooms,
    space: &SpaceId,
    given: Vec<files::GivenFile>,
) -> Result<Vec<mercury_protocol::io::Attachment>, ApiError> {
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let (spaces, space, user) = (api.config.spaces_dir(), space.clone(), rooms.sandbox.user());
    let saved = tokio::task::spawn_blocking(move || files::save(&spaces, &space, user, clock::millis(), given)).await;
    match saved {
        Ok(Ok(attachments)) => Ok(attachments),
        Ok(Err(error @ files::FileError::NotBase64 { .. })) => {
            Err(bad_request("bad_file", error.to_string(), "Encode file data as standard base64"))
        }
        Ok(Err(error)) => Err(ApiError::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "file_not_written",
            error.to_string(),
            "Nothing was accepted; free space and send it again",
        )),
        Err(error) => Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string(), "")),
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
        return Err(error);
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
