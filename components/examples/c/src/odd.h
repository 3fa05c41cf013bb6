// What is odd about a host's name. Pure: knows nothing of Mercury.
#pragma once
#include <stddef.h>

// The reason to object, for the person who reads it; NULL where there is none. The name is in lower case and
// ASCII, an IPv6 address stands in brackets.
const char *odd(const char *host, size_t length);
