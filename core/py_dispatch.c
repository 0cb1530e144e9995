#include "py_dispatch.h"

#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <http_protocol.h>
#include <http_request.h>
#include <apr_strings.h>

#include "context.h"
#include "fork.h"
#include "global_lock.h"
#include "py_activity.h"
#include "py_connection.h"
#include "py_convert.h"
#include "py_direct.h"
#include "py_errors.h"
#include "py_filter_call.h"
#include "py_interp.h"
#include "py_request.h"
#include "py_setup.h"
#include "py_watch.h"

APLOG_USE_MODULE(python);

/* Handlers as Python sees them */

/* number: its place in its list; importer_path: the option in effect, or NULL. */
static PyObject *make_handler(mp_state *state, request_rec *r, mp_phase phase,
                              const mp_handler *handler, int number, const char *importer_path)
{
    PyObject *directive = PyTuple_GET_ITEM(state->phase_names, (Py_ssize_t)phase);
    PyObject *text = mp_str_from_fs(handler->text);
    PyObject *directory = mp_str_from_fs(mp_section_directory(r, &handler->section));
    PyObject *result = NULL;

    if (text && directory) {
        result =
            PyObject_CallFunction(state->dispatch_make_handler, "OOOiiiN", directive, text,
                                  directory, mp_section_kind(&handler->section),
                                  (int)handler->silent, number, mp_str_from_latin1(importer_path));
    }
    Py_XDECREF(text);
    Py_XDECREF(directory);
    return result;
}

/* A tuple of Handlers; new reference, or NULL with an exception. */
static PyObject *make_handlers(mp_interp *interp, request_rec *r, mp_phase phase,
                               const mp_handler_list *list)
{
    int count = list ? list->handlers->nelts : 0;
    const char *importer_path = mp_importer_path_of(mp_dir_config_of_request(r));
    int lasting = list && list->id && !importer_path; /* for one list it may be several */
    PyObject *handlers = lasting ? mp_interp_handlers(interp, list->id) : NULL;

    if (handlers) {
        return Py_NewRef(handlers);
    }
    handlers = PyTuple_New(count);
    for (int i = 0; handlers && i < count; i++) {
        const mp_handler *handler = &APR_ARRAY_IDX(list->handlers, i, mp_handler);
        PyObject *made = make_handler(mp_interp_state(interp), r, phase, handler, i, importer_path);
        if (!made) {
            Py_CLEAR(handlers);
            break;
        }
        PyTuple_SET_ITEM(handlers, i, made);
        if (handler->section.regex || handler->section.is_wildcard) {
            lasting = 0; /* the directory depends on the request */
        }
    }
    if (handlers && lasting &&
        mp_interp_keep_handlers(interp, list->id, Py_NewRef(handlers)) != 0) {
        Py_CLEAR(handlers);
    }
    return handlers;
}

/* Running handlers */

static int log_failure(request_rec *r, mp_phase phase)
{
    const char *text = mp_error_text(r->pool);
    mp_blocking blocking;

    mp_blocking_begin(&blocking, mp_conn_context_of(r->connection));
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "KK0109: %s could not be run: %s",
                  mp_phase_names[phase], text);
    mp_blocking_end(&blocking);
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* Has _dispatch.run() called, or its like; before: the result of the phase's handlers in
 * another interpreter, or NULL. New reference, or NULL with an exception. */
