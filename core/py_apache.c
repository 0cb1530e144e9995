#include "py_apache.h"

#include <errno.h>
#include <limits.h>

#include <ap_mpm.h>
#include <apr_md5.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>

#include "py_convert.h"
#include "py_dispatch.h"
#include "py_global_lock.h"
#include "py_finfo.h"
#include "py_interp.h"
#include "py_log.h"
#include "py_module.h"
#include "py_request.h"
#include "py_server.h"

PyDoc_STRVAR(log_error_doc, "log_error(message, level=APLOG_ERR, server=None)\n--\n\n\
Write message to the error log (manual, 4.5.1).\n\n\
level: one of apache.APLOG_*.\n\
server: whose error log and LogLevel; None: the default log, past LogLevel.");

static PyObject *log_error(PyObject *module, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"message", "level", "server", NULL};
    PyObject *message, *server = Py_None;
    server_rec *s = NULL;
    int level = APLOG_ERR;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|iO:log_error", names, &message, &level,
                                     &server)) {
        return NULL;
    }
    if (server != Py_None && !(s = mp_server_record(mp_state_of_module(module), server))) {
        return NULL;
    }
    return mp_log_object(message, level, NULL, s);
}

PyDoc_STRVAR(log_doc, "_log(message, level, /)\n--\n\n\
Write message to the error log of the request that the calling thread works for,\n\
or else of the main server.");

static PyObject *log_current(PyObject *module, PyObject *args)
{
    PyObject *message;
    int level;

    if (!PyArg_ParseTuple(args, "Oi:_log", &message, &level)) {
        return NULL;
    }
    return mp_log_object(message, level, mp_interp_current_request(), ap_server_conf);
}

PyDoc_STRVAR(current_request_doc, "_current_request()\n--\n\n\
The request that the calling thread works for, or None: it works for none, or for one\n\
that is over.");

static PyObject *current_request(PyObject *module, PyObject *unused)
{
    mp_interp *interp = mp_interp_current();
    request_rec *r = (request_rec *)mp_interp_current_request();
    mp_request_context *context = interp && r ? mp_request_context_of(r) : NULL;
    const mp_wrapper_slot *slot;

    if (!context || context->over) {
        Py_RETURN_NONE;
    }
    for (slot = context->wrappers; slot && slot->interp != interp; slot = slot->next)
        ;
    if (!slot || !slot->wrapper) {
        mp_dispatch_cleanup_later(r); /* a filter's, perhaps, with no handler of its own */
    }
    return mp_request_of(interp, r);
}

