#include "py_filter_call.h"

#include <http_log.h>
#include <apr_strings.h>

#include "context.h"
#include "py_activity.h"
#include "py_convert.h"
#include "py_dispatch.h"
#include "py_errors.h"
#include "py_filter.h"
#include "py_request.h"
#include "py_watch.h"

APLOG_USE_MODULE(python);

static apr_status_t end_of_connection(void *data)
{
    mp_conn_context *conn = data;

    while (conn->filters && !mp_interp_is_stopping()) {
        mp_filter_context *filter = conn->filters;
        conn->filters = filter->next;
        mp_filter_drop(filter);
    }
    return APR_SUCCESS;
}

/* The wrapper goes with its request, or connection. */
static void drop_later(mp_filter_context *context)
{
    if (context->r) {
        mp_request_context *request = mp_request_context_of(context->r);
        context->next = request->filters;
        request->filters = context;
        mp_dispatch_cleanup_later(context->r);
    } else {
        mp_conn_context *conn = mp_conn_context_of(context->c);
        if (!conn->filters) {
            apr_pool_pre_cleanup_register(context->c->pool, conn, end_of_connection);
        }
        context->next = conn->filters;
        conn->filters = context;
    }
}

void mp_filter_drop(mp_filter_context *context)
{
    mp_activity activity;

    if (!context->wrapper) {
        return;
    }
    mp_activity_begin(&activity, context->interp, context->c, context->r);
    mp_filter_cut(context->wrapper);
    Py_DECREF((PyObject *)context->wrapper);
    context->wrapper = NULL;
    mp_activity_end(&activity);
}

static mp_interp *interpreter_of(mp_filter_context *context)
{
    return context->r ? mp_interpreter_of_request(context->r, MP_PHASE_CONTENT,
                                                  &context->handler->section, context->pool)
                      : mp_interpreter_of_connection(context->c);
}

/* The Handler of a filter that a directive names; NULL with an exception. */
static PyObject *configured_handler(const mp_filter_context *context)
{
    const mp_section *section = &context->handler->section;
    const mp_dir_config *config = context->r ? mp_dir_config_of_request(context->r)
                                             : mp_dir_config_of_server(context->c->base_server);

    return PyObject_CallFunction(
        mp_interp_state(context->interp)->dispatch_make_handler, "sNNiiiN",
        context->is_input ? "PythonInputFilter" : "PythonOutputFilter",
        mp_str_from_fs(context->handler->text),
        mp_str_from_fs(context->r ? mp_section_directory(context->r, section) : section->path),
        mp_section_kind(section), 0, 0, mp_str_from_latin1(mp_importer_path_of(config)));
}

/* That of req.register_*_filter(), which the request's wrapper keeps. */
static PyObject *own_handler(const mp_filter_context *context)
{
    char *key = apr_pstrdup(context->pool, context->handler->name);
    mp_request *request = (mp_request *)mp_request_of(context->interp, context->r);
    PyObject *pair, *handler = NULL;

    ap_str_tolower(key);
    pair = request ? Py_BuildValue("(iN)", (int)context->is_input, mp_str_from_latin1(key)) : NULL;
    if (pair) {
        handler = request->filters ? PyObject_GetItem(request->filters, pair) : NULL;
        Py_DECREF(pair);
    }
    Py_XDECREF((PyObject *)request);
    if (!handler && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_ReferenceError, "the request that registered it is over");
    }
    return handler;
}

/* That of a block of a page, which is run as a filter's handler is. */
static PyObject *block_handler(const mp_filter_context *context)
{
    PyObject *ssi = PyImport_ImportModule("mod_python._ssi");
    PyObject *handler = NULL;

    if (ssi) {
        handler = PyObject_CallMethod(ssi, "make_handler", "sNN", context->ssi_block->attribute,
                                      mp_str_from_fs(context->ssi_block->code),
                                      mp_str_from_fs(context->r->filename));
        Py_DECREF(ssi);
    }
    return handler;
}

static PyObject *make_handler(const mp_filter_context *context)
{
    if (context->ssi_block) {
        return block_handler(context);
    }
    return context->is_own ? own_handler(context) : configured_handler(context);
}

