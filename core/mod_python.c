/* The module record. It does nothing: each part registers its own hooks. */
#include <httpd.h>
#include <http_config.h>

#include "cgi_vars.h"
#include "config.h"
#include "connection.h"
#include "filters.h"
#include "global_lock.h"
#include "hooks.h"
#include "preflight.h"
#include "py_exports.h"
#include "ssi.h"

static void register_hooks(apr_pool_t *pool)
{
    mp_config_register_hooks(pool);
    mp_cgi_vars_register_hooks(pool);
    mp_preflight_register_hooks(pool);
    mp_hooks_register(pool);
    mp_filters_register_hooks(pool);
    mp_connection_register_hooks(pool);
    mp_global_lock_register_hooks(pool);
    mp_exports_register_hooks(pool);
    mp_ssi_register_hooks(pool);
}

AP_DECLARE_MODULE(python) = {
    STANDARD20_MODULE_STUFF,
    mp_create_dir_config,
    mp_merge_dir_config,
    NULL, /* per server: what is not per directory is per process (config.h) */
    NULL,
    mp_directives,
    register_hooks,
};
