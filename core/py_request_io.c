#include "py_request.h"

#include <errno.h>

#include <http_core.h>
#include <http_protocol.h>

#include "py_convert.h"
#include "py_errors.h"

#define FLUSH_FAILED "Flush failed, client closed connection."

/* Memory asked for at first when the length of a body is only what the client claims. */
#define FIRST_BLOCK ((Py_ssize_t)65536)

/* Limits up to this are asked for at once: growing copies what is there already. */
#define EXACT_BLOCK ((Py_ssize_t)262144)

/* Out */

PyDoc_STRVAR(write_doc, "write($self, data, /, flush=1)\n--\n\n\
Write data to the client (manual, 4.5.3).\n\n\
data: bytes-like, or str, sent as UTF-8.\n\
flush: true sends it on at once; false lets it gather with what follows.\n\
Raises OSError if the client has gone, TypeError for other data.");

/* flush, by position or by name: -1 with an exception. */
static int get_flush(PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;

    if (count < 1 || count + named > 2 ||
        (named && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "flush") != 0)) {
        PyErr_SetString(PyExc_TypeError, "write() takes data and, optionally, flush");
        return -1;
    }
    return count + named == 2 ? PyObject_IsTrue(args[1]) : 1;
}

/* Writes what view has, and releases it; new reference to None, or NULL with an exception. */
static PyObject *write_view(mp_request *self, request_rec *r, Py_buffer *view, int flush)
{
    mp_body_out *out = &self->context->out;
    mp_blocking blocking;

    if (out->has_limit && out->queued + (apr_off_t)view->len > out->limit) {
        PyErr_Format(PyExc_ValueError,
                     "write() of %zd bytes would exceed the Content-Length that start_response() "
                     "was given: %lld, of which %lld are written",
                     view->len, (long long)out->limit, (long long)out->queued);
        PyBuffer_Release(view);
        return NULL;
    }
    if (!flush && mp_body_fits(r, out, (apr_size_t)view->len)) {
        mp_body_gather(r, out, view->buf, (apr_size_t)view->len);
        PyBuffer_Release(view);
        Py_RETURN_NONE;
    }
    mp_blocking_begin(&blocking, self->context->conn);
    apr_status_t rv = mp_body_write(r, out, view->buf, (apr_size_t)view->len, flush);
    mp_blocking_end(&blocking);
    PyBuffer_Release(view);
    if (rv != APR_SUCCESS) {
        return mp_raise_write_error(rv, MP_WRITE_FAILED);
    }
    Py_RETURN_NONE;
}

static PyObject *request_write(PyObject *op, PyObject *const *args, Py_ssize_t count,
                               PyObject *names)
{
    mp_request *self = (mp_request *)op;
    request_rec *r;
    Py_buffer view;
    int flush = get_flush(args, count, names);

    if (flush < 0 || mp_data_from_object(args[0], &view, "write()") != 0) {
        return NULL;
    }
    /* Only now: what the arguments run may take its time, and the request end. */
    if (!(r = mp_request_record(self))) {
        PyBuffer_Release(&view);
        return NULL;
    }
    return write_view(self, r, &view, flush);
}

/* Characters at the end of a page in which "</html>" is looked for, as in publisher.py. */
#define END_OF_PAGE 100

/* text: a str that is ready. */
static int is_html(PyObject *text)
{
    static const char tag[] = "</html>";
    const int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t size = PyUnicode_GET_LENGTH(text);

    for (Py_ssize_t i = size > END_OF_PAGE ? size - END_OF_PAGE : 0; size - i >= 7; i++) {
        int length = 0;
        while (length < 7) {
            Py_UCS4 c = PyUnicode_READ(kind, data, i + length);
            if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != (Py_UCS4)tag[length]) {
                break;
            }
            length++;
        }
        if (length == 7) {
            return 1;
        }
    }
    return 0;
}

/* The usual response of the publisher in one call: _publish() in publisher.py has the rest. */
PyDoc_STRVAR(write_page_doc, "_write_page($self, text, /)\n--\n\n\
Write a page without flushing, as text/html if it ends in \"</html>\", or so, else as\n\
text/plain, unless content_type was assigned. False, and nothing is done, for other data than\n\
a str that can be sent as UTF-8.");

