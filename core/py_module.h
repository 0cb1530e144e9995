/* The _apache extension module: its per-interpreter state. */
#ifndef MP_PY_MODULE_H
#define MP_PY_MODULE_H

#include "compat.h"

/* Slots of the table of environ's names: indexes fit into unsigned char. */
#define MP_ENVIRON_SLOTS 256

/* The name that a request's variable of some index has most likely, and its slot. */
#define MP_ENVIRON_GUESSES 64
typedef struct {
    const char *name; /* of the str in environ_names, or NULL */
    Py_ssize_t slot;
} mp_environ_guess;

/* One per interpreter. Traverse and clear in py_module.c keep this order. */
typedef struct {
    /* Types, one file each: py_request.c, py_connection.c ... */
    PyTypeObject *request_type;
    PyTypeObject *connection_type;
    PyTypeObject *server_type;
    PyTypeObject *filter_type;
    PyTypeObject *finfo_type;
    PyTypeObject *table_type;
    PyTypeObject *table_iterator_type;
    /* server_rec address (int) -> its wrapper, kept for the child's life. */
    PyObject *servers;
    /* Callables of mod_python._dispatch, set by py_dispatch.c. */
    PyObject *dispatch_run;
    PyObject *dispatch_conclude;
    PyObject *dispatch_make_handler;
    PyObject *dispatch_add_handler;
    PyObject *dispatch_register_filter;
    PyObject *dispatch_make_hlist;
    PyObject *dispatch_run_cleanups;
    PyObject *dispatch_run_filter;
    PyObject *dispatch_run_connection;
    PyObject *dispatch_register_server_cleanup;
    PyObject *dispatch_import;
    PyObject *dispatch_shutdown;
    PyObject *dispatch_report_timeout;
    PyObject *dispatch_describe_stack;
    PyObject *request_timeout; /* the exception */
    PyObject *delicate_files;  /* where it is not raised: a dict */
    /* Its dict, where "_path" is the PythonPath that sys.path is of. */
    PyObject *dispatch_names;
    /* Interned: "_path", and "direct" of a Handler. */
    PyObject *name_path;
    PyObject *name_direct;
    PyObject *name_write;
    /* py_environ.c: names of CGI variables, and what every WSGI environ has. */
    PyObject *environ_names;
    PyObject *environ_values;
    PyObject *environ_base;
    int environ_kept; /* the values of the last request that environ_base has */
    mp_environ_guess environ_guesses[MP_ENVIRON_GUESSES]; /* by the last request's variables */
    const char *environ_texts[MP_ENVIRON_SLOTS]; /* of the str in environ_values, or NULL */
    char environ_blank[MP_ENVIRON_SLOTS];        /* environ_base has "" for it, always */
    PyObject *sys_dict;
    /* Interned: "stderr", "wsgi.input", "wsgi.errors". */
    PyObject *stderr_name;
    PyObject *input_name;
    PyObject *errors_name;
    /* The PythonOption of the last application that ran (str), or NULL. */
    PyObject *wsgi_application;
    /* The name of the interpreter (str). */
    PyObject *interpreter_name;
    /* The PythonPath that was last in effect (str), or NULL. */
    PyObject *python_path;
    /* Names of the phases (str), in the order of enum mp_phase. */
    PyObject *phase_names;
} mp_state;

/* Holds the interpreter. */
PyMODINIT_FUNC PyInit__apache(void);

/* Holds the interpreter. The state of the _apache module given; never NULL. */
mp_state *mp_state_of_module(PyObject *module);

/* Holds the interpreter. The state behind one of the module's own types (a
 * subclass defined in Python will do); never NULL. */
mp_state *mp_state_of_type(PyTypeObject *type);

/* Holds the interpreter. Makes a heap type from spec, named without a module,
 * as the API has it (str(type(req)) is "<class 'mp_request'>").
 * spec->name is "_apache.NAME"; the module gets it as NAME. Returns a new reference, NULL with an
 * exception. */
PyTypeObject *mp_type_create(PyObject *module, PyType_Spec *spec);

/* Holds the interpreter. Takes "_apache." off a type's name. 0, or -1 with an exception. */
int mp_type_name_plainly(PyTypeObject *type);

/* Holds the interpreter. Lets nobody change a type any more: the core relies on its
 * methods. */
void mp_type_seal(PyTypeObject *type);

/* Holds the interpreter. Adds a further table of methods, or members, to a type just
 * made, for types that are more than one file. 0, or -1 with an exception. */
int mp_type_add_methods(PyTypeObject *type, PyMethodDef *methods);
int mp_type_add_members(PyTypeObject *type, PyGetSetDef *members);

#endif
