/* Errors between Apache and Python: the only place that translates them. Every
 * function here holds the interpreter. */
#ifndef MP_PY_ERRORS_H
#define MP_PY_ERRORS_H

#include "compat.h"

#include <apr_errno.h>
#include <apr_pools.h>

/* The current exception as "TypeName: message", in pool; clears it. */
const char *mp_error_text(apr_pool_t *pool);

/* The current exception, with its traceback; no exception is set any more. New reference. */
PyObject *mp_take_exception(void);

/* Raises the OSError of this errno (TimeoutError, ConnectionResetError ...). status, if
 * not 0, is what the request is answered with when no handler catches it, and the attribute
 * `status`; below 0 there is nothing to answer. Returns NULL. */
PyObject *mp_raise_os_error(int number, const char *text, int status);

/* Raises what a failed read of a request's body means. Returns NULL. */
PyObject *mp_raise_read_error(apr_status_t rv);

/* Raises the OSError for a client that is gone; text is what the API promises.
 * Returns NULL. */
PyObject *mp_raise_write_error(apr_status_t rv, const char *text);

/* Raises what a failed read or write of a connection handler means: the peer is gone or
 * silent, or the server is stopping; fallback: the errno of a status that is none. Left to
 * itself it is no error of the handler. Returns NULL. */
PyObject *mp_raise_connection_error(apr_status_t rv, int fallback, const char *text);

#endif