static PyObject *request_write_page(PyObject *op, PyObject *text)
{
    mp_request *self = (mp_request *)op;
    request_rec *r;
    Py_buffer view;

    if (!PyUnicode_CheckExact(text)) {
        Py_RETURN_FALSE;
    }
    if (mp_data_from_object(text, &view, "_write_page()") != 0) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
            return NULL;
        }
        PyErr_Clear();
        Py_RETURN_FALSE;
    }
    if (!(r = mp_request_record(self))) {
        PyBuffer_Release(&view);
        return NULL;
    }
    if (!self->context->content_type_set) {
        ap_set_content_type(r, is_html(text) ? "text/html" : "text/plain");
        self->context->content_type_set = 1;
    }
    PyObject *written = write_view(self, r, &view, 0);
    Py_XDECREF(written);
    return written ? Py_NewRef(Py_True) : NULL;
}

PyDoc_STRVAR(gather_doc, "_gather($self, data, /)\n--\n\n\
write(data, 0), if nothing is sent on by that, and so no filter runs; else False.");

static PyObject *request_gather(PyObject *op, PyObject *data)
{
    mp_request *self = (mp_request *)op;
    request_rec *r;
    mp_body_out *out;
    Py_buffer view;
    int fits;

    if (mp_data_from_object(data, &view, "_gather()") != 0) {
        return NULL;
    }
    if (!(r = mp_request_record(self))) {
        PyBuffer_Release(&view);
        return NULL;
    }
    out = &self->context->out;
    fits = !out->has_limit && mp_body_fits(r, out, (apr_size_t)view.len);
    if (fits) {
        mp_body_gather(r, out, view.buf, (apr_size_t)view.len);
    }
    PyBuffer_Release(&view);
    return PyBool_FromLong(fits);
}

PyDoc_STRVAR(flush_doc, "flush($self, /)\n--\n\n\
Send on what was written. Raises OSError if the client has gone.");

static PyObject *request_flush(PyObject *op, PyObject *unused)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    mp_blocking blocking;

    if (!r) {
        return NULL;
    }
    mp_blocking_begin(&blocking, self->context->conn);
    apr_status_t rv = mp_body_write(r, &self->context->out, NULL, 0, 1);
    mp_blocking_end(&blocking);
    if (rv != APR_SUCCESS) {
        return mp_raise_write_error(rv, FLUSH_FAILED);
    }
    Py_RETURN_NONE;
}

/* Opens path as Apache's own default handler would, if it is a regular file: another, a FIFO
 * for instance, could make it wait. */
static apr_status_t open_file(request_rec *r, const char *path, apr_file_t **file,
                              apr_finfo_t *finfo)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    apr_int32_t flags = APR_READ | APR_BINARY;
    apr_status_t rv = apr_stat(finfo, path, APR_FINFO_SIZE | APR_FINFO_TYPE, r->pool);

    *file = NULL;
    if (rv != APR_SUCCESS || finfo->filetype != APR_REG) {
        return rv;
    }
#if APR_HAS_SENDFILE
    if (core->enable_sendfile == ENABLE_SENDFILE_ON) {
        flags |= APR_SENDFILE_ENABLED;
    }
#endif
    return apr_file_open(file, path, flags, APR_OS_DEFAULT, r->pool);
}

static PyObject *raise_file_error(apr_status_t rv, const char *text, PyObject *path)
{
    PyObject *error = PyObject_CallFunction(PyExc_OSError, "isO", rv, text, path);

    if (error) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

PyDoc_STRVAR(sendfile_doc, "sendfile($self, path, /, offset=0, len=-1)\n--\n\n\
Send len bytes (-1: all) of a file from offset on, without reading them into\n\
Python. Returns the number of bytes. Raises OSError if the file cannot be read\n\
or the client has gone.");

static PyObject *request_sendfile(PyObject *op, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", "offset", "len", NULL};
    mp_request *self = (mp_request *)op;
    request_rec *r;
    PyObject *path;
    long long offset = 0, length = -1;
    apr_file_t *file;
    apr_finfo_t finfo = {0};
    mp_blocking blocking;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|LL:sendfile", names, &path, &offset,
                                     &length) ||
        !(r = mp_request_record(self))) {
        return NULL;
    }
    char *name = mp_fs_from_object(r->pool, path, "path");
    if (!name) {
        return NULL;
    }
    mp_blocking_begin(&blocking, self->context->conn);
    apr_status_t rv = open_file(r, name, &file, &finfo);
    mp_blocking_end(&blocking);
    if (rv != APR_SUCCESS || finfo.filetype != APR_REG) {
        return raise_file_error(rv != APR_SUCCESS ? rv : EISDIR,
                                rv != APR_SUCCESS && finfo.valid == 0
                                    ? "Could not stat file for reading"
                                    : "Could not open file for reading",
                                path);
    }
    if (offset < 0 || offset > finfo.size) {
        apr_file_close(file); /* first: raising can run anything, and the request end */
        PyErr_Format(PyExc_ValueError, "offset must be from 0 to the file's size, %lld, not %lld",
                     (long long)finfo.size, offset);
        return NULL;
    }
    if (length < 0 || length > finfo.size - offset) {
        length = finfo.size - offset;
    }
    mp_blocking_begin(&blocking, self->context->conn);
    rv = mp_body_sendfile(r, &self->context->out, file, offset, length, 0);
    mp_blocking_end(&blocking);
    return rv == APR_SUCCESS ? PyLong_FromLongLong(length)
                             : mp_raise_write_error(rv, MP_WRITE_FAILED);
}

