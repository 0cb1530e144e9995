#include "py_request.h"

#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>
#include <util_script.h>

#include "filters.h"
#include "py_convert.h"
#include "py_log.h"
#include "py_members.h"
#include "py_table.h"

/* Tables that live in the request's pool: key is the table. */
static apr_table_t *locate_pooled(PyObject *owner, void *key)
{
    return mp_request_record((mp_request *)owner) ? key : NULL;
}

static PyObject *pooled_table(mp_request *self, apr_table_t *table)
{
    return mp_table_view(mp_interp_state(self->interp), (PyObject *)self, locate_pooled, table);
}

PyDoc_STRVAR(get_config_doc, "get_config($self, /)\n--\n\n\
mp_table: the directives in effect, without handlers and options (manual, 4.5.3).");

static PyObject *request_get_config(PyObject *op, PyObject *unused)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? pooled_table((mp_request *)op, mp_config_table(r->pool, mp_dir_config_of_request(r)))
             : NULL;
}

PyDoc_STRVAR(get_options_doc, "get_options($self, /)\n--\n\n\
mp_table: what PythonOption set (manual, 4.5.3).");

static PyObject *request_get_options(PyObject *op, PyObject *unused)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);

    if (!r) {
        return NULL;
    }
    /* The configuration's own table lives on: what a handler stores must not. Another one
     * is in effect when the file is known, or an .htaccess was read. */
    const apr_table_t *source = mp_dir_config_of_request(r)->options;
    mp_request_context *context = self->context;
    if (!context->options || context->options_source != source) {
        context->options = source ? apr_table_copy(r->pool, source) : apr_table_make(r->pool, 2);
        context->options_source = source;
    }
    return pooled_table(self, context->options);
}

PyDoc_STRVAR(document_root_doc, "document_root($self, /)\n--\n\n\
str: the value of DocumentRoot.");

static PyObject *request_document_root(PyObject *op, PyObject *unused)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? mp_str_from_fs(ap_document_root(r)) : NULL;
}

PyDoc_STRVAR(add_common_vars_doc, "add_common_vars($self, /)\n--\n\n\
Fill subprocess_env with the variables that CGI scripts get.");

static PyObject *request_add_common_vars(PyObject *op, PyObject *unused)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    mp_blocking blocking;

    if (!r) {
        return NULL;
    }
    /* May look up names in the DNS. */
    mp_blocking_begin(&blocking, self->context->conn);
    ap_add_common_vars(r);
    mp_blocking_end(&blocking);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(get_basic_auth_pw_doc, "get_basic_auth_pw($self, /)\n--\n\n\
str or None: the password, when Basic authentication is configured and used. Sets\n\
user and ap_auth_type.");

static PyObject *request_get_basic_auth_pw(PyObject *op, PyObject *unused)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    const char *password = NULL;
    mp_blocking blocking;
    int status;

    if (!r) {
        return NULL;
    }
    if (r->user && r->ap_auth_type && !ap_cstr_casecmp(r->ap_auth_type, "Basic")) {
        /* As in a PythonAuthenHandler: it worked before, hence waits for nothing. */
        status = ap_get_basic_auth_pw(r, &password);
    } else {
        mp_blocking_begin(&blocking, self->context->conn);
        status = ap_get_basic_auth_pw(r, &password);
        mp_blocking_end(&blocking);
    }
    return mp_str_from_latin1(status == OK ? password : NULL);
}

PyDoc_STRVAR(get_remote_host_doc, "get_remote_host($self, /, type=REMOTE_NAME, str_is_ip=None)\n\
--\n\n\
str or None: the client's name or address (manual, 4.5.3); with str_is_ip other\n\
than None, a tuple of it and whether it is an address. May ask the DNS.");

static PyObject *request_get_remote_host(PyObject *op, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"type", "str_is_ip", NULL};
    mp_request *self = (mp_request *)op;
    request_rec *r;
    int type = REMOTE_NAME, is_ip = 0;
    PyObject *wants_is_ip = Py_None;
    mp_blocking blocking;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|iO:get_remote_host", names, &type,
                                     &wants_is_ip)) {
        return NULL;
    }
    if (type < REMOTE_HOST || type > REMOTE_DOUBLE_REV) {
        PyErr_Format(PyExc_ValueError, "type must be one of apache.REMOTE_*, not %d", type);
        return NULL;
    }
    if (!(r = mp_request_record(self))) {
        return NULL;
    }
    mp_blocking_begin(&blocking, self->context->conn);
    const char *host = ap_get_useragent_host(r, type, &is_ip);
    mp_blocking_end(&blocking);
    if (!host || wants_is_ip == Py_None) {
        return mp_str_from_latin1(host);
    }
    return Py_BuildValue("(Ni)", mp_str_from_latin1(host), is_ip);
}

/* The items of a tuple as an array of char *; NULL with an exception. */
static apr_array_header_t *strings_from(apr_pool_t *pool, PyObject *tuple)
{
    apr_array_header_t *strings = apr_array_make(pool, 4, sizeof(const char *));

    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        char *string = mp_latin1_from_object(pool, PyTuple_GET_ITEM(tuple, i), "method");
        if (!string) {
            return NULL;
        }
        APR_ARRAY_PUSH(strings, const char *) = string;
    }
    return strings;
}

PyDoc_STRVAR(allow_methods_doc, "allow_methods($self, methods, /, reset=0)\n--\n\n\
Add methods (a sequence of str) to those that the Allow header names; reset: begin\n\
anew (manual, 4.5.3).");

