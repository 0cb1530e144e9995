/* Handlers and filters of one request: those that run, and those that it adds. */
#include "py_request.h"

#include <apr_strings.h>

#include "filters.h"
#include "py_convert.h"
#include "py_members.h"

/* Handlers */

/* The phase that add_handler() means by a directive's name; -1 with IndexError. */
static int phase_named(const mp_request *self, const char *name)
{
    if (!strcmp(name, mp_phase_names[MP_PHASE_INIT])) {
        return self->phase == MP_PHASE_SERVER_INIT ? MP_PHASE_SERVER_INIT : MP_PHASE_INIT;
    }
    for (int phase = 0; phase < MP_PHASE_CLEANUP; phase++) {
        if (!strcmp(name, mp_phase_names[phase])) {
            return phase;
        }
    }
    PyErr_Format(PyExc_IndexError, "Invalid phase: %s%s", name,
                 !strcmp(name, mp_phase_names[MP_PHASE_CLEANUP])
                     ? " (use req.register_cleanup() for cleanups)"
                     : "");
    return -1;
}

/* Where the phase's own handlers were configured, for the default of dir; or NULL. */
static const char *directory_of_phase(request_rec *r, mp_phase phase)
{
    const mp_handler_list *list = mp_handlers_for(r, phase);
    const mp_section *section =
        list ? &APR_ARRAY_IDX(list->handlers, list->handlers->nelts - 1, mp_handler).section : NULL;

    return section && !section->is_location ? mp_section_directory(r, section) : NULL;
}

/* Under PythonInterpPerDirective the interpreter is that of the directory: notes the
 * handler for it. 0, or -1 with an exception. */
static int add_elsewhere(mp_request_context *context, mp_phase phase, PyObject *text,
                         PyObject *directory)
{
    apr_pool_t *pool = context->r->pool;
    mp_handler handler = {
        .text = mp_fs_from_object(pool, text, "handler"),
        .section = {.path = mp_fs_from_object(pool, directory, "dir")},
    };
    apr_array_header_t **added = context->added_elsewhere;

    if (!handler.text || !handler.section.path) {
        return -1;
    }
    if (!added) {
        added = context->added_elsewhere = apr_pcalloc(pool, MP_PHASE_COUNT * sizeof(*added));
    }
    if (!added[phase]) {
        added[phase] = apr_array_make(pool, 2, sizeof(mp_handler_list));
    }
    mp_handler_list *list = apr_array_push(added[phase]);
    list->handlers = apr_array_make(pool, 1, sizeof(mp_handler));
    APR_ARRAY_PUSH(list->handlers, mp_handler) = handler;
    return 0;
}

PyDoc_STRVAR(add_handler_doc, "add_handler($self, htype, handler, /, dir=None)\n--\n\n\
Add a handler to a phase of this request (manual, 4.5.3).\n\n\
htype: the directive of the phase, as \"PythonHandler\".\n\
handler: \"module[::object]\", or a callable.\n\
dir: directory to import from; by default that of the phase's own handlers, or of\n\
the running one.\n\
Raises IndexError for an unknown phase.");

static PyObject *request_add_handler(PyObject *op, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", "", "dir", NULL};
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    const char *name;
    PyObject *handler, *directory = Py_None;
    int phase;

    if (!r ||
        !PyArg_ParseTupleAndKeywords(args, keywords, "sO|O:add_handler", names, &name, &handler,
                                     &directory) ||
        (phase = phase_named(self, name)) < 0) {
        return NULL;
    }
    PyObject *result = PyObject_CallFunction(mp_interp_state(self->interp)->dispatch_add_handler,
                                             "OiOONi", op, phase, handler, directory,
                                             mp_str_from_fs(directory_of_phase(r, (mp_phase)phase)),
                                             mp_names_by_directive(mp_dir_config_of_request(r)));
    if (result && !mp_request_record(self)) {
        Py_CLEAR(result); /* it ended meanwhile */
    }
    if (!result) {
        return NULL;
    }
    if (result == Py_None) {
        self->context->added_by[phase] = self->interp;
        return result;
    }
    int failed = add_elsewhere(self->context, (mp_phase)phase, handler, result);
    Py_DECREF(result);
    return failed ? NULL : Py_NewRef(Py_None);
}

static PyObject *get_hlist(PyObject *op, void *closure)
{
    mp_request *self = (mp_request *)op;

    if (!mp_request_record(self)) {
        return NULL;
    }
    return PyObject_CallOneArg(mp_interp_state(self->interp)->dispatch_make_hlist, op);
}

