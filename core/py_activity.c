#include "py_activity.h"

#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <apr_strings.h>

#include "fork.h"
#include "py_convert.h"
#include "py_pool.h"
#include "py_request.h"
#include "py_setup.h"
#include "py_watch.h"

APLOG_USE_MODULE(python);

static const char *start_error; /* why Python did not start in this child, or NULL */

void mp_interpreters_fail(const char *error)
{
    start_error = error;
}

/* Which interpreter (manual, 4.1 and 5.4.4 to 5.4.6) */

/* NULL where the request is for no file: it goes to mod_proxy, "proxy:http://...", or was sent
 * elsewhere by mod_rewrite. Clients could make up any number of such directories. */
static const char *directory_of_file(request_rec *r)
{
    if (!r->filename || *r->filename != '/') {
        return NULL;
    }
    if (r->finfo.filetype == APR_DIR) {
        apr_size_t length = strlen(r->filename);
        return r->filename[length - 1] == '/' ? r->filename
                                              : apr_pstrcat(r->pool, r->filename, "/", NULL);
    }
    return ap_make_dirstr_parent(r->pool, r->filename);
}

static const char *name_for(request_rec *r, mp_phase phase, const mp_section *section)
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
        name = directory_of_file(r);
    } else if (mp_names_by_directive(config) && section) {
        /* Not by what a pattern matches of the URI, which clients make up. */
        name = section->is_pattern ? section->path : mp_section_directory(r, section);
    }
    if (!name) {
        name = r->server->server_hostname;
    }
    return name ? name : MP_MAIN_INTERPRETER;
}

const char *mp_interpreter_name_of_server(const server_rec *s)
{
    const mp_dir_config *config = mp_dir_config_of_server(s);

    if (config->interpreter) {
        return config->interpreter;
    }
    return s->server_hostname ? s->server_hostname : MP_MAIN_INTERPRETER;
}

/* Logged: that it could not be made, or that only others of its pool could. */
static void log_failure(const char *name, const char *error, const mp_interp *instead,
                        const request_rec *r)
{
    const char *format = instead ? "KK0160: a further interpreter '%s' could not be made, the pool "
                                   "gets along without: %s"
                                 : "KK0105: the interpreter '%s' could not be made: %s";
    int level = instead ? APLOG_WARNING : APLOG_ERR;

    if (r) {
        ap_log_rerror(APLOG_MARK, level, 0, r, format, name, error);
    } else {
        ap_log_error(APLOG_MARK, level, 0, ap_server_conf, format, name, error);
    }
}

static inline mp_interp *take(const char *name, int members, const request_rec *r, apr_pool_t *pool)
{
    const char *error = start_error;
    mp_interp *interp =
        error ? NULL : mp_pool_take(name, members, mp_set_up_interpreter, pool, &error);

    if (error) {
        log_failure(name, error, interp, r);
    }
    return interp;
}

/* Whether interp is one of those. */
static int is_member(const mp_interp *interp, const char *name, int members)
{
    return mp_interp_members(interp) == members && !strcmp(mp_interp_name(interp), name);
}

/* Redirects and subrequests stay where the client's request is. */
static request_rec *first_request(request_rec *r)
{
    while (r->main || r->prev) {
        r = r->main ? r->main : r->prev;
    }
    return r;
}

mp_interp *mp_interpreter_of_request(request_rec *r, mp_phase phase, const mp_section *section,
                                     apr_pool_t *pool)
{
    const char *name = name_for(r, phase, section);
    int members = mp_members_of(mp_dir_config_of_request(r), name);
    mp_request_context *first;
    mp_interp *interp;

    if (members <= 1) {
        return take(name, members, r, pool);
    }
    first = mp_request_context_of(first_request(r));
    for (mp_wrapper_slot *slot = first->wrappers; slot; slot = slot->next) {
        if (is_member(slot->interp, name, members)) {
            return slot->interp;
        }
    }
    interp = take(name, members, r, pool);
    if (interp) {
        mp_wrapper_slot_of(first, interp);
    }
    return interp;
}

