#include "py_filter.h"

#include "py_connection.h"
#include "py_convert.h"
#include "py_errors.h"
#include "py_request.h"

/* Use */

/* The filter, if it may be used now; NULL with an exception. */
static mp_filter_context *usable(mp_filter *self)
{
    mp_filter_context *context = self->context;

    if (!context) {
        PyErr_SetString(PyExc_ReferenceError,
                        "this filter is over: its request or connection is gone");
        return NULL;
    }
    if (mp_check_usable(mp_conn_context_of(context->c), self->interp, "filter") != 0) {
        return NULL;
    }
    if (!context->is_running) {
        PyErr_SetString(PyExc_RuntimeError,
                        "this filter cannot be read or written now: do it in its handler, while "
                        "that is being called");
        return NULL;
    }
    return context;
}

/* The same, for reading and writing: it must not be closed. */
static mp_filter_context *open_filter(mp_filter *self)
{
    mp_filter_context *context = usable(self);

    if (context && context->closed) {
        PyErr_SetString(PyExc_ValueError, "I/O operation on a closed filter: close() was called, "
                                          "or pass_on() passed the end on");
        return NULL;
    }
    return context;
}

static mp_conn_context *conn_of(const mp_filter_context *context)
{
    return mp_conn_context_of(context->c);
}

/* None, or the OSError of a neighbour that failed. */
static PyObject *result_of(mp_filter_context *context, apr_status_t rv)
{
    if (rv == APR_SUCCESS) {
        Py_RETURN_NONE;
    }
    context->rv = rv;
    return context->is_input ? mp_raise_read_error(rv)
                             : mp_raise_write_error(rv, "Write failed: the next filter, or the "
                                                        "client, is gone");
}

/* Life cycle */

PyObject *mp_filter_new(mp_interp *interp, mp_filter_context *context)
{
    PyTypeObject *type = mp_interp_state(interp)->filter_type;
    mp_filter *self = (mp_filter *)type->tp_alloc(type, 0);

    if (self) {
        self->context = context;
        self->interp = interp;
    }
    return (PyObject *)self;
}

void mp_filter_cut(mp_filter *self)
{
    self->context = NULL;
    if (self->connection) {
        mp_connection_cut(self->connection);
    }
    Py_CLEAR(self->connection);
    Py_CLEAR(self->held);
}

static int filter_traverse(PyObject *op, visitproc visit, void *arg)
{
    mp_filter *self = (mp_filter *)op;

    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->dict);
    Py_VISIT(self->handler);
    Py_VISIT(self->held);
    Py_VISIT(self->connection);
    return 0;
}

static int filter_clear(PyObject *op)
{
    mp_filter *self = (mp_filter *)op;

    Py_CLEAR(self->dict);
    Py_CLEAR(self->handler);
    return 0;
}

static void filter_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);

    PyObject_GC_UnTrack(op);
    mp_filter_cut((mp_filter *)op);
    filter_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

/* Reading */

/* What is at hand, without taking it: APR's answer. */
static apr_status_t peek(mp_filter_context *context, const char **data, apr_size_t *size)
{
    mp_blocking blocking;

    if (mp_filter_at_hand(context)) {
        return mp_filter_peek(context, data, size);
    }
    mp_blocking_begin(&blocking, conn_of(context));
    apr_status_t rv = mp_filter_peek(context, data, size);
    mp_blocking_end(&blocking);
    return rv;
}

/* Adds size bytes to what is held back; 0, or -1 with an exception. */
static int hold(mp_filter *self, const char *data, Py_ssize_t size)
{
    /* It begins empty: a bytes object of one byte is shared, and cannot be resized. */
    if (!self->held && !(self->held = PyBytes_FromStringAndSize(NULL, 0))) {
        return -1;
    }
    Py_ssize_t before = PyBytes_GET_SIZE(self->held);
    if (_PyBytes_Resize(&self->held, before + size) != 0) {
        self->context->holds = 0;
        return -1;
    }
    memcpy(PyBytes_AS_STRING(self->held) + before, data, (size_t)size);
    self->context->holds = 1;
    return 0;
}

