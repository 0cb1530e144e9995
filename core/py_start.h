/* CPython of this process: where it is, and its configuration. */
#ifndef MP_PY_START_H
#define MP_PY_START_H

#include <apr_pools.h>

#include "compat.h"

/* The python binary whose environment Python runs in: that of home, of this module's
 * own site-packages, or the one this module was built with; NULL if home has none. */
const char *mp_python_program(apr_pool_t *pool, const char *home);

/* The directory that holds this module's package, or NULL. */
const char *mp_python_site_packages(apr_pool_t *pool);

/* Starts CPython as this program. Leaves the main interpreter held. 0, or -1 with
 * *error in pool. */
int mp_python_initialize(apr_pool_t *pool, const char *program, int optimize, const char **error);

#endif
