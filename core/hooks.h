/* One small function per Apache phase. */
#ifndef MP_HOOKS_H
#define MP_HOOKS_H

#include <apr_pools.h>

void mp_hooks_register(apr_pool_t *pool);

#endif
