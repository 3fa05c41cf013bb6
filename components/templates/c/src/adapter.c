// Connects a chat platform: it posts messages to /webhooks/{{name}}, and answers go to its API.
#include "text.h"

// The prefix of every identifier; the same as in plugin.toml.
#define PLATFORM "{{name}}"
#define MESSAGES "https://chat.example.com/messages"

// `platform:id`, of one's own.
static plugin_string_t qualified(plugin_string_t id) {
    buffer_t text = {0};
    buffer_text(&text, PLATFORM ":");
    buffer_add(&text, (const char *)id.ptr, id.len);
    return buffer_take(&text);
}

void exports_mercury_plugin_chat_adapter_describe(exports_mercury_plugin_chat_adapter_platform_t *ret) {
    plugin_string_dup(&ret->name, PLATFORM);
    plugin_string_dup(&ret->display_name, PLATFORM);
    ret->features = 0;
    ret->silence_limit_ms = 0;
}

bool exports_mercury_plugin_chat_adapter_start(exports_mercury_plugin_chat_adapter_trouble_t *err) {
    (void)err;
    return true;
}

bool exports_mercury_plugin_chat_adapter_stop(plugin_string_t *err) {
    (void)err;
    return true;
}

static bool fail(exports_mercury_plugin_chat_adapter_delivery_failure_t *err, uint8_t kind, const char *message,
                 uint64_t status) {
    buffer_t text = {0};
    buffer_text(&text, message);
    if (status != 0) buffer_number(&text, status);
    memset(err, 0, sizeof *err);
    err->kind.tag = kind;
    err->message = buffer_take(&text);
    return false;
}

// Sends the JSON; 0 where the platform could not be asked.
static uint16_t post(plugin_string_t json, plugin_string_t *answer) {
    plugin_tuple2_string_string_t header;
    plugin_string_set(&header.f0, "content-type");
    plugin_string_set(&header.f1, "application/json");
    // The host puts the secret in: it never enters this component.
    mercury_plugin_credentials_credential_t credential = {.place = {.tag = MERCURY_PLUGIN_CREDENTIALS_PLACE_BEARER}};
    plugin_string_set(&credential.secret, "token");
    mercury_plugin_http_request_t request = {
        .headers = {&header, 1},
        .credentials = {&credential, 1},
        .body = {.tag = MERCURY_PLUGIN_HTTP_BODY_CONTENT,
                 .val = {.content = {.tag = MERCURY_PLUGIN_TYPES_CONTENT_TEXT, .val = {.text = json}}}},
    };
    plugin_string_set(&request.method, "POST");
    plugin_string_set(&request.uri, MESSAGES);
    mercury_plugin_http_response_t response;
    mercury_plugin_http_error_t error;
    if (!mercury_plugin_http_fetch(&request, &response, &error)) {
        mercury_plugin_http_error_free(&error);
        return 0;
    }
    if (response.body.tag == MERCURY_PLUGIN_TYPES_CONTENT_TEXT) {
        buffer_t text = {0};
        buffer_add(&text, (const char *)response.body.val.text.ptr, response.body.val.text.len);
        *answer = buffer_take(&text);
    }
    uint16_t status = response.status;
    mercury_plugin_http_response_free(&response);
    return status;
}

static bool deliver(const exports_mercury_plugin_chat_adapter_outbound_message_t *message,
                    exports_mercury_plugin_chat_adapter_delivered_t *ret,
                    exports_mercury_plugin_chat_adapter_delivery_failure_t *err) {
    const size_t prefix = strlen(PLATFORM ":");
    plugin_string_t conversation = message->conversation, answer = {0}, id;
    if (conversation.len < prefix || memcmp(conversation.ptr, PLATFORM ":", prefix) != 0)
        return fail(err, MERCURY_PLUGIN_DELIVERIES_FAILURE_KIND_PERMANENT, "not a conversation of this platform", 0);
    conversation.ptr += prefix;
    conversation.len -= prefix;
    buffer_t body = {0};
    buffer_text(&body, "{\"conversation\":");
    buffer_quoted(&body, conversation);
    buffer_text(&body, ",\"text\":");
    buffer_quoted(&body, message->text);
    buffer_text(&body, "}");
    plugin_string_t json = buffer_take(&body);
    uint16_t status = post(json, &answer);
    plugin_string_free(&json);
    bool known = status == 200 && json_field(answer, "id", &id);
    plugin_string_free(&answer);
    if (status == 0)
        return fail(err, MERCURY_PLUGIN_DELIVERIES_FAILURE_KIND_TRANSIENT, "the platform cannot be reached", 0);
    if (status == 429 || status >= 500)
        return fail(err, MERCURY_PLUGIN_DELIVERIES_FAILURE_KIND_TRANSIENT, "the platform answered ", status);
    if (!known) return fail(err, MERCURY_PLUGIN_DELIVERIES_FAILURE_KIND_PERMANENT, "the platform answered ", status);
    memset(ret, 0, sizeof *ret);
    ret->message_ids.ptr = malloc(sizeof id);
    if (ret->message_ids.ptr == NULL) abort();
    ret->message_ids.ptr[0] = id;
    ret->message_ids.len = 1;
    return true;
}

