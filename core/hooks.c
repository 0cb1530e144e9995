#include "hooks.h"

#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_connection.h>
#include <http_protocol.h>
#include <http_request.h>
#include <apr_strings.h>

#include "config.h"
#include "context.h"
#include "py_child.h"
#include "py_dispatch.h"
#include "py_exports.h"
#include "py_preflight.h"

/* Most requests have no Python handler in most phases: they pay for this look only. */
static int run(request_rec *r, mp_phase phase)
{
    const mp_handler_list *list;

    if (!mp_has_handlers()) {
        return DECLINED;
    }
    list = mp_handlers_for(r, phase);
    return list || mp_has_added_handlers(r, phase) ? mp_dispatch(r, phase, list) : DECLINED;
}

/* PythonInitHandler comes first in its phase; the other runs unless it ended things. */
static int run_after_init(request_rec *r, mp_phase init, mp_phase phase)
{
    int status = run(r, init);

    return status == OK || status == DECLINED ? run(r, phase) : status;
}

/* Apache drops a request, without an answer or a record, whose status is another than 200 behind
 * this phase: what a handler has set is put aside until the next. */
static int post_read_request(request_rec *r)
{
    int before = r->status;
    int status = run_after_init(r, MP_PHASE_SERVER_INIT, MP_PHASE_POST_READ_REQUEST);

    if (r->status != before && (status == OK || status == DECLINED)) {
        mp_request_context_of(r)->early_status = r->status;
        r->status = before;
    }
    return status;
}

static int restore_status(request_rec *r)
{
    mp_request_context *context = mp_has_handlers() ? mp_request_context_find(r) : NULL;

    if (context && context->early_status) {
        r->status = context->early_status;
        context->early_status = 0;
    }
    return DECLINED;
}

static int translate_name(request_rec *r)
{
    return run(r, MP_PHASE_TRANS);
}

static int header_parser(request_rec *r)
{
    return run_after_init(r, MP_PHASE_INIT, MP_PHASE_HEADER_PARSER);
}

static int check_access(request_rec *r)
{
    return run(r, MP_PHASE_ACCESS);
}

static int check_authn(request_rec *r)
{
    return run(r, MP_PHASE_AUTHEN);
}

static int check_authz(request_rec *r)
{
    return run(r, MP_PHASE_AUTHZ);
}

static int type_checker(request_rec *r)
{
    return run(r, MP_PHASE_TYPE);
}

static int fixups(request_rec *r)
{
    return run(r, MP_PHASE_FIXUP);
}

static int content(request_rec *r)
{
    return r->handler && mp_is_our_handler(r->handler) ? run(r, MP_PHASE_CONTENT) : DECLINED;
}

static int log_transaction(request_rec *r)
{
    run(r, MP_PHASE_LOG);
    if (mp_has_handlers() && mp_handlers_for(r, MP_PHASE_CLEANUP)) {
        mp_dispatch_cleanup_later(r);
    }
    return DECLINED; /* whatever a handler returned, the others log too */
}

/* What Server and SERVER_SOFTWARE say, if ServerTokens is Full. */
static int add_versions(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    ap_add_version_component(pconf, "Kukulkan/" MP_VERSION);
    ap_add_version_component(pconf, apr_pstrcat(pconf, "Python/", mp_python_version(ptemp), NULL));
    return OK;
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    mp_child_start(pchild, s);
    mp_exports_start();
}

void mp_hooks_register(apr_pool_t *pool)
{
    ap_hook_post_config(add_versions, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);

    /* Behind mod_setenvif and the like, which others' conditions build on. */
    ap_hook_post_read_request(post_read_request, NULL, NULL, APR_HOOK_MIDDLE);
    /* Whoever translates, mod_rewrite for one, ends the phase. */
    ap_hook_translate_name(restore_status, NULL, NULL, APR_HOOK_REALLY_FIRST);
    /* Before Alias, UserDir and the core: "before the server's default rules". */
    ap_hook_translate_name(translate_name, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_header_parser(header_parser, NULL, NULL, APR_HOOK_MIDDLE);
    /* A Python handler decides before the stock modules. */
    ap_hook_check_access(check_access, NULL, NULL, APR_HOOK_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authn(check_authn, NULL, NULL, APR_HOOK_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authz(check_authz, NULL, NULL, APR_HOOK_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_type_checker(type_checker, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_fixups(fixups, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(content, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_log_transaction(log_transaction, NULL, NULL, APR_HOOK_MIDDLE);
}
