/* What CGI scripts and a server say to each other: the variables of RFC 3875, section 4,
 * and the response of section 6. The reading of a script's header is Apache's own. */
#include "py_request.h"

#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>
#include <util_script.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "cgi_vars.h"
#include "py_convert.h"

APLOG_USE_MODULE(python);

/* Apache reads a script's header into lines of this size. */
#define MOST_LINE ((apr_size_t)MAX_STRING_LEN - 2)

/* What cgitb's page begins with, to leave whatever tag it finds itself in: no header. */
#define CGITB_LINE "<!--: spam"

/* Variables */

PyDoc_STRVAR(add_cgi_vars_doc, "add_cgi_vars($self, /)\n--\n\n\
Fill subprocess_env with the variables of RFC 3875, section 4.1, and those of\n\
add_common_vars(). There is no PATH_TRANSLATED.");

static PyObject *request_add_cgi_vars(PyObject *op, PyObject *unused)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    mp_blocking blocking;

    if (!r) {
        return NULL;
    }
    int may_block = mp_cgi_vars_may_block(r);
    if (may_block) {
        mp_blocking_begin(&blocking, self->context->conn);
    }
    mp_add_cgi_vars(r, NULL, NULL);
    if (may_block) {
        mp_blocking_end(&blocking);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(file_stamp_doc, "_file_stamp($self, /)\n--\n\n\
What tells one version of the file from another, as Apache has found it for this\n\
request: (microseconds, bytes, inode). None if it is no file, or filename another.");

static PyObject *request_file_stamp(PyObject *op, PyObject *unused)
{
    const request_rec *r = mp_request_record((mp_request *)op);

    if (!r) {
        return NULL;
    }
    if (r->finfo.filetype != APR_REG || !r->finfo.fname || !r->filename ||
        strcmp(r->finfo.fname, r->filename) != 0) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(LLL)", (long long)r->finfo.mtime, (long long)r->finfo.size,
                         (long long)r->finfo.inode);
}

/* Of a name that is there twice the first value counts, as in a process's environment. */
static int add_variable(PyObject *environ, const char *name, const char *value)
{
    PyObject *key = mp_str_from_fs(name);
    PyObject *text = mp_str_from_fs(value ? value : "");
    int result = key && text && PyDict_SetDefault(environ, key, text) ? 0 : -1;

    Py_XDECREF(key);
    Py_XDECREF(text);
    return result;
}

PyDoc_STRVAR(environ_doc, "_cgi_environ($self, /)\n--\n\n\
dict: what a script finds in os.environ: add_cgi_vars(), and as build_cgi_env() has it.");

static PyObject *request_cgi_environ(PyObject *op, PyObject *unused)
{
    mp_request *self = (mp_request *)op;
    request_rec *r;
    PyObject *environ, *done = request_add_cgi_vars(op, NULL);

    Py_XDECREF(done);
    if (!done || !(environ = PyDict_New())) {
        return NULL;
    }
    if (!(r = mp_request_record(self))) {
        Py_DECREF(environ);
        return NULL;
    }
    /* The array as it is now: making objects can run the garbage collector, and so anything;
     * what is replaced stays in the pool. */
    const apr_array_header_t entries = *apr_table_elts(r->subprocess_env);
    const char *password = apr_table_get(r->headers_in, "Authorization");
    int failed = add_variable(environ, "GATEWAY_INTERFACE", "Python-CGI/1.1") != 0 ||
                 (password && add_variable(environ, "HTTP_AUTHORIZATION", password) != 0);
    for (int i = 0; !failed && i < entries.nelts; i++) {
        const apr_table_entry_t *entry = &APR_ARRAY_IDX(&entries, i, apr_table_entry_t);
        failed = entry->key && add_variable(environ, entry->key, entry->val) != 0;
    }
    if (failed) {
        Py_CLEAR(environ);
    }
    return environ;
}

/* Header */

/* The bytes up to and including the empty line; -1 if there is none yet. */
static Py_ssize_t header_size(const char *data, Py_ssize_t size)
{
    const char *end = data + size;

    for (const char *line = data; line && line < end;) {
        const char *after = line + (*line == '\r');
        if (after < end && *after == '\n') {
            return after + 1 - data;
        }
        line = memchr(line, '\n', (size_t)(end - line));
        line = line ? line + 1 : NULL;
    }
    return -1;
}

