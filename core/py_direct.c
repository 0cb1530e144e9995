#include "py_direct.h"

#include <httpd.h>

#include "py_activity.h"
#include "py_errors.h"
#include "py_request.h"

/* What to call: Handler.direct, which _handlers.py keeps. New reference; NULL, without an
 * exception, if it has to be looked for. */
static PyObject *function_of(mp_state *state, PyObject *handler)
{
    PyObject *function = PyObject_GetAttr(handler, state->name_direct);

    if (!function) {
        PyErr_Clear();
    } else if (function == Py_None) {
        Py_CLEAR(function);
    }
    return function;
}

/* Whether sys.path is what the request's PythonPath says. */
static int is_path_set(mp_state *state, PyObject *path)
{
    return path == Py_None ||
           PyDict_GetItemWithError(state->dispatch_names, state->name_path) == path;
}

/* As in _dispatch.py: what is no status of this kind is for _dispatch to judge. */
static int is_status(PyObject *result)
{
    long value;

    if (!result || !PyLong_CheckExact(result)) {
        return 0;
    }
    value = PyLong_AsLong(result);
    if (value == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    return value == OK || value == DECLINED || value == DONE || (value >= 100 && value < 600);
}

/* Has _dispatch make a status of what the handler returned or raised, and run what was
 * added to the phase meanwhile. */
static PyObject *conclude(mp_state *state, PyObject **args, PyObject *result)
{
    PyObject *error = result ? Py_NewRef(Py_None) : mp_take_exception();
    PyObject *all[] = {NULL, args[0], args[1], args[2], args[3], args[4], result ? result : Py_None,
                       error};
    PyObject *status = PyObject_Vectorcall(state->dispatch_conclude, all + 1,
                                           7 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);

    Py_DECREF(error);
    return status;
}

PyObject *mp_run_directly(mp_state *state, PyObject **args, int flags)
{
    mp_request *request = (mp_request *)args[0];
    PyObject *handlers = args[1], *path = args[4];
    PyObject *handler, *function, *result;

    if (PyTuple_GET_SIZE(handlers) != 1 || flags & (MP_FLAG_RELOAD | MP_FLAG_PDB) ||
        request->added || !is_path_set(state, path)) {
        return NULL;
    }
    handler = PyTuple_GET_ITEM(handlers, 0);
    function = function_of(state, handler);
    if (!function) {
        return NULL;
    }
    Py_XSETREF(request->running, Py_NewRef(handler));
    result = PyObject_CallOneArg(function, args[0]);
    Py_DECREF(function);
    if (!is_status(result) || request->added) {
        PyObject *status = conclude(state, args, result);
        Py_XDECREF(result);
        return status;
    }
    return result;
}