bool exports_mercury_plugin_chat_adapter_deliver(exports_mercury_plugin_chat_adapter_outbound_message_t *message,
                                                 exports_mercury_plugin_chat_adapter_delivered_t *ret,
                                                 exports_mercury_plugin_chat_adapter_delivery_failure_t *err) {
    bool good = deliver(message, ret, err);
    exports_mercury_plugin_chat_adapter_outbound_message_free(message);
    return good;
}

// The status with which the platform is answered.
static uint16_t receive(const exports_mercury_plugin_webhook_request_t *request) {
    plugin_string_t name, token = {0};
    for (size_t i = 0; i < request->headers.len; i++)
        if (text_is(request->headers.ptr[i].f0, "x-token")) token = request->headers.ptr[i].f1;
    bool same = false;
    mercury_plugin_credentials_error_t error;
    plugin_string_set(&name, "webhook-token");
    if (!mercury_plugin_credentials_matches(&name, &token, &same, &error)) {
        mercury_plugin_credentials_error_free(&error);
        return 401;
    }
    if (!same) return 401;

    plugin_string_t json = request->text_body.is_some ? request->text_body.val : (plugin_string_t){0};
    plugin_string_t id = {0}, conversation = {0}, author = {0}, text = {0}, at = {0};
    bool whole = json_field(json, "id", &id) && json_field(json, "conversation", &conversation) &&
                 json_field(json, "author", &author) && json_field(json, "text", &text) && json_field(json, "at", &at);
    uint64_t sent_at = 0;
    for (size_t i = 0; whole && i < at.len; i++) {
        whole = at.ptr[i] >= '0' && at.ptr[i] <= '9' && at.len <= 15;
        sent_at = sent_at * 10 + (uint64_t)(at.ptr[i] - '0');
    }
    uint16_t status = 400;
    if (whole) {
        plugin_string_t where = qualified(conversation), who = qualified(author);
        mercury_plugin_inbox_event_t event = {.id = id};
        event.happening.tag = MERCURY_PLUGIN_INBOX_HAPPENING_MESSAGE;
        event.happening.val.message = (mercury_plugin_inbox_message_t){
            .message_id = id,
            .conversation = {.id = where, .kind = MERCURY_PLUGIN_TYPES_CONVERSATION_KIND_DIRECT},
            .author = {.id = who},
            .text = text,
            .sent_at = sent_at,
        };
        mercury_plugin_inbox_list_event_t events = {&event, 1};
        mercury_plugin_inbox_list_outcome_t outcomes;
        mercury_plugin_inbox_error_t refused;
        // On the disk when this returns, so the platform may forget it.
        if (mercury_plugin_inbox_accept(&events, NULL, &outcomes, &refused)) {
            mercury_plugin_inbox_list_outcome_free(&outcomes);
            status = 200;
        } else {
            mercury_plugin_inbox_error_free(&refused);
            status = 503;
        }
        plugin_string_free(&where);
        plugin_string_free(&who);
    }
    plugin_string_free(&id);
    plugin_string_free(&conversation);
    plugin_string_free(&author);
    plugin_string_free(&text);
    plugin_string_free(&at);
    return status;
}

bool exports_mercury_plugin_webhook_handle(exports_mercury_plugin_webhook_request_t *request,
                                           exports_mercury_plugin_webhook_response_t *ret, plugin_string_t *err) {
    (void)err;
    memset(ret, 0, sizeof *ret);
    ret->status = receive(request);
    ret->verified = ret->status != 401;
    ret->body.tag = MERCURY_PLUGIN_TYPES_CONTENT_TEXT;
    plugin_string_dup(&ret->body.val.text, "");
    exports_mercury_plugin_webhook_request_free(request);
    return true;
}
