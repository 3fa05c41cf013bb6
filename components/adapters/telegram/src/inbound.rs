//! From an update to what happened, in the host's words. Nothing here asks anybody anything: files
//! are named, not fetched.

use mercury_plugin::{
    inbox::{Conversation, Event, Happening, Message, Quoted},
    types::{ConversationKind, Person},
};
use serde_json::Value;

use crate::{
    api::{self, CallbackQuery, Chat, Me, MessageReaction, Update, User},
    entities, files,
    files::RemoteFile,
    quote,
};

/// The prefix of every identifier.
pub const PLATFORM: &str = "telegram";

/// Who the bot is, and what the host calls it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bot {
    pub me: Me,
    /// Stands for its mention in texts.
    pub name: String,
}

impl Bot {
    /// Usernames are the same whatever the case of their letters.
    pub fn is_called(&self, username: &str) -> bool {
        !self.me.username.is_empty() && self.me.username.eq_ignore_ascii_case(username)
    }
}

/// What an update says, and what is left to do for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub update_id: i64,
    /// Where it happened, for whatever must keep its order there.
    pub chat: Option<i64>,
    pub event: Event,
    /// To be fetched before the event is handed over.
    pub files: Vec<RemoteFile>,
    /// A pressed button, to be acknowledged so that it stops blinking.
    pub callback: Option<String>,
    /// The album that it is a piece of: the chat's, since nobody says that the number is unique over chats.
    pub album: Option<String>,
}

/// `telegram:-1001`
pub fn conversation_id(chat: i64) -> String {
    format!("{PLATFORM}:{chat}")
}

/// The chat of a conversation's id.
pub fn chat_of(conversation: &str) -> Option<i64> {
    conversation.strip_prefix(PLATFORM)?.strip_prefix(':')?.parse().ok()
}

/// Reads any update; one that it does not understand happened nevertheless, so that none can stand in
/// the way of those behind it. None only without an `update_id`.
pub fn read(update: &Value, bot: &Bot) -> Option<Reading> {
    let update_id = update.get("update_id")?.as_i64()?;
    // Ids count for each bot on its own.
    let id = format!("{}:{update_id}", bot.me.id);
    let mut reading = Reading {
        update_id,
        chat: None,
        event: Event { id, happening: Happening::Other(String::new()) },
        files: Vec::new(),
        callback: None,
        album: None,
    };
    match serde_json::from_value::<Update>(update.clone()) {
        Ok(update) => happening(update, bot, &mut reading),
        Err(error) => {
            reading.event.happening = Happening::Other(format!("update {update_id} cannot be read: {error}"));
        }
    }
    // After a week without news Telegram counts on from another number, perhaps one that was there before.
    if let Happening::Message(message) = &reading.event.happening {
        reading.event.id.push_str(&format!(":{}:{}", reading.chat.unwrap_or_default(), message.message_id));
    }
    Some(reading)
}

fn happening(update: Update, bot: &Bot, reading: &mut Reading) {
    let update_id = update.update_id;
    reading.chat = chat_in(&update);
    reading.event.happening = if let Some(message) = update.message.or(update.channel_post) {
        new_message(&message, bot, reading)
    } else if let Some(message) = update.edited_message.or(update.edited_channel_post) {
        Happening::Edited(self::message(&message, bot))
    } else if let Some(query) = update.callback_query {
        reading.callback = Some(query.id.clone());
        pressed(query, bot)
    } else if let Some(change) = update.my_chat_member {
        let (chat, now) = (conversation_id(change.chat.id), change.new_chat_member);
        if now.is_gone() { Happening::Removed(chat) } else { Happening::Other(format!("now {} in {chat}", now.status)) }
    } else if let Some(reaction) = update.message_reaction {
        Happening::Other(reacted(&reaction))
    } else {
        Happening::Other(format!("update {update_id} is of a kind that is not used"))
    };
}