/* At most limit bytes (-1: all) of what readline() held back: that counts as read. */
static PyObject *take_held(mp_filter *self, Py_ssize_t limit)
{
    PyObject *held = self->held;
    Py_ssize_t size = PyBytes_GET_SIZE(held);

    if (limit < 0 || limit >= size) {
        self->held = NULL;
        self->context->holds = 0;
        self->context->consumed += size;
        return held;
    }
    PyObject *first = PyBytes_FromStringAndSize(PyBytes_AS_STRING(held), limit);
    if (!first) {
        return NULL;
    }
    self->held = NULL;
    if (hold(self, PyBytes_AS_STRING(held) + limit, size - limit) != 0) {
        Py_CLEAR(first);
    }
    Py_DECREF(held);
    self->context->consumed += limit;
    return first;
}

/* At most limit bytes of the file that is next; b"" where it ends early, NULL with an
 * exception. */
static PyObject *read_file(mp_filter_context *context, apr_size_t limit)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)limit);
    apr_size_t size = limit;
    mp_blocking blocking;

    if (!bytes) {
        return NULL;
    }
    mp_blocking_begin(&blocking, conn_of(context));
    apr_status_t rv = mp_filter_read_file(context, PyBytes_AS_STRING(bytes), &size);
    mp_blocking_end(&blocking);
    if (rv != APR_SUCCESS) {
        Py_DECREF(bytes);
        return result_of(context, rv);
    }
    if (size < limit) {
        _PyBytes_Resize(&bytes, (Py_ssize_t)size);
    }
    return bytes;
}

PyDoc_STRVAR(read_doc, "read($self, len=-1, /)\n--\n\n\
Read at most len bytes from the filter before this one (manual, 4.5.5).\n\n\
Returns bytes while there is data, at most 1 MiB at a time; b\"\" when there is\n\
none for the moment: return from the handler then; None at the end of the stream.\n\
Raises ValueError when closed, OSError if the client fails.");

