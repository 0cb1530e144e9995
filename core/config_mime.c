#include "config.h"

#include <apr_strings.h>

/* mod_mime keeps what AddHandler says to itself. Apache gives a directive to every
 * module that has it in its table, so that this one can keep it too. */
static const char *check_mod_mime(cmd_parms *cmd)
{
    if (ap_find_linked_module("mod_mime.c")) {
        return NULL;
    }
    return apr_psprintf(cmd->pool,
                        "Invalid command '%s', perhaps misspelled or defined by a module not "
                        "included in the server configuration (it is mod_mime's)",
                        cmd->cmd->name);
}

static const char *without_dot(cmd_parms *cmd, const char *extension)
{
    return apr_pstrdup(cmd->pool, *extension == '.' ? extension + 1 : extension);
}

const char *mp_add_mime_handler(cmd_parms *cmd, void *configv, const char *handler,
                                const char *extension)
{
    mp_dir_config *config = configv;
    char *lower = apr_pstrdup(cmd->pool, handler);

    ap_str_tolower(lower);
    if (!config->mime_handlers) {
        config->mime_handlers = apr_table_make(cmd->pool, 2);
    }
    apr_table_setn(config->mime_handlers, without_dot(cmd, extension), lower);
    return check_mod_mime(cmd);
}

const char *mp_remove_mime_handler(cmd_parms *cmd, void *configv, const char *extension)
{
    mp_dir_config *config = configv;

    if (!config->mime_removed) {
        config->mime_removed = apr_table_make(cmd->pool, 2);
    }
    apr_table_setn(config->mime_removed, without_dot(cmd, extension), "");
    return check_mod_mime(cmd);
}

/* As mod_mime does it: RemoveHandler acts when its scope is merged into another one, on
 * what both have together, and only then. */
void mp_merge_mime_handlers(apr_pool_t *pool, const mp_dir_config *base, const mp_dir_config *add,
                            mp_dir_config *merged)
{
    const apr_array_header_t *removed;

    if (!add->mime_handlers && !add->mime_removed) {
        return;
    }
    merged->mime_handlers = add->mime_handlers;
    merged->mime_removed = add->mime_removed;
    if (!base->mime_handlers && !base->mime_removed) {
        return;
    }
    merged->mime_removed = NULL;
    merged->mime_handlers = apr_table_make(pool, 4);
    if (base->mime_handlers) {
        apr_table_overlap(merged->mime_handlers, base->mime_handlers, APR_OVERLAP_TABLES_SET);
    }
    if (add->mime_handlers) {
        apr_table_overlap(merged->mime_handlers, add->mime_handlers, APR_OVERLAP_TABLES_SET);
    }
    removed = add->mime_removed ? apr_table_elts(add->mime_removed) : NULL;
    for (int i = 0; removed && i < removed->nelts; i++) {
        apr_table_unset(merged->mime_handlers, APR_ARRAY_IDX(removed, i, apr_table_entry_t).key);
    }
}

const char *mp_handler_extensions(apr_pool_t *pool, const mp_dir_config *config)
{
    apr_array_header_t *extensions = apr_array_make(pool, 4, sizeof(const char *));
    const apr_array_header_t *known =
        config->mime_handlers ? apr_table_elts(config->mime_handlers) : NULL;

    for (int i = 0; known && i < known->nelts; i++) {
        const apr_table_entry_t *entry = &APR_ARRAY_IDX(known, i, apr_table_entry_t);
        if (mp_is_our_handler(entry->val)) {
            APR_ARRAY_PUSH(extensions, const char *) = entry->key;
        }
    }
    return apr_array_pstrcat(pool, extensions, ' ');
}
