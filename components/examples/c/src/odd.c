#include "odd.h"
#include <stdbool.h>
#include <string.h>

// The longest label that a person chose: DNS allows 63.
#define LONG_LABEL 40
// From here on a label is looked at for digits, and this share of them is data: a third.
#define DATA_LABEL 24

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

// 127.0.0.1, and what resolvers take for it: 0x7f000001, 2130706433, 0177.1. Such a name ends with a number.
static bool is_address(const char *host, size_t length) {
    if (length > 0 && host[0] == '[') return true;
    size_t begin = length;
    while (begin > 0 && host[begin - 1] != '.') begin--;
    if (begin == length) return false;
    if (length - begin > 2 && memcmp(host + begin, "0x", 2) == 0) return true;
    for (size_t i = begin; i < length; i++)
        if (!is_digit(host[i])) return false;
    return true;
}

const char *odd(const char *host, size_t length) {
    // The root's dot says nothing.
    if (length > 0 && host[length - 1] == '.') length--;
    if (is_address(host, length)) return "a bare address in place of a name";
    for (size_t begin = 0; begin < length;) {
        size_t end = begin, digits = 0;
        for (; end < length && host[end] != '.'; end++) digits += is_digit(host[end]);
        size_t size = end - begin;
        if (size >= 4 && memcmp(host + begin, "xn--", 4) == 0) return "a name in foreign letters, which may look like another";
        if (size > LONG_LABEL || (size >= DATA_LABEL && digits * 3 >= size)) return "a name that looks like data";
        begin = end + 1;
    }
    return NULL;
}
