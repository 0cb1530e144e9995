#include "py_request.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <apr_lib.h>
#include <apr_portable.h>
#include <apr_strings.h>

#include "py_activity.h"
#include "py_convert.h"
#include "py_errors.h"

/* start_response() */

/* What it is given, checked and copied, before any of it takes effect. */
typedef struct {
    int status;
    const char *status_line;
    const char *content_type; /* or NULL */
    apr_off_t length;         /* Content-Length, or -1 */
    const char *length_text;
    apr_table_t *headers; /* the others */
} mp_response_start;

/* No Content-Length is longer. */
#define LENGTH_MAX ((apr_off_t)APR_INT64_MAX)

static const char *const hop_by_hop[] = {
    "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
    "TE",         "Trailer",    "Trailers",           "Transfer-Encoding",
    "Upgrade",    NULL,
};

static int is_hop_by_hop(const char *name)
{
    for (const char *const *one = hop_by_hop; *one; one++) {
        if (!ap_cstr_casecmp(name, *one)) {
            return 1;
        }
    }
    return 0;
}

/* 0, or -1 with TypeError or ValueError. */
static int read_status(request_rec *r, PyObject *object, mp_response_start *start)
{
    const char *line;

    if (!PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError, "status must be a str, as \"200 OK\", not %.200s",
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    line = mp_latin1_from_object(r->pool, object, "Invalid status line: it");
    if (!line) {
        return -1;
    }
    if (!apr_isdigit(line[0]) || !apr_isdigit(line[1]) || !apr_isdigit(line[2]) || line[3] != ' ' ||
        line[0] < '2' || *ap_scan_http_field_content(line)) {
        PyErr_Format(PyExc_ValueError,
                     "Invalid status line: %R (three digits from 200 on, a space and a phrase, as "
                     "\"200 OK\")",
                     object);
        return -1;
    }
    start->status = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    start->status_line = line;
    return 0;
}

/* Whatever its case; mostly it is that of wanted. */
static inline int is_named(const char *name, size_t size, const char *wanted)
{
    return size == strlen(wanted) &&
           (!memcmp(name, wanted, size) || !ap_cstr_casecmp(name, wanted));
}

/* Content-Length: 0, or -1 with ValueError. */
static int read_length(const char *value, mp_response_start *start)
{
    const char *digit = value;

    start->length = 0;
    for (; apr_isdigit(*digit) && start->length <= (LENGTH_MAX - (*digit - '0')) / 10; digit++) {
        start->length = start->length * 10 + (*digit - '0');
    }
    if (digit == value || *digit) {
        PyErr_Format(PyExc_ValueError, "Content-Length must be a number of bytes, not %s", value);
        return -1;
    }
    while (value[0] == '0' && value[1]) {
        value++;
    }
    start->length_text = value;
    return 0;
}

/* 0, or -1 with ValueError. */
static int add_header(const char *name, const char *value, mp_response_start *start)
{
    size_t size = strlen(name);

    if (!*name || *ap_scan_http_token(name)) {
        PyErr_Format(PyExc_ValueError, "invalid name of a header: %s", name);
        return -1;
    }
    if (*ap_scan_http_field_content(value)) {
        PyErr_Format(PyExc_ValueError, "the header %s contains a control character", name);
        return -1;
    }
    if (is_named(name, size, "Content-Type")) {
        start->content_type = value;
    } else if (is_named(name, size, "Content-Length")) {
        return read_length(value, start);
    } else if (is_hop_by_hop(name)) {
        PyErr_Format(PyExc_ValueError,
                     "the header %s is the server's business (PEP 3333, Other HTTP Features)",
                     name);
        return -1;
    } else {
        apr_table_addn(start->headers, name, value);
    }
    return 0;
}

/* 0, or -1 with TypeError or ValueError. */
static int read_headers(request_rec *r, PyObject *list, mp_response_start *start)
{
    if (!PyList_Check(list)) {
        PyErr_Format(PyExc_TypeError, "headers must be a list of tuples, not %.200s",
                     Py_TYPE(list)->tp_name);
        return -1;
    }
    start->headers = apr_table_make(r->pool, (int)PyList_GET_SIZE(list) + 2);
    start->length = -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *pair = PyList_GET_ITEM(list, i);
        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 ||
            !PyUnicode_Check(PyTuple_GET_ITEM(pair, 0)) ||
            !PyUnicode_Check(PyTuple_GET_ITEM(pair, 1))) {
            PyErr_Format(PyExc_TypeError,
                         "headers must be a list of tuples of two str: item %zd is a %.200s", i,
                         Py_TYPE(pair)->tp_name);
            return -1;
        }
        const char *name = mp_latin1_from_object(r->pool, PyTuple_GET_ITEM(pair, 0), "header name");
        const char *value =
            name ? mp_latin1_from_object(r->pool, PyTuple_GET_ITEM(pair, 1), name) : NULL;
        if (!value || add_header(name, value, start) != 0) {
            return -1;
        }
    }
    return 0;
}