static PyObject *request_allow_methods(PyObject *op, PyObject *args, PyObject *keywords)
{
    static char *keyword_names[] = {"", "reset", NULL};
    request_rec *r;
    PyObject *methods, *sequence;
    apr_array_header_t *names = NULL;
    int reset = 0;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|p:allow_methods", keyword_names, &methods,
                                     &reset)) {
        return NULL;
    }
    if (PyUnicode_Check(methods)) {
        PyErr_SetString(PyExc_TypeError,
                        "methods must be a sequence of str, as [\"GET\", \"PUT\"]");
        return NULL;
    }
    sequence = PySequence_Tuple(methods);
    r = sequence ? mp_request_record((mp_request *)op) : NULL;
    if (r) {
        names = strings_from(r->pool, sequence);
    }
    Py_XDECREF(sequence);
    if (!names) {
        return NULL;
    }
    if (reset) {
        ap_clear_method_list(r->allowed_methods);
    }
    for (int i = 0; i < names->nelts; i++) {
        ap_method_list_add(r->allowed_methods, APR_ARRAY_IDX(names, i, const char *));
    }
    r->allowed = r->allowed_methods->method_mask;
    Py_RETURN_NONE;
}

/* Whether another response may take the place of this request's: what follows the end of one the
 * client would take for the next. 0, or -1 with RuntimeError. */
static int check_redirect(request_rec *r, const mp_request_context *context)
{
    const mp_filter_context *filter = context->filters;

    while (filter && (!filter->is_running || filter->is_input || filter->ssi_block)) {
        filter = filter->next;
    }
    if (filter || r->eos_sent || context->out.ignored) {
        PyErr_Format(PyExc_RuntimeError, "cannot redirect %s: do it in a handler, once",
                     filter ? "in an output filter, amid the response"
                            : "when the response is over");
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(internal_redirect_doc, "internal_redirect($self, new_uri, /)\n--\n\n\
Process new_uri in place of this request, through all phases (manual, 4.5.3).\n\
Raises RuntimeError in an output filter, and when the response is over.");

static PyObject *request_internal_redirect(PyObject *op, PyObject *uri)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    mp_blocking blocking;
    char *target;

    if (!r || !(target = mp_fs_from_object(r->pool, uri, "new_uri")) ||
        check_redirect(r, self->context) != 0) {
        return NULL;
    }
    mp_blocking_begin(&blocking, self->context->conn);
    mp_body_pass(r, &self->context->out, 0);
    if (self->context->out.early) {
        r->connection->keepalive = AP_CONN_CLOSE; /* as in mp_body_pass() */
    }
    ap_internal_redirect(target, r);
    mp_blocking_end(&blocking);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(register_cleanup_doc, "register_cleanup($self, callable, /, data=None)\n--\n\n\
Have callable(data) called at the very end of the request (manual, 4.5.3).\n\
Raises ValueError if it is not callable. Without effect in a cleanup.");

static PyObject *request_register_cleanup(PyObject *op, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", "data", NULL};
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    PyObject *callable, *data = Py_None;

    if (!r || !PyArg_ParseTupleAndKeywords(args, keywords, "O|O:register_cleanup", names, &callable,
                                           &data)) {
        return NULL;
    }
    if (!PyCallable_Check(callable)) {
        PyErr_Format(PyExc_ValueError, "register_cleanup() needs a callable, not %.200s",
                     Py_TYPE(callable)->tp_name);
        return NULL;
    }
    if (self->phase == MP_PHASE_CLEANUP) {
        Py_RETURN_NONE;
    }
    int collects = mp_gc_pause(); /* or the request could end meanwhile */
    PyObject *pair = PyTuple_Pack(2, callable, data);
    if (pair && !self->cleanups) {
        self->cleanups = PyList_New(0);
    }
    mp_gc_resume(collects);
    if (!pair || !self->cleanups || PyList_Append(self->cleanups, pair) != 0) {
        Py_XDECREF(pair);
        return NULL;
    }
    Py_DECREF(pair);
    self->context->keep = 1;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(log_error_doc, "log_error($self, message, /, level=APLOG_ERR)\n--\n\n\
Write message (str) to the error log, with what Apache says of this request.");

static PyObject *request_log_error(PyObject *op, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", "level", NULL};
    int level = APLOG_ERR;
    PyObject *message, *text, *result = NULL;
    request_rec *r;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|i:log_error", names, &message, &level)) {
        return NULL;
    }
    /* First: str() may run anything, and the request end meanwhile. */
    text = mp_log_text(message);
    if (text && (r = mp_request_record((mp_request *)op))) {
        result = mp_log_object(text, level, r, NULL);
    }
    Py_XDECREF(text);
    return result;
}

PyMethodDef mp_request_methods[] = {
    {"add_common_vars", request_add_common_vars, METH_NOARGS, add_common_vars_doc},
    {"allow_methods", (PyCFunction)(void (*)(void))request_allow_methods,
     METH_VARARGS | METH_KEYWORDS, allow_methods_doc},
    {"document_root", request_document_root, METH_NOARGS, document_root_doc},
    {"get_basic_auth_pw", request_get_basic_auth_pw, METH_NOARGS, get_basic_auth_pw_doc},
    {"get_config", request_get_config, METH_NOARGS, get_config_doc},
    {"get_options", request_get_options, METH_NOARGS, get_options_doc},
    {"get_remote_host", (PyCFunction)(void (*)(void))request_get_remote_host,
     METH_VARARGS | METH_KEYWORDS, get_remote_host_doc},
    {"internal_redirect", request_internal_redirect, METH_O, internal_redirect_doc},
    {"log_error", (PyCFunction)(void (*)(void))request_log_error, METH_VARARGS | METH_KEYWORDS,
     log_error_doc},
    {"register_cleanup", (PyCFunction)(void (*)(void))request_register_cleanup,
     METH_VARARGS | METH_KEYWORDS, register_cleanup_doc},
    {NULL},
};
