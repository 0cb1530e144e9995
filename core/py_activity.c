#include "py_activity.h"

#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <apr_strings.h>

#include "py_convert.h"
#include "py_setup.h"
#include "py_watch.h"

APLOG_USE_MODULE(python);

static const char *start_error; /* why Python did not start in this child, or NULL */

void mp_interpreters_fail(const char *error)
{
    start_error = error;
}

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

const char *mp_interpreter_name(request_rec *r, mp_phase phase, const mp_section *section)
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
    } else if (config->interp_per_directive > 0 && section) {
        name = mp_section_directory(r, section);
    }
    if (!name) {
        name = r->server->server_hostname;
    }
    return name ? name : MP_MAIN_INTERPRETER;
}

mp_interp *mp_interpreter_for(const char *name, const request_rec *r, apr_pool_t *pool)
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

const char *mp_interpreter_name_of_server(const server_rec *s)
{
    const mp_dir_config *config = mp_dir_config_of_server(s);

    if (config->interpreter) {
        return config->interpreter;
    }
    return s->server_hostname ? s->server_hostname : MP_MAIN_INTERPRETER;
}

/* Running handlers */

void mp_activity_begin(mp_activity *activity, mp_interp *interp, conn_rec *c, request_rec *r)
{
    mp_conn_context *conn = mp_conn_context_of(c);

    activity->conn = conn;
    mp_watch_suspend();
    mp_interp_enter(interp, r, &activity->attachment);
    activity->before = atomic_load_explicit(&conn->active, memory_order_relaxed);
    activity->blocked = atomic_load_explicit(&conn->blocked, memory_order_relaxed);
    atomic_store(&conn->active, interp);
}

void mp_activity_settle(const mp_activity *activity)
{
    mp_conn_context *conn = activity->conn;

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
    const char *known = NULL;

    if (!config->python_path) {
        Py_RETURN_NONE;
    }
    /* Most requests have the same as the one before. */
    if (state->python_path && !(known = PyUnicode_AsUTF8(state->python_path))) {
        PyErr_Clear(); /* it is no UTF-8 */
    }
    if (!known || strcmp(known, config->python_path) != 0) {
        Py_XSETREF(state->python_path, mp_str_from_fs(config->python_path));
    }
    return Py_XNewRef(state->python_path);
}
