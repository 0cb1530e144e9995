#include "py_request.h"

#include <http_core.h>
#include <http_protocol.h>
#include <apr_strings.h>

#include "py_activity.h"
#include "py_connection.h"
#include "py_dispatch.h"
#include "py_convert.h"
#include "py_finfo.h"
#include "py_members.h"
#include "py_server.h"
#include "py_table.h"

/* Use */

int mp_is_used_elsewhere(mp_conn_context *conn)
{
    return atomic_load_explicit(&conn->blocked, memory_order_relaxed) > 0 &&
           atomic_load_explicit(&conn->thread, memory_order_relaxed) != mp_thread_token();
}

int mp_check_usable(mp_conn_context *conn, const mp_interp *interp, const char *what)
{
    if (atomic_load_explicit(&conn->active, memory_order_relaxed) != interp) {
        PyErr_Format(PyExc_ReferenceError,
                     "this %s cannot be used now: no handler of it is running in this "
                     "interpreter; use it within a handler only",
                     what);
        return -1;
    }
    if (mp_is_used_elsewhere(conn)) {
        PyErr_Format(PyExc_RuntimeError,
                     "this %s is in use: another thread is reading from it or writing to it; "
                     "use it from one thread at a time",
                     what);
        return -1;
    }
    return 0;
}

request_rec *mp_request_record(mp_request *self)
{
    if (!self->r) {
        PyErr_SetString(PyExc_ReferenceError,
                        "this request is over: its record is gone; copy what you need from it "
                        "before the handler returns");
        return NULL;
    }
    return mp_check_usable(self->context->conn, self->interp, "request") == 0 ? self->r : NULL;
}

/* Life cycle */

PyObject *mp_request_of(mp_interp *interp, request_rec *r)
{
    if (!r) {
        Py_RETURN_NONE;
    }
    mp_request_context *context = mp_request_context_of(r);
    if (context->over) {
        PyErr_SetString(PyExc_ReferenceError, "this request is over: its record is gone");
        return NULL;
    }
    mp_wrapper_slot *slot = mp_wrapper_slot_of(context, interp);

    if (!slot->wrapper) {
        PyTypeObject *type = mp_interp_state(interp)->request_type;
        mp_request *self = (mp_request *)type->tp_alloc(type, 0);
        if (!self || slot->wrapper) {
            /* The garbage collection that it set off may have made one. */
            Py_XDECREF((PyObject *)self);
            return Py_XNewRef(self ? slot->wrapper : NULL);
        }
        self->r = r;
        self->context = context;
        self->interp = interp;
        self->phase = MP_PHASE_COUNT;
        slot->wrapper = self;
    }
    return Py_NewRef(slot->wrapper);
}

void mp_request_cut(mp_request *self)
{
    if (self->r) {
        self->server = self->r->server;
    }
    self->r = NULL;
    self->context = NULL;
    if (self->connection) {
        mp_connection_cut(self->connection);
    }
    Py_CLEAR(self->connection);
    Py_CLEAR(self->cleanups);
    Py_CLEAR(self->added);
    Py_CLEAR(self->handlers);
    Py_CLEAR(self->running);
    Py_CLEAR(self->modules);
    Py_CLEAR(self->make_form);
    Py_CLEAR(self->filters);
}

static int request_traverse(PyObject *op, visitproc visit, void *arg)
{
    mp_request *self = (mp_request *)op;

    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->dict);
    Py_VISIT(self->connection);
    Py_VISIT(self->cleanups);
    Py_VISIT(self->added);
    Py_VISIT(self->handlers);
    Py_VISIT(self->running);
    Py_VISIT(self->form);
    Py_VISIT(self->modules);
    Py_VISIT(self->make_form);
    Py_VISIT(self->filters);
    return 0;
}

static int request_clear(PyObject *op)
{
    mp_request *self = (mp_request *)op;

    Py_CLEAR(self->dict);
    Py_CLEAR(self->connection);
    Py_CLEAR(self->cleanups);
    Py_CLEAR(self->added);
    Py_CLEAR(self->handlers);
    Py_CLEAR(self->running);
    Py_CLEAR(self->form);
    Py_CLEAR(self->modules);
    Py_CLEAR(self->make_form);
    Py_CLEAR(self->filters);
    return 0;
}

