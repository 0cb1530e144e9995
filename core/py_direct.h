/* The usual case of a phase: one handler, which was found before. */
#ifndef MP_PY_DIRECT_H
#define MP_PY_DIRECT_H

#include "py_module.h"

/* Does what _dispatch.run() would, without going through it: that takes half of the
 * instructions that Python spends on a small request. What is out of the ordinary is left
 * to _dispatch. args are the five of run(), flags is one of them. Returns what run() does,
 * NULL with an exception, or NULL without one if it has to be run(). Holds. */
PyObject *mp_run_directly(mp_state *state, PyObject **args, int flags);

#endif
