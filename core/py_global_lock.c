#include "py_global_lock.h"

#include <errno.h>

#include <apr_hash.h>

#include "global_lock.h"
#include "py_errors.h"
#include "py_interp.h"
#include "py_server.h"

static size_t hash_of_text(const char *text, apr_ssize_t length)
{
    return apr_hashfunc_default(text, &length);
}

/* The same in every process, which hash() would not be for text. -1 with an exception. */
static int hash_of_key(PyObject *key, size_t *hash)
{
    PyObject *bytes = NULL;
    Py_ssize_t size;

    if (PyLong_Check(key)) {
        Py_hash_t own = PyObject_Hash(key); /* a program's own kind of int may have its own */
        *hash = (size_t)own;
        return own == -1 ? -1 : 0;
    }
    if (PyUnicode_Check(key)) {
        const char *utf8 = PyUnicode_AsUTF8AndSize(key, &size);
        if (utf8) {
            *hash = hash_of_text(utf8, size);
            return 0;
        }
        PyErr_Clear(); /* it has surrogates */
        bytes = PyUnicode_AsEncodedString(key, "utf-8", "surrogatepass");
    } else if (PyBytes_Check(key)) {
        bytes = Py_NewRef(key);
    } else {
        PyErr_Format(PyExc_TypeError, "a global lock's key is str, bytes or int, not %.200s",
                     Py_TYPE(key)->tp_name);
    }
    if (!bytes) {
        return -1;
    }
    *hash = hash_of_text(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return 0;
}

/* The lock that (server, key[, index]) means, or -1 with an exception. */
static int index_from_args(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                           const char *name)
{
    size_t hash;
    long index = -1;

    if (nargs != 2 && nargs != 3) {
        PyErr_Format(PyExc_TypeError, "%s() takes 2 or 3 arguments, not %zd", name, nargs);
        return -1;
    }
    if (nargs == 3 && (index = PyLong_AsLong(args[2])) == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (!mp_server_record(mp_state_of_module(module), args[0])) {
        return -1;
    }
    if (!mp_global_lock_count()) {
        mp_raise_os_error(ENOLCK,
                          "the files of the global locks could not be opened: see KK0181 "
                          "in the error log",
                          0);
        return -1;
    }
    if (index < -1 || index >= mp_global_lock_count()) {
        PyErr_Format(PyExc_ValueError,
                     "there is no global lock %ld: the last is %d (PythonOption %s says how many)",
                     index, mp_global_lock_count() - 1, MP_OPTION_MUTEX_LOCKS);
        return -1;
    }
    if (index >= 0) {
        return (int)index;
    }
    if (hash_of_key(args[1], &hash) < 0) {
        return -1;
    }
    return 1 + (int)(hash % (size_t)(mp_global_lock_count() - 1));
}

/* The lock of this process that a key means, or -1 with an exception. */
static int index_in_process(PyObject *key)
{
    size_t hash;

    if (hash_of_key(key, &hash) < 0) {
        return -1;
    }
    return mp_process_lock_first() + (int)(hash % (size_t)mp_process_lock_count());
}

/* What follows takes an index, or -1 with an exception. */

static PyObject *take(int index)
{
    const void *holder;
    apr_status_t rv;

    if (index < 0) {
        return NULL;
    }
    holder = mp_global_lock_holder(mp_interp_current_request());
    rv = mp_global_lock_acquire(index, holder, 0);
    if (APR_STATUS_IS_EBUSY(rv)) {
        mp_released released;
        mp_interp_release(&released);
        rv = mp_global_lock_acquire(index, holder, 1);
        mp_interp_reacquire(&released);
    }
    if (rv != APR_SUCCESS) {
        return mp_raise_os_error(rv, "a global lock cannot be taken", 0);
    }
    Py_RETURN_NONE;
}

static PyObject *try_to_take(int index)
{
    apr_status_t rv;

    if (index < 0) {
        return NULL;
    }
    rv = mp_global_lock_acquire(index, mp_global_lock_holder(mp_interp_current_request()), 0);
    if (rv != APR_SUCCESS && !APR_STATUS_IS_EBUSY(rv)) {
        return mp_raise_os_error(rv, "a global lock cannot be taken", 0);
    }
    return PyBool_FromLong(rv == APR_SUCCESS);
}

static PyObject *give_back(int index)
{
    apr_status_t rv;

    if (index < 0) {
        return NULL;
    }
    rv = mp_global_lock_release(index, mp_global_lock_holder(mp_interp_current_request()));
    if (rv == APR_EINVAL) {
        PyErr_SetString(PyExc_RuntimeError, "this lock is not held here");
        return NULL;
    }
    if (rv != APR_SUCCESS) {
        return mp_raise_os_error(rv, "a global lock cannot be released", 0);
    }
    Py_RETURN_NONE;
}

const char mp_py_global_lock_doc[] = PyDoc_STR("_global_lock(server, key, index=-1, /)\n--\n\n\
Take a lock that excludes all other requests, threads and processes of the server, or wait\n\
until it is free.\n\n\
server: any mp_server.\n\
key: str, bytes or int, which chooses one of the locks from 1 up.\n\
index: the lock itself, whatever the key; 0 is kept for such use.\n\n\
Who has it already takes it once more. What a request still has at its end is released.\n\
Raises ValueError for an index out of range, OSError if locking fails.");

PyObject *mp_py_global_lock(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return take(index_from_args(module, args, nargs, "_global_lock"));
}

const char mp_py_global_trylock_doc[] = PyDoc_STR("_global_trylock(server, key, index=-1, /)\n\
--\n\n\
The same without waiting: True if it was taken, False if it is another's.");

PyObject *mp_py_global_trylock(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return try_to_take(index_from_args(module, args, nargs, "_global_trylock"));
}

const char mp_py_global_unlock_doc[] = PyDoc_STR("_global_unlock(server, key, index=-1, /)\n\
--\n\n\
Undo one _global_lock(), or _global_trylock() that was True. Raises RuntimeError if this\n\
request, or thread outside requests, does not have the lock.");

PyObject *mp_py_global_unlock(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return give_back(index_from_args(module, args, nargs, "_global_unlock"));
}

const char mp_py_process_lock_doc[] = PyDoc_STR("_process_lock(key, /)\n--\n\n\
_global_lock() for this process alone, in less time: other processes are not excluded.");

PyObject *mp_py_process_lock(PyObject *module, PyObject *key)
{
    return take(index_in_process(key));
}

const char mp_py_process_trylock_doc[] = PyDoc_STR("_process_trylock(key, /)\n--\n\n\
_global_trylock() for this process alone.");

PyObject *mp_py_process_trylock(PyObject *module, PyObject *key)
{
    return try_to_take(index_in_process(key));
}

const char mp_py_process_unlock_doc[] = PyDoc_STR("_process_unlock(key, /)\n--\n\n\
_global_unlock() for this process alone.");

PyObject *mp_py_process_unlock(PyObject *module, PyObject *key)
{
    return give_back(index_in_process(key));
}