static void request_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);

    PyObject_GC_UnTrack(op);
    mp_request_cut((mp_request *)op);
    request_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *request_repr(PyObject *op)
{
    mp_request *self = (mp_request *)op;

    if (!self->r || mp_request_record(self) == NULL) {
        PyErr_Clear();
        return PyUnicode_FromFormat("<mp_request at %p, over>", op);
    }
    PyObject *line = mp_str_from_fs(self->r->the_request);
    if (!line) {
        return NULL;
    }
    PyObject *repr = PyUnicode_FromFormat("<mp_request at %p: %S>", op, line);
    Py_DECREF(line);
    return repr;
}

/* Plain members */

static PyObject *get_member(PyObject *op, void *closure)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? mp_member_get(closure, r) : NULL;
}

static int set_member(PyObject *op, PyObject *value, void *closure)
{
    const mp_member *member = closure;
    request_rec *r;

    if (member->kind == MP_BOOL && value) {
        /* First: bool() may run anything, and the request end meanwhile. */
        int truth = PyObject_IsTrue(value);
        if (truth < 0) {
            return -1;
        }
        value = truth ? Py_True : Py_False;
    }
    r = mp_request_record((mp_request *)op);
    return r ? mp_member_set(member, r, r->pool, value) : -1;
}

/* Members with a meaning of their own */

static PyObject *get_connection(PyObject *op, void *closure)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);

    if (!r) {
        return NULL;
    }
    if (!self->connection) {
        self->connection = mp_connection_new(self->interp, r->connection, self);
    }
    return Py_XNewRef(self->connection);
}

/* Lives longer than requests: whoever keeps one, to log by it later, may go on doing so, in
 * threads of its own, too. */
static PyObject *get_server(PyObject *op, void *closure)
{
    mp_request *self = (mp_request *)op;
    server_rec *server = self->r ? self->r->server : self->server;

    return mp_server_of(mp_interp_state(self->interp), server);
}

/* main, prev, next: closure is the offset of the pointer. */
static PyObject *get_other(PyObject *op, void *closure)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    request_rec *other = r ? *(request_rec **)((char *)r + (size_t)closure) : NULL;

    if (other) {
        mp_dispatch_cleanup_later(other); /* it may have no handler of its own */
    }
    return r ? mp_request_of(self->interp, other) : NULL;
}

static apr_table_t *locate_table(PyObject *owner, void *key)
{
    request_rec *r = mp_request_record((mp_request *)owner);

    return r ? *(apr_table_t **)((char *)r + (size_t)key) : NULL;
}

static PyObject *get_table(PyObject *op, void *closure)
{
    mp_request *self = (mp_request *)op;

    return mp_request_record(self)
               ? mp_table_view(mp_interp_state(self->interp), op, locate_table, closure)
               : NULL;
}

static PyObject *get_phase(PyObject *op, void *closure)
{
    mp_request *self = (mp_request *)op;
    PyObject *names = mp_interp_state(self->interp)->phase_names;
    int is_known = self->phase != MP_PHASE_COUNT;

    return Py_NewRef(is_known ? PyTuple_GET_ITEM(names, (Py_ssize_t)self->phase) : Py_None);
}

static PyObject *get_interpreter(PyObject *op, void *closure)
{
    return Py_NewRef(mp_interp_state(((mp_request *)op)->interp)->interpreter_name);
}

static PyObject *get_interpreter_index(PyObject *op, void *closure)
{
    return PyLong_FromLong(mp_interp_member(((mp_request *)op)->interp));
}

static int set_status(PyObject *op, PyObject *value, void *closure)
{
    request_rec *r = mp_request_record((mp_request *)op);
    long number;

    if (!r || mp_int_from_object(value, "status", 100, 999, &number) != 0) {
        return -1;
    }
    mp_name_status(r, (int)number);
    r->status = (int)number;
    return 0;
}

static int set_content_type(PyObject *op, PyObject *value, void *closure)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);
    const char *text = NULL;

    if (!r) {
        return -1;
    }
    if (!value) {
        PyErr_SetString(PyExc_AttributeError, "content_type cannot be deleted; set it to None");
        return -1;
    }
    if (value != Py_None) {
        text = mp_latin1_from_object(r->pool, value, "content_type");
        if (!text) {
            return -1;
        }
    }
    ap_set_content_type(r, text);
    self->context->content_type_set = 1;
    return 0;
}

static PyObject *get_content_type_set(PyObject *op, void *closure)
{
    mp_request *self = (mp_request *)op;

    return mp_request_record(self) ? PyBool_FromLong(self->context->content_type_set) : NULL;
}

