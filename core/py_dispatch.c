#include "py_dispatch.h"

#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <http_protocol.h>
#include <http_request.h>
#include <apr_strings.h>

#include "context.h"
#include "py_convert.h"
#include "py_errors.h"
#include "py_interp.h"
#include "py_request.h"
#include "py_setup.h"

APLOG_USE_MODULE(python);

/* How long the functions that run at a child's end may take; Apache itself ends a
 * child that takes about ten. */
#define SHUTDOWN_TIMEOUT apr_time_from_sec(3)

/* Flags for _dispatch.run(); the same there. */
enum { FLAG_RELOAD = 1, FLAG_DEBUG = 2, FLAG_PDB = 4 };

static const char *start_error; /* why Python did not start in this child, or NULL */

/* Which interpreter (manual, 4.1 and 5.4.4 to 5.4.6) */

static const char *directory_of_file(request_rec *r)
{
    if (r->finfo.filetype == APR_DIR) {
        apr_size_t length = strlen(r->filename);
        return r->filename[length - 1] == '/' ? r->filename
                                              : apr_pstrcat(r->pool, r->filename, "/", NULL);
    }
    return ap_make_dirstr_parent(r->pool, r->filename);
}

static const char *interpreter_name(request_rec *r, mp_phase phase, const mp_handler_list *list)
{
    const mp_dir_config *config = mp_dir_config_of_request(r);
    const char *name = NULL;

    if (config->interpreter) {
        return config->interpreter;
    }
    if (config->interp_per_directory > 0) {
        if (phase <= MP_PHASE_TRANS) {
            return MP_MAIN_INTERPRETER; /* the file is not known yet */
        }
        name = r->filename ? directory_of_file(r) : NULL;
    } else if (config->interp_per_directive > 0 && list) {
        name = mp_section_directory(r, &APR_ARRAY_IDX(list->handlers, 0, mp_handler).section);
    }
    if (!name) {
        name = r->server->server_hostname;
    }
    return name ? name : MP_MAIN_INTERPRETER;
}

static mp_interp *interpreter_by_name(const char *name, const request_rec *r, apr_pool_t *pool)
{
    const char *error = start_error;
    mp_interp *interp = error ? NULL : mp_interp_get(name, mp_set_up_interpreter, pool, &error);

    if (!interp) {
        if (r) {
            ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                          "KK0105: the interpreter '%s' could not be made: %s", name, error);
        } else {
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, ap_server_conf,
                         "KK0105: the interpreter '%s' could not be made: %s", name, error);
        }
    }
    return interp;
}

/* Handlers as Python sees them */

