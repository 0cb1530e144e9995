/* The environ dictionary of WSGI (PEP 3333). Every function here holds the interpreter. */
#ifndef MP_PY_ENVIRON_H
#define MP_PY_ENVIRON_H

#include "py_module.h"

#include <httpd.h>

/* All of r->subprocess_env, which mp_add_cgi_vars() has filled, as str, ISO-8859-1 as
 * PEP 3333 has it, HTTP_AUTHORIZATION, and the "wsgi." entries; request is the wrapper of r. New
 * reference, or NULL with an exception. */
PyObject *mp_environ_new(mp_state *state, request_rec *r, PyObject *request);

/* Makes what all dictionaries have in common; 0, or -1 with an exception. */
int mp_environ_setup(mp_state *state);

#endif