mp_interp *mp_interpreter_of_connection(conn_rec *c)
{
    const char *name = mp_interpreter_name_of_server(c->base_server);
    int members = mp_members_of(mp_dir_config_of_server(c->base_server), name);
    mp_conn_context *context = mp_conn_context_of(c);

    if (members <= 1) {
        return take(name, members, NULL, c->pool);
    }
    if (!context->member || !is_member(context->member, name, members)) {
        context->member = take(name, members, NULL, c->pool);
    }
    return context->member;
}

mp_interp *mp_interpreter_at_start(const char *name, int members, int member, apr_pool_t *pool)
{
    const char *error = start_error;
    mp_interp *interp =
        error ? NULL : mp_pool_member(name, members, member, mp_set_up_interpreter, pool, &error);

    if (error) {
        log_failure(name, error, interp, NULL);
    }
    return interp;
}

/* Running handlers */

void mp_activity_begin(mp_activity *activity, mp_interp *interp, conn_rec *c, request_rec *r)
{
    mp_conn_context *conn = mp_conn_context_of(c);

    activity->conn = conn;
    int is_watched = mp_watch_suspend();
    mp_interp_enter(interp, r, &activity->attachment);
    if (is_watched) {
        mp_watch_take_back(interp);
    }
    activity->before = atomic_load_explicit(&conn->active, memory_order_relaxed);
    activity->blocked = atomic_load_explicit(&conn->blocked, memory_order_relaxed);
    atomic_store(&conn->active, interp);
}

void mp_activity_settle(const mp_activity *activity)
{
    mp_conn_context *conn = activity->conn;

    mp_fork_end();
    atomic_store(&conn->active, activity->before);
    while (atomic_load(&conn->blocked) > activity->blocked) {
        mp_released released;
        mp_interp_release(&released);
        apr_sleep(1000);
        mp_interp_reacquire(&released);
        /* A filter that the other thread called meanwhile has put back what it found. */
        atomic_store(&conn->active, activity->before);
    }
}

void mp_activity_end(const mp_activity *activity)
{
    mp_activity_settle(activity);
    mp_interp_leave(&activity->attachment);
    mp_watch_resume();
}

void mp_blocking_begin(mp_blocking *blocking, mp_conn_context *conn)
{
    blocking->conn = conn;
    blocking->thread = atomic_load(&conn->thread);
    atomic_store(&conn->thread, mp_thread_token());
    atomic_fetch_add(&conn->blocked, 1);
    mp_interp_release(&blocking->released);
}

void mp_blocking_end(const mp_blocking *blocking)
{
    mp_interp_reacquire(&blocking->released);
    atomic_fetch_sub(&blocking->conn->blocked, 1);
    atomic_store(&blocking->conn->thread, blocking->thread);
}

/* httpd -X, or -DONE_PROCESS: there is a terminal to debug at. */
static int is_one_process(void)
{
    return ap_exists_config_define("DEBUG") || ap_exists_config_define("ONE_PROCESS");
}

int mp_flags_of(const mp_dir_config *config)
{
    return (config->auto_reload ? MP_FLAG_RELOAD : 0) | (config->debug > 0 ? MP_FLAG_DEBUG : 0) |
           (config->enable_pdb > 0 && is_one_process() ? MP_FLAG_PDB : 0);
}

apr_interval_time_t mp_timeout_of(const mp_dir_config *config)
{
    int is_debugged = (mp_flags_of(config) & MP_FLAG_PDB) != 0;

    return config->request_timeout > 0 && !is_debugged ? config->request_timeout : 0;
}

PyObject *mp_python_path_of(mp_state *state, const mp_dir_config *config)
{
    if (!config->python_path) {
        Py_RETURN_NONE;
    }
    return Py_XNewRef(mp_kept_str(&state->python_path, config->python_path));
}
