/* The limit the benchmarks compare with: the least a content handler can do.
 * Handler "hello" writes one small text; "hello-flush" flushes it as well. */

#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"

static int hello_handler(request_rec *r)
{
    if (!r->handler || strncmp(r->handler, "hello", 5) != 0) {
        return DECLINED;
    }
    ap_set_content_type(r, "text/plain");
    if (ap_rwrite("Hello!", 6, r) < 0) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (strcmp(r->handler, "hello-flush") == 0) {
        ap_rflush(r);
    }
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_handler(hello_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(hello) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks,
};