/* An earlier call's headers are replaced; those that were there before it stay, unless the
 * application gives its own. */
static void begin_response(request_rec *r, mp_request_context *context,
                           const mp_response_start *start)
{
    const apr_array_header_t *before;

    if (context->wsgi_before) {
        mp_body_discard(&context->out);
    } else {
        context->wsgi_before = r->headers_out;
    }
    before = apr_table_elts(context->wsgi_before);
    for (int i = 0, own = apr_table_elts(start->headers)->nelts; i < before->nelts; i++) {
        const apr_table_entry_t *entry = &APR_ARRAY_IDX(before, i, apr_table_entry_t);
        if (!own || !apr_table_get(start->headers, entry->key)) {
            apr_table_addn(start->headers, entry->key, entry->val);
        }
    }
    r->headers_out = start->headers;
    r->status = start->status;
    r->status_line = start->status_line;
    /* What the URI's extension suggested says nothing of this. */
    r->content_encoding = NULL;
    r->content_languages = NULL;
    ap_set_content_type(r, start->content_type);
    context->content_type_set = 1;
    context->out.has_limit = start->length >= 0;
    context->out.limit = start->length;
    context->out.is_cut = 0;
    if (start->length >= 0) {
        r->clength = start->length;
        apr_table_setn(r->headers_out, "Content-Length", start->length_text);
    } else {
        apr_table_unset(r->headers_out, "Content-Length");
    }
}

/* Raises what start_response() was given as exc_info. */
static int raise_exc_info(PyObject *value, PyObject *trace)
{
    PyErr_Restore(Py_NewRef(Py_TYPE(value)), Py_NewRef(value),
                  trace == Py_None ? NULL : Py_NewRef(trace));
    return -1;
}

/* Whether start_response() may be called now: 0, or -1 with an exception. */
static int check_start(request_rec *r, const mp_request_context *context, PyObject *exc_info)
{
    PyObject *type, *value, *trace;

    if (!exc_info || exc_info == Py_None) {
        if (context->wsgi_before) {
            PyErr_SetString(PyExc_AssertionError,
                            "Headers already set: only with exc_info may start_response() be "
                            "called again");
            return -1;
        }
        return 0;
    }
    if (!PyTuple_Check(exc_info) || !PyArg_ParseTuple(exc_info, "OOO", &type, &value, &trace) ||
        !PyExceptionInstance_Check(value) || (trace != Py_None && !PyTraceBack_Check(trace))) {
        PyErr_SetString(PyExc_TypeError, "exc_info must be the tuple of sys.exc_info()");
        return -1;
    }
    return r->sent_bodyct || r->eos_sent ? raise_exc_info(value, trace) : 0;
}

PyDoc_STRVAR(start_response_doc, "wsgi_start_response($self, status, headers, /, exc_info=None)\n\
--\n\n\
The start_response() of WSGI (PEP 3333).\n\n\
status: str, as \"200 OK\".\n\
headers: list of tuples (name, value) of str.\n\
exc_info: of sys.exc_info(), when a response takes the place of one that failed.\n\
Returns req.write. Raises TypeError or ValueError for what is no status or header,\n\
AssertionError if it was called before, exc_info's exception if it is too late.");

static PyObject *request_wsgi_start_response(PyObject *op, PyObject *const *args, Py_ssize_t count,
                                             PyObject *names)
{
    mp_request *self = (mp_request *)op;
    Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
    mp_response_start start = {0};
    request_rec *r;

    if (count < 2 || count + named > 3 ||
        (named && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "exc_info") != 0)) {
        PyErr_SetString(PyExc_TypeError,
                        "start_response() takes status, headers and, optionally, exc_info");
        return NULL;
    }
    if (!(r = mp_request_record(self)) ||
        check_start(r, self->context, count + named == 3 ? args[2] : NULL) != 0 ||
        read_status(r, args[0], &start) != 0 || read_headers(r, args[1], &start) != 0) {
        return NULL;
    }
    begin_response(r, self->context, &start);
    return mp_request_bound_write(op);
}

