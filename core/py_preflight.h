/* The part of preflight.c that needs Python. No Python in this header. */
#ifndef MP_PY_PREFLIGHT_H
#define MP_PY_PREFLIGHT_H

#include <apr_pools.h>

#include "config.h"

/* Starts Python in this (forked) process and tries the configuration. Returns what
 * is wrong, a line each, ending in LF; "" if nothing. */
const char *mp_python_preflight(apr_pool_t *pool, const mp_process_config *config);

/* What is wrong with a directive that wants an interpreter with a GIL of its own, or
 * NULL: that takes a CPython which can do it. */
const char *mp_own_gil_error(apr_pool_t *pool, const char *directive);

/* The version of the Python library, as "3.13.1"; it need not have been started. */
const char *mp_python_version(apr_pool_t *pool);

#endif
