// Tells the agent the house rules before it runs.
#include "text.h"

bool exports_mercury_plugin_run_hook_before_run(exports_mercury_plugin_run_hook_run_t *run,
                                                exports_mercury_plugin_run_hook_decision_t *ret,
                                                plugin_string_t *err) {
    (void)err; // It never fails.
    plugin_string_t key, rules = {0};
    plugin_string_set(&key, "rules");
    mercury_plugin_settings_get(&key, &run->caller.space, &rules);
    memset(ret, 0, sizeof *ret);
    ret->tag = EXPORTS_MERCURY_PLUGIN_RUN_HOOK_DECISION_PROCEED;
    ret->val.proceed.system_prompt.is_some = rules.len > 0;
    ret->val.proceed.system_prompt.val = rules;
    exports_mercury_plugin_run_hook_run_free(run);
    return true;
}
