#include "filters.h"

#include <http_connection.h>
#include <http_log.h>
#include <apr_hash.h>
#include <apr_strings.h>

APLOG_USE_MODULE(python);

static ap_filter_rec_t *lookup(const char *name, int is_input)
{
    return is_input ? ap_get_input_filter_handle(name) : ap_get_output_filter_handle(name);
}

static int is_ours(const ap_filter_rec_t *filter, int is_input)
{
    return is_input ? filter->filter_func.in_func == mp_filter_input
                    : filter->filter_func.out_func == mp_filter_output;
}

/* Has Apache know name as a Python filter; an error or NULL. */
static const char *register_filter(cmd_parms *cmd, const char *name, const char *written,
                                   int is_input, int is_connection)
{
    ap_filter_rec_t *known = lookup(name, is_input);
    ap_filter_type type = is_connection ? AP_FTYPE_CONNECTION : AP_FTYPE_RESOURCE;

    if (known && !is_ours(known, is_input)) {
        return apr_psprintf(cmd->pool,
                            "%s: %s is the name of a filter that Apache or a module has "
                            "already: choose another name",
                            cmd->cmd->name, written);
    }
    if (known && known->ftype != type) {
        return apr_psprintf(cmd->pool,
                            "%s: %s is already the name of a Python filter for %s: choose "
                            "another name",
                            cmd->cmd->name, written, is_connection ? "requests" : "connections");
    }
    if (!known && is_input) {
        ap_register_input_filter(name, mp_filter_input, NULL, type);
    } else if (!known) {
        ap_register_output_filter(name, mp_filter_output, NULL, type);
    }
    mp_registered_filter *entry = apr_array_push(mp_process_config_get()->filters);
    entry->name = name;
    entry->is_input = is_input;
    entry->file = cmd->directive->filename;
    entry->line = cmd->directive->line_num;
    return NULL;
}

/* cmd->info: bit 0 input, bit 1 connection. */
const char *mp_set_filter(cmd_parms *cmd, void *configv, const char *text, const char *name)
{
    mp_dir_config *config = configv;
    int is_input = ((apr_uintptr_t)cmd->info & 1) != 0;
    int level = ((apr_uintptr_t)cmd->info & 2) != 0 ? MP_FILTER_CONNECTION : MP_FILTER_REQUEST;
    char *lower = apr_pstrdup(cmd->pool, name ? name : text);
    const char *error = mp_check_handler(cmd, text);
    apr_hash_t **filters = &config->filters[level][is_input];

    if (!error && level == MP_FILTER_CONNECTION) {
        error = ap_check_cmd_context(cmd, NOT_IN_DIR_LOC_FILE);
    }
    ap_str_tolower(lower);
    if (!error && *filters && apr_hash_get(*filters, lower, APR_HASH_KEY_STRING)) {
        error = apr_psprintf(cmd->pool,
                             "%s: the name %s is given to two filters in this scope: each needs "
                             "a name of its own",
                             cmd->cmd->name, name ? name : text);
    }
    if (!error) {
        error = register_filter(cmd, lower, name ? name : text, is_input,
                                level == MP_FILTER_CONNECTION);
    }
    if (error) {
        return error;
    }
    if (!*filters) {
        *filters = apr_hash_make(cmd->pool);
    }
    mp_handler *handler = apr_pcalloc(cmd->pool, sizeof(*handler));
    handler->text = text;
    handler->name = name ? name : text;
    handler->section = mp_section_of(cmd);
    apr_hash_set(*filters, lower, APR_HASH_KEY_STRING, handler);
    return NULL;
}

const char *mp_set_connection_handler(cmd_parms *cmd, void *configv, const char *text)
{
    mp_dir_config *config = configv;
    const char *error = mp_check_handler(cmd, text);
    mp_handler *handler;

    if (!error) {
        error = ap_check_cmd_context(cmd, NOT_IN_DIR_LOC_FILE);
    }
    if (error) {
        return error;
    }
    handler = apr_pcalloc(cmd->pool, sizeof(*handler));
    handler->text = text;
    config->connection_handler = handler;
    return NULL;
}

/* A module loaded behind the directive may have taken the name over. */
static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    const apr_array_header_t *filters = mp_process_config_get()->filters;

    for (int i = 0; i < filters->nelts; i++) {
        const mp_registered_filter *entry = &APR_ARRAY_IDX(filters, i, mp_registered_filter);
        const ap_filter_rec_t *known = lookup(entry->name, entry->is_input);
        if (known && !is_ours(known, entry->is_input)) {
            ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_CRIT, 0, NULL,
                         "KK0004: Syntax error on line %d of %s: %s is the name of another "
                         "module's filter: choose another name",
                         entry->line, entry->file, entry->name);
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return OK;
}

/* The filters of PythonConnection*Filter see every byte of the connection, but for
 * what mod_ssl adds to it. */
static int add_connection_filters(conn_rec *c, void *socket)
{
    const mp_dir_config *config = mp_dir_config_of_server(c->base_server);

    if (c->master) {
        return OK; /* a stream of HTTP/2: its connection is filtered */
    }
    for (int is_input = 0; is_input < 2; is_input++) {
        apr_hash_t *filters = config->filters[MP_FILTER_CONNECTION][is_input];
        apr_hash_index_t *i = filters ? apr_hash_first(c->pool, filters) : NULL;
        for (; i; i = apr_hash_next(i)) {
            const char *name = apr_hash_this_key(i);
            if (is_input) {
                ap_add_input_filter(name, NULL, NULL, c);
            } else {
                ap_add_output_filter(name, NULL, NULL, c);
            }
        }
    }
    return OK;
}

void mp_filters_register_hooks(apr_pool_t *pool)
{
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_pre_connection(add_connection_filters, NULL, NULL, APR_HOOK_MIDDLE);
}
