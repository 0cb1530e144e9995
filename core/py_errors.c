#include "py_errors.h"

#include <errno.h>

#include <httpd.h>
#include <http_protocol.h>
#include <apr_strings.h>

const char *mp_error_text(apr_pool_t *pool)
{
    PyObject *type, *value, *traceback;
    const char *text = "an exception";

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (value) {
        PyObject *message = PyObject_Str(value);
        const char *utf8 = message ? PyUnicode_AsUTF8(message) : NULL;
        text = apr_psprintf(pool, "%s: %s", Py_TYPE(value)->tp_name, utf8 ? utf8 : "?");
        Py_XDECREF(message);
    }
    PyErr_Clear();
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return text;
}

PyObject *mp_take_exception(void)
{
#if PY_VERSION_HEX >= 0x030c0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (value && traceback) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* The errno of an APR status; fallback for those that are none. */
static int errno_of(apr_status_t rv, int fallback)
{
    if (APR_STATUS_IS_TIMEUP(rv)) {
        return ETIMEDOUT;
    }
    return rv > 0 && rv < APR_OS_START_ERROR ? rv : fallback;
}

/* Sets an int attribute. 0, or -1 with an exception. */
static int set_number(PyObject *error, const char *name, long number)
{
    PyObject *value = PyLong_FromLong(number);
    int failed = value ? PyObject_SetAttrString(error, name, value) : -1;

    Py_XDECREF(value);
    return failed;
}

PyObject *mp_raise_os_error(int number, const char *text, int status)
{
    PyObject *error = PyObject_CallFunction(PyExc_OSError, "is", number, text);

    /* The first is read by mod_python._errors when the exception leaves the handler: other
     * exceptions may have a status too. The second is what a handler may return. */
    if (error && (!status || (set_number(error, "_mp_status", status) == 0 &&
                              set_number(error, "status", status > 0 ? status : DONE) == 0))) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    }
    Py_XDECREF(error);
    return NULL;
}

PyObject *mp_raise_read_error(apr_status_t rv)
{
    const char *text = "Client read error: the body is cut off or malformed";

    if (APR_STATUS_IS_TIMEUP(rv)) {
        text = "Client read error (Timeout?)";
    } else if (rv == AP_FILTER_ERROR) {
        text = "Client read error: an input filter failed, and has answered the client";
    } else if (rv == APR_ENOSPC) {
        text = "Client read error: the body is larger than LimitRequestBody allows";
    }
    return mp_raise_os_error(rv == APR_ENOSPC ? EFBIG : errno_of(rv, ECONNRESET), text,
                             ap_map_http_request_error(rv, HTTP_BAD_REQUEST));
}

PyObject *mp_raise_write_error(apr_status_t rv, const char *text)
{
    /* AP_FILTER_ERROR: a filter failed, has logged that and answered. */
    return mp_raise_os_error(errno_of(rv, EPIPE), text, rv == AP_FILTER_ERROR ? rv : 0);
}

PyObject *mp_raise_connection_error(apr_status_t rv, int fallback, const char *text)
{
    return mp_raise_os_error(errno_of(rv, fallback), text, DONE);
}
