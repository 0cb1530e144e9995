#include "py_convert.h"

#include <string.h>

#include <apr_strings.h>

PyObject *mp_str_from_latin1(const char *text)
{
    if (!text) {
        Py_RETURN_NONE;
    }
    return PyUnicode_DecodeLatin1(text, (Py_ssize_t)strlen(text), NULL);
}

PyObject *mp_str_from_fs(const char *text)
{
    if (!text) {
        Py_RETURN_NONE;
    }
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "surrogateescape");
}

PyObject *mp_kept_str(PyObject **kept, const char *text)
{
    const char *known = *kept ? PyUnicode_AsUTF8(*kept) : NULL;

    if (*kept && !known) {
        PyErr_Clear(); /* it is no UTF-8 */
    }
    if (!known || strcmp(known, text) != 0) {
        Py_XSETREF(*kept, mp_str_from_fs(text));
    }
    return *kept;
}

/* The bytes of value, encoded by encode if it is str. New reference. */
static PyObject *bytes_from_object(PyObject *value, const char *what, const char *encoding,
                                   const char *errors)
{
    if (PyBytes_Check(value)) {
        return Py_NewRef(value);
    }
    if (PyUnicode_Check(value)) {
        return PyUnicode_AsEncodedString(value, encoding, errors);
    }
    PyErr_Format(PyExc_TypeError, "%s must be str or bytes, not %.200s", what,
                 Py_TYPE(value)->tp_name);
    return NULL;
}

char *mp_latin1_from_object(apr_pool_t *pool, PyObject *value, const char *what)
{
    PyObject *bytes;
    char *copy = NULL;
    const char *start;
    Py_ssize_t size;

    /* Most are ISO-8859-1 inside. The length is asked for first: it has 3.11 make it so. */
    if (PyUnicode_Check(value) && PyUnicode_GetLength(value) >= 0 &&
        PyUnicode_KIND(value) == PyUnicode_1BYTE_KIND) {
        bytes = Py_NewRef(value);
        start = PyUnicode_DATA(value);
        size = PyUnicode_GET_LENGTH(value);
    } else {
        bytes = bytes_from_object(value, what, "latin-1", "strict");
        if (!bytes) {
            return NULL;
        }
        start = PyBytes_AS_STRING(bytes);
        size = PyBytes_GET_SIZE(bytes);
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        if (start[i] == '\r' || start[i] == '\n' || start[i] == '\0') {
            PyErr_Format(PyExc_ValueError,
                         "%s contains CR, LF or NUL at position %zd: it would end the header "
                         "line; remove it or encode the value",
                         what, i);
            goto done;
        }
    }
    copy = apr_pstrmemdup(pool, start, (apr_size_t)size);
done:
    Py_DECREF(bytes);
    return copy;
}

char *mp_fs_from_object(apr_pool_t *pool, PyObject *value, const char *what)
{
    PyObject *bytes = bytes_from_object(value, what, "utf-8", "surrogateescape");
    char *copy = NULL;

    if (!bytes) {
        return NULL;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(bytes);
    if (memchr(PyBytes_AS_STRING(bytes), '\0', (size_t)size)) {
        PyErr_Format(PyExc_ValueError, "%s contains NUL", what);
    } else {
        copy = apr_pstrmemdup(pool, PyBytes_AS_STRING(bytes), (apr_size_t)size);
    }
    Py_DECREF(bytes);
    return copy;
}

PyObject *mp_tuple_from_strings(const apr_array_header_t *strings)
{
    Py_ssize_t count = strings ? strings->nelts : 0;
    int collects = mp_gc_pause(); /* strings are of a request that could end */
    PyObject *tuple = PyTuple_New(count);

    mp_gc_resume(collects);
    for (Py_ssize_t i = 0; tuple && i < count; i++) {
        PyObject *item = mp_str_from_latin1(APR_ARRAY_IDX(strings, i, const char *));
        if (!item) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, i, item);
    }
    return tuple;
}

PyObject *mp_address_from(const apr_sockaddr_t *sockaddr, const char *ip)
{
    if (!sockaddr) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(Ni)", mp_str_from_latin1(ip), (int)sockaddr->port);
}

int mp_data_from_object(PyObject *object, Py_buffer *view, const char *what)
{
    if (PyUnicode_Check(object)) {
        Py_ssize_t size;
        const char *utf8 = PyUnicode_AsUTF8AndSize(object, &size);
        return utf8 ? PyBuffer_FillInfo(view, object, (void *)utf8, size, 1, PyBUF_SIMPLE) : -1;
    }
    if (!PyObject_CheckBuffer(object)) {
        PyErr_Format(PyExc_TypeError, "%s takes bytes-like objects or str, not %.200s", what,
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    return PyObject_GetBuffer(object, view, PyBUF_SIMPLE);
}

int mp_limit_from_args(PyObject *const *args, Py_ssize_t count, Py_ssize_t *limit, const char *name)
{
    *limit = -1;
    if (count > 1) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most 1 argument (%zd given)", name, count);
        return -1;
    }
    if (count == 1 && args[0] != Py_None) {
        *limit = PyNumber_AsSsize_t(args[0], PyExc_OverflowError);
        if (*limit == -1 && PyErr_Occurred()) {
            return -1;
        }
    }
    return 0;
}
