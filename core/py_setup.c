#include "py_setup.h"

#include <apr_pools.h>

#include "py_convert.h"
#include "py_start.h"

/* Imports mod_python._dispatch from the directory this module's package lies in, which
 * need not be on sys.path (PythonHome), or not before another package of that name.
 * New reference, or NULL with an exception. */
static PyObject *import_dispatch(void)
{
    PyObject *path = PySys_GetObject("path"); /* borrowed */
    PyObject *directory = NULL, *dispatch = NULL;
    apr_pool_t *pool;
    int known;

    if (!path || apr_pool_create_unmanaged(&pool) != APR_SUCCESS) {
        PyErr_SetString(PyExc_RuntimeError, "there is no sys.path");
        return NULL;
    }
    directory = mp_str_from_fs(mp_python_site_packages(pool));
    apr_pool_destroy(pool);
    if (!directory || (known = PySequence_Contains(path, directory)) < 0 ||
        PyList_Insert(path, 0, directory) != 0) {
        Py_XDECREF(directory);
        return NULL;
    }
    dispatch = PyImport_ImportModule("mod_python._dispatch");
    if (dispatch && (PyList_SetSlice(path, 0, 1, NULL) != 0 ||
                     (!known && PyList_Append(path, directory) != 0))) {
        Py_CLEAR(dispatch);
    }
    Py_DECREF(directory);
    return dispatch;
}

/* The functions of mod_python._dispatch that the core calls, and what it looks up. */
static int take_functions(PyObject *dispatch, mp_state *state)
{
    const struct {
        const char *name;
        PyObject **field;
    } functions[] = {
        {"run", &state->dispatch_run},
        {"conclude", &state->dispatch_conclude},
        {"make_handler", &state->dispatch_make_handler},
        {"add_handler", &state->dispatch_add_handler},
        {"register_filter", &state->dispatch_register_filter},
        {"make_hlist", &state->dispatch_make_hlist},
        {"run_cleanups", &state->dispatch_run_cleanups},
        {"run_filter", &state->dispatch_run_filter},
        {"run_connection", &state->dispatch_run_connection},
        {"register_server_cleanup", &state->dispatch_register_server_cleanup},
        {"import_at_start", &state->dispatch_import},
        {"shutdown", &state->dispatch_shutdown},
        {"__dict__", &state->dispatch_names},
        {"report_timeout", &state->dispatch_report_timeout},
        {"describe_stack", &state->dispatch_describe_stack},
        {"RequestTimeout", &state->request_timeout},
        {"DELICATE_FILES", &state->delicate_files},
    };

    for (size_t i = 0; i < Py_ARRAY_LENGTH(functions); i++) {
        PyObject *function = PyObject_GetAttrString(dispatch, functions[i].name);
        if (!function) {
            return -1;
        }
        Py_XSETREF(*functions[i].field, function);
    }
    Py_XSETREF(state->name_path, PyUnicode_InternFromString("_path"));
    Py_XSETREF(state->name_direct, PyUnicode_InternFromString("direct"));
    Py_XSETREF(state->name_write, PyUnicode_InternFromString("write"));
    return state->name_path && state->name_direct && state->name_write ? 0 : -1;
}

int mp_set_up_interpreter(mp_interp *interp)
{
    PyObject *module = NULL, *dispatch = NULL;
    mp_state *state;
    int result = -1;

    if (!(module = PyImport_ImportModule("_apache"))) {
        goto done;
    }
    state = mp_state_of_module(module);
    Py_XSETREF(state->interpreter_name, mp_str_from_fs(mp_interp_name(interp)));
    if (!state->interpreter_name ||
        PyModule_AddObjectRef(module, "interpreter", state->interpreter_name) != 0 ||
        PyModule_AddIntConstant(module, "interpreter_index", mp_interp_member(interp)) != 0 ||
        PyModule_AddIntConstant(module, "_own_gil", mp_interp_members(interp) > 0) != 0 ||
        PyModule_AddIntConstant(module, "_members", mp_interp_members(interp)) != 0 ||
        !(dispatch = import_dispatch())) {
        goto done;
    }
    if (take_functions(dispatch, state) != 0) {
        goto done;
    }
    mp_interp_set_state(interp, state);
    result = 0;
done:
    /* The state is the module's, and sys.modules keeps that. */
    Py_XDECREF(module);
    Py_XDECREF(dispatch);
    return result;
}
