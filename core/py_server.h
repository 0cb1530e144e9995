/* mp_server: a server_rec as handlers see it (manual 4.5.6). Holds the interpreter. */
#ifndef MP_PY_SERVER_H
#define MP_PY_SERVER_H

#include <httpd.h>

#include "py_module.h"

/* The one wrapper of s in this interpreter; new reference. Server records live as
 * long as the child. NULL gives None. */
PyObject *mp_server_of(mp_state *state, server_rec *s);

/* The record of an mp_server; NULL with TypeError for anything else. */
server_rec *mp_server_record(mp_state *state, PyObject *object);

int mp_server_setup(PyObject *module, mp_state *state);

#endif
