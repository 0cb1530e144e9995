#include "py_start.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <httpd.h>
#include <apr_strings.h>

#include "py_module.h"

static const char *parent(apr_pool_t *pool, const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash != path ? apr_pstrmemdup(pool, path, (apr_size_t)(slash - path)) : NULL;
}

/* The path of mod_python.so; NULL if the system does not tell. */
static const char *own_path(void)
{
    Dl_info info;

    return dladdr((void *)(uintptr_t)own_path, &info) ? info.dli_fname : NULL;
}

const char *mp_python_site_packages(apr_pool_t *pool)
{
    const char *path = own_path();
    const char *package = path ? parent(pool, path) : NULL;

    return package ? parent(pool, package) : NULL;
}

/* At exit() APR unloads modules while threads of Python's, and those that ended it, may still
 * be in their code. */
static void stay_loaded(void)
{
    const char *path = own_path();

    if (path) {
        dlopen(path, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
    }
}

/* The Python of an environment: also one that this user cannot reach, so that it can be said. */
static const char *python_in(apr_pool_t *pool, const char *prefix)
{
    const char *names[] = {
        "python" Py_STRINGIFY(PY_MAJOR_VERSION) "." Py_STRINGIFY(PY_MINOR_VERSION), "python3",
        "python"};
    const char *out_of_reach = NULL;

    for (size_t i = 0; prefix && i < Py_ARRAY_LENGTH(names); i++) {
        const char *path = apr_pstrcat(pool, prefix, "/bin/", names[i], NULL);
        if (!access(path, X_OK)) {
            return path;
        }
        if (errno == EACCES && !out_of_reach) {
            out_of_reach = path;
        }
    }
    return out_of_reach;
}

const char *mp_python_program(apr_pool_t *pool, const char *home)
{
    const char *site_packages = mp_python_site_packages(pool);
    const char *program = NULL;

    if (home) {
        return python_in(pool, home);
    }
    /* PREFIX/lib/pythonX.Y/site-packages */
    for (const char *prefix = site_packages; prefix && !program; prefix = parent(pool, prefix)) {
        program = python_in(pool, prefix);
    }
    /* Debian's /usr/local/lib/pythonX.Y/dist-packages belongs to /usr/bin/python3. */
    return program ? program : MP_PYTHON;
}

static PyStatus initialize(const char *program, int optimize)
{
    PyPreConfig preconfig;
    PyConfig config;
    PyStatus status;

    PyPreConfig_InitPythonConfig(&preconfig);
    preconfig.parse_argv = 0;
    preconfig.utf8_mode = 1;        /* file names and logs: UTF-8, whatever Apache's locale */
    preconfig.configure_locale = 0; /* the locale is the server's, not ours */
    preconfig.coerce_c_locale = 0;
    status = Py_PreInitialize(&preconfig);
    if (PyStatus_Exception(status)) {
        return status;
    }
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    config.install_signal_handlers = 0; /* signals are the MPM's */
    if (optimize) {
        config.optimization_level = 1;
    }
#ifdef Py_GIL_DISABLED
    config.enable_gil = 1; /* what it protects: docs/architecture.md, "State" */
#endif
    status = PyConfig_SetBytesString(&config, &config.program_name, program);
    if (!PyStatus_Exception(status)) {
        char *argv[] = {"mod_python"};
        status = PyConfig_SetBytesArgv(&config, 1, argv);
    }
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    return status;
}

int mp_python_initialize(apr_pool_t *pool, const char *program, int optimize, const char **error)
{
    PyStatus status;

    stay_loaded();
    /* Of the environment only PYTHONPATH and what tunes the interpreter count: the
     * installation is known. */
    unsetenv("PYTHONHOME");
    unsetenv("PYTHONEXECUTABLE");
    unsetenv("__PYVENV_LAUNCHER__");
    unsetenv("PYTHON_GIL");
    if (PyImport_AppendInittab("_apache", PyInit__apache) != 0) {
        *error = "out of memory";
        return -1;
    }
    status = initialize(program, optimize);
    if (PyStatus_Exception(status)) {
        *error = apr_psprintf(pool, "Python as %s cannot start: %s", program,
                              status.err_msg ? status.err_msg : "no reason given");
        return -1;
    }
    return 0;
}
