#include "py_log.h"

#include <http_log.h>

#include "config.h"
#include "py_interp.h"

APLOG_USE_MODULE(python);

void mp_log(const char *text, int level, const request_rec *r, const server_rec *s)
{
    mp_released released;

    level &= APLOG_LEVELMASK;
    mp_interp_release(&released);
    if (r) {
        ap_log_rerror(APLOG_MARK, level, 0, r, "%s", text);
    } else {
        ap_log_error(APLOG_MARK, level, 0, s, "%s", text);
    }
    mp_interp_reacquire(&released);
}

PyObject *mp_log_object(PyObject *message, int level, const request_rec *r, const server_rec *s)
{
    PyObject *text, *bytes;

    if (message == Py_None) {
        Py_RETURN_NONE;
    }
    if (!(text = PyObject_Str(message))) {
        return NULL;
    }
    bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    Py_DECREF(text);
    if (!bytes) {
        return NULL;
    }
    mp_log(PyBytes_AS_STRING(bytes), level, r, s);
    Py_DECREF(bytes);
    Py_RETURN_NONE;
}
