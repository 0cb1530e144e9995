/* Text between C and Python: docs/architecture.md, "Text and bytes".
 * Every function here holds the interpreter. */
#ifndef MP_PY_CONVERT_H
#define MP_PY_CONVERT_H

#include "compat.h"

#include <apr_network_io.h>
#include <apr_pools.h>
#include <apr_tables.h>

/* Header and table values: ISO-8859-1. NULL gives None. New reference. */
PyObject *mp_str_from_latin1(const char *text);

/* URIs, file names, query strings: UTF-8 with surrogateescape. NULL gives None.
 * New reference. */
PyObject *mp_str_from_fs(const char *text);

/* The same for text that is mostly that of the last time: *kept, an owned reference or NULL,
 * is made anew if it is not. Borrowed reference, or NULL with an exception. */
PyObject *mp_kept_str(PyObject **kept, const char *text);

/* The characters of value (str as ISO-8859-1, or bytes), copied into pool.
 * what names the value in errors. NULL with TypeError (neither str nor bytes) or
 * ValueError (CR, LF, NUL; a character beyond ISO-8859-1). */
char *mp_latin1_from_object(apr_pool_t *pool, PyObject *value, const char *what);

/* The same for file names and URIs: str as UTF-8 with surrogateescape, or bytes;
 * only NUL is refused. */
char *mp_fs_from_object(apr_pool_t *pool, PyObject *value, const char *what);

/* A tuple of the strings of an array of char *; NULL array gives (). */
PyObject *mp_tuple_from_strings(const apr_array_header_t *strings);

/* The tuple (ip, port) of an address; NULL sockaddr gives None. New reference. */
PyObject *mp_address_from(const apr_sockaddr_t *sockaddr, const char *ip);

/* What a write method sends: a bytes-like object as it is, str as UTF-8; to be released.
 * what names the method in errors. 0, or -1 with TypeError. */
int mp_data_from_object(PyObject *object, Py_buffer *view, const char *what);

/* The optional length argument of a read method called name: -1 if it is absent, None or
 * negative. 0, or -1 with an exception. */
int mp_limit_from_args(PyObject *const *args, Py_ssize_t count, Py_ssize_t *limit,
                       const char *name);

#endif
