#include "py_connection.h"

#include <errno.h>

#include "connection.h"
#include "py_convert.h"
#include "py_errors.h"

/* The record, for a connection handler's reading and writing; NULL with an exception. */
static conn_rec *protocol_record(mp_connection *self)
{
    conn_rec *c = mp_connection_record(self);

    if (c && !self->is_protocol) {
        PyErr_SetString(PyExc_RuntimeError,
                        "only a connection handler reads from and writes to the connection: use "
                        "the request's, or the filter's, own methods");
        return NULL;
    }
    return c;
}

/* Raises what a failed read means. */
static PyObject *raise_read_error(apr_status_t rv)
{
    const char *text = "Read failed, client closed connection.";

    if (APR_STATUS_IS_TIMEUP(rv)) {
        text = "Read failed: nothing came for as long as Timeout allows";
    } else if (rv == APR_ECONNABORTED) {
        text = "Read failed: the server is stopping";
    }
    return mp_raise_connection_error(rv, ECONNRESET, text);
}

/* Waits for data; APR_EOF at the end, which is told once: a handler that does not heed it is
 * stopped by an exception. */
static apr_status_t wait_for_data(mp_connection *self, conn_rec *c, const char **data,
                                  apr_size_t *size)
{
    mp_blocking blocking;

    if (self->context->at_end) {
        return ECONNRESET;
    }
    mp_blocking_begin(&blocking, self->context);
    apr_status_t rv = mp_connection_peek(c, data, size);
    mp_blocking_end(&blocking);
    return rv;
}

/* Reads until limit bytes (-1: no limit), the end, or with by_line the first LF. */
static PyObject *read_connection(mp_connection *self, Py_ssize_t limit, int by_line)
{
    conn_rec *c = protocol_record(self);
    Py_ssize_t size = 0;
    PyObject *bytes;

    if (!c || !(bytes = PyBytes_FromStringAndSize(NULL, 0))) {
        return NULL;
    }
    while (limit < 0 || size < limit) {
        const char *data;
        apr_size_t at_hand;
        apr_status_t rv = wait_for_data(self, c, &data, &at_hand);
        if (APR_STATUS_IS_EOF(rv)) {
            self->context->at_end = size == 0;
            break;
        }
        if (rv != APR_SUCCESS) {
            if (size) { /* for a handler that goes on after a TimeoutError */
                mp_connection_put_back(c, PyBytes_AS_STRING(bytes), (apr_size_t)size);
            }
            Py_DECREF(bytes);
            return raise_read_error(rv); /* last: it may run anything, and the connection end */
        }
        const char *newline = by_line ? memchr(data, '\n', at_hand) : NULL;
        Py_ssize_t take = newline ? newline + 1 - data : (Py_ssize_t)at_hand;
        if (limit >= 0 && take > limit - size) {
            take = limit - size;
            newline = NULL;
        }
        if (_PyBytes_Resize(&bytes, size + take) != 0) {
            return NULL;
        }
        memcpy(PyBytes_AS_STRING(bytes) + size, data, (size_t)take);
        mp_connection_consume(c, (apr_size_t)take);
        size += take;
        if (newline) {
            break;
        }
    }
    return bytes;
}

PyDoc_STRVAR(read_doc, "read($self, length=-1, /)\n--\n\n\
Read length bytes, or, if it is negative, until the peer closes (manual, 4.5.4).\n\n\
Fewer bytes mean that the peer has closed; b\"\" tells so once, then\n\
ConnectionResetError is raised. Raises TimeoutError if nothing comes for as long as\n\
Timeout says, and keeps what came before for the next read; RuntimeError outside a\n\
connection handler.");

static PyObject *connection_read(PyObject *op, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t limit;

    return mp_limit_from_args(args, count, &limit, "read") == 0
               ? read_connection((mp_connection *)op, limit, 0)
               : NULL;
}

PyDoc_STRVAR(readline_doc, "readline($self, length=-1, /)\n--\n\n\
Like read(), up to and including the end of the line.");

static PyObject *connection_readline(PyObject *op, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t limit;

    return mp_limit_from_args(args, count, &limit, "readline") == 0
               ? read_connection((mp_connection *)op, limit, 1)
               : NULL;
}

PyDoc_STRVAR(write_doc, "write($self, data, /)\n--\n\n\
Write data (bytes-like, or str, as UTF-8) to the peer (manual, 4.5.4).\n\
Raises OSError if it has gone, RuntimeError outside a connection handler.");

static PyObject *connection_write(PyObject *op, PyObject *object)
{
    mp_connection *self = (mp_connection *)op;
    conn_rec *c;
    mp_blocking blocking;
    Py_buffer view;

    if (mp_data_from_object(object, &view, "write()") != 0) {
        return NULL;
    }
    if (!(c = protocol_record(self))) {
        PyBuffer_Release(&view);
        return NULL;
    }
    mp_blocking_begin(&blocking, self->context);
    apr_status_t rv = mp_connection_write(c, view.buf, (apr_size_t)view.len);
    mp_blocking_end(&blocking);
    PyBuffer_Release(&view);
    if (rv != APR_SUCCESS) {
        return mp_raise_connection_error(rv, EPIPE, "Write failed, client closed connection.");
    }
    Py_RETURN_NONE;
}

PyMethodDef mp_connection_io[] = {
    {"read", (PyCFunction)(void (*)(void))connection_read, METH_FASTCALL, read_doc},
    {"readline", (PyCFunction)(void (*)(void))connection_readline, METH_FASTCALL, readline_doc},
    {"write", connection_write, METH_O, write_doc},
    {NULL},
};
