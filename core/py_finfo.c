#include "py_finfo.h"

#include <structseq.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "py_convert.h"

/* In the order of apache.FINFO_*; "valid" is an attribute only. */
static PyStructSequence_Field finfo_fields[] = {
    {"protection", "permission bits, as apr_fileperms_t has them"},
    {"inode", "inode number"},
    {"device", "device number"},
    {"nlink", "number of links"},
    {"user", "user id of the owner"},
    {"group", "group id"},
    {"size", "bytes"},
    {"atime", "last access, seconds since the epoch"},
    {"mtime", "last modification, seconds since the epoch"},
    {"ctime", "last change of the inode, seconds since the epoch"},
    {"fname", "path"},
    {"name", "the file's name in its directory"},
    {"filetype", "apache.APR_REG, APR_DIR ..., APR_NOFILE if there is none"},
    {"valid", "bits of apache.APR_FINFO_*: what is known"},
    {NULL, NULL},
};

static PyStructSequence_Desc finfo_desc = {
    .name = "_apache.mp_finfo",
    .doc = "What stat() says of a file; None where unknown.",
    .fields = finfo_fields,
    .n_in_sequence = 13,
};

/* One field. */
static void set(PyObject *sequence, Py_ssize_t index, int known, PyObject *value)
{
    if (!known) {
        Py_XDECREF(value);
        value = Py_NewRef(Py_None);
    }
    PyStructSequence_SetItem(sequence, index, value);
}

PyObject *mp_finfo_new(mp_state *state, const apr_finfo_t *source, const char *fname)
{
    int collects = mp_gc_pause(); /* source is of a request that could end */
    PyObject *self = PyStructSequence_New(state->finfo_type);
    /* Apache leaves in a request's what was on its stack: nothing else of it may be looked at
     * where there is no file, and no name that is not valid. */
    const apr_finfo_t no_file = {.filetype = APR_NOFILE, .fname = fname};
    const apr_finfo_t *finfo = source->filetype == APR_NOFILE ? &no_file : source;
    apr_int32_t valid = finfo->valid;

    mp_gc_resume(collects);
    if (!self) {
        return NULL;
    }
    set(self, 0, valid & APR_FINFO_PROT, PyLong_FromLong(finfo->protection));
    set(self, 1, valid & APR_FINFO_INODE, PyLong_FromUnsignedLongLong(finfo->inode));
    set(self, 2, valid & APR_FINFO_DEV, PyLong_FromUnsignedLongLong(finfo->device));
    set(self, 3, valid & APR_FINFO_NLINK, PyLong_FromLong(finfo->nlink));
    set(self, 4, valid & APR_FINFO_USER, PyLong_FromUnsignedLong(finfo->user));
    set(self, 5, valid & APR_FINFO_GROUP, PyLong_FromUnsignedLong(finfo->group));
    set(self, 6, valid & APR_FINFO_SIZE, PyLong_FromLongLong(finfo->size));
    set(self, 7, valid & APR_FINFO_ATIME, PyLong_FromLongLong(apr_time_sec(finfo->atime)));
    set(self, 8, valid & APR_FINFO_MTIME, PyLong_FromLongLong(apr_time_sec(finfo->mtime)));
    set(self, 9, valid & APR_FINFO_CTIME, PyLong_FromLongLong(apr_time_sec(finfo->ctime)));
    set(self, 10, 1, mp_str_from_fs(finfo->fname));
    set(self, 11, valid & APR_FINFO_NAME,
        mp_str_from_fs(valid & APR_FINFO_NAME ? finfo->name : NULL));
    set(self, 12, 1, PyLong_FromLong(finfo->filetype));
    set(self, 13, 1, PyLong_FromLong(finfo->valid));
    if (PyErr_Occurred()) {
        Py_CLEAR(self);
    }
    return self;
}

/* The int at index, 0 for None or with an exception. Runs no Python code. */
static long long number(PyObject *self, Py_ssize_t index)
{
    PyObject *item = PyStructSequence_GetItem(self, index);

    if (item == Py_None || PyErr_Occurred()) {
        return 0;
    }
    if (!PyLong_Check(item)) {
        PyErr_Format(PyExc_TypeError, "an mp_finfo holds int or None, not %.200s",
                     Py_TYPE(item)->tp_name);
        return 0;
    }
    return PyLong_AsLongLong(item);
}

/* The time at index, from seconds. */
static apr_time_t time_of(PyObject *self, Py_ssize_t index)
{
    long long seconds = number(self, index);

    if (seconds > APR_INT64_MAX / APR_USEC_PER_SEC || seconds < APR_INT64_MIN / APR_USEC_PER_SEC) {
        PyErr_SetString(PyExc_OverflowError, "a time of an mp_finfo is out of range");
        return 0;
    }
    return apr_time_from_sec(seconds);
}

int mp_finfo_store(mp_state *state, PyObject *object, apr_finfo_t *finfo, apr_pool_t *pool)
{
    apr_finfo_t filled = {0};
    PyObject *fname, *name;

    if (!object || !Py_IS_TYPE(object, state->finfo_type)) {
        PyErr_SetString(PyExc_TypeError,
                        "finfo must be another request's finfo, or what apache.stat() returned");
        return -1;
    }
    filled.pool = pool;
    filled.protection = (apr_fileperms_t)number(object, 0);
    filled.inode = (apr_ino_t)number(object, 1);
    filled.device = (apr_dev_t)number(object, 2);
    filled.nlink = (apr_int32_t)number(object, 3);
    filled.user = (apr_uid_t)number(object, 4);
    filled.group = (apr_gid_t)number(object, 5);
    filled.size = (apr_off_t)number(object, 6);
    filled.atime = time_of(object, 7);
    filled.mtime = time_of(object, 8);
    filled.ctime = time_of(object, 9);
    filled.filetype = (apr_filetype_e)number(object, 12);
    filled.valid = (apr_int32_t)number(object, 13);
    fname = PyStructSequence_GetItem(object, 10);
    name = PyStructSequence_GetItem(object, 11);
    filled.fname = fname == Py_None ? NULL : mp_fs_from_object(pool, fname, "fname");
    filled.name = name == Py_None ? NULL : mp_fs_from_object(pool, name, "name");
    if (PyErr_Occurred()) {
        return -1;
    }
    *finfo = filled;
    return 0;
}

int mp_finfo_setup(PyObject *module, mp_state *state)
{
    state->finfo_type = PyStructSequence_NewType(&finfo_desc);
    return state->finfo_type ? mp_type_name_plainly(state->finfo_type) : -1;
}
