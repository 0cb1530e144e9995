#include "py_log.h"

#include <http_log.h>

#include "config.h"
#include "py_request.h"

APLOG_USE_MODULE(python);

/* Under r: the record's pool and notes are used, so it counts as being in use. */
static void log_request(const char *text, int level, const request_rec *r)
{
    mp_blocking blocking;

    mp_blocking_begin(&blocking, mp_conn_context_of(r->connection));
    ap_log_rerror(APLOG_MARK, level, 0, r, "%s", text);
    mp_blocking_end(&blocking);
}

void mp_log(const char *text, int level, const request_rec *r, const server_rec *s)
{
    mp_released released;

    level &= APLOG_LEVELMASK;
    if (r && !mp_is_used_elsewhere(mp_conn_context_of(r->connection))) {
        log_request(text, level, r);
        return;
    }
    mp_interp_release(&released);
    ap_log_error(APLOG_MARK, level, 0, r ? r->server : s, "%s", text);
    mp_interp_reacquire(&released);
}

PyObject *mp_log_text(PyObject *message)
{
    PyObject *text = message == Py_None ? Py_NewRef(Py_None) : PyObject_Str(message);

    if (text && PyUnicode_Check(text) && !PyUnicode_CheckExact(text)) {
        Py_SETREF(text, PyUnicode_FromObject(text));
    }
    return text;
}

/* What str() makes of message, as UTF-8 without NUL, at which Apache would cut it off; NULL with an
 * exception. */
static PyObject *encode(PyObject *message)
{
    PyObject *text = mp_log_text(message);
    PyObject *bytes = text ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace") : NULL;

    if (bytes && memchr(PyBytes_AS_STRING(bytes), '\0', (size_t)PyBytes_GET_SIZE(bytes))) {
        Py_SETREF(bytes, PyObject_CallMethod(bytes, "replace", "y#y#", "", (Py_ssize_t)1, "\\x00",
                                             (Py_ssize_t)4));
    }
    Py_XDECREF(text);
    return bytes;
}

PyObject *mp_log_object(PyObject *message, int level, const request_rec *r, const server_rec *s)
{
    PyObject *bytes;

    if (message == Py_None) {
        Py_RETURN_NONE;
    }
    if (!(bytes = encode(message))) {
        return NULL;
    }
    mp_log(PyBytes_AS_STRING(bytes), level, r, s);
    Py_DECREF(bytes);
    Py_RETURN_NONE;
}

PyObject *mp_log_connection(PyObject *message, int level, conn_rec *c)
{
    mp_blocking blocking;
    PyObject *bytes;

    if (message == Py_None) {
        Py_RETURN_NONE;
    }
    if (!(bytes = encode(message))) {
        return NULL;
    }
    if (mp_is_used_elsewhere(mp_conn_context_of(c))) {
        mp_log(PyBytes_AS_STRING(bytes), level, NULL, c->base_server);
    } else {
        mp_blocking_begin(&blocking, mp_conn_context_of(c));
        ap_log_cerror(APLOG_MARK, level & APLOG_LEVELMASK, 0, c, "%s", PyBytes_AS_STRING(bytes));
        mp_blocking_end(&blocking);
    }
    Py_DECREF(bytes);
    Py_RETURN_NONE;
}