static PyObject *filter_read(PyObject *op, PyObject *const *args, Py_ssize_t count)
{
    mp_filter *self = (mp_filter *)op;
    mp_filter_context *context;
    Py_ssize_t limit;
    const char *data;
    apr_size_t size;

    if (mp_limit_from_args(args, count, &limit, "read") != 0 || !(context = open_filter(self))) {
        return NULL;
    }
    if (limit == 0) {
        return PyBytes_FromStringAndSize(NULL, 0);
    }
    if (self->held) {
        return take_held(self, limit);
    }
    if (limit < 0 || limit > MP_FILTER_BLOCK) {
        limit = MP_FILTER_BLOCK;
    }
    while ((size = mp_filter_file_at_hand(context)) > 0) {
        PyObject *block = read_file(context, size < (apr_size_t)limit ? size : (apr_size_t)limit);
        if (!block || PyBytes_GET_SIZE(block) > 0) {
            return block;
        }
        Py_DECREF(block);
    }
    apr_status_t rv = peek(context, &data, &size);
    if (APR_STATUS_IS_EOF(rv)) {
        context->told_end = 1;
        Py_RETURN_NONE;
    }
    if (APR_STATUS_IS_EAGAIN(rv)) {
        return PyBytes_FromStringAndSize(NULL, 0);
    }
    if (rv != APR_SUCCESS) {
        return result_of(context, rv);
    }
    if (size > (apr_size_t)limit) {
        size = (apr_size_t)limit;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
    if (bytes) {
        mp_filter_consume(context, size);
    }
    return bytes;
}

PyDoc_STRVAR(readline_doc, "readline($self, len=-1, /)\n--\n\n\
Like read(), one line, or the first len bytes of it. A line whose end has not come\n\
is kept for the next call (b\"\" is returned); at the end of the stream it is returned\n\
as it is.");

static PyObject *filter_readline(PyObject *op, PyObject *const *args, Py_ssize_t count)
{
    mp_filter *self = (mp_filter *)op;
    mp_filter_context *context;
    Py_ssize_t limit;

    if (mp_limit_from_args(args, count, &limit, "readline") != 0 ||
        !(context = open_filter(self))) {
        return NULL;
    }
    if (limit == 0) {
        return PyBytes_FromStringAndSize(NULL, 0);
    }
    for (;;) {
        const char *data;
        apr_size_t size;
        if (self->held) {
            const char *start = PyBytes_AS_STRING(self->held);
            Py_ssize_t held = PyBytes_GET_SIZE(self->held);
            const char *newline = memchr(start, '\n', (size_t)held);
            if (newline || (limit >= 0 && held >= limit)) {
                Py_ssize_t line = newline ? newline + 1 - start : limit;
                return take_held(self, limit >= 0 && line > limit ? limit : line);
            }
        }
        apr_status_t rv = peek(context, &data, &size);
        if (APR_STATUS_IS_EOF(rv)) {
            if (self->held) {
                return take_held(self, limit);
            }
            context->told_end = 1;
            Py_RETURN_NONE;
        }
        if (APR_STATUS_IS_EAGAIN(rv)) {
            return PyBytes_FromStringAndSize(NULL, 0);
        }
        if (rv != APR_SUCCESS) {
            return result_of(context, rv);
        }
        const char *newline = memchr(data, '\n', size);
        if (newline) {
            size = (apr_size_t)(newline + 1 - data);
        }
        if (size > MP_FILTER_BLOCK) {
            size = MP_FILTER_BLOCK;
        }
        if (hold(self, data, (Py_ssize_t)size) != 0) {
            return NULL;
        }
        mp_filter_consume(context, size);
    }
}

/* Writing */

PyDoc_STRVAR(write_doc, "write($self, data, /)\n--\n\n\
Write data (bytes-like, or str, as UTF-8) to the filter behind this one.\n\
Raises ValueError when closed, OSError if the client has gone.");

static PyObject *filter_write(PyObject *op, PyObject *object)
{
    mp_filter_context *context;
    Py_buffer view;
    apr_status_t rv;

    if (mp_data_from_object(object, &view, "write()") != 0) {
        return NULL;
    }
    if (!(context = open_filter((mp_filter *)op))) {
        PyBuffer_Release(&view);
        return NULL;
    }
    if (mp_filter_fits(context, (apr_size_t)view.len)) {
        rv = mp_filter_write(context, view.buf, (apr_size_t)view.len);
    } else {
        mp_blocking blocking;
        mp_blocking_begin(&blocking, conn_of(context));
        rv = mp_filter_write(context, view.buf, (apr_size_t)view.len);
        mp_blocking_end(&blocking);
    }
    /* First: letting go of the buffer may run anything, and the request end meanwhile. */
    PyObject *result = result_of(context, rv);
    PyBuffer_Release(&view);
    return result;
}

/* The methods that are one call: flush(), close(), pass_on(). What readline() held back
 * goes before what pass_on() passes. */
static PyObject *call(mp_filter *self, mp_filter_context *context,
                      apr_status_t (*function)(mp_filter_context *))
{
    PyObject *held = NULL;
    mp_blocking blocking;
    apr_status_t rv = APR_SUCCESS;

    if (!context) {
        return NULL;
    }
    if (self->held && function == mp_filter_pass_on) {
        held = take_held(self, -1);
    }
    mp_blocking_begin(&blocking, conn_of(context));
    if (held) {
        rv = mp_filter_write(context, PyBytes_AS_STRING(held), (apr_size_t)PyBytes_GET_SIZE(held));
    }
    if (rv == APR_SUCCESS) {
        rv = function(context);
    }
    mp_blocking_end(&blocking);
    Py_XDECREF(held);
    return result_of(context, rv);
}

PyDoc_STRVAR(flush_doc, "flush($self, /)\n--\n\n\
Send on what was written. Raises ValueError when closed, OSError if the client has gone.");

static PyObject *filter_flush(PyObject *op, PyObject *unused)
{
    return call((mp_filter *)op, open_filter((mp_filter *)op), mp_filter_flush);
}

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\n\
End the stream. What was not read is dropped; reading or writing raises ValueError\n\
from now on. Closing again does nothing.");

static PyObject *filter_close(PyObject *op, PyObject *unused)
{
    return call((mp_filter *)op, usable((mp_filter *)op), mp_filter_close);
}

PyDoc_STRVAR(pass_on_doc, "pass_on($self, /)\n--\n\n\
Pass on, as it is, all the data that this call is about.");

static PyObject *filter_pass_on(PyObject *op, PyObject *unused)
{
    return call((mp_filter *)op, open_filter((mp_filter *)op), mp_filter_pass_on);
}

PyDoc_STRVAR(disable_doc, "disable($self, /)\n--\n\n\
Do not call the handler any more for this request: everything is passed on as it is.");

static PyObject *filter_disable(PyObject *op, PyObject *unused)
{
    mp_filter_context *context = usable((mp_filter *)op);

    if (!context) {
        return NULL;
    }
    context->disabled = 1;
    Py_RETURN_NONE;
}

/* Members */

static mp_filter_context *living(PyObject *op)
{
    mp_filter_context *context = ((mp_filter *)op)->context;

    if (!context) {
        usable((mp_filter *)op); /* raises */
    }
    return context;
}

static PyObject *get_closed(PyObject *op, void *closure)
{
    mp_filter_context *context = ((mp_filter *)op)->context;

    return PyBool_FromLong(!context || context->closed);
}

static PyObject *get_name(PyObject *op, void *closure)
{
    mp_filter_context *context = living(op);

    return context ? mp_str_from_fs(context->handler->name) : NULL;
}

static PyObject *get_handler(PyObject *op, void *closure)
{
    mp_filter_context *context = living(op);

    return context ? mp_str_from_fs(context->handler->text) : NULL;
}

static PyObject *get_dir(PyObject *op, void *closure)
{
    mp_filter *self = (mp_filter *)op;

    if (living(op) && !self->handler) {
        PyErr_SetString(PyExc_RuntimeError, "this filter's handler is not known yet");
        return NULL;
    }
    return living(op) ? PyObject_GetAttrString(self->handler, "directory") : NULL;
}

static PyObject *get_is_input(PyObject *op, void *closure)
{
    mp_filter_context *context = living(op);

    return context ? PyBool_FromLong(context->is_input) : NULL;
}

static PyObject *get_req(PyObject *op, void *closure)
{
    mp_filter *self = (mp_filter *)op;
    mp_filter_context *context = living(op);

    if (!context || mp_check_usable(conn_of(context), self->interp, "filter") != 0) {
        return NULL;
    }
    return mp_request_of(self->interp, context->r);
}

static PyObject *get_connection(PyObject *op, void *closure)
{
    mp_filter *self = (mp_filter *)op;
    mp_filter_context *context = living(op);

    if (!context) {
        return NULL;
    }
    if (!self->connection) {
        self->connection = mp_connection_new(self->interp, context->c, NULL);
    }
    return Py_XNewRef(self->connection);
}

static PyObject *get_neighbour_failed(PyObject *op, void *closure)
{
    mp_filter_context *context = living(op);

    return context ? PyBool_FromLong(context->rv != APR_SUCCESS) : NULL;
}

#define OWN(name, getter, doc)                                                                     \
    {                                                                                              \
        name, getter, NULL, PyDoc_STR(doc), NULL                                                   \
    }

static PyGetSetDef filter_members[] = {
    OWN("closed", get_closed, "bool: close() was called."),
    OWN("name", get_name, "str: the name it is registered under."),
    OWN("handler", get_handler, "str: the handler, as configured."),
    OWN("dir", get_dir, "str or None: the directory that its handler is imported from."),
    OWN("is_input", get_is_input, "bool: an input filter."),
    OWN("req", get_req, "mp_request: the request; None for a connection's filter."),
    OWN("connection", get_connection, "mp_conn: the connection."),
    OWN("_neighbour_failed", get_neighbour_failed, "bool: for mod_python._dispatch."),
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL},
};

