// Strings, and as much JSON as flat objects of strings and whole numbers need.
#pragma once
#include "plugin.h"
#include <stdlib.h>
#include <string.h>

static inline bool text_is(plugin_string_t text, const char *other) {
    return text.len == strlen(other) && memcmp(text.ptr, other, text.len) == 0;
}

// A growing text of one's own. Memory that runs out ends the call: the host contains it.
typedef struct {
    char *ptr;
    size_t len, room;
} buffer_t;

static inline void buffer_add(buffer_t *buffer, const char *bytes, size_t count) {
    if (buffer->room - buffer->len < count) {
        buffer->room = (buffer->room + count) * 2;
        buffer->ptr = realloc(buffer->ptr, buffer->room);
        if (buffer->ptr == NULL) abort();
    }
    memcpy(buffer->ptr + buffer->len, bytes, count);
    buffer->len += count;
}

static inline void buffer_text(buffer_t *buffer, const char *text) { buffer_add(buffer, text, strlen(text)); }

static inline void buffer_number(buffer_t *buffer, uint64_t number) {
    char digits[20];
    size_t begin = sizeof digits;
    do digits[--begin] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    buffer_add(buffer, digits + begin, sizeof digits - begin);
}

// As a JSON string, quotes included.
static inline void buffer_quoted(buffer_t *buffer, plugin_string_t text) {
    static const char hex[] = "0123456789abcdef";
    buffer_text(buffer, "\"");
    for (size_t i = 0; i < text.len; i++) {
        char byte = (char)text.ptr[i];
        if (byte == '"' || byte == '\\') {
            char escaped[] = {'\\', byte};
            buffer_add(buffer, escaped, 2);
        } else if ((uint8_t)byte < 0x20) {
            char escaped[] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
            buffer_add(buffer, escaped, 6);
        } else {
            buffer_add(buffer, &byte, 1);
        }
    }
    buffer_text(buffer, "\"");
}

// Hands the bytes over.
static inline plugin_string_t buffer_take(buffer_t *buffer) {
    plugin_string_t text = {(uint8_t *)buffer->ptr, buffer->len};
    *buffer = (buffer_t){0};
    return text;
}

static inline void utf8(buffer_t *buffer, uint32_t c) {
    char bytes[4];
    size_t count = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = count; i-- > 1; c >>= 6) bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)(first[count] | c);
    buffer_add(buffer, bytes, count);
}

static inline bool hex4(const char **at, const char *end, uint32_t *value) {
    if (end - *at < 4) return false;
    *value = 0;
    for (int i = 0; i < 4; i++, (*at)++) {
        char c = **at;
        uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : (c | 32) >= 'a' && (c | 32) <= 'f' ? (uint32_t)((c | 32) - 'a' + 10) : 16;
        if (digit == 16) return false;
        *value = *value << 4 | digit;
    }
    return true;
}

static inline void json_space(const char **at, const char *end) {
    while (*at < end && strchr(" \t\r\n", **at) != NULL && **at != 0) (*at)++;
}

static inline bool json_string(const char **at, const char *end, buffer_t *out) {
    if (*at == end || *(*at)++ != '"') return false;
    while (*at < end) {
        char c = *(*at)++;
        if (c == '"') return true;
        if ((uint8_t)c < 0x20) return false;
        if (c != '\\') {
            buffer_add(out, &c, 1);
            continue;
        }
        if (*at == end) return false;
        c = *(*at)++;
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char *known = c == 0 ? NULL : strchr(from, c);
        uint32_t unit, low;
        if (known != NULL) {
            buffer_add(out, to + (known - from), 1);
        } else if (c == 'u' && hex4(at, end, &unit)) {
            if (unit >= 0xd800 && unit < 0xdc00) {
                if (end - *at < 2 || memcmp(*at, "\\u", 2) != 0) return false;
                *at += 2;
                if (!hex4(at, end, &low) || low < 0xdc00 || low > 0xdfff) return false;
                unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            } else if (unit >= 0xdc00 && unit < 0xe000) {
                return false;
            }
            utf8(out, unit);
        } else {
            return false;
        }
    }
    return false;
}

// The field of a flat JSON object, as its text: of a string without quotes and escapes. False where there
// is none, or where the JSON is not of that kind. What it gives is to be freed with plugin_string_free.
static inline bool json_field(plugin_string_t json, const char *key, plugin_string_t *value) {
    const char *at = (const char *)json.ptr, *end = at + json.len;
    json_space(&at, end);
    if (at == end || *at++ != '{') return false;
    for (;;) {
        buffer_t name = {0}, found = {0};
        json_space(&at, end);
        bool good = json_string(&at, end, &name);
        json_space(&at, end);
        good = good && at < end && *at++ == ':';
        json_space(&at, end);
        if (good && at < end && *at == '"') {
            good = json_string(&at, end, &found);
        } else if (good) {
            const char *begin = at;
            while (at < end && strchr(",} \t\r\n", *at) == NULL) at++;
            good = at > begin && *begin != '{' && *begin != '[';
            buffer_add(&found, begin, (size_t)(at - begin));
        }
        plugin_string_t known = {(uint8_t *)name.ptr, name.len};
        bool wanted = good && text_is(known, key);
        free(name.ptr);
        if (wanted) {
            *value = buffer_take(&found);
            return true;
        }
        free(found.ptr);
        json_space(&at, end);
        if (!good || at == end || *at++ != ',') return false;
    }
}
