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
    return NULL;
}

static void note_filter(cmd_parms *cmd, apr_array_header_t *filters, const char *name, int is_input)
{
    mp_registered_filter *entry = apr_array_push(filters);

    entry->name = name;
    entry->is_input = is_input;
    entry->file = cmd->directive->filename;
    entry->line = cmd->directive->line_num;
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
    note_filter(cmd, mp_process_config_get()->filters, lower, is_input);
    if (level == MP_FILTER_CONNECTION) {
        if (!config->connection_filters) {
            config->connection_filters = apr_array_make(cmd->pool, 2, sizeof(mp_registered_filter));
        }
        note_filter(cmd, config->connection_filters, lower, is_input);
    }
    mp_note_handlers();
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
    mp_note_handlers();
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

/* Whether a later one has taken the name over: the virtual host's, from the server's. */
static int is_repeated(const apr_array_header_t *filters, int index)
{
    const mp_registered_filter *filter = &APR_ARRAY_IDX(filters, index, mp_registered_filter);

    for (int i = index + 1; i < filters->nelts; i++) {
        const mp_registered_filter *other = &APR_ARRAY_IDX(filters, i, mp_registered_filter);
        if (other->is_input == filter->is_input && !strcmp(other->name, filter->name)) {
            return 1;
        }
    }
    return 0;
}

/* The filters of PythonConnection*Filter see every byte of the connection, but for
 * what mod_ssl adds to it. */
static int add_connection_filters(conn_rec *c, void *socket)
{
    const mp_dir_config *config = mp_dir_config_of_server(c->base_server);

    if (c->master) {
        return OK; /* a stream of HTTP/2: its connection is filtered */
    }
    for (int i = 0; config->connection_filters && i < config->connection_filters->nelts; i++) {
        const mp_registered_filter *filter =
            &APR_ARRAY_IDX(config->connection_filters, i, mp_registered_filter);
        if (is_repeated(config->connection_filters, i)) {
            continue;
        }
        if (filter->is_input) {
            ap_add_input_filter(filter->name, NULL, NULL, c);
        } else {
            ap_add_output_filter(filter->name, NULL, NULL, c);
        }
    }
    return OK;
}

void mp_filters_register_hooks(apr_pool_t *pool)
{
    mp_filters_register();
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_pre_connection(add_connection_filters, NULL, NULL, APR_HOOK_MIDDLE);
}