/* What is wrong with a line, or NULL; line has no end of line. */
static const char *complaint(const char *line)
{
    const char *value = ap_scan_http_token(line);

    if (strlen(line) > MOST_LINE) {
        return "is too long";
    }
    if (value == line || *value != ':') {
        return "is no 'Name: value'";
    }
    if (*ap_scan_http_field_content(value)) {
        return "contains a control character";
    }
    if (!ap_cstr_casecmpn(line, "Status:", 7)) {
        value += 1 + strspn(value + 1, " \t");
        if (value[0] < '2' || value[0] > '9' || !apr_isdigit(value[1]) || !apr_isdigit(value[2]) ||
            apr_isdigit(value[3])) {
            return "names no status of three digits, from 200 on";
        }
    }
    return NULL;
}

/* The lines of a header up to the empty one, in pool; NULL with ValueError. */
static apr_array_header_t *split(apr_pool_t *pool, char *text)
{
    apr_array_header_t *lines = apr_array_make(pool, 8, sizeof(char *));
    char *next;

    for (char *line = text; line && *line; line = next) {
        const char *wrong;
        char *end = strchr(line, '\n');
        next = end ? end + 1 : NULL;
        end = end ? end : line + strlen(line);
        if (end > line && end[-1] == '\r') {
            end--;
        }
        *end = '\0';
        if (!*line) {
            break;
        }
        if (!strcmp(line, CGITB_LINE)) {
            continue;
        }
        if ((wrong = complaint(line))) {
            PyErr_Format(PyExc_ValueError, "'%.100s' %s",
                         ap_escape_logitem(pool, apr_pstrndup(pool, line, 100)), wrong);
            return NULL;
        }
        APR_ARRAY_PUSH(lines, const char *) = line;
    }
    return lines;
}

typedef struct {
    const apr_array_header_t *lines;
    int next;
} line_source;

/* For Apache: the next line, with its end. */
static int give_line(char *buffer, int size, void *data)
{
    line_source *source = data;
    const char *line = "";

    if (source->next < source->lines->nelts) {
        line = APR_ARRAY_IDX(source->lines, source->next++, const char *);
    }
    apr_snprintf(buffer, (apr_size_t)size, "%s\n", line);
    return 1;
}

/* Has Apache read the header's lines; returns the status to answer with instead of the body,
 * 0 for nothing. */
static int take_lines(request_rec *r, const apr_array_header_t *lines)
{
    line_source source = {.lines = lines};

    /* Of the file, a source: not that of what it prints. */
    ap_set_content_type(r, NULL);
    /* Has nothing to log any more, and so does not wait for anything. */
    int status = ap_scan_script_header_err_core_ex(r, NULL, give_line, &source, APLOG_MODULE_INDEX);
    /* As under Apache's own CGI, it is the server that says where the body ends: a script that
     * errs would have the client take the rest for the next response. */
    apr_table_unset(r->headers_out, "Transfer-Encoding");
    if (!apr_table_get(r->subprocess_env, "ap_trust_cgilike_cl")) {
        apr_table_unset(r->headers_out, "Content-Length");
    }
    return status;
}

PyDoc_STRVAR(scan_header_doc, "_scan_header($self, data, /)\n--\n\n\
Take over the header (bytes, up to its empty line) that a script's response begins with.\n\n\
Returns (size, status, location): its bytes; what to answer with instead of the body, 0\n\
for nothing; and Location if the script set no status. None if data ends before it does.\n\
Raises ValueError if it is malformed, with the line and what is wrong.");

static PyObject *request_scan_header(PyObject *op, PyObject *bytes)
{
    request_rec *r = mp_request_record((mp_request *)op);
    apr_array_header_t *lines;
    char *data;
    Py_ssize_t size;

    if (!r || PyBytes_AsStringAndSize(bytes, &data, &size) != 0) {
        return NULL;
    }
    if ((size = header_size(data, size)) < 0) {
        Py_RETURN_NONE;
    }
    if (memchr(data, '\0', (size_t)size)) {
        PyErr_SetString(PyExc_ValueError, "it contains NUL");
        return NULL;
    }
    lines = split(r->pool, apr_pstrmemdup(r->pool, data, (apr_size_t)size));
    if (!lines) {
        return NULL;
    }
    int status = take_lines(r, lines);
    const char *location = r->status == HTTP_OK ? apr_table_get(r->headers_out, "Location") : NULL;
    return Py_BuildValue("(niN)", size, status, mp_str_from_fs(location));
}

