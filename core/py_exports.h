/* The C functions for other modules of Apache: include/mod_python.h. No Python in this
 * header. */
#ifndef MP_PY_EXPORTS_H
#define MP_PY_EXPORTS_H

#include <apr_pools.h>

/* Registers them with APR; for the module record. */
void mp_exports_register_hooks(apr_pool_t *pool);

/* Python runs in this process: from now on they do something. */
void mp_exports_start(void);

#endif
