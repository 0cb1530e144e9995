/* Apache's constants, under Apache's names. */
#ifndef MP_PY_CONSTANTS_H
#define MP_PY_CONSTANTS_H

#include "compat.h"

/* Holds the interpreter. Adds them to the module; 0, or -1 with an exception. */
int mp_constants_add(PyObject *module);

#endif
