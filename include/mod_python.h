/* For modules of Apache that use Python beside Kukulkan: C functions that mod_python.so
 * offers while it is loaded, as APR optional functions. Include Python.h first.
 *
 *     APR_OPTIONAL_FN_TYPE(mp_acquire_interpreter) *acquire =
 *         APR_RETRIEVE_OPTIONAL_FN(mp_acquire_interpreter);
 *     if (acquire && acquire("main_interpreter")) {
 *         ...
 *         release();
 *     }
 *
 * Retrieve them in a hook of optional_fn_retrieve or later; call them in Apache's
 * children, once child_init is done. docs/api/c.md says more. */
#ifndef MOD_PYTHON_H
#define MOD_PYTHON_H

#include <Python.h>

#include <httpd.h>
#include <apr_optional.h>

/* Attaches the calling thread to the interpreter of this name (NULL: main_interpreter),
 * made if it is new, and takes its GIL. NULL if that fails, which is logged: then there
 * is nothing to release. Calls may be nested. */
APR_DECLARE_OPTIONAL_FN(PyInterpreterState *, mp_acquire_interpreter, (const char *name));

/* Undoes the last mp_acquire_interpreter() of this thread. */
APR_DECLARE_OPTIONAL_FN(void, mp_release_interpreter, (void));

/* Between these two, or within a Python handler: a new reference to what handlers see as
 * req, req.server and conn; NULL with an exception. Requests and connections may be used
 * until the release; the request is the one its handlers see, attributes included. */
APR_DECLARE_OPTIONAL_FN(PyObject *, mp_get_request_object, (request_rec * r));
APR_DECLARE_OPTIONAL_FN(PyObject *, mp_get_server_object, (server_rec * s));
APR_DECLARE_OPTIONAL_FN(PyObject *, mp_get_connection_object, (conn_rec * c));

#endif