static PyObject *make_handler(mp_state *state, request_rec *r, mp_phase phase,
                              const mp_handler *handler)
{
    PyObject *text = mp_str_from_fs(handler->text);
    PyObject *directory = mp_str_from_fs(mp_section_directory(r, &handler->section));
    PyObject *result = NULL;

    if (text && directory) {
        result = PyObject_CallFunction(state->dispatch_make_handler, "iOOii", (int)phase, text,
                                       directory, (int)handler->section.is_location,
                                       (int)handler->silent);
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
    int lasting = list && list->id;
    PyObject *handlers = lasting ? mp_interp_handlers(interp, list->id) : NULL;

    if (handlers) {
        return Py_NewRef(handlers);
    }
    handlers = PyTuple_New(count);
    for (int i = 0; handlers && i < count; i++) {
        const mp_handler *handler = &APR_ARRAY_IDX(list->handlers, i, mp_handler);
        PyObject *made = make_handler(mp_interp_state(interp), r, phase, handler);
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

/* While a handler runs on a connection its records may be used. */
typedef struct {
    mp_attachment attachment;
    mp_conn_context *conn;
    mp_interp *before;
    int blocked;
} mp_activity;

static void begin(mp_activity *activity, mp_interp *interp, request_rec *r)
{
    mp_conn_context *conn = mp_conn_context_of(r->connection);

    activity->conn = conn;
    mp_interp_enter(interp, r, &activity->attachment);
    activity->before = atomic_load_explicit(&conn->active, memory_order_relaxed);
    activity->blocked = atomic_load_explicit(&conn->blocked, memory_order_relaxed);
    atomic_store(&conn->active, interp);
}

static void end(mp_activity *activity)
{
    mp_conn_context *conn = activity->conn;

    atomic_store(&conn->active, activity->before);
    /* A thread that the handler started may still be inside Apache with a record of
     * this connection: it must be out before Apache goes on. */
    while (atomic_load(&conn->blocked) > activity->blocked) {
        mp_released released;
        mp_interp_release(&released);
        apr_sleep(1000);
        mp_interp_reacquire(&released);
    }
    mp_interp_leave(&activity->attachment);
}

static int flags_of(const mp_dir_config *config)
{
    return (config->auto_reload ? FLAG_RELOAD : 0) | (config->debug > 0 ? FLAG_DEBUG : 0) |
           (config->enable_pdb > 0 && ap_exists_config_define("ONE_PROCESS") ? FLAG_PDB : 0);
}

static int log_failure(request_rec *r, mp_phase phase)
{
    const char *text = mp_error_text(r->pool);

    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "KK0109: %s could not be run: %s",
                  mp_phase_names[phase], text);
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* Calls _dispatch.run(). Holds. */
static int call_run(mp_interp *interp, request_rec *r, mp_phase phase, const mp_handler_list *list,
                    mp_request *request)
{
    const mp_dir_config *config = mp_dir_config_of_request(r);
    mp_phase phase_before = request->phase;
    PyObject *handlers = make_handlers(interp, r, phase, list);
    PyObject *number = PyLong_FromLong(phase);
    PyObject *flags = PyLong_FromLong(flags_of(config));
    PyObject *path = mp_str_from_fs(config->python_path);
    PyObject *result = NULL;
    int status;

    if (handlers && number && flags && path) {
        PyObject *args[] = {NULL, (PyObject *)request, handlers, number, flags, path};
        request->phase = phase;
        result = PyObject_Vectorcall(mp_interp_state(interp)->dispatch_run, args + 1,
                                     5 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        request->phase = phase_before == MP_PHASE_COUNT ? phase : phase_before;
    }
    Py_XDECREF(handlers);
    Py_XDECREF(number);
    Py_XDECREF(flags);
    Py_XDECREF(path);
    status = result ? (int)PyLong_AsLong(result) : -1;
    Py_XDECREF(result);
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

/* Functions of req.register_cleanup(), in the interpreter they were registered in. */
static void run_cleanups(mp_wrapper_slot *slot, request_rec *r)
{
    mp_request *request = slot->wrapper;
    mp_activity activity;

    begin(&activity, slot->interp, r);
    if (request->cleanups) {
        PyObject *cleanups = request->cleanups;
        request->cleanups = NULL;
        request->phase = MP_PHASE_CLEANUP;
        PyObject *result = PyObject_CallFunctionObjArgs(
            mp_interp_state(slot->interp)->dispatch_run_cleanups, cleanups, NULL);
        if (!result) {
            log_failure(r, MP_PHASE_CLEANUP);
        }
        Py_XDECREF(result);
        Py_DECREF(cleanups);
    }
    end(&activity);
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
    for (slot = context->wrappers; slot; slot = slot->next) {
        if (slot->wrapper) {
            run_cleanups(slot, r);
        }
    }
    list = mp_handlers_for(r, MP_PHASE_CLEANUP);
    if (list) {
        mp_dispatch(r, MP_PHASE_CLEANUP, list);
    }
    for (slot = context->wrappers; slot; slot = slot->next) {
        if (slot->wrapper) {
            mp_activity activity;
            begin(&activity, slot->interp, r);
            drop(slot);
            end(&activity);
        }
    }
    return APR_SUCCESS;
}

static void cleanup_later(mp_request_context *context)
{
    if (!context->has_cleanup) {
        context->has_cleanup = 1;
        /* Before the subpools go: subrequests' records are still there. */
        apr_pool_pre_cleanup_register(context->r->pool, context, end_of_request);
    }
}

void mp_dispatch_cleanup_later(request_rec *r)
{
    cleanup_later(mp_request_context_of(r));
}

/* Whether nothing later can need the wrapper: it goes in the same attachment then,
 * which saves most requests another one. Redirected requests show each other theirs. */
static int is_last_use(request_rec *r, mp_phase phase, int status,
                       const mp_request_context *context)
{
    return phase == MP_PHASE_CONTENT && (status == OK || status == DONE) && !r->main && !r->prev &&
           !r->next && !context->keep && !context->has_cleanup &&
           !(context->added_phases & (1u << MP_PHASE_LOG)) && !mp_handlers_for(r, MP_PHASE_LOG) &&
           !mp_handlers_for(r, MP_PHASE_CLEANUP);
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

static int check_authen(request_rec *r, int status)
{
    const char *header = r->proxyreq == PROXYREQ_PROXY ? "Proxy-Authenticate" : "WWW-Authenticate";

    if (status == OK && !r->user) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "KK0110: PythonAuthenHandler returned OK without a user: set req.user, or "
                      "return DECLINED or HTTP_UNAUTHORIZED");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (status == HTTP_UNAUTHORIZED && is_basic(r) && ap_auth_name(r) &&
        !apr_table_get(r->err_headers_out, header)) {
        apr_table_setn(r->err_headers_out, header,
                       apr_pstrcat(r->pool, "Basic realm=\"", ap_auth_name(r), "\"", NULL));
    }
    return status;
}

/* What was written goes on its way, or is forgotten if the phase failed. */
static int pass_output(request_rec *r, mp_phase phase, int status, mp_body_out *out)
{
    if (ap_is_HTTP_ERROR(status)) {
        mp_body_discard(out);
        if (phase <= MP_PHASE_CONTENT && r->sent_bodyct) {
            /* An error page behind what was sent would be taken for content. */
            mp_body_break(r, out);
            return DONE;
        }
        return status;
    }
    mp_body_pass(r, out, status == DONE || (phase == MP_PHASE_CONTENT && status == OK));
    return status;
}

int mp_has_added_handlers(request_rec *r, mp_phase phase)
{
    const mp_request_context *context = mp_request_context_find(r);

    return context && (context->added_phases & (1u << phase));
}

int mp_dispatch(request_rec *r, mp_phase phase, const mp_handler_list *list)
{
    mp_request_context *context = mp_request_context_of(r);
    mp_interp *interp = context->added_phases & (1u << phase) ? context->added_by : NULL;
    mp_activity activity;
    int status;

    if (!interp) {
        interp = interpreter_by_name(interpreter_name(r, phase, list), r, r->pool);
        if (!interp) {
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    if (phase == MP_PHASE_AUTHEN) {
        find_user(r);
    }
    begin(&activity, interp, r);
    mp_request *request = (mp_request *)mp_request_of(interp, r);
    if (request) {
        status = call_run(interp, r, phase, list, request);
        Py_DECREF(request);
    } else {
        status = log_failure(r, phase);
    }
    if (phase == MP_PHASE_AUTHEN) {
        status = check_authen(r, status);
    }
    if (is_last_use(r, phase, status, context)) {
        for (mp_wrapper_slot *slot = context->wrappers; slot; slot = slot->next) {
            if (slot->wrapper && slot->interp == interp) {
                drop(slot);
            } else if (slot->wrapper) {
                cleanup_later(context);
            }
        }
    } else if (phase != MP_PHASE_CLEANUP) {
        cleanup_later(context);
    }
    end(&activity);
    return pass_output(r, phase, status, &context->out);
}

/* Child start and end */

static void shut_down(mp_interp *interp)
{
    PyObject *result = PyObject_CallNoArgs(mp_interp_state(interp)->dispatch_shutdown);

    if (!result) {
        PyErr_Print();
    }
    Py_XDECREF(result);
}

static apr_status_t end_of_child(void *unused)
{
    mp_interp_stop(shut_down, SHUTDOWN_TIMEOUT);
    return APR_SUCCESS;
}

/* Holds nothing; logs what fails, and the child lives on. */
static void import_at_start(const mp_located *import, server_rec *s, apr_pool_t *pool)
{
    const mp_dir_config *config = mp_dir_config_of_server(s);
    mp_interp *interp = interpreter_by_name(import->interpreter, NULL, pool);
    mp_attachment before;

    if (!interp) {
        return;
    }
    mp_interp_enter(interp, NULL, &before);
    PyObject *result = PyObject_CallFunction(
        mp_interp_state(interp)->dispatch_import, "NNNi", mp_str_from_fs(import->text),
        mp_str_from_fs(import->file), mp_str_from_fs(config->python_path), import->line);
    const char *error = result ? NULL : mp_error_text(pool);
    Py_XDECREF(result);
    mp_interp_leave(&before);
    if (error) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "KK0106: PythonImport %s: %s", import->text,
                     error);
    }
}

void mp_dispatch_start(apr_pool_t *pchild, server_rec *s)
{
    const mp_process_config *config = mp_process_config_get();

    start_error = NULL;
    if (mp_interp_start(pchild, config->home, config->optimize, &start_error) != 0) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "KK0001: %s", start_error);
        return;
    }
    apr_pool_pre_cleanup_register(pchild, NULL, end_of_child);
    for (int i = 0; i < config->imports->nelts; i++) {
        import_at_start(&APR_ARRAY_IDX(config->imports, i, mp_located), s, pchild);
    }
}
