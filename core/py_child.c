#include "py_child.h"

#include <http_log.h>
#include <http_main.h>

#include "fork.h"
#include "py_activity.h"
#include "py_convert.h"
#include "py_errors.h"
#include "py_interp.h"

APLOG_USE_MODULE(python);

static void shut_down(mp_interp *interp, apr_time_t until)
{
    double patience = (double)(until - apr_time_now()) / APR_USEC_PER_SEC;
    PyObject *result =
        PyObject_CallFunction(mp_interp_state(interp)->dispatch_shutdown, "d", patience);

    if (!result) {
        PyErr_Print();
    }
    Py_XDECREF(result);
}

static apr_status_t end_of_child(void *unused)
{
    int seconds = mp_process_config_get()->shutdown_timeout;

    if (mp_interp_stop(shut_down, apr_time_from_sec(seconds)) != 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, ap_server_conf,
                     "KK0196: what Python does at the end of this child had not finished after %d "
                     "s (PythonShutdownTimeout): the child ends without it",
                     seconds);
    }
    return APR_SUCCESS;
}

/* Holds nothing; logs what fails, and the child lives on. */
static void import_into(mp_interp *interp, const mp_located *import, server_rec *s,
                        apr_pool_t *pool)
{
    const mp_dir_config *config = mp_dir_config_of_server(s);
    mp_attachment before;

    mp_interp_enter(interp, NULL, &before);
    PyObject *result = PyObject_CallFunction(
        mp_interp_state(interp)->dispatch_import, "NNNi", mp_str_from_fs(import->text),
        mp_str_from_fs(import->file), mp_str_from_fs(config->python_path), import->line);
    const char *error = result ? NULL : mp_error_text(pool);
    Py_XDECREF(result);
    mp_fork_end();
    mp_interp_leave(&before);
    if (error) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "KK0106: PythonImport %s: %s", import->text,
                     error);
    }
}

/* Into all that stand behind the name for requests to s. */
static void import_for(const server_rec *s, const mp_located *import, server_rec *main,
                       apr_pool_t *pool)
{
    int members = mp_members_of(mp_dir_config_of_server(s), import->interpreter);

    for (int member = 0; member < (members ? members : 1); member++) {
        mp_interp *interp = mp_interpreter_at_start(import->interpreter, members, member, pool);
        if (!interp) {
            return;
        }
        import_into(interp, import, main, pool);
    }
}

/* Whether requests to s and to one of the servers from first to before it find the same
 * interpreters behind this name, which is theirs. */
static int is_like_earlier(const server_rec *s, const server_rec *first, const char *name)
{
    int members = mp_members_of(mp_dir_config_of_server(s), name);

    for (; first != s; first = first->next) {
        if (!strcmp(mp_interpreter_name_of_server(first), name) &&
            mp_members_of(mp_dir_config_of_server(first), name) == members) {
            return 1;
        }
    }
    return 0;
}

/* The servers of this name may have it stand for different interpreters; where it is no
 * server's, what the main server says holds. */
static void import_at_start(const mp_located *import, server_rec *main, apr_pool_t *pool)
{
    int found = 0;

    for (server_rec *s = main; s; s = s->next) {
        if (!strcmp(mp_interpreter_name_of_server(s), import->interpreter)) {
            found = 1;
            if (!is_like_earlier(s, main, import->interpreter)) {
                import_for(s, import, main, pool);
            }
        }
    }
    if (!found) {
        import_for(main, import, main, pool);
    }
}

void mp_child_start(apr_pool_t *pchild, server_rec *s)
{
    const mp_process_config *config = mp_process_config_get();

    const char *error = NULL;
    if (mp_interp_start(pchild, config->home, config->optimize, &error) != 0) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "KK0001: %s", error);
        mp_interpreters_fail(error);
        return;
    }
    apr_pool_pre_cleanup_register(pchild, NULL, end_of_child);
    for (int i = 0; i < config->imports->nelts; i++) {
        import_at_start(&APR_ARRAY_IDX(config->imports, i, mp_located), s, pchild);
    }
}
