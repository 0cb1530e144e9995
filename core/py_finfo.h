/* mp_finfo: what stat() says of a file (manual 4.5.3, finfo). Holds the interpreter. */
#ifndef MP_PY_FINFO_H
#define MP_PY_FINFO_H

#include <apr_file_info.h>

#include "py_module.h"

/* fname: of a file that is not there. New reference, or NULL with an exception. */
PyObject *mp_finfo_new(mp_state *state, const apr_finfo_t *source, const char *fname);

/* Fills finfo from an mp_finfo, strings copied into pool; -1 with an exception. */
int mp_finfo_store(mp_state *state, PyObject *object, apr_finfo_t *finfo, apr_pool_t *pool);

int mp_finfo_setup(PyObject *module, mp_state *state);

#endif