/* The wrapper with its Handler, made at the first call, or for each block; NULL with an
 * exception. Holds. */
static mp_filter *wrapper_of(mp_filter_context *context)
{
    mp_filter *filter = context->wrapper;
    PyObject *handler;

    if (filter && filter->handler && !context->ssi_block) {
        return filter;
    }
    if (!filter) {
        if (!(filter = (mp_filter *)mp_filter_new(context->interp, context))) {
            return NULL;
        }
        context->wrapper = filter;
        drop_later(context);
    }
    if (!(handler = make_handler(context))) {
        return NULL;
    }
    Py_XSETREF(filter->handler, handler);
    return filter;
}

static const mp_dir_config *config_of(const mp_filter_context *context)
{
    return context->r ? mp_dir_config_of_request(context->r)
                      : mp_dir_config_of_server(context->c->base_server);
}

/* What is being called, for messages. */
static const char *kind_of(const mp_filter_context *context)
{
    if (context->ssi_block) {
        return context->handler->text;
    }
    return context->is_input ? "PythonInputFilter" : "PythonOutputFilter";
}

/* None: all is well. A str: the handler failed; what to show of that. */
static int call_run_filter(mp_filter_context *context)
{
    const mp_dir_config *config = config_of(context);
    mp_filter *filter = wrapper_of(context);
    PyObject *result = NULL;
    mp_watch watch;

    if (filter) {
        /* One of a connection waits for the next request, for as long as it takes. */
        mp_watch_begin(&watch, context->interp, context->r, kind_of(context),
                       context->r ? mp_timeout_of(config) : 0);
        result = PyObject_CallFunction(mp_interp_state(context->interp)->dispatch_run_filter,
                                       "OOiN", filter, filter->handler, mp_flags_of(config),
                                       mp_python_path_of(mp_interp_state(context->interp), config));
        if (!result) {
            result = mp_watch_report(context->interp, (PyObject *)filter, filter->handler,
                                     mp_flags_of(config));
        }
        context->timed_out = mp_watch_end(&watch) != 0;
    }
    if (result == Py_None) {
        Py_DECREF(result);
        return 0;
    }
    if (result) {
        const char *page = PyUnicode_AsUTF8(result);
        context->page = page && *page ? apr_pstrdup(context->pool, page) : NULL;
    }
    Py_XDECREF(result);
    if (PyErr_Occurred()) {
        const char *text = mp_error_text(context->pool);
        mp_blocking blocking;
        mp_blocking_begin(&blocking, mp_conn_context_of(context->c));
        ap_log_cerror(APLOG_MARK, APLOG_ERR, 0, context->c,
                      "KK0109: filter %s could not be run: %s", context->handler->name, text);
        mp_blocking_end(&blocking);
    }
    return -1;
}

int mp_call_filter(mp_filter_context *context)
{
    mp_activity activity;
    int result;

    if (!context->interp && !(context->interp = interpreter_of(context))) {
        return -1;
    }
    mp_activity_begin(&activity, context->interp, context->c, context->r);
    context->is_running = 1;
    result = call_run_filter(context);
    context->is_running = 0;
    mp_activity_end(&activity);
    return result;
}

apr_status_t mp_filter_write_held(mp_filter_context *context)
{
    mp_filter *filter = context->wrapper;
    mp_activity activity;
    char *data = NULL;
    apr_size_t size = 0;
    apr_status_t rv;

    if (!filter) {
        return APR_SUCCESS;
    }
    mp_activity_begin(&activity, context->interp, context->c, context->r);
    if (filter->held) {
        size = (apr_size_t)PyBytes_GET_SIZE(filter->held);
        data = ap_malloc(size);
        memcpy(data, PyBytes_AS_STRING(filter->held), size);
        Py_CLEAR(filter->held);
        context->holds = 0;
    }
    mp_activity_end(&activity);
    if (!size) {
        free(data);
        return APR_SUCCESS;
    }
    rv = mp_filter_write(context, data, size);
    free(data);
    return rv;
}