/* [(directive, args), (directive, args, [...]) ...] */
static PyObject *tree(const ap_directive_t *first)
{
    PyObject *list = PyList_New(0);

    for (const ap_directive_t *d = first; list && d; d = d->next) {
        PyObject *item;
        if (d->first_child) {
            PyObject *children = tree(d->first_child);
            item = children ? Py_BuildValue("(NNN)", mp_str_from_fs(d->directive),
                                            mp_str_from_fs(d->args), children)
                            : NULL;
        } else {
            item = Py_BuildValue("(NN)", mp_str_from_fs(d->directive), mp_str_from_fs(d->args));
        }
        if (!item || PyList_Append(list, item) != 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(item);
    }
    return list;
}

PyDoc_STRVAR(config_tree_doc, "config_tree()\n--\n\n\
A copy of the server's configuration, without .htaccess files: a list of\n\
(directive, arguments), and of (directive, arguments, list) for sections\n\
(manual, 4.5.1).");

static PyObject *config_tree(PyObject *module, PyObject *unused)
{
    return tree(ap_conftree);
}

PyDoc_STRVAR(server_root_doc, "server_root()\n--\n\nstr: the value of ServerRoot.");

static PyObject *server_root(PyObject *module, PyObject *unused)
{
    return mp_str_from_fs(ap_server_root);
}

PyDoc_STRVAR(main_server_doc, "_main_server()\n--\n\nmp_server: the main server.");

static PyObject *main_server(PyObject *module, PyObject *unused)
{
    return mp_server_of(mp_state_of_module(module), ap_server_conf);
}

PyDoc_STRVAR(is_only_interpreter_doc, "_is_only_interpreter()\n--\n\n\
bool: whether the main interpreter is the only one of this process.");

static PyObject *is_only_interpreter(PyObject *module, PyObject *unused)
{
    return PyBool_FromLong(mp_interp_is_only());
}

PyDoc_STRVAR(exists_config_define_doc, "exists_config_define(name, /)\n--\n\n\
bool: whether httpd was started with -Dname.");

static PyObject *exists_config_define(PyObject *module, PyObject *name)
{
    const char *utf8 = PyUnicode_AsUTF8(name);

    return utf8 ? PyBool_FromLong(ap_exists_config_define(utf8)) : NULL;
}

PyDoc_STRVAR(mpm_query_doc, "mpm_query(code, /)\n--\n\n\
int: what the MPM answers to one of apache.AP_MPMQ_*. Raises ValueError if it knows\n\
no such question.");

static PyObject *mpm_query(PyObject *module, PyObject *code)
{
    int answer = 0;
    long question = PyLong_AsLong(code);

    if (question == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (question < 0 || question > INT_MAX || ap_mpm_query((int)question, &answer) != APR_SUCCESS) {
        PyErr_Format(PyExc_ValueError, "the MPM knows no question %ld: use apache.AP_MPMQ_*",
                     question);
        return NULL;
    }
    return PyLong_FromLong(answer);
}

PyDoc_STRVAR(password_validate_doc, "_password_validate(password, hash, /)\n--\n\n\
bool: whether hash, as htpasswd writes it, is of password; both bytes without NUL, else\n\
ValueError (APR, apr_password_validate).");

static PyObject *password_validate(PyObject *module, PyObject *args)
{
    const char *password, *hash;

    if (!PyArg_ParseTuple(args, "yy:_password_validate", &password, &hash)) {
        return NULL;
    }
    /* Slow on purpose, so let others go on; args keeps both alive. */
    mp_released released;
    mp_interp_release(&released);
    apr_status_t status = apr_password_validate(password, hash);
    mp_interp_reacquire(&released);
    return PyBool_FromLong(status == APR_SUCCESS);
}

PyDoc_STRVAR(stat_doc, "stat(fname, wanted, /)\n--\n\n\
mp_finfo of a file.\n\n\
wanted: apache.APR_FINFO_*, combined by '|'; with APR_FINFO_LINK of a symbolic link itself.\n\
Where there is no such file, filetype is APR_NOFILE. Raises OSError for other failures.");

static PyObject *stat_file(PyObject *module, PyObject *args)
{
    PyObject *object, *path, *result = NULL;
    apr_finfo_t finfo = {0};
    mp_released released;
    apr_pool_t *pool;
    int wanted;
    char *name;

    if (!PyArg_ParseTuple(args, "Oi:stat", &object, &wanted) || !(path = PyOS_FSPath(object))) {
        return NULL;
    }
    if (apr_pool_create_unmanaged(&pool) != APR_SUCCESS) {
        Py_DECREF(path);
        return PyErr_NoMemory();
    }
    if ((name = mp_fs_from_object(pool, path, "fname"))) {
        mp_interp_release(&released);
        apr_status_t rv = apr_stat(&finfo, name, wanted, pool);
        mp_interp_reacquire(&released);
        if (APR_STATUS_IS_ENOENT(rv) || APR_STATUS_IS_ENOTDIR(rv)) {
            finfo.filetype = APR_NOFILE;
            rv = APR_SUCCESS;
        }
        if (rv == APR_SUCCESS || rv == APR_INCOMPLETE) {
            result = mp_finfo_new(mp_state_of_module(module), &finfo, name);
        } else {
            errno = rv;
            PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
        }
    }
    apr_pool_destroy(pool);
    Py_DECREF(path);
    return result;
}

PyDoc_STRVAR(stamp_doc, "_stamp(path, /)\n--\n\n\
What tells one version of a file from another: a tuple of the nanoseconds of its last change,\n\
bytes, and inode number. None if it cannot be looked at.");

static PyObject *stamp(PyObject *module, PyObject *path)
{
    PyObject *name;
    mp_released released;
    struct stat status;
    int result;

    if (!PyUnicode_FSConverter(path, &name)) {
        return NULL;
    }
    mp_interp_release(&released);
    result = stat(PyBytes_AS_STRING(name), &status);
    mp_interp_reacquire(&released);
    Py_DECREF(name);
    if (result != 0) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(LLK)",
                         (long long)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec,
                         (long long)status.st_size, (unsigned long long)status.st_ino);
}

PyMethodDef mp_apache_functions[] = {
    {"log_error", (PyCFunction)(void (*)(void))log_error, METH_VARARGS | METH_KEYWORDS,
     log_error_doc},
    {"_log", log_current, METH_VARARGS, log_doc},
    {"_current_request", current_request, METH_NOARGS, current_request_doc},
    {"config_tree", config_tree, METH_NOARGS, config_tree_doc},
    {"server_root", server_root, METH_NOARGS, server_root_doc},
    {"_main_server", main_server, METH_NOARGS, main_server_doc},
    {"_is_only_interpreter", is_only_interpreter, METH_NOARGS, is_only_interpreter_doc},
    {"exists_config_define", exists_config_define, METH_O, exists_config_define_doc},
    {"mpm_query", mpm_query, METH_O, mpm_query_doc},
    {"_password_validate", password_validate, METH_VARARGS, password_validate_doc},
    {"_global_lock", (PyCFunction)(void (*)(void))mp_py_global_lock, METH_FASTCALL,
     mp_py_global_lock_doc},
    {"_global_trylock", (PyCFunction)(void (*)(void))mp_py_global_trylock, METH_FASTCALL,
     mp_py_global_trylock_doc},
    {"_global_unlock", (PyCFunction)(void (*)(void))mp_py_global_unlock, METH_FASTCALL,
     mp_py_global_unlock_doc},
    {"_process_lock", mp_py_process_lock, METH_O, mp_py_process_lock_doc},
    {"_process_trylock", mp_py_process_trylock, METH_O, mp_py_process_trylock_doc},
    {"_process_unlock", mp_py_process_unlock, METH_O, mp_py_process_unlock_doc},
    {"stat", stat_file, METH_VARARGS, stat_doc},
    {"_stamp", stamp, METH_O, stamp_doc},
    {NULL},
};
