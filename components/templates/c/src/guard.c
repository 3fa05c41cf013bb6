// Keeps some tools for admins.
#include "text.h"

// Whether the comma-separated list holds the name.
static bool lists(plugin_string_t list, plugin_string_t name) {
    for (size_t begin = 0; begin <= list.len;) {
        size_t end = begin;
        while (end < list.len && list.ptr[end] != ',') end++;
        size_t first = begin, last = end;
        while (first < last && list.ptr[first] == ' ') first++;
        while (last > first && list.ptr[last - 1] == ' ') last--;
        if (last - first == name.len && memcmp(list.ptr + first, name.ptr, name.len) == 0) return true;
        begin = end + 1;
    }
    return false;
}

void exports_mercury_plugin_tool_guard_check(exports_mercury_plugin_tool_guard_caller_t *caller, plugin_string_t *tool,
                                             plugin_string_t *arguments,
                                             exports_mercury_plugin_tool_guard_verdict_t *ret) {
    plugin_string_t key, admin_tools = {0};
    plugin_string_set(&key, "admin-tools");
    mercury_plugin_settings_get(&key, &caller->space, &admin_tools);
    ret->tag = MERCURY_PLUGIN_VERDICTS_VERDICT_ALLOW;
    if (!text_is(caller->role, "admin") && lists(admin_tools, *tool)) {
        buffer_t reason = {0};
        buffer_add(&reason, (const char *)tool->ptr, tool->len);
        buffer_text(&reason, " is for admins");
        ret->tag = MERCURY_PLUGIN_VERDICTS_VERDICT_DENY;
        ret->val.deny = buffer_take(&reason);
    }
    plugin_string_free(&admin_tools);
    exports_mercury_plugin_tool_guard_caller_free(caller);
    plugin_string_free(tool);
    plugin_string_free(arguments);
}
