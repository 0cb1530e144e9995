#include "cgi_vars.h"

#include <http_config.h>
#include <http_core.h>
#include <http_protocol.h>
#include <util_script.h>
#include <apr_optional.h>
#include <apr_strings.h>

/* mod_ident's. */
APR_DECLARE_OPTIONAL_FN(const char *, ap_ident_lookup, (request_rec * r));

static int has_ident; /* set before there are threads */

static void look_for_ident(void)
{
    has_ident = APR_RETRIEVE_OPTIONAL_FN(ap_ident_lookup) != NULL;
}

void mp_cgi_vars_register_hooks(apr_pool_t *pool)
{
    ap_hook_optional_fn_retrieve(look_for_ident, NULL, NULL, APR_HOOK_MIDDLE);
}

int mp_cgi_vars_may_block(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);

    return (core->hostname_lookups != HOSTNAME_LOOKUP_OFF &&
            core->hostname_lookups != HOSTNAME_LOOKUP_UNSET) ||
           core->use_canonical_name == USE_CANONICAL_NAME_DNS || has_ident;
}

/* Path and query as the client sent them; of an absolute URI, without scheme and host. */
static const char *requested_uri(request_rec *r)
{
    const char *start = r->the_request ? strchr(r->the_request, ' ') : NULL;
    const char *end, *authority;

    if (!start) {
        return r->unparsed_uri;
    }
    start += strspn(start, " ");
    end = start + strcspn(start, " ");
    authority = *start != '/' ? strstr(start, "://") : NULL;
    if (authority && authority < end) {
        start = authority + 3;
        start += strcspn(start, "/? ");
        if (start >= end || *start == '?') {
            return apr_pstrcat(r->pool, "/", apr_pstrmemdup(r->pool, start, (size_t)(end - start)),
                               NULL);
        }
    }
    return apr_pstrmemdup(r->pool, start, (size_t)(end - start));
}

/* The URI less what follows the file's name. */
static const char *name_of_script(request_rec *r)
{
    size_t info = r->path_info ? strlen(r->path_info) : 0;
    size_t uri = strlen(r->uri);

    if (info && info <= uri && !strcmp(r->uri + uri - info, r->path_info)) {
        return apr_pstrmemdup(r->pool, r->uri, uri - info);
    }
    /* A rewritten one need not end so. */
    return info ? apr_pstrmemdup(r->pool, r->uri, (size_t)ap_find_path_info(r->uri, r->path_info))
                : r->uri;
}

void mp_add_cgi_vars(request_rec *r, const char *script_name, const char *path_info)
{
    apr_table_t *env = r->subprocess_env;
    void (*set)(apr_table_t *, const char *, const char *) =
        apr_is_empty_table(env) ? apr_table_addn : apr_table_setn;

    /* First: it writes straight into a table that is empty. */
    ap_add_common_vars(r);
    set(env, "GATEWAY_INTERFACE", "CGI/1.1");
    set(env, "SERVER_PROTOCOL", r->protocol);
    set(env, "REQUEST_METHOD", r->method);
    set(env, "QUERY_STRING", r->args ? r->args : "");
    set(env, "REQUEST_URI", requested_uri(r));
    if (script_name) {
        set(env, "SCRIPT_NAME", script_name);
        set(env, "PATH_INFO", path_info);
    } else {
        set(env, "SCRIPT_NAME", name_of_script(r));
        if (r->path_info && *r->path_info) {
            set(env, "PATH_INFO", r->path_info);
        }
    }
}
