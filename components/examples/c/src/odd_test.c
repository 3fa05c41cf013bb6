// Built by the machine's own compiler: ./build.sh check
#include "odd.h"
#include <stdio.h>
#include <string.h>

static const struct {
    const char *host, *reason;
} CASES[] = {
    {"example.com", NULL},
    {"api.v2.example.com.", NULL},
    {"d111111abcdef8.cloudfront.net", NULL},
    {"registry-with-a-long-but-readable-name.example", NULL},
    {"", NULL},
    {"10.0.0.7", "address"},
    {"2130706433", "address"},
    {"0x7f000001", "address"},
    {"0177.1", "address"},
    {"[::1]", "address"},
    {"xn--pple-43d.com", "foreign letters"},
    {"www.xn--pple-43d.com", "foreign letters"},
    {"4a6f686e20446f652c2034.evil.example", NULL},
    {"4a6f686e20446f652c203432.evil.example", "data"},
    {"nbswy3dpeb3w64tmmqqho2lunbxxk5bamfxhsicenfzxg.evil.example", "data"},
};

int main(void) {
    int failed = 0;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const char *got = odd(CASES[i].host, strlen(CASES[i].host)), *wanted = CASES[i].reason;
        if ((got == NULL) == (wanted == NULL) && (wanted == NULL || strstr(got, wanted) != NULL)) continue;
        printf("%s: expected %s, got %s\n", CASES[i].host, wanted ? wanted : "nothing", got ? got : "nothing");
        failed = 1;
    }
    return failed;
}