/* Whether nothing but the body can follow the header, or a status that Apache finds by itself. */
static int is_plain(const request_rec *r, const apr_array_header_t *lines)
{
    for (int i = 0; i < lines->nelts; i++) {
        const char *line = APR_ARRAY_IDX(lines, i, const char *);
        if (!ap_cstr_casecmpn(line, "Status:", 7) || !ap_cstr_casecmpn(line, "Location:", 9)) {
            return 0;
        }
    }
    return !apr_table_get(r->headers_out, "Location");
}

/* What most scripts come to, in one call: _Response in _cgi.py has the rest. */
PyDoc_STRVAR(answer_doc, "_answer($self, printed, /)\n--\n\n\
Answer with all that a script has printed (bytes), without sending anything on yet.\n\n\
Returns what _scan_header() has for status: if it is not 0, there is no body. None, and\n\
nothing is done, if there is more to such an answer, or if it is malformed.");

static PyObject *request_answer(PyObject *op, PyObject *printed)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    apr_array_header_t *lines;
    mp_body_out *out;
    char *data;
    Py_ssize_t size;

    if (!r || PyBytes_AsStringAndSize(printed, &data, &size) != 0) {
        return NULL;
    }
    out = &self->context->out;
    const Py_ssize_t header = header_size(data, size);
    const apr_size_t body = (apr_size_t)(size - header);
    if (header < 0 || memchr(data, '\0', (size_t)header) || out->has_limit ||
        !mp_body_fits(r, out, body)) {
        Py_RETURN_NONE;
    }
    lines = split(r->pool, apr_pstrmemdup(r->pool, data, (apr_size_t)header));
    if (!lines || !is_plain(r, lines)) {
        PyErr_Clear(); /* _scan_header() says the same */
        Py_RETURN_NONE;
    }
    int status = take_lines(r, lines);
    if (!status && body) {
        mp_body_gather(r, out, data + header, body);
    }
    return PyLong_FromLong(status);
}

PyDoc_STRVAR(redirect_doc, "_redirect_locally($self, location, /)\n--\n\n\
Answer with what a GET of location (path and query) gives (RFC 3875, 6.2.2).");

static PyObject *request_redirect_locally(PyObject *op, PyObject *location)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    mp_blocking blocking;
    char *target;

    if (!r || !(target = mp_fs_from_object(r->pool, location, "location"))) {
        return NULL;
    }
    mp_blocking_begin(&blocking, self->context->conn);
    ap_discard_request_body(r);
    /* Not of the other request, which has no body. */
    apr_table_unset(r->headers_in, "Content-Length");
    apr_table_unset(r->headers_in, "Transfer-Encoding");
    r->method = "GET";
    r->method_number = M_GET;
    ap_internal_redirect_handler(target, r);
    mp_blocking_end(&blocking);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(send_raw_doc, "_send_raw($self, /)\n--\n\n\
Have what is written be the whole response, header included (RFC 3875, section 5).\n\
False if this protocol has no such thing.");

static PyObject *request_send_raw(PyObject *op, PyObject *unused)
{
    request_rec *r = mp_request_record((mp_request *)op);
    ap_filter_t *filter;

    if (!r) {
        return NULL;
    }
    if (r->proto_num >= HTTP_VERSION(2, 0) || r->connection->master || r->main) {
        Py_RETURN_FALSE;
    }
    filter = r->proto_output_filters;
    while (filter && filter->frec->ftype < AP_FTYPE_CONNECTION) {
        filter = filter->next;
    }
    r->output_filters = r->proto_output_filters = filter;
    r->connection->keepalive = AP_CONN_CLOSE; /* nobody knows where it ends */
    Py_RETURN_TRUE;
}

PyMethodDef mp_request_cgi[] = {
    {"add_cgi_vars", request_add_cgi_vars, METH_NOARGS, add_cgi_vars_doc},
    {"_file_stamp", request_file_stamp, METH_NOARGS, file_stamp_doc},
    {"_cgi_environ", request_cgi_environ, METH_NOARGS, environ_doc},
    {"_answer", request_answer, METH_O, answer_doc},
    {"_scan_header", request_scan_header, METH_O, scan_header_doc},
    {"_redirect_locally", request_redirect_locally, METH_O, redirect_doc},
    {"_send_raw", request_send_raw, METH_NOARGS, send_raw_doc},
    {NULL},
};
