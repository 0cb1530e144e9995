#include "py_module.h"

#include "config.h"
#include "py_apache.h"
#include "py_connection.h"
#include "py_constants.h"
#include "py_environ.h"
#include "py_filter.h"
#include "py_finfo.h"
#include "py_query.h"
#include "py_request.h"
#include "py_server.h"
#include "py_table.h"
#include "py_working_directory.h"

static struct PyModuleDef apache_module;

mp_state *mp_state_of_module(PyObject *module)
{
    mp_state *state = PyModule_GetState(module);

    assert(state != NULL);
    return state;
}

mp_state *mp_state_of_type(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &apache_module);

    assert(module != NULL);
    return mp_state_of_module(module);
}

int mp_type_name_plainly(PyTypeObject *type)
{
    PyObject *name = PyUnicode_FromString(strrchr(type->tp_name, '.') + 1);
    PyObject *module = PyUnicode_FromString("builtins"); /* what repr() leaves out */
    int result = -1;

    if (name && module && PyObject_SetAttrString((PyObject *)type, "__name__", name) == 0 &&
        PyObject_SetAttrString((PyObject *)type, "__qualname__", name) == 0 &&
        PyObject_SetAttrString((PyObject *)type, "__module__", module) == 0) {
        result = 0;
    }
    Py_XDECREF(name);
    Py_XDECREF(module);
    return result;
}

PyTypeObject *mp_type_create(PyObject *module, PyType_Spec *spec)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);

    if (type && (mp_type_name_plainly(type) != 0 ||
                 PyModule_AddObjectRef(module, type->tp_name, (PyObject *)type) != 0)) {
        Py_CLEAR(type);
    }
    return type;
}

void mp_type_seal(PyTypeObject *type)
{
    type->tp_flags |= Py_TPFLAGS_IMMUTABLETYPE;
    PyType_Modified(type);
}

/* Steals descriptor, which may be NULL. */
static int add_descriptor(PyTypeObject *type, const char *name, PyObject *descriptor)
{
    int result = descriptor ? PyObject_SetAttrString((PyObject *)type, name, descriptor) : -1;

    Py_XDECREF(descriptor);
    return result;
}

int mp_type_add_methods(PyTypeObject *type, PyMethodDef *methods)
{
    for (PyMethodDef *method = methods; method->ml_name; method++) {
        if (add_descriptor(type, method->ml_name, PyDescr_NewMethod(type, method)) != 0) {
            return -1;
        }
    }
    return 0;
}

int mp_type_add_members(PyTypeObject *type, PyGetSetDef *members)
{
    for (PyGetSetDef *member = members; member->name; member++) {
        if (add_descriptor(type, member->name, PyDescr_NewGetSet(type, member)) != 0) {
            return -1;
        }
    }
    return 0;
}

static PyObject *make_phase_names(void)
{
    PyObject *names = PyTuple_New(MP_PHASE_COUNT);

    for (int phase = 0; names && phase < MP_PHASE_COUNT; phase++) {
        PyObject *name = PyUnicode_InternFromString(mp_phase_names[phase]);
        if (!name) {
            Py_CLEAR(names);
            break;
        }
        PyTuple_SET_ITEM(names, phase, name);
    }
    return names;
}

static int apache_exec(PyObject *module)
{
    mp_state *state = mp_state_of_module(module);

    state->phase_names = make_phase_names();
    if (!state->phase_names || PyModule_AddObjectRef(module, "_phases", state->phase_names) != 0 ||
        PyModule_AddStringConstant(module, "version", MP_VERSION) != 0 ||
        PyModule_AddFunctions(module, mp_query_functions) != 0 ||
        PyModule_AddFunctions(module, mp_working_directory_functions) != 0 ||
        mp_constants_add(module) != 0 || mp_request_setup(module, state) != 0 ||
        mp_connection_setup(module, state) != 0 || mp_server_setup(module, state) != 0 ||
        mp_finfo_setup(module, state) != 0 || mp_environ_setup(state) != 0 ||
        mp_filter_setup(module, state) != 0 || mp_table_setup(module, state) != 0) {
        return -1;
    }
    mp_type_seal(state->request_type);
    mp_type_seal(state->connection_type);
    mp_type_seal(state->server_type);
    mp_type_seal(state->filter_type);
    mp_type_seal(state->table_type);
    return 0;
}

/* clang-format off */
#define FOR_EACH_OBJECT(DO)                             \
    DO(state->request_type)                             \
    DO(state->connection_type)                          \
    DO(state->server_type)                              \
    DO(state->filter_type)                              \
    DO(state->finfo_type)                               \
    DO(state->table_type)                               \
    DO(state->table_iterator_type)                      \
    DO(state->servers)                                  \
    DO(state->dispatch_run)                             \
    DO(state->dispatch_conclude)                        \
    DO(state->dispatch_make_handler)                    \
    DO(state->dispatch_add_handler)                     \
    DO(state->dispatch_register_filter)                 \
    DO(state->dispatch_make_hlist)                      \
    DO(state->dispatch_run_cleanups)                    \
    DO(state->dispatch_run_filter)                      \
    DO(state->dispatch_run_connection)                  \
    DO(state->dispatch_register_server_cleanup)         \
    DO(state->dispatch_import)                          \
    DO(state->dispatch_shutdown)                        \
    DO(state->dispatch_report_timeout)                  \
    DO(state->dispatch_describe_stack)                  \
    DO(state->request_timeout)                          \
    DO(state->delicate_files)                           \
    DO(state->dispatch_names)                           \
    DO(state->name_path)                                \
    DO(state->name_direct)                              \
    DO(state->name_write)                               \
    DO(state->environ_names)                            \
    DO(state->environ_values)                           \
    DO(state->environ_base)                             \
    DO(state->sys_dict)                                 \
    DO(state->stderr_name)                              \
    DO(state->input_name)                               \
    DO(state->errors_name)                              \
    DO(state->wsgi_application)                         \
    DO(state->interpreter_name)                         \
    DO(state->python_path)                              \
    DO(state->phase_names)
/* clang-format on */

static int apache_traverse(PyObject *module, visitproc visit, void *arg)
{
    mp_state *state = PyModule_GetState(module);

#define VISIT(object) Py_VISIT(object);
    FOR_EACH_OBJECT(VISIT)
#undef VISIT
    return 0;
}

static int apache_clear(PyObject *module)
{
    mp_state *state = PyModule_GetState(module);

#define CLEAR(object) Py_CLEAR(object);
    FOR_EACH_OBJECT(CLEAR)
#undef CLEAR
    return 0;
}

static void apache_free(void *module)
{
    apache_clear(module);
}

static PyModuleDef_Slot apache_slots[] = {
    {Py_mod_exec, apache_exec},
    MP_MODULE_SLOTS{0, NULL},
};

PyDoc_STRVAR(apache_doc, "Apache's records and functions. Use mod_python.apache.");

static struct PyModuleDef apache_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_apache",
    .m_doc = apache_doc,
    .m_size = sizeof(mp_state),
    .m_methods = mp_apache_functions,
    .m_slots = apache_slots,
    .m_traverse = apache_traverse,
    .m_clear = apache_clear,
    .m_free = apache_free,
};

PyMODINIT_FUNC PyInit__apache(void)
{
    return PyModuleDef_Init(&apache_module);
}
