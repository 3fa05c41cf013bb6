//! The parts of the Bot API that this adapter reads (core.telegram.org/bots/api), as they are sent.
//! Whatever it does not know is passed over, so that a new field breaks nothing.

use serde::Deserialize;
use serde_json::Value;

/// Kinds of update that the adapter asks for. `getUpdates` leaves `message_reaction` out unless told.
pub const ALLOWED_UPDATES: &[&str] = &[
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "callback_query",
    "my_chat_member",
    "message_reaction",
];

/// Every answer: `result` where `ok`, else the rest.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Envelope {
    pub ok: bool,
    pub result: Value,
    pub error_code: u16,
    pub description: String,
    pub parameters: Parameters,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Parameters {
    pub migrate_to_chat_id: Option<i64>,
    /// Seconds.
    pub retry_after: Option<u32>,
}

/// `getMe`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(default)]
pub struct Me {
    pub id: i64,
    pub username: String,
    /// Whether the bot sees ordinary messages of groups ("privacy mode" is off).
    pub can_read_all_group_messages: bool,
}

/// `getWebhookInfo`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct WebhookInfo {
    pub url: String,
    pub pending_update_count: u64,
    /// Unix time in seconds.
    pub last_error_date: Option<u64>,
    pub last_error_message: String,
    /// Empty: all but `chat_member`, `message_reaction` and `message_reaction_count`.
    pub allowed_updates: Vec<String>,
}