PyDoc_STRVAR(get_addhandler_exts_doc, "get_addhandler_exts($self, /)\n--\n\n\
str: the extensions, without dots, that AddHandler maps to Python here, separated by\n\
spaces.");

static PyObject *request_get_addhandler_exts(PyObject *op, PyObject *unused)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? mp_str_from_fs(mp_handler_extensions(r->pool, mp_dir_config_of_request(r))) : NULL;
}

/* Filters */

static const char *key_of(apr_pool_t *pool, const char *name)
{
    char *key = apr_pstrdup(pool, name);

    ap_str_tolower(key);
    return key;
}

/* The text of a Handler, in pool; NULL with an exception. */
static const char *text_of(apr_pool_t *pool, PyObject *handler)
{
    PyObject *text = PyObject_GetAttrString(handler, "text");
    const char *copy = text ? mp_fs_from_object(pool, text, "handler") : NULL;

    Py_XDECREF(text);
    return copy;
}

/* register_input_filter(), register_output_filter(). */
static PyObject *register_filter(mp_request *self, PyObject *args, PyObject *keywords, int is_input)
{
    static char *names[] = {"", "", "dir", NULL};
    request_rec *r = mp_request_record(self);
    PyObject *name, *handler, *directory = Py_None;
    const char *written, *key;

    if (!r ||
        !PyArg_ParseTupleAndKeywords(
            args, keywords, is_input ? "OO|O:register_input_filter" : "OO|O:register_output_filter",
            names, &name, &handler, &directory) ||
        !(written = mp_latin1_from_object(r->pool, name, "name"))) {
        return NULL;
    }
    if (!*written) {
        PyErr_SetString(PyExc_ValueError, "a filter needs a name, which is empty");
        return NULL;
    }
    key = key_of(r->pool, written);
    PyObject *made = PyObject_CallFunction(mp_interp_state(self->interp)->dispatch_register_filter,
                                           "ONiOO", (PyObject *)self, mp_str_from_latin1(key),
                                           is_input, handler, directory);
    const char *text = made && mp_request_record(self) ? text_of(r->pool, made) : NULL;
    Py_XDECREF(made);
    if (!text || !mp_request_record(self)) { /* letting go of made may have run anything */
        return NULL;
    }
    mp_request_context *context = self->context;
    mp_own_filter *own = apr_pcalloc(r->pool, sizeof(*own));
    own->handler.text = text;
    own->handler.name = written;
    own->interp = self->interp;
    if (!context->own_filters[is_input]) {
        context->own_filters[is_input] = apr_hash_make(r->pool);
    }
    apr_hash_set(context->own_filters[is_input], key, APR_HASH_KEY_STRING, own);
    context->keep = 1; /* the wrapper has its Handler */
    Py_RETURN_NONE;
}

PyDoc_STRVAR(register_input_filter_doc,
             "register_input_filter($self, name, handler, /, dir=None)\n--\n\n\
Have name mean a filter for this request's body, to be activated by add_input_filter().\n\n\
handler: \"module[::object]\", or a callable; dir: directory to import from, by default\n\
that of the running handler.");

static PyObject *request_register_input_filter(PyObject *op, PyObject *args, PyObject *keywords)
{
    return register_filter((mp_request *)op, args, keywords, 1);
}

PyDoc_STRVAR(register_output_filter_doc,
             "register_output_filter($self, name, handler, /, dir=None)\n--\n\n\
Have name mean a filter for this request's response, to be activated by\n\
add_output_filter(). handler, dir: as for register_input_filter().");

static PyObject *request_register_output_filter(PyObject *op, PyObject *args, PyObject *keywords)
{
    return register_filter((mp_request *)op, args, keywords, 0);
}

