/* What makes a fresh interpreter one that handlers can run in. */
#ifndef MP_PY_SETUP_H
#define MP_PY_SETUP_H

#include "py_interp.h"

/* For mp_pool_take(): imports _apache and mod_python._dispatch and fills the state.
 * Holds. 0, or -1 with an exception. */
int mp_set_up_interpreter(mp_interp *interp);

#endif