/// `getFile`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct File {
    #[serde(default)]
    pub file_size: Option<u64>,
    #[serde(default)]
    pub file_path: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Update {
    pub update_id: i64,
    #[serde(default)]
    pub message: Option<Box<Message>>,
    #[serde(default)]
    pub edited_message: Option<Box<Message>>,
    #[serde(default)]
    pub channel_post: Option<Box<Message>>,
    #[serde(default)]
    pub edited_channel_post: Option<Box<Message>>,
    #[serde(default)]
    pub callback_query: Option<CallbackQuery>,
    #[serde(default)]
    pub my_chat_member: Option<ChatMemberUpdated>,
    #[serde(default)]
    pub message_reaction: Option<MessageReaction>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Chat {
    pub id: i64,
    /// `private`, `group`, `supergroup` or `channel`.
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub first_name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct User {
    pub id: i64,
    #[serde(default)]
    pub is_bot: bool,
    #[serde(default)]
    pub first_name: Option<String>,
    #[serde(default)]
    pub username: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Message {
    pub message_id: i64,
    /// Unix time in seconds.
    #[serde(default)]
    pub date: u64,
    pub chat: Chat,
    #[serde(default)]
    pub from: Option<User>,
    #[serde(default)]
    pub sender_chat: Option<Chat>,
    /// Somebody else's words, handed on.
    #[serde(default)]
    pub forward_origin: Option<Origin>,
    #[serde(default)]
    pub message_thread_id: Option<i64>,
    #[serde(default)]
    pub is_topic_message: bool,
    #[serde(default)]
    pub media_group_id: Option<String>,
    #[serde(default)]
    pub reply_to_message: Option<Box<Self>>,
    #[serde(default)]
    pub quote: Option<TextQuote>,
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub entities: Vec<Entity>,
    #[serde(default)]
    pub caption: Option<String>,
    #[serde(default)]
    pub caption_entities: Vec<Entity>,
    #[serde(default)]
    pub photo: Vec<PhotoSize>,
    #[serde(default)]
    pub voice: Option<FileInfo>,
    #[serde(default)]
    pub audio: Option<FileInfo>,
    #[serde(default)]
    pub video: Option<FileInfo>,
    #[serde(default)]
    pub video_note: Option<FileInfo>,
    #[serde(default)]
    pub animation: Option<FileInfo>,
    #[serde(default)]
    pub document: Option<FileInfo>,
    #[serde(default)]
    pub sticker: Option<Sticker>,
    #[serde(default)]
    pub location: Option<Location>,
    #[serde(default)]
    pub venue: Option<Venue>,
    #[serde(default)]
    pub contact: Option<Contact>,
    #[serde(default)]
    pub poll: Option<Poll>,
    #[serde(default)]
    pub dice: Option<Dice>,
    #[serde(default)]
    pub migrate_to_chat_id: Option<i64>,
    #[serde(default)]
    pub migrate_from_chat_id: Option<i64>,
    /// Set on the service message that opens a topic; every message of the topic "replies" to it.
    #[serde(default)]
    pub forum_topic_created: Option<Value>,
    #[serde(default)]
    pub reply_markup: Option<InlineKeyboard>,
}

/// `MessageOrigin`: of its four kinds each names its author in another field.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Origin {
    #[serde(default)]
    pub sender_user: Option<User>,
    /// Of somebody who hides the account.
    #[serde(default)]
    pub sender_user_name: Option<String>,
    #[serde(default)]
    pub sender_chat: Option<Chat>,
    #[serde(default)]
    pub chat: Option<Chat>,
}

/// What somebody marked of the message that they reply to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TextQuote {
    #[serde(default)]
    pub text: String,
}

/// Offsets and lengths are UTF-16 code units.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Entity {
    #[serde(rename = "type")]
    pub kind: String,
    pub offset: usize,
    pub length: usize,
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub user: Option<User>,
    #[serde(default)]
    pub language: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PhotoSize {
    pub file_id: String,
    #[serde(default)]
    pub width: u32,
    #[serde(default)]
    pub height: u32,
    #[serde(default)]
    pub file_size: Option<u64>,
}

/// What `Voice`, `Audio`, `Video`, `VideoNote`, `Animation` and `Document` have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct FileInfo {
    pub file_id: String,
    #[serde(default)]
    pub file_name: Option<String>,
    #[serde(default)]
    pub mime_type: Option<String>,
    #[serde(default)]
    pub file_size: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Sticker {
    pub file_id: String,
    #[serde(default)]
    pub emoji: Option<String>,
    #[serde(default)]
    pub is_animated: bool,
    #[serde(default)]
    pub is_video: bool,
    #[serde(default)]
    pub file_size: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct Location {
    pub latitude: f64,
    pub longitude: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Venue {
    #[serde(default)]
    pub location: Location,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub address: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Contact {
    #[serde(default)]
    pub phone_number: String,
    #[serde(default)]
    pub first_name: String,
    #[serde(default)]
    pub last_name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Poll {
    #[serde(default)]
    pub question: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Dice {
    #[serde(default)]
    pub emoji: String,
    #[serde(default)]
    pub value: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct InlineKeyboard {
    #[serde(default)]
    pub inline_keyboard: Vec<Vec<Button>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Button {
    #[serde(default)]
    pub text: String,
    #[serde(default)]
    pub callback_data: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct CallbackQuery {
    pub id: String,
    pub from: User,
    /// The message with the buttons. Without it (inline mode) nobody knows where the answer belongs.
    #[serde(default)]
    pub message: Option<Box<Message>>,
    #[serde(default)]
    pub data: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ChatMemberUpdated {
    pub chat: Chat,
    pub new_chat_member: ChatMember,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ChatMember {
    pub status: String,
    /// Of somebody restricted: whether still in the chat.
    #[serde(default)]
    pub is_member: Option<bool>,
}

impl ChatMember {
    pub fn is_gone(&self) -> bool {
        matches!(self.status.as_str(), "kicked" | "left")
            || self.status == "restricted" && self.is_member == Some(false)
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct MessageReaction {
    pub chat: Chat,
    pub message_id: i64,
    #[serde(default)]
    pub user: Option<User>,
    #[serde(default)]
    pub new_reaction: Vec<Reaction>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Reaction {
    #[serde(default)]
    pub emoji: Option<String>,
}
