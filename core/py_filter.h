/* mp_filter: a filter as its handler sees it (manual 4.5.5). Every function here holds
 * the interpreter. */
#ifndef MP_PY_FILTER_H
#define MP_PY_FILTER_H

#include "filters.h"
#include "py_interp.h"
#include "py_module.h"

typedef struct {
    PyObject_HEAD mp_filter_context *context; /* NULL when the filter is gone */
    mp_interp *interp;
    PyObject *dict;       /* what the handler keeps here */
    PyObject *handler;    /* the Handler, made by mod_python._dispatch */
    PyObject *held;       /* bytes of a line whose end has not come, or NULL */
    PyObject *connection; /* of a connection's filter, made when first asked for */
} mp_filter;

/* New reference, or NULL with an exception. */
PyObject *mp_filter_new(mp_interp *interp, mp_filter_context *context);

/* Cuts it off its filter: any use raises from now on. */
void mp_filter_cut(mp_filter *self);

int mp_filter_setup(PyObject *module, mp_state *state);

#endif
