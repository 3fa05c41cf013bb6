// The component's export.
#include "odd.h"
#include "plugin.h"

void exports_mercury_plugin_egress_guard_check(exports_mercury_plugin_egress_guard_caller_t *caller,
                                               exports_mercury_plugin_egress_guard_request_t *request,
                                               exports_mercury_plugin_egress_guard_verdict_t *ret) {
    const char *reason = request->listed ? NULL : odd((const char *)request->host.ptr, request->host.len);
    if (reason == NULL) {
        ret->tag = MERCURY_PLUGIN_VERDICTS_VERDICT_ALLOW;
    } else {
        ret->tag = MERCURY_PLUGIN_VERDICTS_VERDICT_DENY;
        plugin_string_dup(&ret->val.deny, reason);
    }
    exports_mercury_plugin_egress_guard_caller_free(caller);
    exports_mercury_plugin_egress_guard_request_free(request);
}