PyDoc_STRVAR(set_content_length_doc, "set_content_length($self, len, /)\n--\n\n\
Set the Content-Length header of the response (int, bytes) (manual, 4.5.3).");

static PyObject *request_set_content_length(PyObject *op, PyObject *value)
{
    long long length = PyLong_AsLongLong(value);
    request_rec *r;

    if (length == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (length < 0) {
        PyErr_Format(PyExc_ValueError, "len must not be negative: %lld", length);
        return NULL;
    }
    if (!(r = mp_request_record((mp_request *)op))) {
        return NULL;
    }
    ap_set_content_length(r, length);
    Py_RETURN_NONE;
}

/* In */

/* The record, ready to be read from; NULL with an exception. */
static request_rec *reader(mp_request *self)
{
    request_rec *r = mp_request_record(self);
    int status = r ? mp_body_setup(r, &self->context->in) : OK;

    if (status == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        mp_raise_read_error(APR_ENOSPC);
    } else if (status != OK) {
        mp_raise_os_error(EPROTO, "Client read error: bad Transfer-Encoding or Content-Length",
                          status);
    }
    if (status != OK) {
        return NULL;
    }
    return r;
}

/* Reads into a bytes object that grows as the data comes, up to limit (-1: none) or,
 * with by_line, the first LF. */
static PyObject *read_body(mp_request *self, Py_ssize_t limit, int by_line)
{
    request_rec *r = reader(self);
    Py_ssize_t size = 0;
    Py_ssize_t room = limit >= 0 && limit <= EXACT_BLOCK ? limit : FIRST_BLOCK;
    PyObject *bytes;
    int found = 0;

    if (!r || !(bytes = PyBytes_FromStringAndSize(NULL, room))) {
        return NULL;
    }
    while (limit < 0 || size < limit) {
        apr_size_t want = (apr_size_t)(room - size), got;
        mp_blocking blocking;
        apr_status_t rv;
        char *start = PyBytes_AS_STRING(bytes) + size;

        mp_blocking_begin(&blocking, self->context->conn);
        rv = by_line ? mp_body_readline(r, &self->context->in, start, want, &got, &found)
                     : mp_body_read(r, &self->context->in, start, want, &got);
        mp_blocking_end(&blocking);
        if (rv != APR_SUCCESS) {
            Py_DECREF(bytes);
            return mp_raise_read_error(rv);
        }
        size += (Py_ssize_t)got;
        if (size < room || found) {
            break;
        }
        room = room > PY_SSIZE_T_MAX / 2 ? PY_SSIZE_T_MAX : room * 2;
        if (limit >= 0 && room > limit) {
            room = limit;
        }
        if (_PyBytes_Resize(&bytes, room) != 0) {
            return NULL;
        }
    }
    if (size < PyBytes_GET_SIZE(bytes)) {
        _PyBytes_Resize(&bytes, size);
    }
    return bytes;
}

PyDoc_STRVAR(read_doc, "read($self, len=-1, /)\n--\n\n\
Read at most len bytes of the request's body, all of it if len is negative; b\"\"\n\
at its end (manual, 4.5.3). Chunked bodies are read too.\n\n\
Raises OSError if the body is cut off or malformed, TimeoutError if it is slower\n\
than Timeout.");

static PyObject *request_read(PyObject *op, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t limit;

    return mp_limit_from_args(args, count, &limit, "read") == 0
               ? read_body((mp_request *)op, limit, 0)
               : NULL;
}

PyDoc_STRVAR(readline_doc, "readline($self, len=-1, /)\n--\n\n\
Like read(), up to and including the end of the line.");

static PyObject *request_readline(PyObject *op, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t limit;

    return mp_limit_from_args(args, count, &limit, "readline") == 0
               ? read_body((mp_request *)op, limit, 1)
               : NULL;
}

PyObject *mp_request_next_line(PyObject *op)
{
    PyObject *line = read_body((mp_request *)op, -1, 1);

    if (line && !PyBytes_GET_SIZE(line)) {
        Py_CLEAR(line);
    }
    return line;
}

PyDoc_STRVAR(readlines_doc, "readlines($self, sizehint=-1, /)\n--\n\n\
A list of lines, all of them or until they total at least sizehint bytes.");

static PyObject *request_readlines(PyObject *op, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t hint, total = 0;
    PyObject *lines;

    if (mp_limit_from_args(args, count, &hint, "readlines") != 0 || !(lines = PyList_New(0))) {
        return NULL;
    }
    while (hint <= 0 || total < hint) {
        PyObject *line = read_body((mp_request *)op, -1, 1);
        Py_ssize_t size = line ? PyBytes_GET_SIZE(line) : 0;
        int failed = !line || (size && PyList_Append(lines, line) != 0);
        Py_XDECREF(line);
        if (failed) {
            Py_DECREF(lines);
            return NULL;
        }
        if (!size) {
            break;
        }
        total += size;
    }
    return lines;
}

PyDoc_STRVAR(discard_doc, "discard_request_body($self, /)\n--\n\n\
Read and forget what is left of the request's body. Returns an HTTP status.");

static PyObject *request_discard(PyObject *op, PyObject *unused)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    mp_blocking blocking;

    if (!r) {
        return NULL;
    }
    mp_blocking_begin(&blocking, self->context->conn);
    int status = ap_discard_request_body(r);
    mp_blocking_end(&blocking);
    self->context->in.line_pos = self->context->in.line_end;
    self->context->in.at_end = 1;
    return PyLong_FromLong(status);
}

