#include "py_setup.h"

#include <apr_pools.h>

#include "py_convert.h"

/* The directory this module's package lies in has to be on sys.path; it is already
 * where that is an environment's site-packages. */
static int add_site_packages(void)
{
    apr_pool_t *pool;
    PyObject *path = PySys_GetObject("path"); /* borrowed */
    PyObject *directory = NULL;
    int result = -1;

    if (!path || apr_pool_create_unmanaged(&pool) != APR_SUCCESS) {
        PyErr_SetString(PyExc_RuntimeError, "there is no sys.path");
        return -1;
    }
    directory = mp_str_from_fs(mp_interp_site_packages(pool));
    apr_pool_destroy(pool);
    if (directory) {
        int found = directory == Py_None ? 1 : PySequence_Contains(path, directory);
        result = found < 0 ? -1 : found ? 0 : PyList_Append(path, directory);
    }
    Py_XDECREF(directory);
    return result;
}

int mp_set_up_interpreter(mp_interp *interp)
{
    PyObject *module = NULL, *dispatch = NULL;
    mp_state *state;
    int result = -1;

    if (add_site_packages() != 0 || !(module = PyImport_ImportModule("_apache"))) {
        goto done;
    }
    state = mp_state_of_module(module);
    Py_XSETREF(state->interpreter_name, mp_str_from_fs(mp_interp_name(interp)));
    if (!state->interpreter_name ||
        PyObject_SetAttrString(module, "interpreter", state->interpreter_name) != 0 ||
        !(dispatch = PyImport_ImportModule("mod_python._dispatch"))) {
        goto done;
    }
#define TAKE(field, name)                                                                          \
    Py_XSETREF(state->dispatch_##field, PyObject_GetAttrString(dispatch, name));                   \
    if (!state->dispatch_##field) {                                                                \
        goto done;                                                                                 \
    }
    TAKE(run, "run")
    TAKE(make_handler, "make_handler")
    TAKE(add_handler, "add_handler")
    TAKE(run_cleanups, "run_cleanups")
    TAKE(register_server_cleanup, "register_server_cleanup")
    TAKE(import, "import_at_start")
    TAKE(shutdown, "shutdown")
#undef TAKE
    mp_interp_set_state(interp, state);
    result = 0;
done:
    /* The state is the module's, and sys.modules keeps that. */
    Py_XDECREF(module);
    Py_XDECREF(dispatch);
    return result;
}
