// Signs the assistant's replies.
#include "text.h"

bool exports_mercury_plugin_result_processor_process(exports_mercury_plugin_result_processor_run_result_t *result,
                                                     exports_mercury_plugin_result_processor_outcome_t *ret,
                                                     plugin_string_t *err) {
    (void)err; // It never fails.
    plugin_string_t key, signature = {0};
    plugin_string_set(&key, "signature");
    mercury_plugin_settings_get(&key, &result->caller.space, &signature);
    buffer_t reply = {0};
    buffer_add(&reply, (const char *)result->reply.ptr, result->reply.len);
    // Only an answer is signed, not the news of a failure.
    if (!result->failure.is_some && signature.len > 0) {
        buffer_text(&reply, "\n\n— ");
        buffer_add(&reply, (const char *)signature.ptr, signature.len);
    }
    ret->tag = EXPORTS_MERCURY_PLUGIN_RESULT_PROCESSOR_OUTCOME_DELIVER;
    ret->val.deliver.reply = buffer_take(&reply);
    // Handed on: they are the answer's now, and no longer the result's.
    ret->val.deliver.attachments = result->attachments;
    result->attachments.ptr = NULL;
    result->attachments.len = 0;
    plugin_string_free(&signature);
    exports_mercury_plugin_result_processor_run_result_free(result);
    return true;
}