/* The body */

/* The bytes of a block; 0, or -1 with TypeError or UnicodeEncodeError. */
static int block_data(PyObject *block, const char **data, Py_ssize_t *size)
{
    if (PyBytes_Check(block)) {
        *data = PyBytes_AS_STRING(block);
        *size = PyBytes_GET_SIZE(block);
        return 0;
    }
    if (PyUnicode_Check(block)) {
        return (*data = PyUnicode_AsUTF8AndSize(block, size)) ? 0 : -1;
    }
    PyErr_Format(PyExc_TypeError, "the blocks of a WSGI response must be bytes, not %.200s",
                 Py_TYPE(block)->tp_name);
    return -1;
}

/* The record, if start_response() was called; NULL with an exception. */
static request_rec *started(mp_request *self)
{
    request_rec *r = mp_request_record(self);

    if (r && !self->context->wsgi_before) {
        PyErr_SetString(PyExc_AssertionError,
                        "the WSGI application did not call start_response() before it gave the "
                        "response's body");
        return NULL;
    }
    return r;
}

/* Bytes that Content-Length promises beyond what was written and size more. */
static apr_off_t missing(const request_rec *r, const mp_body_out *out, apr_off_t size)
{
    apr_off_t all = out->queued + size;

    return out->has_limit && all < out->limit && !r->header_only &&
                   !AP_STATUS_IS_HEADER_ONLY(r->status)
               ? out->limit - all
               : 0;
}

/* Content-Length for a response that has none, when size is all that it will be. */
static void set_length(request_rec *r, const mp_body_out *out, apr_off_t size)
{
    /* An application need not make the body for HEAD. */
    if (!out->has_limit && !out->queued && !AP_STATUS_IS_HEADER_ONLY(r->status) &&
        !(r->header_only && !size)) {
        ap_set_content_length(r, size);
    }
}

/* Sends as much of it as Content-Length allows; 0, or -1 with OSError. */
static int send_data(mp_request *self, request_rec *r, const char *data, Py_ssize_t length,
                     int flush)
{
    mp_body_out *out = &self->context->out;
    apr_size_t size = mp_body_cut(out, (apr_size_t)length);
    mp_blocking blocking;

    if (!size) {
        return 0;
    }
    if (!flush && mp_body_fits(r, out, size)) {
        mp_body_gather(r, out, data, size);
        return 0;
    }
    mp_blocking_begin(&blocking, self->context->conn);
    apr_status_t rv = mp_body_write(r, out, data, size, flush);
    mp_blocking_end(&blocking);
    if (rv != APR_SUCCESS) {
        mp_raise_write_error(rv, MP_WRITE_FAILED);
        return -1;
    }
    return 0;
}

/* What is wrong with the length of a body that is complete. */
static PyObject *length_fault(const request_rec *r, const mp_body_out *out)
{
    return PyLong_FromLongLong(out->is_cut ? -1 : (long long)missing(r, out, 0));
}

/* blocks: that nobody else lets go of meanwhile. */
static PyObject *send_all(mp_request *self, PyObject *const *blocks, Py_ssize_t count)
{
    request_rec *r = started(self);
    mp_body_out *out;
    apr_off_t total = 0;
    const char *data;
    Py_ssize_t size;

    if (!r) {
        return NULL;
    }
    out = &self->context->out;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (block_data(blocks[i], &data, &size) != 0) {
            return NULL;
        }
        total += size;
    }
    if (missing(r, out, total)) {
        return PyLong_FromLongLong((long long)missing(r, out, total)); /* an error page may do */
    }
    set_length(r, out, total);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (block_data(blocks[i], &data, &size) != 0 || send_data(self, r, data, size, 0) != 0) {
            return NULL;
        }
    }
    return length_fault(r, out);
}

PyDoc_STRVAR(send_all_doc, "_wsgi_send_all($self, blocks, /)\n--\n\n\
Send a response's whole body, a list or tuple, without flushing; with a Content-Length\n\
if there is none. What _wsgi_end() returns.");

static PyObject *request_wsgi_send_all(PyObject *op, PyObject *blocks)
{
    PyObject *held, *result = NULL;

    if (PyList_CheckExact(blocks) && PyList_GET_SIZE(blocks) == 1) { /* most are */
        held = Py_NewRef(PyList_GET_ITEM(blocks, 0));
        result = send_all((mp_request *)op, &held, 1);
    } else if ((held = PySequence_Tuple(blocks))) {
        result = send_all((mp_request *)op, &PyTuple_GET_ITEM(held, 0), PyTuple_GET_SIZE(held));
    }
    Py_XDECREF(held);
    return result;
}