fn chat_in(update: &Update) -> Option<i64> {
    let messages = [&update.message, &update.channel_post, &update.edited_message, &update.edited_channel_post];
    let pressed = update.callback_query.as_ref().and_then(|query| query.message.as_ref());
    let message = messages.into_iter().flatten().next().or(pressed);
    let member = update.my_chat_member.as_ref();
    message.map(|message| message.chat.id).or_else(|| member.map(|change| change.chat.id))
}

fn new_message(message: &api::Message, bot: &Bot, reading: &mut Reading) -> Happening {
    let here = message.chat.id;
    if let Some(new) = message.migrate_to_chat_id {
        return Happening::Moved((conversation_id(here), conversation_id(new)));
    }
    if let Some(old) = message.migrate_from_chat_id {
        return Happening::Moved((conversation_id(old), conversation_id(here)));
    }
    if message.sender_chat.is_none() && message.from.as_ref().is_some_and(|from| from.id == bot.me.id) {
        return Happening::Other("its own message".into());
    }
    let read = self::message(message, bot);
    reading.files.extend(files::of(message));
    if read.text.is_empty() && reading.files.is_empty() {
        return Happening::Other(format!("a service message in {}", conversation_id(here)));
    }
    reading.album = message.media_group_id.as_ref().map(|group| format!("{here}:{group}"));
    Happening::Message(read)
}

fn message(message: &api::Message, bot: &Bot) -> Message {
    let (text, entities) = match (&message.text, &message.caption) {
        (Some(text), _) => (text.as_str(), &message.entities),
        (None, Some(caption)) => (caption.as_str(), &message.caption_entities),
        (None, None) => ("", &message.entities),
    };
    let written = entities::markdown(text, entities, bot);
    let described = described(message);
    let text = match (written.text.is_empty(), described) {
        (_, None) => written.text,
        (true, Some(described)) => described,
        (false, Some(described)) => format!("{}\n{described}", written.text),
    };
    // So that nobody's words pass for those of whoever hands them on: as an order, or as an answer.
    let text = match &message.forward_origin {
        Some(origin) => format!("[forwarded from {}]\n{text}", origin_name(origin)).trim_end().to_owned(),
        None => text,
    };
    Message {
        message_id: message.message_id.to_string(),
        conversation: conversation(message),
        author: author(message),
        // Behind `sender_chat` stands a stand-in user that counts as a bot: an anonymous admin is a person.
        from_bot: message.sender_chat.is_none() && message.from.as_ref().is_some_and(|from| from.is_bot),
        text,
        mentions_bot: written.mentions_bot,
        quoted: quote::of(message, bot),
        attachments: Vec::new(),
        missing: Vec::new(),
        answer: None,
        sent_at: message.date.saturating_mul(1_000),
    }
}

fn pressed(query: CallbackQuery, bot: &Bot) -> Happening {
    let Some(asked) = query.message else {
        return Happening::Other("a button outside of any chat was pressed".into());
    };
    let Some(data) = query.data else {
        return Happening::Other("a button without data was pressed".into());
    };
    let buttons = asked.reply_markup.iter().flat_map(|markup| markup.inline_keyboard.iter().flatten());
    let label = buttons.filter(|button| button.callback_data.as_ref() == Some(&data)).map(|button| &button.text).next();
    Happening::Message(Message {
        // Pressing it again says nothing new, so it is the same message. The data can be anybody's.
        message_id: format!("callback:{}:{}:{}", asked.message_id, query.from.id, data.escape_debug()),
        conversation: conversation(&asked),
        author: person(&query.from),
        from_bot: query.from.is_bot,
        text: label.unwrap_or(&data).clone(),
        mentions_bot: false,
        quoted: Some(Quoted {
            message_id: Some(asked.message_id.to_string()),
            author: asked.from.as_ref().map(person),
            text: quote::body(&asked),
            from_bot: asked.from.as_ref().is_none_or(|from| from.id == bot.me.id),
        }),
        attachments: Vec::new(),
        missing: Vec::new(),
        answer: Some(data),
        // Telegram does not say when a button was pressed.
        sent_at: 0,
    })
}

