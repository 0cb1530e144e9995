#include "py_preflight.h"

#include <errno.h>
#include <unistd.h>

#include <httpd.h>
#include <apr_strings.h>

#include "py_convert.h"
#include "py_errors.h"
#include "py_interp.h"
#include "py_pool.h"
#include "py_setup.h"
#include "py_start.h"

/* As many symbolic links as Linux follows in one path before it gives up. */
#define MAX_LINKS 40

/* Where a symbolic link leads, with what is behind it in the path; NULL if path is none. */
static const char *follow(apr_pool_t *pool, const char *path, const char *behind)
{
    char target[APR_PATH_MAX];
    ssize_t size = readlink(path, target, sizeof(target) - 1);

    if (size < 0) {
        return NULL;
    }
    target[size] = '\0';
    return *target == '/'
               ? apr_pstrcat(pool, target, behind, NULL)
               : apr_pstrcat(pool, ap_make_dirstr_parent(pool, path), target, behind, NULL);
}

/* Of the directories on the way to path, the first that this user cannot search, or
 * path itself if it cannot be read; NULL if all is well. */
static const char *unreadable(apr_pool_t *pool, const char *path)
{
    for (int links = 0; links <= MAX_LINKS; links++) {
        const char *culprit = NULL, *behind = "", *next;

        for (const char *slash = path; !culprit && (slash = strchr(slash + 1, '/'));) {
            const char *directory = apr_pstrmemdup(pool, path, (apr_size_t)(slash - path));
            if (access(directory, X_OK) != 0 && errno == EACCES) {
                culprit = directory;
                behind = slash;
            }
        }
        if (!culprit && access(path, R_OK) != 0 && errno == EACCES) {
            culprit = path;
        }
        if (!culprit || !(next = follow(pool, culprit, behind))) {
            return culprit;
        }
        path = next;
    }
    return NULL;
}

static const char *describe_unreadable(apr_pool_t *pool, const char *path)
{
    const char *culprit = path ? unreadable(pool, path) : NULL;

    if (!culprit) {
        return NULL;
    }
    return apr_psprintf(pool,
                        "KK0002: %s cannot be read by the user that Apache's children run as "
                        "(uid %d): no permission at %s; give it ('chmod o+rx %s'), or put Python "
                        "and its environment elsewhere\n",
                        path, (int)geteuid(), culprit, culprit);
}

/* One PythonPath: "" or a line that says what is wrong. */
static const char *check_path(apr_pool_t *pool, PyObject *dispatch, const mp_located *path)
{
    PyObject *result = PyObject_CallMethod(dispatch, "check_path", "N", mp_str_from_fs(path->text));
    const char *wrong = result && result != Py_None ? PyUnicode_AsUTF8(result) : NULL;
    const char *line = "";

    if (result != Py_None) {
        line =
            apr_psprintf(pool,
                         "KK0003: Syntax error on line %d of %s: PythonPath %s: %s: write a "
                         "Python list of directories, as \"['/dir']\" or "
                         "\"sys.path+['/dir']\"\n",
                         path->line, path->file, path->text, wrong ? wrong : mp_error_text(pool));
    }
    Py_XDECREF(result);
    return line;
}

static const char *check_paths(apr_pool_t *pool, const mp_process_config *config)
{
    PyObject *dispatch = PyImport_ImportModule("mod_python._dispatch");
    const char *report = "";

    if (!dispatch) {
        return apr_psprintf(pool, "KK0001: %s\n", mp_error_text(pool));
    }
    for (int i = 0; i < config->python_paths->nelts; i++) {
        const mp_located *path = &APR_ARRAY_IDX(config->python_paths, i, mp_located);
        report = apr_pstrcat(pool, report, check_path(pool, dispatch, path), NULL);
    }
    Py_DECREF(dispatch);
    return report;
}

static const char *describe_start_error(apr_pool_t *pool, const mp_process_config *config,
                                        const char *error)
{
    if (!config->home) {
        return apr_psprintf(pool, "KK0001: %s\n", error);
    }
    return apr_psprintf(pool,
                        "KK0001: Syntax error on line %d of %s: PythonHome %s: %s: name an "
                        "environment of the Python that the module was built for\n",
                        config->home_at.line, config->home_at.file, config->home_at.text, error);
}

const char *mp_own_gil_error(apr_pool_t *pool, const char *directive)
{
#if PY_VERSION_HEX >= 0x030d0000
    return NULL;
#else
    /* 3.12.1 aborts when a second one imports datetime, decimal, sqlite3, ssl, asyncio. */
    return apr_psprintf(pool,
                        "%s: interpreters with a GIL of their own need Python 3.13 or later, and "
                        "this module was built for Python %d.%d: install Kukulkan in an "
                        "environment of Python 3.13 and load that module, or use "
                        "'PythonInterpGIL Shared'",
                        directive, PY_MAJOR_VERSION, PY_MINOR_VERSION);
#endif
}

const char *mp_python_preflight(apr_pool_t *pool, const mp_process_config *config)
{
    const char *error = describe_unreadable(pool, mp_python_site_packages(pool));
    mp_interp *interp;
    mp_attachment before;
    const char *report;

    if (!error) {
        error = describe_unreadable(pool, mp_python_program(pool, config->home));
    }
    if (error) {
        return error;
    }
    if (mp_interp_start(pool, config->home, config->optimize, &error) != 0) {
        return describe_start_error(pool, config, error);
    }
    interp = mp_pool_take(MP_MAIN_INTERPRETER, 0, mp_set_up_interpreter, pool, &error);
    if (!interp) {
        return describe_start_error(
            pool, config, apr_pstrcat(pool, "Python started, but cannot be set up: ", error, NULL));
    }
    mp_interp_enter(interp, NULL, &before);
    report = check_paths(pool, config);
    mp_interp_leave(&before);
    return report;
}

const char *mp_python_version(apr_pool_t *pool)
{
    const char *version = Py_GetVersion(); /* "3.13.1 (main, ..." */

    return apr_pstrmemdup(pool, version, strcspn(version, " "));
}