PyDoc_STRVAR(send_doc, "_wsgi_send($self, block, /)\n--\n\n\
Send a block of the body to the client at once. False if nothing that follows can be sent.");

static PyObject *request_wsgi_send(PyObject *op, PyObject *block)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = started(self);
    const char *data;
    Py_ssize_t size;

    if (!r || block_data(block, &data, &size) != 0 ||
        (size && send_data(self, r, data, size, 1) != 0)) {
        return NULL;
    }
    return PyBool_FromLong(!self->context->out.is_cut && !(r->header_only && size));
}

PyDoc_STRVAR(end_doc, "_wsgi_end($self, /)\n--\n\n\
int: the bytes that Content-Length promises beyond what was sent; -1 if it had to be cut\n\
short.");

static PyObject *request_wsgi_end(PyObject *op, PyObject *unused)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = started(self);

    return r ? length_fault(r, &self->context->out) : NULL;
}

/* Has own, an open descriptor, be what fd is; it is closed on exec. An errno. */
static int replace_descriptor(int fd, int own)
{
#ifdef __linux__
    return dup3(fd, own, O_CLOEXEC) < 0 ? errno : 0;
#else
    return dup2(fd, own) < 0 || fcntl(own, F_SETFD, FD_CLOEXEC) < 0 ? errno : 0;
#endif
}

/* An APR file of its own for a file that Python has open, so that either may close it; with
 * the flags that Apache's own default handler has. APR opens it: what apr_os_file_put() makes
 * of a descriptor is closed by nobody once it was set aside for a slow client. */
static apr_status_t duplicate_file(request_rec *r, int fd, apr_file_t **file)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    apr_int32_t flags = APR_FOPEN_READ | APR_FOPEN_BINARY;
    apr_os_file_t own;

#if APR_HAS_SENDFILE
    if (core->enable_sendfile == ENABLE_SENDFILE_ON) {
        flags |= APR_FOPEN_SENDFILE_ENABLED;
    }
#endif
    apr_status_t rv = apr_file_open(file, "/dev/null", flags, APR_OS_DEFAULT, r->pool);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_os_file_get(&own, *file);
    return replace_descriptor(fd, own);
}

PyDoc_STRVAR(sendfile_doc, "_wsgi_sendfile($self, fd, offset, size, /)\n--\n\n\
Send size bytes of an open regular file from offset on as the rest of the body, without\n\
reading them into Python, no more than Content-Length says. What _wsgi_end() returns.");

static PyObject *request_wsgi_sendfile(PyObject *op, PyObject *args)
{
    mp_request *self = (mp_request *)op;
    mp_body_out *out;
    mp_blocking blocking;
    apr_file_t *file;
    long long offset, size;
    request_rec *r;
    int fd;

    if (!PyArg_ParseTuple(args, "iLL:_wsgi_sendfile", &fd, &offset, &size) ||
        !(r = started(self))) {
        return NULL;
    }
    out = &self->context->out;
    if (missing(r, out, size)) {
        return PyLong_FromLongLong((long long)missing(r, out, size));
    }
    if (out->has_limit && size > out->limit - out->queued) {
        size = out->limit - out->queued;
    }
    apr_status_t rv = duplicate_file(r, fd, &file);
    if (rv != APR_SUCCESS) {
        errno = rv;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    set_length(r, out, size);
    mp_blocking_begin(&blocking, self->context->conn);
    rv = mp_body_sendfile(r, out, file, offset, size, 1);
    mp_blocking_end(&blocking);
    return rv == APR_SUCCESS ? length_fault(r, out) : mp_raise_write_error(rv, MP_WRITE_FAILED);
}

PyMethodDef mp_request_wsgi[] = {
    {"wsgi_start_response", (PyCFunction)(void (*)(void))request_wsgi_start_response,
     METH_FASTCALL | METH_KEYWORDS, start_response_doc},
    {"_wsgi_send_all", request_wsgi_send_all, METH_O, send_all_doc},
    {"_wsgi_send", request_wsgi_send, METH_O, send_doc},
    {"_wsgi_end", request_wsgi_end, METH_NOARGS, end_doc},
    {"_wsgi_sendfile", request_wsgi_sendfile, METH_VARARGS, sendfile_doc},
    {NULL},
};
