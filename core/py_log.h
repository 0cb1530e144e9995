/* Apache's error log, for Python. Every function here holds the interpreter and lets
 * it go while it writes. */
#ifndef MP_PY_LOG_H
#define MP_PY_LOG_H

#include <httpd.h>

#include "compat.h"

/* Writes one record at level (apache.APLOG_*): under r if given, else under s, else
 * to the default error log, past LogLevel. text is UTF-8. */
void mp_log(const char *text, int level, const request_rec *r, const server_rec *s);

/* The same for a Python object's str(); None writes nothing. Returns None, or NULL
 * with an exception. */
PyObject *mp_log_object(PyObject *message, int level, const request_rec *r, const server_rec *s);

/* What str() makes of message, None of None: a plain str, of which str() runs nothing any
 * more. NULL with an exception. */
PyObject *mp_log_text(PyObject *message);

/* The same as mp_log_object() under a connection; message is what mp_log_text() gave. */
PyObject *mp_log_connection(PyObject *message, int level, conn_rec *c);

#endif