static int set_allowed(PyObject *op, PyObject *value, void *closure)
{
    request_rec *r = mp_request_record((mp_request *)op);

    if (!r) {
        return -1;
    }
    if (!value || !PyLong_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "allowed must be an int, as apache.allow_methods() gives");
        return -1;
    }
    apr_int64_t mask = PyLong_AsLongLong(value);
    if (mask == -1 && PyErr_Occurred()) {
        return -1;
    }
    r->allowed = mask;
    r->allowed_methods->method_mask = mask; /* what the Allow header is made of */
    return 0;
}

/* Known methods are bits of a mask, the others names. */
static PyObject *get_allowed_methods(PyObject *op, void *closure)
{
    request_rec *r = mp_request_record((mp_request *)op);
    apr_array_header_t *names;

    if (!r) {
        return NULL;
    }
    names = apr_array_copy(r->pool, r->allowed_methods->method_list);
    for (int number = 0; number < METHODS - 1; number++) {
        if (r->allowed_methods->method_mask & (AP_METHOD_BIT << number)) {
            /* M_GET stands for HEAD too, which it may be called. */
            const char *name = number == M_GET ? "GET" : ap_method_name_of(r->pool, number);
            if (name) {
                APR_ARRAY_PUSH(names, const char *) = name;
            }
        }
    }
    return mp_tuple_from_strings(names);
}

static PyObject *get_finfo(PyObject *op, void *closure)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);

    return r ? mp_finfo_new(mp_interp_state(self->interp), &r->finfo, r->filename) : NULL;
}

static int set_finfo(PyObject *op, PyObject *value, void *closure)
{
    mp_request *self = (mp_request *)op;
    request_rec *r = mp_request_record(self);

    return r ? mp_finfo_store(mp_interp_state(self->interp), value, &r->finfo, r->pool) : -1;
}

static PyObject *get_parsed_uri(PyObject *op, void *closure)
{
    request_rec *r = mp_request_record((mp_request *)op);

    if (!r) {
        return NULL;
    }
    const apr_uri_t *uri = &r->parsed_uri;
    return Py_BuildValue(
        "(NNNNNNNNN)", mp_str_from_fs(uri->scheme), mp_str_from_fs(uri->hostinfo),
        mp_str_from_fs(uri->user), mp_str_from_fs(uri->password), mp_str_from_fs(uri->hostname),
        uri->port_str ? PyLong_FromLong(uri->port) : Py_NewRef(Py_None), mp_str_from_fs(uri->path),
        mp_str_from_fs(uri->query), mp_str_from_fs(uri->fragment));
}

/* httpd fills r->range when it sends the response only. */
static PyObject *get_range(PyObject *op, void *closure)
{
    request_rec *r = mp_request_record((mp_request *)op);

    if (!r) {
        return NULL;
    }
    return mp_str_from_latin1(r->range ? r->range : apr_table_get(r->headers_in, "Range"));
}

static PyObject *get_extension(PyObject *op, void *closure)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? mp_str_from_fs(mp_extension(r->filename)) : NULL;
}

/* The form is read when it is first asked for: most requests have none. */
static PyObject *get_form(PyObject *op, void *closure)
{
    mp_request *self = (mp_request *)op;

    if (!self->form && self->make_form) {
        PyObject *make_form = Py_NewRef(self->make_form);
        PyObject *form = PyObject_CallOneArg(make_form, op);
        Py_DECREF(make_form);
        if (!form) {
            return NULL;
        }
        Py_XSETREF(self->form, form);
        Py_CLEAR(self->make_form);
    }
    if (!self->form) {
        PyErr_SetString(PyExc_AttributeError, "this request has no form: the publisher makes one");
        return NULL;
    }
    return Py_NewRef(self->form);
}

static int set_form(PyObject *op, PyObject *value, void *closure)
{
    mp_request *self = (mp_request *)op;

    if (!value && !self->form) {
        PyErr_SetString(PyExc_AttributeError, "form");
        return -1;
    }
    Py_XSETREF(self->form, Py_XNewRef(value));
    Py_CLEAR(self->make_form);
    return 0;
}

static PyObject *get_flags(PyObject *op, void *closure)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? PyLong_FromLong(mp_flags_of(mp_dir_config_of_request(r))) : NULL;
}

static PyObject *get_allow_options(PyObject *op, void *closure)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? PyLong_FromLong(ap_allow_options(r)) : NULL;
}

static PyObject *get_is_listed(PyObject *op, void *closure)
{
    request_rec *r = mp_request_record((mp_request *)op);

    return r ? PyBool_FromLong(mp_handlers_for(r, MP_PHASE_CONTENT) !=
                               mp_dir_config_of_request(r)->lists[MP_PHASE_CONTENT])
             : NULL;
}

