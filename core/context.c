#include "context.h"

#include <http_config.h>

#include "config.h"

mp_conn_context *mp_conn_context_of(conn_rec *c)
{
    mp_conn_context *context = ap_get_module_config(c->conn_config, &python_module);

    if (!context) {
        context = apr_pcalloc(c->pool, sizeof(*context));
        ap_set_module_config(c->conn_config, &python_module, context);
    }
    return context;
}

mp_request_context *mp_request_context_find(request_rec *r)
{
    return ap_get_module_config(r->request_config, &python_module);
}

mp_request_context *mp_request_context_of(request_rec *r)
{
    mp_request_context *context = mp_request_context_find(r);

    if (!context) {
        context = apr_pcalloc(r->pool, sizeof(*context));
        context->r = r;
        context->conn = mp_conn_context_of(r->connection);
        ap_set_module_config(r->request_config, &python_module, context);
    }
    return context;
}

mp_wrapper_slot *mp_wrapper_slot_of(mp_request_context *context, struct mp_interp *interp)
{
    mp_wrapper_slot *slot = context->wrappers;

    while (slot && slot->interp != interp) {
        slot = slot->next;
    }
    if (!slot) {
        slot = apr_pcalloc(context->r->pool, sizeof(*slot));
        slot->interp = interp;
        slot->next = context->wrappers;
        context->wrappers = slot;
    }
    return slot;
}

void *mp_thread_token(void)
{
    static _Thread_local char token;

    return &token;
}