/* add_input_filter(), add_output_filter(). */
static PyObject *add_filter(mp_request *self, PyObject *object, int is_input)
{
    request_rec *r = mp_request_record(self);
    const mp_own_filter *own = NULL;
    char *name;

    if (!r || !(name = mp_latin1_from_object(r->pool, object, "name"))) {
        return NULL;
    }
    if (self->context->own_filters[is_input]) {
        own = apr_hash_get(self->context->own_filters[is_input], key_of(r->pool, name),
                           APR_HASH_KEY_STRING);
    }
    if (own) {
        mp_filter_add_own(r, own, is_input);
        Py_RETURN_NONE;
    }
    ap_filter_rec_t *filter =
        is_input ? ap_get_input_filter_handle(name) : ap_get_output_filter_handle(name);
    if (!filter) {
        PyErr_Format(PyExc_ValueError,
                     "there is no %s filter named %s: register it with Python%sFilter or "
                     "req.register_%s_filter(), or load its module",
                     is_input ? "input" : "output", name, is_input ? "Input" : "Output",
                     is_input ? "input" : "output");
        return NULL;
    }
    /* They count on a state that their module makes: with the connection, or in ap_rwrite(). */
    if (filter->ftype >= AP_FTYPE_CONNECTION || !strcmp(filter->name, "old_write")) {
        PyErr_Format(PyExc_ValueError, "Apache itself adds %s: it cannot be added to a request",
                     name);
        return NULL;
    }
    if (is_input) {
        ap_add_input_filter(name, NULL, r, r->connection);
    } else {
        ap_add_output_filter(name, NULL, r, r->connection);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(add_input_filter_doc, "add_input_filter($self, name, /)\n--\n\n\
Have the request's body go through a filter: one of register_input_filter(), of\n\
PythonInputFilter, or of Apache's own. Raises ValueError for an unknown name.");

static PyObject *request_add_input_filter(PyObject *op, PyObject *name)
{
    return add_filter((mp_request *)op, name, 1);
}

PyDoc_STRVAR(add_output_filter_doc, "add_output_filter($self, name, /)\n--\n\n\
Have the response's body go through a filter: one of register_output_filter(), of\n\
PythonOutputFilter, or of Apache's own; to be called before anything is written.\n\
Raises ValueError for an unknown name.");

static PyObject *request_add_output_filter(PyObject *op, PyObject *name)
{
    return add_filter((mp_request *)op, name, 0);
}

PyMethodDef mp_request_handlers[] = {
    {"add_handler", (PyCFunction)(void (*)(void))request_add_handler, METH_VARARGS | METH_KEYWORDS,
     add_handler_doc},
    {"add_input_filter", request_add_input_filter, METH_O, add_input_filter_doc},
    {"add_output_filter", request_add_output_filter, METH_O, add_output_filter_doc},
    {"get_addhandler_exts", request_get_addhandler_exts, METH_NOARGS, get_addhandler_exts_doc},
    {"register_input_filter", (PyCFunction)(void (*)(void))request_register_input_filter,
     METH_VARARGS | METH_KEYWORDS, register_input_filter_doc},
    {"register_output_filter", (PyCFunction)(void (*)(void))request_register_output_filter,
     METH_VARARGS | METH_KEYWORDS, register_output_filter_doc},
    {NULL},
};

/* Members that are of the wrapper, and those that show the core's own state */

static PyObject *get_bytes_queued(PyObject *op, void *closure)
{
    mp_request *self = (mp_request *)op;

    return mp_request_record(self) ? PyLong_FromLongLong(self->context->out.queued) : NULL;
}

static PyObject *get_request_rec(PyObject *op, void *closure)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? PyCapsule_New(r, NULL, NULL) : NULL;
}

static PyObject *get_useragent_addr(PyObject *op, void *closure)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? mp_address_from(r->useragent_addr, r->useragent_ip) : NULL;
}

static PyObject *get_filename(PyObject *op, void *closure)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? mp_str_from_fs(r->filename) : NULL;
}

/* What Apache has found out of another file must not stay: it maps as many bytes of this one into
 * memory as finfo says, and the child ends with SIGBUS where there are less. */
static int set_filename(PyObject *op, PyObject *value, void *closure)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    mp_blocking blocking;

    if (!r || mp_member_set(closure, r, r->pool, value) != 0) {
        return -1;
    }
    if (r->finfo.filetype == APR_NOFILE) {
        return 0; /* Apache has not looked yet, or has found none */
    }
    mp_blocking_begin(&blocking, self->context->conn);
    apr_status_t rv = apr_stat(&r->finfo, r->filename, APR_FINFO_MIN, r->pool);
    mp_blocking_end(&blocking);
    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) {
        r->finfo.filetype = APR_NOFILE;
    }
    return 0;
}

PyGetSetDef mp_request_handlers_members[] = {
    {"filename", get_filename, set_filename,
     PyDoc_STR("str or None: the file the URI is mapped to."),
     (void *)&(const mp_member){"filename", MP_FS, offsetof(request_rec, filename), 0}},
    {"useragent_addr", get_useragent_addr, NULL,
     PyDoc_STR("(str, int): the client's address and port, behind trusted proxies too."), NULL},
    {"hlist", get_hlist, NULL,
     PyDoc_STR("mp_hlist: the handlers of the running phase, from the running one on."), NULL},
    {"_bytes_queued", get_bytes_queued, NULL,
     PyDoc_STR("int: bytes given to write() and sendfile()."), NULL},
    {"_request_rec", get_request_rec, NULL,
     PyDoc_STR("capsule: the request_rec, for C extensions; good while the request is."), NULL},
    {NULL},
};
