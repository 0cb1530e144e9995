/* A module of Apache that calls the functions of include/mod_python.h, for the tests.
 *
 * A request to its handler is evaluated: X-Code is a Python expression of req, server
 * and conn; X-Name the interpreter, main_interpreter without it; X-Inner another one, in
 * which X-Code is evaluated once more, before. The answer is what the expressions give.
 * With X-Leave an exception is left behind. With X-Missing the request's finfo is as the core leaves it where there is no file. */
#include <Python.h>

#include <httpd.h>
#include <http_config.h>
#include <http_protocol.h>
#include <apr_strings.h>

#include "mod_python.h"

static APR_OPTIONAL_FN_TYPE(mp_acquire_interpreter) *acquire;
static APR_OPTIONAL_FN_TYPE(mp_release_interpreter) *release;
static APR_OPTIONAL_FN_TYPE(mp_get_request_object) *get_request;
static APR_OPTIONAL_FN_TYPE(mp_get_server_object) *get_server;
static APR_OPTIONAL_FN_TYPE(mp_get_connection_object) *get_connection;
static const char *in_parent = "not asked";

static void retrieve(void)
{
    acquire = APR_RETRIEVE_OPTIONAL_FN(mp_acquire_interpreter);
    release = APR_RETRIEVE_OPTIONAL_FN(mp_release_interpreter);
    get_request = APR_RETRIEVE_OPTIONAL_FN(mp_get_request_object);
    get_server = APR_RETRIEVE_OPTIONAL_FN(mp_get_server_object);
    get_connection = APR_RETRIEVE_OPTIONAL_FN(mp_get_connection_object);
}

/* str() of a new reference, or of the exception that took its place. */
static const char *text_of(apr_pool_t *pool, PyObject *object)
{
    PyObject *type, *value, *traceback, *text;
    const char *copy;

    if (!object) {
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        object = value;
        Py_XDECREF(type);
        Py_XDECREF(traceback);
    }
    text = PyObject_Repr(object);
    copy = apr_pstrdup(pool, text ? PyUnicode_AsUTF8(text) : "?");
    Py_XDECREF(text);
    Py_XDECREF(object);
    return copy;
}

static PyObject *evaluate(request_rec *r, const char *code)
{
    PyObject *globals = PyDict_New();
    PyObject *request = get_request(r);
    PyObject *server = get_server(r->server);
    PyObject *connection = get_connection(r->connection);
    PyObject *result = NULL;

    if (request && server && connection) {
        PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins());
        PyDict_SetItemString(globals, "req", request);
        PyDict_SetItemString(globals, "server", server);
        PyDict_SetItemString(globals, "conn", connection);
        result = PyRun_String(code, Py_eval_input, globals, globals);
    }
    Py_XDECREF(request);
    Py_XDECREF(server);
    Py_XDECREF(connection);
    Py_DECREF(globals);
    return result;
}

static const char *run(request_rec *r, const char *name, const char *inner)
{
    const char *code = apr_table_get(r->headers_in, "X-Code");
    const char *first = "", *second;
    PyInterpreterState *interpreter = acquire(name);

    if (!interpreter) {
        return "no interpreter";
    }
    if (interpreter != PyInterpreterState_Get()) {
        return "another interpreter";
    }
    if (inner) {
        first = apr_pstrcat(r->pool, run(r, inner, NULL), "|", NULL);
    }
    second = text_of(r->pool, evaluate(r, code));
    if (apr_table_get(r->headers_in, "X-Leave")) {
        PyErr_SetString(PyExc_ValueError, "left behind");
    }
    release();
    return apr_pstrcat(r->pool, first, second, NULL);
}

/* Only the type is set: the rest is what was on the stack. */
static void lose_file(request_rec *r)
{
    memset(&r->finfo, 1, sizeof(r->finfo));
    r->finfo.valid = -1;
    r->finfo.filetype = APR_NOFILE;
}

static int handler(request_rec *r)
{
    if (!r->handler || strcmp(r->handler, "calls-python")) {
        return DECLINED;
    }
    if (!acquire || !release || !get_request || !get_server || !get_connection) {
        ap_rputs("no functions", r);
        return OK;
    }
    if (!apr_table_get(r->headers_in, "X-Code")) {
        /* Outside of acquire and release: nothing happens. */
        release();
        ap_rprintf(r, "%s %d %d %d", in_parent, get_request(r) != NULL,
                   get_server(r->server) != NULL, get_connection(r->connection) != NULL);
        return OK;
    }
    if (apr_table_get(r->headers_in, "X-Missing")) {
        lose_file(r);
    }
    ap_rputs(run(r, apr_table_get(r->headers_in, "X-Name"), apr_table_get(r->headers_in, "X-Inner")),
             r);
    return OK;
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    APR_OPTIONAL_FN_TYPE(mp_acquire_interpreter) *early =
        APR_RETRIEVE_OPTIONAL_FN(mp_acquire_interpreter);

    if (early) {
        in_parent = early(NULL) ? "an interpreter" : "none";
    }
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    ap_hook_optional_fn_retrieve(retrieve, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(calls_python) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks,
};
