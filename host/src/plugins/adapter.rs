//! A plugin as the adapter of a chat platform: its calls, each with its deadline.
//!
//! Four instances of their own, so that a long poll delays no webhook and a slow upload neither an event
//! nor another conversation's answer: for what arrives, for what is sent, for what is sent with files,
//! and for the long poll.

use std::{sync::Arc, time::Duration};

use mercury_bindings::mercury::plugin::{deliveries::DeliveryFailure, trouble::Trouble};

pub use super::capabilities::sockets::SocketEvents;
pub use mercury_bindings::{
    exports::mercury::plugin::{
        chat_adapter::{Choice, Delivered, Features, OutboundMessage, Platform},
        presence::Activity,
        socket_client::Event as SocketEvent,
        webhook::{Request as WebhookRequest, Response as WebhookResponse},
    },
    mercury::plugin::{deliveries, trouble},
};

use crate::media::Lent;

use super::{
    CallError, Interface, Plugins, exports::recorded, lanes::Lanes, manifest::Manifest, missing, plugin::Plugin, probe,
    resident::Resident,
};

/// For `start`, `describe` and `stop`: they may ask the platform who the bot is.
const START_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// For one round of a long poll, its wait included.
const POLL_PATIENCE: Duration = Duration::from_secs(360);
/// For one delivery with all its parts and files.
const DELIVER_PATIENCE: Duration = Duration::from_secs(300);
/// For an edit, a removal, a sign of presence.
const SMALL_PATIENCE: Duration = Duration::from_secs(30);
/// Whoever sent the webhook waits for the answer.
pub const WEBHOOK_PATIENCE: Duration = Duration::from_secs(10);
/// For a socket's event.
const EVENT_PATIENCE: Duration = Duration::from_secs(60);
/// For a timer, behind which an adapter may fetch files.
const TIMER_PATIENCE: Duration = Duration::from_secs(300);

pub struct Adapter {
    plugin: Arc<Plugin>,
    lanes: Lanes,
    platform: String,
    arriving: Resident,
    sending: Resident,
    uploading: Resident,
    polling: Resident,
}

/// Calls one function of an interface in a resident instance.
macro_rules! call {
    ($resident:expr, $interface:ident, $module:ident, $patience:expr, $function:ident ( $($argument:ident),* )) => {
        $resident
            .call(Interface::$interface, $patience, move |store, instance, exports| {
                Box::pin(async move {
                    let indices = exports.$module.as_ref().ok_or_else(missing)?;
                    recorded!(store, indices.load(&mut *store, instance)?, $function($(&$argument),*))
                })
            })
            .await
    };
}

impl Plugins {
    /// The adapters among the plugins: those with `[inbox]`.
    pub fn adapters(&self) -> Vec<Adapter> {
        self.providing(Interface::ChatAdapter)
            .iter()
            .filter_map(|plugin| {
                let platform = plugin.manifest.inbox.as_ref()?.platform.clone();
                let lanes = self.guests.lanes();
                let resident = || Resident::new(plugin, &lanes);
                Some(Adapter {
                    plugin: plugin.clone(),
                    lanes: lanes.clone(),
                    platform,
                    arriving: resident(),
                    sending: resident(),
                    uploading: resident(),
                    polling: resident(),
                })
            })
            .collect()
    }

    /// Secrets that adapters cannot do without and that are not set: platform and variable.
    pub fn missing_secrets(&self, is_set: impl Fn(&str) -> bool) -> Option<(String, String)> {
        self.providing(Interface::ChatAdapter).iter().find_map(|plugin| plugin.manifest.missing_secret(&is_set))
    }

    /// Whether the platform has an adapter now.
    pub fn reaches(&self, platform: &str) -> bool {
        let is_its =
            |plugin: &Arc<Plugin>| plugin.manifest.inbox.as_ref().is_some_and(|inbox| inbox.platform == platform);
        self.providing(Interface::ChatAdapter).iter().any(is_its)
    }

    /// Plugins that can be woken up.
    pub fn with_timers(&self) -> Vec<String> {
        self.providing(Interface::Timer).iter().map(|plugin| plugin.name().to_owned()).collect()
    }

