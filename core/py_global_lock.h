/* _apache._global_lock() and its like: see global_lock.h. Holds the interpreter. */
#ifndef MP_PY_GLOBAL_LOCK_H
#define MP_PY_GLOBAL_LOCK_H

#include "compat.h"

PyObject *mp_py_global_lock(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *mp_py_global_trylock(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *mp_py_global_unlock(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *mp_py_process_lock(PyObject *module, PyObject *key);
PyObject *mp_py_process_trylock(PyObject *module, PyObject *key);
PyObject *mp_py_process_unlock(PyObject *module, PyObject *key);

extern const char mp_py_global_lock_doc[];
extern const char mp_py_global_trylock_doc[];
extern const char mp_py_global_unlock_doc[];
extern const char mp_py_process_lock_doc[];
extern const char mp_py_process_trylock_doc[];
extern const char mp_py_process_unlock_doc[];

#endif