/* clang-format off */
#define RO(field, kind, doc) MP_READ_ONLY(get_member, request_rec, field, kind, doc)
#define RW(field, kind, none, doc) \
    MP_READ_WRITE(get_member, set_member, request_rec, field, kind, none, doc)
#define AT(field, getter, its_doc)                                                   \
    {.name = #field, .get = getter, .doc = PyDoc_STR(its_doc),                       \
     .closure = (void *)offsetof(request_rec, field)}
#define OTHER(field, doc) AT(field, get_other, doc)
#define TABLE(field, doc) AT(field, get_table, doc)
#define OWN(name, getter, setter, doc) {name, getter, setter, PyDoc_STR(doc), NULL}
/* clang-format on */

static PyGetSetDef request_members[] = {
    OWN("connection", get_connection, NULL, "mp_conn: the connection it came in on."),
    OWN("server", get_server, NULL, "mp_server: the (virtual) server that serves it."),
    OTHER(next, "mp_request or None: what it was internally redirected to."),
    OTHER(prev, "mp_request or None: what it was internally redirected from."),
    OTHER(main, "mp_request or None: of a subrequest, the main request."),
    RO(the_request, MP_FS, "str: the request line."),
    RW(assbackwards, MP_BOOL, 0, "bool: an HTTP/0.9 \"simple\" request."),
    RW(proxyreq, MP_INT, 0, "int: apache.PROXYREQ_NONE, _PROXY, _REVERSE or _RESPONSE."),
    RO(header_only, MP_BOOL, "bool: a HEAD request."),
    RO(protocol, MP_LATIN1, "str: \"HTTP/1.1\" ..., as the client gave it."),
    RO(proto_num, MP_INT, "int: 1000 * major + minor version of the protocol."),
    RO(hostname, MP_LATIN1, "str or None: the host, from the URI or the Host header."),
    RO(request_time, MP_TIME, "int: when the request began, in seconds since the epoch."),
    RW(status_line, MP_LATIN1, 1, "str or None: status line, as \"200 OK\"."),
    {"status", get_member, set_status, PyDoc_STR("int: the response's status, 100 to 999."),
     (void *)&(const mp_member){"status", MP_INT, offsetof(request_rec, status), 0}},
    RO(method, MP_LATIN1, "str: \"GET\", \"POST\" ..."),
    RO(method_number, MP_INT, "int: apache.M_GET, M_POST ..."),
    {"allowed", get_member, set_allowed, PyDoc_STR("int: bits (1 << apache.M_GET ...) for Allow."),
     (void *)&(const mp_member){"allowed", MP_OFFSET, offsetof(request_rec, allowed), 0}},
    RO(allowed_xmethods, MP_STRINGS, "tuple of str: allowed extension methods."),
    OWN("allowed_methods", get_allowed_methods, NULL,
        "tuple of str: what the Allow header names; see allow_methods()."),
    RO(sent_bodyct, MP_OFFSET, "int: whether the body has begun to be sent."),
    RO(bytes_sent, MP_OFFSET, "int: bytes of the body sent."),
    RO(mtime, MP_TIME, "int: when the resource was last modified, seconds since the epoch."),
    RW(chunked, MP_BOOL, 0, "bool: the response is sent in chunks."),
    OWN("range", get_range, NULL, "str or None: the Range header."),
    RO(clength, MP_OFFSET, "int: length of the response's body in bytes, if known."),
    RO(remaining, MP_OFFSET, "int: bytes of the request's body left to read."),
    RO(read_length, MP_OFFSET, "int: bytes of the request's body read."),
    RO(read_body, MP_INT, "int: how the body is read, one of apache.REQUEST_*."),
    RO(read_chunked, MP_BOOL, "bool: the request's body comes in chunks."),
    RO(expecting_100, MP_BOOL, "bool: the client waits for 100 Continue."),
    TABLE(headers_in, "mp_table: the request's headers."),
    TABLE(headers_out, "mp_table: the response's headers."),
    TABLE(err_headers_out, "mp_table: headers sent on errors too, and across redirects."),
    TABLE(subprocess_env, "mp_table: the environment of a CGI script; see add_common_vars()."),
    TABLE(notes, "mp_table: notes of modules to each other."),
    OWN("phase", get_phase, NULL, "str or None: the directive of the running phase."),
    OWN("interpreter", get_interpreter, NULL, "str: the name of the interpreter."),
    OWN("interpreter_index", get_interpreter_index, NULL,
        "int: which of those of that name, from 0; 0 where there is no PythonInterpPool."),
    {"content_type", get_member, set_content_type, PyDoc_STR("str or None: Content-Type."),
     (void *)&(const mp_member){"content_type", MP_LATIN1, offsetof(request_rec, content_type), 1}},
    OWN("_content_type_set", get_content_type_set, NULL,
        "bool: content_type was assigned by a handler."),
    RW(handler, MP_LATIN1, 1, "str or None: the handler that SetHandler or AddHandler named."),
    RO(content_encoding, MP_LATIN1, "str or None: Content-Encoding."),
    RO(content_languages, MP_STRINGS, "tuple of str: the resource's languages."),
    RO(vlist_validator, MP_LATIN1, "str or None: validator of the variant list."),
    RW(user, MP_LATIN1, 1, "str or None: the authenticated user."),
    RW(ap_auth_type, MP_LATIN1, 1, "str or None: how the user was authenticated."),
    RW(no_cache, MP_BOOL, 0, "bool: the response is not to be cached."),
    RW(no_local_copy, MP_BOOL, 0, "bool: there is no local copy to compare with."),
    RO(unparsed_uri, MP_FS, "str: the URI as received."),
    RW(uri, MP_FS, 0, "str: the URI's path, unescaped."),
    RW(canonical_filename, MP_FS, 1, "str or None: filename as the file system spells it."),
    RW(path_info, MP_FS, 1, "str or None: what follows the file in the URI."),
    RW(args, MP_FS, 1, "str or None: the query string."),
    OWN("finfo", get_finfo, set_finfo, "mp_finfo: what stat() says of filename."),
    OWN("parsed_uri", get_parsed_uri, NULL, "tuple: the URI's parts, by apache.URI_*."),
    RW(used_path_info, MP_INT, 0, "int: one of apache.AP_REQ_*_PATH_INFO."),
    RO(eos_sent, MP_BOOL, "bool: the end of the response has been passed on."),
    RO(useragent_ip, MP_LATIN1, "str: the client's address, behind trusted proxies too."),
    OWN("extension", get_extension, NULL, "str or None: filename from its first dot on."),
    {"form", get_form, set_form,
     PyDoc_STR("util.FieldStorage: the form that was sent; the publisher has it (manual, 6.1.3)."),
     NULL},
    OWN("_flags", get_flags, NULL, "int: the directives in effect, as in _dispatch."),
    OWN("_allow_options", get_allow_options, NULL, "int: Options, as httpd's http_core.h has it."),
    OWN("_is_listed", get_is_listed, NULL,
        "bool: PythonHandler has a list for this extension ('| .ext')."),
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL},
};

