/* Before the server starts (and at configtest): can its children run Python? */
#ifndef MP_PREFLIGHT_H
#define MP_PREFLIGHT_H

#include <apr_pools.h>

void mp_preflight_register_hooks(apr_pool_t *pool);

#endif
