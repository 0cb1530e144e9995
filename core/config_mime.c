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

static void note(cmd_parms *cmd, mp_dir_config *config, const char *extension, const char *handler)
{
    char *lower = apr_pstrdup(cmd->pool, handler);

    ap_str_tolower(lower);
    if (!config->mime_handlers) {
        config->mime_handlers = apr_table_make(cmd->pool, 2);
    }
    apr_table_setn(config->mime_handlers,
                   apr_pstrdup(cmd->pool, *extension == '.' ? extension + 1 : extension), lower);
}

const char *mp_add_mime_handler(cmd_parms *cmd, void *configv, const char *handler,
                                const char *extension)
{
    note(cmd, configv, extension, handler);
    return check_mod_mime(cmd);
}

const char *mp_remove_mime_handler(cmd_parms *cmd, void *configv, const char *extension)
{
    note(cmd, configv, extension, "");
    return check_mod_mime(cmd);
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