    /// Wakes a plugin up.
    ///
    /// # Errors
    /// What the plugin said, or how the call failed.
    pub async fn fire_timer(&self, plugin: &str, name: &str) -> Result<(), String> {
        let found = self.providing(Interface::Timer).into_iter().find(|known| known.name() == plugin);
        let Some(plugin) = found else {
            return Err(format!("the plugin {plugin} is not loaded"));
        };
        let (resident, name) = (Resident::new(&plugin, &self.guests.lanes()), name.to_owned());
        call!(resident, Timer, timer, TIMER_PATIENCE, call_fire(name)).map_err(|error| error.to_string())?
    }
}

impl Adapter {
    /// Whether both are of the very same loaded plugin.
    pub fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.plugin, &other.plugin)
    }

    pub fn plugin(&self) -> &str {
        self.plugin.name()
    }

    /// As the manifest names it: the prefix of every identifier.
    pub fn platform(&self) -> &str {
        &self.platform
    }

    pub fn provides(&self, interface: Interface) -> bool {
        self.plugin.manifest.provides(interface)
    }

    /// Asked without any grant, in an instance that is not used again.
    pub async fn describe(&self) -> Result<Platform, CallError> {
        let bare = Arc::new(probe::without_grants(Manifest::clone(&self.plugin.manifest)));
        let resident = Resident::with_manifest(&self.plugin, &self.lanes, bare);
        call!(resident, ChatAdapter, chat_adapter, START_PATIENCE, call_describe())
    }

    /// Where the events of its sockets arrive. Those that told an earlier taker end.
    pub fn take_socket_events(&self) -> SocketEvents {
        self.plugin.services.sockets.take_events(self.plugin.name())
    }

    /// Ends its sockets.
    pub fn close_sockets(&self) {
        self.plugin.services.sockets.close_all(self.plugin.name());
    }

    pub async fn start(&self) -> Result<Result<(), Trouble>, CallError> {
        call!(self.arriving, ChatAdapter, chat_adapter, START_PATIENCE, call_start())
    }

    pub async fn stop(&self) -> Result<Result<(), String>, CallError> {
        call!(self.arriving, ChatAdapter, chat_adapter, STOP_PATIENCE, call_stop())
    }

    pub async fn poll(&self) -> Result<Result<Option<u32>, Trouble>, CallError> {
        call!(self.polling, Poller, poller, POLL_PATIENCE, call_poll())
    }

    pub async fn webhook(&self, request: WebhookRequest) -> Result<Result<WebhookResponse, String>, CallError> {
        call!(self.arriving, Webhook, webhook, WEBHOOK_PATIENCE, call_handle(request))
    }

    pub async fn socket_event(&self, socket: String, event: SocketEvent) -> Result<Result<(), String>, CallError> {
        call!(self.arriving, SocketClient, socket_client, EVENT_PATIENCE, call_on_event(socket, event))
    }

    /// Sends a message with these files, which are its attachments.
    pub async fn deliver(
        &self,
        mut message: OutboundMessage,
        files: Vec<Lent>,
    ) -> Result<Result<Delivered, DeliveryFailure>, CallError> {
        message.attachments = files.iter().map(|file| file.description().into()).collect();
        let lane = if files.is_empty() { &self.sending } else { &self.uploading };
        lane.call_with(files, Interface::ChatAdapter, DELIVER_PATIENCE, move |store, instance, exports| {
            Box::pin(async move {
                let indices = exports.chat_adapter.as_ref().ok_or_else(missing)?;
                recorded!(store, indices.load(&mut *store, instance)?, call_deliver(&message))
            })
        })
        .await
    }

    pub async fn edit(
        &self,
        conversation: String,
        message: String,
        text: String,
    ) -> Result<Result<(), DeliveryFailure>, CallError> {
        call!(self.sending, MessageEditor, message_editor, SMALL_PATIENCE, call_edit(conversation, message, text))
    }

    pub async fn remove(
        &self,
        conversation: String,
        message: String,
    ) -> Result<Result<(), DeliveryFailure>, CallError> {
        call!(self.sending, MessageEditor, message_editor, SMALL_PATIENCE, call_remove(conversation, message))
    }

    pub async fn indicate(
        &self,
        conversation: String,
        thread: Option<String>,
        activity: Activity,
    ) -> Result<Result<(), String>, CallError> {
        self.sending
            .call(Interface::Presence, SMALL_PATIENCE, move |store, instance, exports| {
                Box::pin(async move {
                    let indices = exports.presence.as_ref().ok_or_else(missing)?;
                    let presence = indices.load(&mut *store, instance)?;
                    recorded!(store, presence, call_indicate(&conversation, thread.as_deref(), activity))
                })
            })
            .await
    }
}
