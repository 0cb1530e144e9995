#include "py_members.h"

#include <limits.h>

#include <apr_network_io.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "py_convert.h"

PyObject *mp_member_get(const mp_member *member, const void *record)
{
    const char *field = (const char *)record + member->offset;

    switch (member->kind) {
    case MP_LATIN1:
        return mp_str_from_latin1(*(char *const *)field);
    case MP_FS:
        return mp_str_from_fs(*(char *const *)field);
    case MP_INT:
        return PyLong_FromLong(*(const int *)field);
    case MP_BOOL:
        return PyBool_FromLong(*(const int *)field);
    case MP_UNSIGNED:
        return PyLong_FromUnsignedLong(*(const unsigned *)field);
    case MP_LONG:
        return PyLong_FromLong(*(const long *)field);
    case MP_OFFSET:
        return PyLong_FromLongLong(*(const apr_off_t *)field);
    case MP_TIME:
        return PyLong_FromLongLong(apr_time_sec(*(const apr_time_t *)field));
    case MP_STRINGS:
        return mp_tuple_from_strings(*(apr_array_header_t *const *)field);
    }
    Py_UNREACHABLE();
}

int mp_int_from_object(PyObject *value, const char *what, long low, long high, long *number)
{
    if (!value || !PyLong_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be an int, not %.200s", what,
                     value ? Py_TYPE(value)->tp_name : "deleted");
        return -1;
    }
    *number = PyLong_AsLong(value);
    if (*number == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (*number < low || *number > high) {
        PyErr_Format(PyExc_ValueError, "%s must be from %ld to %ld, not %ld", what, low, high,
                     *number);
        return -1;
    }
    return 0;
}

int mp_member_set(const mp_member *member, void *record, apr_pool_t *pool, PyObject *value)
{
    char *field = (char *)record + member->offset;
    char *text;
    long number;

    if (!value) {
        PyErr_Format(PyExc_AttributeError, "%s cannot be deleted", member->name);
        return -1;
    }
    switch (member->kind) {
    case MP_LATIN1:
    case MP_FS:
        if (value == Py_None && member->takes_none) {
            *(char **)field = NULL;
            return 0;
        }
        text = member->kind == MP_LATIN1 ? mp_latin1_from_object(pool, value, member->name)
                                         : mp_fs_from_object(pool, value, member->name);
        if (!text) {
            return -1;
        }
        *(char **)field = text;
        return 0;
    case MP_INT:
        if (mp_int_from_object(value, member->name, INT_MIN, INT_MAX, &number) != 0) {
            return -1;
        }
        *(int *)field = (int)number;
        return 0;
    case MP_BOOL: {
        int truth = PyObject_IsTrue(value);
        if (truth < 0) {
            return -1;
        }
        *(int *)field = truth;
        return 0;
    }
    default:
        PyErr_Format(PyExc_AttributeError, "%s is read-only", member->name);
        return -1;
    }
}