fn conversation(message: &api::Message) -> Conversation {
    let chat = &message.chat;
    let direct = if chat.kind.is_empty() { chat.id > 0 } else { chat.kind == "private" };
    Conversation {
        id: conversation_id(chat.id),
        kind: if direct { ConversationKind::Direct } else { ConversationKind::Group },
        title: chat.title.clone().or_else(|| chat_name(chat)),
        // Replies in ordinary groups have a thread id, too, to which nothing can be sent.
        thread: message.message_thread_id.filter(|_| message.is_topic_message).map(|thread| thread.to_string()),
        address: None,
    }
}

pub(crate) fn author(message: &api::Message) -> Person {
    match (&message.sender_chat, &message.from) {
        (Some(chat), _) => Person {
            id: format!("{PLATFORM}:chat:{}", chat.id),
            display_name: chat.title.clone().or_else(|| chat_name(chat)),
        },
        (None, Some(user)) => person(user),
        // A channel post of old: the channel itself speaks.
        (None, None) => Person {
            id: format!("{PLATFORM}:chat:{}", message.chat.id),
            display_name: message.chat.title.clone().or_else(|| chat_name(&message.chat)),
        },
    }
}

pub(crate) fn person(user: &User) -> Person {
    let name = user.username.clone().or_else(|| user.first_name.clone());
    Person { id: format!("{PLATFORM}:{}", user.id), display_name: Some(name.unwrap_or_else(|| user.id.to_string())) }
}

fn origin_name(origin: &api::Origin) -> String {
    let user = origin.sender_user.as_ref().and_then(|user| person(user).display_name);
    let chat = origin.sender_chat.as_ref().or(origin.chat.as_ref());
    let chat = chat.and_then(|chat| chat.title.clone().or_else(|| chat_name(chat)));
    let name = user.or_else(|| origin.sender_user_name.clone()).or(chat).unwrap_or_else(|| "somebody".into());
    // It stays in its brackets, on its line.
    name.replace(|c: char| c.is_control() || matches!(c, '[' | ']'), " ")
}

fn chat_name(chat: &Chat) -> Option<String> {
    chat.username.clone().or_else(|| chat.first_name.clone())
}

/// What a message shows besides text and files, in brackets.
fn described(message: &api::Message) -> Option<String> {
    if let Some(sticker) = &message.sticker {
        return Some(match &sticker.emoji {
            Some(emoji) => format!("[sticker {emoji}]"),
            None => "[sticker]".into(),
        });
    }
    // A venue has a location of its own beside it.
    if let Some(venue) = &message.venue {
        let at = venue.location;
        return Some(format!("[venue: {}, {} ({}, {})]", venue.title, venue.address, at.latitude, at.longitude));
    }
    if let Some(at) = message.location {
        return Some(format!("[location: {}, {}]", at.latitude, at.longitude));
    }
    if let Some(contact) = &message.contact {
        let family = contact.last_name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
        return Some(format!("[contact: {}{family}, {}]", contact.first_name, contact.phone_number));
    }
    if let Some(poll) = &message.poll {
        return Some(format!("[poll: {}]", poll.question));
    }
    message.dice.as_ref().map(|dice| format!("[dice {} {}]", dice.emoji, dice.value))
}

fn reacted(reaction: &MessageReaction) -> String {
    let signs: Vec<_> =
        reaction.new_reaction.iter().map(|sign| sign.emoji.as_deref().unwrap_or("a custom emoji")).collect();
    let who = reaction.user.as_ref().map_or_else(|| "somebody".to_owned(), |user| format!("{PLATFORM}:{}", user.id));
    let what = if signs.is_empty() {
        "took its reaction back".to_owned()
    } else {
        format!("reacted with {}", signs.join(" "))
    };
    format!("{who} {what}: message {} in {}", reaction.message_id, conversation_id(reaction.chat.id))
}

#[cfg(test)]
mod tests;
