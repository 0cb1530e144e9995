#include "py_exports.h"

#include "compat.h"

#include <stdlib.h>

#include <http_main.h>

#include "../include/mod_python.h"
#include "context.h"
#include "py_activity.h"
#include "py_connection.h"
#include "py_dispatch.h"
#include "py_interp.h"
#include "py_request.h"
#include "py_server.h"

/* A record that was asked for, which may be used until the release. */
typedef struct mp_use {
    mp_activity activity;
    PyObject *connection; /* to be cut then, or NULL */
    struct mp_use *next;
} mp_use;

/* One mp_acquire_interpreter(). */
typedef struct mp_acquired {
    mp_interp *interp;
    mp_attachment before;
    mp_use *uses;
    struct mp_acquired *outer;
} mp_acquired;

static _Thread_local mp_acquired *innermost;
static int is_started; /* written before the child has threads */

void mp_exports_start(void)
{
    is_started = 1;
}

static PyInterpreterState *mp_acquire_interpreter(const char *name)
{
    mp_acquired *acquired;
    apr_pool_t *pool;
    mp_interp *interp;
    int members;

    if (!is_started || mp_interp_is_stopping() || apr_pool_create_unmanaged(&pool) != APR_SUCCESS) {
        return NULL;
    }
    name = name ? name : MP_MAIN_INTERPRETER;
    /* As for PythonImport: of a pool, the first one. */
    members = mp_members_of(mp_dir_config_of_server(ap_server_conf), name);
    interp = mp_interpreter_at_start(name, members, 0, pool);
    apr_pool_destroy(pool);
    if (!interp) {
        return NULL;
    }
    acquired = ap_calloc(1, sizeof(*acquired));
    acquired->interp = interp;
    acquired->outer = innermost;
    innermost = acquired;
    mp_interp_enter(interp, mp_interp_current_request(), &acquired->before);
    return PyInterpreterState_Get();
}

static void mp_release_interpreter(void)
{
    mp_acquired *acquired = innermost;

    if (!acquired) {
        return;
    }
    /* Or the thread's next handler would be said to have raised it. */
    if (acquired->before.interp != acquired->interp && PyErr_Occurred()) {
        PyErr_WriteUnraisable(NULL);
    }
    while (acquired->uses) {
        mp_use *use = acquired->uses;
        acquired->uses = use->next;
        if (use->connection) {
            mp_activity_settle(&use->activity);
            mp_connection_cut(use->connection);
            Py_DECREF(use->connection);
        }
        mp_activity_end(&use->activity);
        free(use);
    }
    mp_interp_leave(&acquired->before);
    innermost = acquired->outer;
    free(acquired);
}

/* The interpreter that the calling thread is attached to; NULL where there is none: then
 * no exception can be set either. */
static mp_interp *current(void)
{
    return is_started ? mp_interp_current() : NULL;
}

/* Lets the records of c be used until the release. Within a handler they may be anyway. */
static mp_use *begin_use(conn_rec *c, request_rec *r)
{
    mp_acquired *acquired = innermost;

    if (!acquired || acquired->interp != mp_interp_current()) {
        return NULL;
    }
    mp_use *use = ap_calloc(1, sizeof(*use));
    mp_activity_begin(&use->activity, acquired->interp, c, r);
    use->next = acquired->uses;
    acquired->uses = use;
    return use;
}

static PyObject *mp_get_request_object(request_rec *r)
{
    mp_interp *interp = current();

    if (!interp || !r) {
        return NULL;
    }
    if (mp_conn_context_of(r->connection)->active != interp) {
        begin_use(r->connection, r);
    }
    mp_note_handlers(); /* it may get some by add_handler() */
    mp_dispatch_cleanup_later(r);
    return mp_request_of(interp, r);
}

static PyObject *mp_get_server_object(server_rec *s)
{
    mp_interp *interp = current();

    return interp && s ? mp_server_of(mp_interp_state(interp), s) : NULL;
}

static PyObject *mp_get_connection_object(conn_rec *c)
{
    mp_interp *interp = current();
    PyObject *connection = interp && c ? mp_connection_new(interp, c, NULL) : NULL;
    mp_use *use = connection ? begin_use(c, NULL) : NULL;

    if (use) {
        use->connection = Py_NewRef(connection);
    } else if (connection) {
        /* Within a handler, whose end it would outlive. */
        Py_CLEAR(connection);
        PyErr_SetString(PyExc_RuntimeError,
                        "mp_get_connection_object() is for what mp_acquire_interpreter() acquired");
    }
    return connection;
}

void mp_exports_register_hooks(apr_pool_t *pool)
{
    APR_REGISTER_OPTIONAL_FN(mp_acquire_interpreter);
    APR_REGISTER_OPTIONAL_FN(mp_release_interpreter);
    APR_REGISTER_OPTIONAL_FN(mp_get_request_object);
    APR_REGISTER_OPTIONAL_FN(mp_get_server_object);
    APR_REGISTER_OPTIONAL_FN(mp_get_connection_object);
}
