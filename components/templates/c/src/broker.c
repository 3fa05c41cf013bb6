// Counts words for the agent: mrctl capability {{name}} count '{"text": "…"}'
#include "text.h"

static bool fail(exports_mercury_plugin_broker_failure_t *err, uint16_t status, const char *code, const char *message,
                 plugin_string_t about) {
    buffer_t text = {0};
    buffer_text(&text, message);
    buffer_add(&text, (const char *)about.ptr, about.len);
    err->status = status;
    plugin_string_dup(&err->code, code);
    err->message = buffer_take(&text);
    err->retryable = false;
    return false;
}

// Words are what stands between white space; a character is a byte that does not continue another.
static void count(plugin_string_t text, uint64_t *words, uint64_t *characters) {
    bool inside = false;
    *words = *characters = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool space = text.ptr[i] == ' ' || (text.ptr[i] >= '\t' && text.ptr[i] <= '\r');
        *words += !space && !inside;
        inside = !space;
        *characters += (text.ptr[i] & 0xc0) != 0x80;
    }
}

bool exports_mercury_plugin_broker_invoke(exports_mercury_plugin_broker_caller_t *caller, plugin_string_t *action,
                                          plugin_string_t *arguments, exports_mercury_plugin_broker_answer_t *ret,
                                          exports_mercury_plugin_broker_failure_t *err) {
    bool good = false;
    plugin_string_t text, nothing = {0};
    if (!text_is(*action, "count")) {
        fail(err, 404, "unknown-action", "there is no action ", *action);
    } else if (!json_field(*arguments, "text", &text)) {
        fail(err, 422, "bad-arguments", "text is missing", nothing);
    } else {
        uint64_t words, characters;
        count(text, &words, &characters);
        plugin_string_free(&text);
        buffer_t output = {0};
        buffer_text(&output, "{\"words\":");
        buffer_number(&output, words);
        buffer_text(&output, ",\"characters\":");
        buffer_number(&output, characters);
        buffer_text(&output, "}");
        ret->output = buffer_take(&output);
        ret->files.ptr = NULL;
        ret->files.len = 0;
        good = true;
    }
    exports_mercury_plugin_broker_caller_free(caller);
    plugin_string_free(action);
    plugin_string_free(arguments);
    return good;
}
