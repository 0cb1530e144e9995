#include "py_request.h"

#include <string.h>

#include <apr_strings.h>

#include "cgi_vars.h"
#include "py_activity.h"
#include "py_convert.h"
#include "py_environ.h"

/* What a WSGI application is called with, and which one is. */

#define OPTION_APPLICATION "mod_python.wsgi.application"
#define OPTION_BASE_URI "mod_python.wsgi.base_uri"

/* Configuration */

/* A PythonOption, as req.get_options() shows it. */
static const char *option(const mp_request_context *context, const char *key)
{
    const apr_table_t *source = mp_dir_config_of_request(context->r)->options;

    if (context->options && context->options_source == source) {
        source = context->options; /* an earlier handler may have changed them */
    }
    return source ? apr_table_get(source, key) : NULL;
}

PyDoc_STRVAR(application_doc, "_wsgi_application($self, /)\n--\n\n\
The value of PythonOption mod_python.wsgi.application (str or None), and whether\n\
PythonAutoReload is on.");

static PyObject *request_wsgi_application(PyObject *op, PyObject *unused)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);

    if (!r) {
        return NULL;
    }
    mp_state *state = mp_interp_state(self->interp);
    const char *text = option(self->context, OPTION_APPLICATION);
    int reload = mp_flags_of(mp_dir_config_of_request(r)) & MP_FLAG_RELOAD;
    if (!text) {
        return PyTuple_Pack(2, Py_None, reload ? Py_True : Py_False);
    }
    /* Held: making the tuple may let another request have its own kept. */
    PyObject *kept = Py_XNewRef(mp_kept_str(&state->wsgi_application, text));
    PyObject *result = kept ? PyTuple_Pack(2, kept, reload ? Py_True : Py_False) : NULL;
    Py_XDECREF(kept);
    return result;
}

PyDoc_STRVAR(known_doc, "_wsgi_known($self, found, generation, /)\n--\n\n\
The application that found, a dict of wsgi._Found by the value of the PythonOption, has for\n\
this request. None if it has none, if it is another handler's or of another generation of\n\
sys.path, or if PythonAutoReload is on: then it has to be looked for.");

static PyObject *request_wsgi_known(PyObject *op, PyObject *const *args, Py_ssize_t count)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    PyObject *kept, *known;
    const char *text;

    if (!r) {
        return NULL;
    }
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "_wsgi_known() takes found and generation");
        return NULL;
    }
    text = option(self->context, OPTION_APPLICATION);
    if (!text || mp_flags_of(mp_dir_config_of_request(r)) & MP_FLAG_RELOAD) {
        Py_RETURN_NONE;
    }
    kept = mp_kept_str(&mp_interp_state(self->interp)->wsgi_application, text);
    known = kept ? PyDict_GetItemWithError(args[0], kept) : NULL;
    if (!known) {
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    }
    if (PyTuple_GET_ITEM(known, 1) != (self->running ? self->running : Py_None) ||
        PyTuple_GET_ITEM(known, 2) != args[1]) {
        Py_RETURN_NONE;
    }
    return Py_NewRef(PyTuple_GET_ITEM(known, 0));
}

/* SCRIPT_NAME: what the application is mounted at. NULL with ValueError. */
static const char *script_name(request_rec *r, const mp_request_context *context)
{
    const char *base = option(context, OPTION_BASE_URI);
    apr_size_t length = base ? strlen(base) : 0;

    if (length) {
        if (base[length - 1] == '/') {
            PyErr_Format(PyExc_ValueError,
                         "PythonOption " OPTION_BASE_URI " must not end in '/': %s", base);
            return NULL;
        }
        return base;
    }
    const mp_handler_list *list = mp_handlers_for(r, MP_PHASE_CONTENT);
    const mp_section *section = list ? &APR_ARRAY_IDX(list->handlers, 0, mp_handler).section : NULL;
    if (!section || !section->is_location || section->is_pattern || !section->path) {
        return "";
    }
    length = strlen(section->path);
    while (length && section->path[length - 1] == '/') {
        length--;
    }
    return apr_pstrmemdup(r->pool, section->path, length);
}

/* The part of a URI's path below base; NULL if it is not below. */
static const char *path_below(const char *uri, const char *base)
{
    apr_size_t length = strlen(base);

    return !strncmp(uri, base, length) && (!uri[length] || uri[length] == '/') ? uri + length
                                                                               : NULL;
}

PyDoc_STRVAR(build_wsgi_env_doc, "build_wsgi_env($self, /)\n--\n\n\
dict or None: the environ of a WSGI application (PEP 3333), as far as the request\n\
makes it; None if req.uri is not below PythonOption mod_python.wsgi.base_uri.\n\
Raises ValueError if that ends in '/'.");

static PyObject *request_build_wsgi_env(PyObject *op, PyObject *unused)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    const char *script = r ? script_name(r, self->context) : NULL;
    const char *path = script ? path_below(r->uri, script) : NULL;
    mp_blocking blocking;

    if (!path) {
        return script ? Py_NewRef(Py_None) : NULL;
    }
    int may_block = mp_cgi_vars_may_block(r);
    if (may_block) {
        mp_blocking_begin(&blocking, self->context->conn);
    }
    mp_add_cgi_vars(r, script, path);
    if (may_block) {
        mp_blocking_end(&blocking);
    }
    return mp_environ_new(mp_interp_state(self->interp), r, op);
}

PyMethodDef mp_request_wsgi_env[] = {
    {"build_wsgi_env", request_build_wsgi_env, METH_NOARGS, build_wsgi_env_doc},
    {"_wsgi_application", request_wsgi_application, METH_NOARGS, application_doc},
    {"_wsgi_known", (PyCFunction)(void (*)(void))request_wsgi_known, METH_FASTCALL, known_doc},
    {NULL},
};