static PyObject *run_with(mp_request *request, mp_phase phase, PyObject *handlers,
                          const mp_dir_config *config, const int *before)
{
    mp_state *state = mp_interp_state(request->interp);
    PyObject *number = PyLong_FromLong(phase);
    PyObject *flags = PyLong_FromLong(mp_flags_of(config));
    PyObject *path = mp_python_path_of(state, config);
    PyObject *status = before ? PyLong_FromLong(*before) : Py_NewRef(Py_None);
    PyObject *result = NULL;

    if (number && flags && path && status) {
        PyObject *args[] = {NULL, (PyObject *)request, handlers, number, flags, path, status};
        if (!before) {
            result = mp_run_directly(state, args + 1, mp_flags_of(config));
        }
        if (!result && !PyErr_Occurred()) {
            result = PyObject_Vectorcall(state->dispatch_run, args + 1,
                                         (before ? 6 : 5) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        }
    }
    Py_XDECREF(number);
    Py_XDECREF(flags);
    Py_XDECREF(path);
    Py_XDECREF(status);
    return result;
}

/* Runs a list of handlers. Holds. */
static int call_run(mp_interp *interp, request_rec *r, mp_phase phase, const mp_handler_list *list,
                    mp_request *request, const int *before)
{
    const mp_dir_config *config = mp_dir_config_of_request(r);
    mp_phase phase_before = request->phase;
    PyObject *handlers_before = request->handlers, *running_before = request->running;
    PyObject *handlers = make_handlers(interp, r, phase, list);
    PyObject *result = NULL;
    mp_watch watch;
    int status;

    if (handlers) {
        request->running = NULL;
        request->phase = phase;
        request->handlers = Py_NewRef(handlers);
        mp_watch_begin(&watch, interp, r, mp_phase_names[phase], mp_timeout_of(config));
        result = run_with(request, phase, handlers, config, before);
        if (!result) {
            result =
                mp_watch_report(interp, (PyObject *)request, request->running, mp_flags_of(config));
        }
        mp_watch_end(&watch);
        request->phase = phase_before == MP_PHASE_COUNT ? phase : phase_before;
        Py_XSETREF(request->handlers, handlers_before);
        Py_XSETREF(request->running, running_before);
        Py_DECREF(handlers);
    }
    if (!result) {
        return log_failure(r, phase); /* never DECLINED: that would let the request pass */
    }
    status = (int)PyLong_AsLong(result);
    Py_DECREF(result);
    return PyErr_Occurred() ? log_failure(r, phase) : status;
}

/* The end of a request */

static void drop(mp_wrapper_slot *slot)
{
    mp_request *request = slot->wrapper;

    slot->wrapper = NULL;
    mp_request_cut(request);
    Py_DECREF(request);
}

/* Functions of req.register_cleanup(). Holds the interpreter they were registered in. */
static void run_cleanups(mp_wrapper_slot *slot, request_rec *r)
{
    mp_request *request = slot->wrapper;
    PyObject *cleanups = request->cleanups;
    PyObject *result;

    if (!cleanups) {
        return;
    }
    request->cleanups = NULL;
    request->phase = MP_PHASE_CLEANUP;
    result = PyObject_CallFunctionObjArgs(mp_interp_state(slot->interp)->dispatch_run_cleanups,
                                          cleanups, NULL);
    if (!result) {
        log_failure(r, MP_PHASE_CLEANUP);
    }
    Py_XDECREF(result);
    Py_DECREF(cleanups);
}

static void drop_filters(mp_request_context *context)
{
    while (context->filters) {
        mp_filter_context *filter = context->filters;
        context->filters = filter->next;
        mp_filter_drop(filter);
    }
}

/* What is to be done for one interpreter, in one attachment. */
static void end_wrapper(mp_wrapper_slot *slot, request_rec *r, int is_last)
{
    mp_activity activity;

    if (slot->wrapper) {
        mp_activity_begin(&activity, slot->interp, r->connection, r);
        run_cleanups(slot, r);
        if (is_last) {
            mp_activity_settle(&activity);
            drop(slot);
        }
        mp_activity_end(&activity);
    }
}

static apr_status_t end_of_request(void *data)
{
    mp_request_context *context = data;
    request_rec *r = context->r;
    const mp_handler_list *list;
    mp_wrapper_slot *slot;

    if (mp_interp_is_stopping()) {
        return APR_SUCCESS;
    }
    drop_filters(context);
    /* Once for a request, however often it was redirected. */
    list = r->main || r->prev ? NULL : mp_handlers_for(r, MP_PHASE_CLEANUP);
    for (slot = context->wrappers; slot; slot = slot->next) {
        end_wrapper(slot, r, !list);
    }
    if (list) {
        mp_dispatch(r, MP_PHASE_CLEANUP, list);
        for (slot = context->wrappers; slot; slot = slot->next) {
            end_wrapper(slot, r, 1);
        }
    }
    return APR_SUCCESS;
}

/* Wrappers made by what ran since end_of_request(): the subrequests' ends, and those of
 * the requests it was redirected to, which share the pool. */
static apr_status_t drop_stragglers(void *data)
{
    mp_request_context *context = data;

    context->over = 1;
    for (mp_wrapper_slot *slot = context->wrappers; slot && !mp_interp_is_stopping();
         slot = slot->next) {
        end_wrapper(slot, context->r, 1);
    }
    return APR_SUCCESS;
}

void mp_dispatch_cleanup_later(request_rec *r)
{
    mp_request_context *context = mp_request_context_of(r);

    if (!context->has_cleanup) {
        context->has_cleanup = 1;
        /* Before the subpools go: subrequests' records are still there. */
        apr_pool_pre_cleanup_register(r->pool, context, end_of_request);
        apr_pool_cleanup_register(r->pool, context, drop_stragglers, apr_pool_cleanup_null);
    }
}

/* A wrapper that nobody else holds and that carries nothing need not stay: the next
 * phase's would be like it. That saves most requests an attachment at their end. */
static int carries_nothing(const mp_request *request)
{
    return Py_REFCNT(request) == 1 && !request->dict && !request->cleanups && !request->added &&
           !request->filters && !request->modules && !request->form && !request->make_form &&
           (!request->connection || Py_REFCNT(request->connection) == 1);
}

/* Whether nothing later can need what it carries. Redirected requests show each other
 * theirs, and filters run when the handler is done. */
static int is_last_use(request_rec *r, mp_phase phase, int status,
                       const mp_request_context *context)
{
    return phase == MP_PHASE_CONTENT && (status == OK || status == DONE) && !r->main && !r->prev &&
           !r->next && !context->keep && !context->added_by[MP_PHASE_LOG] &&
           !mp_handlers_for(r, MP_PHASE_LOG) && !mp_handlers_for(r, MP_PHASE_CLEANUP) &&
           !context->filters && !mp_filters_on(r) && !context->added_elsewhere;
}

/* The end of a phase: drops what is not needed any more, and sees to it that the rest is
 * when the request ends. Holds interp. */
static void drop_or_keep(mp_interp *interp, request_rec *r, mp_phase phase, int status,
                         mp_request_context *context)
{
    int is_last = is_last_use(r, phase, status, context);

    if (is_last) {
        mp_global_lock_release_all(r); /* before a slow client is sent the response */
    }
    for (mp_wrapper_slot *slot = context->wrappers; slot; slot = slot->next) {
        if (!slot->wrapper) {
            continue;
        }
        if (slot->interp == interp && (is_last || carries_nothing(slot->wrapper))) {
            drop(slot);
        } else if (phase != MP_PHASE_CLEANUP) {
            mp_dispatch_cleanup_later(r);
        }
    }
}

/* Phases */

static int is_basic(request_rec *r)
{
    const char *type = ap_auth_type(r);

    return type && !ap_cstr_casecmp(type, "Basic");
}

/* So that req.user answers before get_basic_auth_pw() was called, too. */
static void find_user(request_rec *r)
{
    const char *password;
    const char *header = r->proxyreq == PROXYREQ_PROXY ? "Proxy-Authorization" : "Authorization";

    if (!r->user && is_basic(r) && apr_table_get(r->headers_in, header)) {
        ap_get_basic_auth_pw(r, &password);
    }
}

static int check_authen(request_rec *r, int status, const mp_handler_list *list)
{
    const char *header = r->proxyreq == PROXYREQ_PROXY ? "Proxy-Authenticate" : "WWW-Authenticate";

    if (status == OK && !r->user) {
        ap_log_rerror(
            APLOG_MARK, APLOG_ERR, 0, r,
            "KK0110: PythonAuthenHandler %s returned OK without a user: set req.user, "
            "or return DECLINED or HTTP_UNAUTHORIZED",
            list ? APR_ARRAY_IDX(list->handlers, list->handlers->nelts - 1, mp_handler).text
                 : "(added)");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (status == HTTP_UNAUTHORIZED && is_basic(r) && ap_auth_name(r) &&
        !apr_table_get(r->err_headers_out, header)) {
        apr_table_setn(r->err_headers_out, header,
                       apr_pstrcat(r->pool, "Basic realm=\"", ap_auth_name(r), "\"", NULL));
    }
    return status;
}

/* Apache's page for a redirection without Location reads a null pointer if the client speaks
 * HTTP/0.9, or a handler says that it does. */
static void give_location(request_rec *r, int status)
{
    if (r->assbackwards && ap_is_HTTP_REDIRECT(status) &&
        !apr_table_get(r->headers_out, "Location") &&
        !apr_table_get(r->err_headers_out, "Location")) {
        apr_table_setn(r->headers_out, "Location", "");
    }
}

/* Apache closes the connection when its first phase ends a request, and does not say so. */
static void end_early_phase(request_rec *r, int status, mp_body_out *out)
{
    out->early = 0;
    if (status != OK && status != DECLINED) {
        r->connection->keepalive = AP_CONN_CLOSE;
    }
}

/* What was written goes on its way, or is forgotten where Apache answers with a page of its own. */
static int pass_output(request_rec *r, mp_phase phase, int status, mp_body_out *out)
{
    if (out->early) {
        end_early_phase(r, status, out);
    }
    if (ap_is_HTTP_ERROR(status) || ap_is_HTTP_REDIRECT(status)) {
        give_location(r, status);
        mp_body_discard(out);
        if (r->status_line && atoi(r->status_line) != status) {
            r->status_line = NULL; /* that of the response that failed: no title of an error page */
        }
        mp_name_status(r, status);
        if (phase <= MP_PHASE_CONTENT && (r->sent_bodyct || r->eos_sent)) {
            /* An error page behind what was sent would be taken for content. */
            mp_body_break(r, out);
            return DONE;
        }
        return status;
    }
    if (phase < MP_PHASE_CONTENT && r->eos_sent && (status == OK || status == DECLINED)) {
        return DONE; /* an internal redirect has answered: nothing else may */
    }
    mp_body_pass(r, out, status == DONE || (phase == MP_PHASE_CONTENT && status == OK));
    return status;
}

/* Those of req.add_handler() that are for interpreters of their own, or NULL. */
static const apr_array_header_t *added_elsewhere(const mp_request_context *context, mp_phase phase)
{
    return context->added_elsewhere ? context->added_elsewhere[phase] : NULL;
}

int mp_has_added_handlers(request_rec *r, mp_phase phase)
{
    const mp_request_context *context = mp_request_context_find(r);

    return context && (context->added_by[phase] || added_elsewhere(context, phase));
}

/* Runs a list, and what was added to it, in one interpreter (NULL: as configured). */
static int run_list(mp_interp *interp, request_rec *r, mp_phase phase, const mp_handler_list *list,
                    const int *before)
{
    mp_request_context *context = mp_request_context_of(r);
    const mp_section *section = list ? &APR_ARRAY_IDX(list->handlers, 0, mp_handler).section : NULL;
    mp_activity activity;
    int status;

    if (!interp) {
        interp = mp_interpreter_of_request(r, phase, section, r->pool);
        if (!interp) {
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    mp_activity_begin(&activity, interp, r->connection, r);
    mp_request *request = (mp_request *)mp_request_of(interp, r);
    if (request) {
        status = call_run(interp, r, phase, list, request, before);
        Py_DECREF(request);
    } else {
        status = log_failure(r, phase);
    }
    if (phase == MP_PHASE_CONTENT && ap_is_HTTP_SUCCESS(status)) {
        r->status = status; /* returned as one would set it: no error page belongs to it */
        mp_name_status(r, status);
        status = OK;
    }
    mp_activity_settle(&activity);
    drop_or_keep(interp, r, phase, status, context);
    mp_activity_end(&activity);
    return status;
}

int mp_dispatch(request_rec *r, mp_phase phase, const mp_handler_list *list)
{
    mp_request_context *context = mp_request_context_of(r);
    mp_interp *added_by = context->added_by[phase];
    const apr_array_header_t *elsewhere;
    int has_run = list || added_by;
    int status = DECLINED;

    if (phase == MP_PHASE_AUTHEN) {
        find_user(r);
    }
    if (phase > MP_PHASE_CONTENT) {
        context->out.ignored = 1;
    }
    if (phase <= MP_PHASE_SERVER_INIT) {
        context->out.early = 1;
    }
    if (has_run) {
        status = run_list(added_by, r, phase, list, NULL);
    }
    elsewhere = added_elsewhere(context, phase);
    for (int i = 0; elsewhere && i < elsewhere->nelts; i++) {
        status = run_list(NULL, r, phase, &APR_ARRAY_IDX(elsewhere, i, mp_handler_list),
                          has_run || i ? &status : NULL);
    }
    if (phase == MP_PHASE_AUTHEN) {
        status = check_authen(r, status, list); /* may log: without the GIL */
    }
    return pass_output(r, phase, status, &context->out);
}

/* Connections */

/* Calls _dispatch.run_connection(). Holds. */
static int call_run_connection(mp_interp *interp, conn_rec *c, const mp_handler *handler,
                               const mp_activity *activity)
{
    const mp_dir_config *config = mp_dir_config_of_server(c->base_server);
    mp_state *state = mp_interp_state(interp);
    PyObject *connection = mp_connection_new(interp, c, NULL);
    PyObject *made = NULL, *result = NULL;
    int status = OK;

    if (connection) {
        ((mp_connection *)connection)->is_protocol = 1;
        made =
            PyObject_CallFunction(state->dispatch_make_handler, "sNOiiiN",
                                  "PythonConnectionHandler", mp_str_from_fs(handler->text), Py_None,
                                  0, 0, 0, mp_str_from_latin1(mp_importer_path_of(config)));
    }
    if (made && (((mp_connection *)connection)->handlers = PyTuple_Pack(1, made))) {
        result = PyObject_CallFunction(state->dispatch_run_connection, "OOiN", connection, made,
                                       mp_flags_of(config), mp_python_path_of(state, config));
    }
    if (result) {
        status = (int)PyLong_AsLong(result);
    }
    if (connection) {
        mp_activity_settle(activity);
        mp_connection_cut(connection);
    }
    Py_XDECREF(connection);
    Py_XDECREF(made);
    Py_XDECREF(result);
    if (PyErr_Occurred()) {
        const char *text = mp_error_text(c->pool);
        mp_blocking blocking;
        mp_blocking_begin(&blocking, mp_conn_context_of(c));
        ap_log_cerror(APLOG_MARK, APLOG_ERR, 0, c, "KK0109: %s %s could not be run: %s",
                      "PythonConnectionHandler", handler->text, text);
        mp_blocking_end(&blocking);
        return OK;
    }
    return status;
}

int mp_dispatch_connection(conn_rec *c, const mp_handler *handler)
{
    mp_interp *interp = mp_interpreter_of_connection(c);
    mp_activity activity;
    int status;

    if (!interp) {
        return OK;
    }
    mp_activity_begin(&activity, interp, c, NULL);
    status = call_run_connection(interp, c, handler, &activity);
    mp_activity_end(&activity);
    mp_global_lock_release_all(NULL);
    return status;
}