static PyMemberDef filter_fields[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(mp_filter, dict), READONLY, NULL},
    {NULL},
};

static PyMethodDef filter_methods[] = {
    {"read", (PyCFunction)(void (*)(void))filter_read, METH_FASTCALL, read_doc},
    {"readline", (PyCFunction)(void (*)(void))filter_readline, METH_FASTCALL, readline_doc},
    {"write", filter_write, METH_O, write_doc},
    {"flush", filter_flush, METH_NOARGS, flush_doc},
    {"close", filter_close, METH_NOARGS, close_doc},
    {"pass_on", filter_pass_on, METH_NOARGS, pass_on_doc},
    {"disable", filter_disable, METH_NOARGS, disable_doc},
    {NULL},
};

static PyType_Slot filter_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A filter, as its handler sees it (manual, 4.5.5).")},
    {Py_tp_dealloc, filter_dealloc},
    {Py_tp_traverse, filter_traverse},
    {Py_tp_clear, filter_clear},
    {Py_tp_getset, filter_members},
    {Py_tp_members, filter_fields},
    {Py_tp_methods, filter_methods},
    {0, NULL},
};

static PyType_Spec filter_spec = {
    .name = "_apache.mp_filter",
    .basicsize = sizeof(mp_filter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = filter_slots,
};

int mp_filter_setup(PyObject *module, mp_state *state)
{
    state->filter_type = mp_type_create(module, &filter_spec);
    return state->filter_type ? 0 : -1;
}