/* For util.redirect(): what the handler has written is not sent, headers and cookies are. */
static PyObject *request_discard_body(PyObject *op, PyObject *unused)
{
    mp_request *self = (mp_request *)op;

    if (!mp_request_record(self)) {
        return NULL;
    }
    mp_body_discard(&self->context->out);
    Py_RETURN_NONE;
}

/* For the error page of PythonDebug: what the handler has written and set is not sent. */
static PyObject *request_discard_output(PyObject *op, PyObject *unused)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);

    if (!r) {
        return NULL;
    }
    mp_body_discard(&self->context->out);
    self->context->out.has_limit = 0;
    /* As for Apache's own error pages: they describe what is not sent. */
    apr_table_clear(r->headers_out);
    r->status_line = NULL;
    r->content_encoding = NULL;
    r->content_languages = NULL;
    Py_RETURN_NONE;
}

PyMethodDef mp_request_io[] = {
    /* First: mp_request_bound_write() */
    {"write", (PyCFunction)(void (*)(void))request_write, METH_FASTCALL | METH_KEYWORDS, write_doc},
    {"_write_page", request_write_page, METH_O, write_page_doc},
    {"_gather", request_gather, METH_O, gather_doc},
    {"flush", request_flush, METH_NOARGS, flush_doc},
    {"sendfile", (PyCFunction)(void (*)(void))request_sendfile, METH_VARARGS | METH_KEYWORDS,
     sendfile_doc},
    {"set_content_length", request_set_content_length, METH_O, set_content_length_doc},
    {"read", (PyCFunction)(void (*)(void))request_read, METH_FASTCALL, read_doc},
    {"readline", (PyCFunction)(void (*)(void))request_readline, METH_FASTCALL, readline_doc},
    {"readlines", (PyCFunction)(void (*)(void))request_readlines, METH_FASTCALL, readlines_doc},
    {"discard_request_body", request_discard, METH_NOARGS, discard_doc},
    {"_discard_body", request_discard_body, METH_NOARGS, NULL},
    {"_discard_output", request_discard_output, METH_NOARGS, NULL},
    {NULL},
};

PyObject *mp_request_bound_write(PyObject *op)
{
    return PyCFunction_New(&mp_request_io[0], op);
}