/* What the dispatcher keeps here; not for handlers. */
static PyMemberDef request_fields[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(mp_request, dict), READONLY, NULL},
    {"_added", T_OBJECT, offsetof(mp_request, added), 0, NULL},
    {"_handlers", T_OBJECT, offsetof(mp_request, handlers), READONLY, NULL},
    {"_running", T_OBJECT, offsetof(mp_request, running), 0, NULL},
    {"_modules", T_OBJECT, offsetof(mp_request, modules), 0, NULL},
    {"_make_form", T_OBJECT, offsetof(mp_request, make_form), 0, NULL},
    {"_filters", T_OBJECT, offsetof(mp_request, filters), 0, NULL},
    {NULL},
};

static PyType_Slot request_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A request, as handlers see it (manual, 4.5.3).")},
    {Py_tp_dealloc, request_dealloc},
    {Py_tp_traverse, request_traverse},
    {Py_tp_clear, request_clear},
    {Py_tp_repr, request_repr},
    {Py_tp_getset, request_members},
    {Py_tp_members, request_fields},
    {Py_tp_iter, PyObject_SelfIter}, /* PEP 3333's wsgi.input: lines of the body */
    {Py_tp_iternext, mp_request_next_line},
    {0, NULL},
};

static PyType_Spec request_spec = {
    .name = "_apache.mp_request",
    .basicsize = sizeof(mp_request),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = request_slots,
};

int mp_request_setup(PyObject *module, mp_state *state)
{
    PyMethodDef *tables[] = {mp_request_io,        mp_request_cgi,      mp_request_wsgi,
                             mp_request_methods,   mp_request_handlers, mp_request_http,
                             mp_request_publisher, mp_request_wsgi_env, mp_request_psp};
    PyTypeObject *type = state->request_type = mp_type_create(module, &request_spec);

    for (size_t i = 0; type && i < sizeof(tables) / sizeof(*tables); i++) {
        type = mp_type_add_methods(type, tables[i]) == 0 ? type : NULL;
    }
    return type ? mp_type_add_members(type, mp_request_handlers_members) : -1;
}
