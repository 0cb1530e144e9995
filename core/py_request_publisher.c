#include "py_request.h"

#include <string.h>

#include <http_core.h>

#include "py_activity.h"

/* What the publisher does first for each request, in one call: see publisher.py. */

/* "GET", "HEAD" and "POST", as METHODS there. */
static int is_published(const char *method)
{
    return !strcmp(method, "GET") || !strcmp(method, "POST") || !strcmp(method, "HEAD");
}

/* File name and path, with NUL between, which is in neither; new reference, or NULL with an
 * exception. */
static PyObject *page_key(const request_rec *r)
{
    const char *file = r->filename ? r->filename : "";
    const char *path = r->path_info ? r->path_info : "";
    size_t file_size = strlen(file), path_size = strlen(path);
    PyObject *key = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(file_size + 1 + path_size));

    if (key) {
        memcpy(PyBytes_AS_STRING(key), file, file_size + 1);
        memcpy(PyBytes_AS_STRING(key) + file_size + 1, path, path_size);
    }
    return key;
}

PyDoc_STRVAR(page_key_doc, "_page_key($self, /)\n--\n\n\
bytes: what the publisher keeps a page under: filename and path_info.");

static PyObject *request_page_key(PyObject *op, PyObject *unused)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? page_key(r) : NULL;
}

PyDoc_STRVAR(kept_page_doc, "_kept_page($self, pages, make_form, /)\n--\n\n\
What pages, a dict, has for this request, which make_form will make the form for then. None if\n\
it has nothing, or something about the request is not as usual: its method is none of\n\
publisher.METHODS, files are to be looked at (PythonAutoReload), or links may not be followed.");

static PyObject *request_kept_page(PyObject *op, PyObject *const *args, Py_ssize_t count)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    PyObject *key, *page;

    if (!r) {
        return NULL;
    }
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "_kept_page() takes pages and make_form");
        return NULL;
    }
    if (!is_published(r->method) || !(ap_allow_options(r) & OPT_SYM_LINKS) ||
        mp_flags_of(mp_dir_config_of_request(r)) & MP_FLAG_RELOAD) {
        Py_RETURN_NONE;
    }
    key = page_key(r);
    page = key ? Py_XNewRef(PyDict_GetItemWithError(args[0], key)) : NULL;
    Py_XDECREF(key);
    if (!page) {
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    }
    Py_XSETREF(self->make_form, Py_NewRef(args[1]));
    return page;
}

PyMethodDef mp_request_publisher[] = {
    {"_page_key", request_page_key, METH_NOARGS, page_key_doc},
    {"_kept_page", (PyCFunction)(void (*)(void))request_kept_page, METH_FASTCALL, kept_page_doc},
    {NULL},
};
