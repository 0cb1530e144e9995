/* Interpreters by name. A name stands for one interpreter that shares the main GIL, or
 * for a pool of some with a GIL each. One name can stand for several of these, where
 * the configuration says different things of it; they have nothing in common. */
#ifndef MP_PY_POOL_H
#define MP_PY_POOL_H

#include <apr_pools.h>

#include "py_interp.h"

/* Before the first interpreter is made. */
void mp_pool_start(apr_pool_t *pool);

/* The interpreter behind name, or the least busy of members (> 0) that have a GIL each.
 * What is wanted and not there is made: one more of a pool while all those made are
 * busy. NULL if that fails, with *error in pool; *error is set, too, if only a further
 * one of a pool could not be made. May be called holding another interpreter, which is
 * let go while one is made. */
mp_interp *mp_pool_take(const char *name, int members, mp_interp_setup *setup, apr_pool_t *pool,
                        const char **error);

/* The same, for one particular member, from 0. */
mp_interp *mp_pool_member(const char *name, int members, int member, mp_interp_setup *setup,
                          apr_pool_t *pool, const char **error);

#endif
