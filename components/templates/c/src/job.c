// Tells a space when a page on the web has changed.
#include "text.h"

// plugin.toml grants it.
#define PAGE "https://status.example.com/status.txt"
// The text that was there when it was looked at last.
#define LAST "last"

static bool fail(plugin_string_t *err, const char *message, uint64_t status) {
    buffer_t text = {0};
    buffer_text(&text, message);
    if (status != 0) buffer_number(&text, status);
    *err = buffer_take(&text);
    return false;
}

// The page's text, which is then the caller's.
static bool page(plugin_string_t *text, plugin_string_t *err) {
    mercury_plugin_http_request_t request = {.body = {.tag = MERCURY_PLUGIN_HTTP_BODY_EMPTY}};
    plugin_string_set(&request.method, "GET");
    plugin_string_set(&request.uri, PAGE);
    mercury_plugin_http_response_t response;
    mercury_plugin_http_error_t error;
    if (!mercury_plugin_http_fetch(&request, &response, &error)) {
        *err = error.message;
        error.message = (plugin_string_t){0};
        mercury_plugin_http_error_free(&error);
        return false;
    }
    bool good = response.status == 200 && response.body.tag == MERCURY_PLUGIN_TYPES_CONTENT_TEXT;
    if (good) {
        *text = response.body.val.text;
        response.body.val.text = (plugin_string_t){0};
    } else {
        fail(err, PAGE " answered ", response.status);
    }
    mercury_plugin_http_response_free(&response);
    return good;
}

static bool tell(plugin_string_t *err) {
    plugin_string_t key, message, id, space = {0};
    plugin_string_set(&key, "space");
    mercury_plugin_settings_get(&key, NULL, &space);
    mercury_plugin_messenger_recipient_t to = {.tag = MERCURY_PLUGIN_MESSENGER_RECIPIENT_SPACE, .val = {.space = space}};
    plugin_string_set(&message, PAGE " has changed.");
    mercury_plugin_messenger_error_t error;
    bool good = mercury_plugin_messenger_send(&to, &message, &id, &error);
    plugin_string_free(&space);
    if (good) {
        plugin_string_free(&id);
        return true;
    }
    mercury_plugin_messenger_error_free(&error);
    return fail(err, "the space cannot be told", 0);
}

static bool look(plugin_string_t text, plugin_string_t *err) {
    plugin_string_t key;
    plugin_list_u8_t now = {text.ptr, text.len};
    mercury_plugin_kv_error_t error;
    plugin_string_set(&key, LAST);
    plugin_option_list_u8_t found;
    if (!mercury_plugin_kv_get(&key, &found, &error)) {
        mercury_plugin_kv_error_free(&error);
        return fail(err, "what was kept cannot be read", 0);
    }
    bool known = found.is_some;
    bool same = known && found.val.len == now.len && memcmp(found.val.ptr, now.ptr, now.len) == 0;
    plugin_option_list_u8_free(&found);
    if (same) return true;
    // Before it is kept: what fails here is told at the next run.
    if (known && !tell(err)) return false;
    if (mercury_plugin_kv_set(&key, &now, &error)) return true;
    mercury_plugin_kv_error_free(&error);
    return fail(err, "the page cannot be kept", 0);
}

bool exports_mercury_plugin_job_run(plugin_string_t *name, plugin_string_t *err) {
    plugin_string_t text;
    bool good = page(&text, err);
    if (good) {
        good = look(text, err);
        plugin_string_free(&text);
    }
    plugin_string_free(name);
    return good;
}
