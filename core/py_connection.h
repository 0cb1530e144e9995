/* mp_conn: a conn_rec as handlers see it (manual 4.5.4). Holds the interpreter. */
#ifndef MP_PY_CONNECTION_H
#define MP_PY_CONNECTION_H

#include <httpd.h>

#include "context.h"
#include "py_request.h"

/* A wrapper of c for use by request (borrowed, cut together with it). */
PyObject *mp_connection_new(mp_interp *interp, conn_rec *c, mp_request *request);

/* Cuts it off its record. */
void mp_connection_cut(PyObject *connection);

int mp_connection_setup(PyObject *module, mp_state *state);

#endif
