#include "py_server.h"

#include <ap_listen.h>
#include <ap_mpm.h>
#include <http_config.h>
#include <http_log.h>
#include <scoreboard.h>
#include <unixd.h>

#include "config.h"
#include "py_convert.h"
#include "py_members.h"
#include "py_log.h"
#include "py_table.h"

typedef struct {
    PyObject_HEAD server_rec *s; /* lives as long as the child */
    apr_pool_t *pool;            /* of the tables, or NULL */
    apr_table_t *options;        /* get_options(): this interpreter's copy */
    apr_table_t *config;         /* get_config(): likewise */
} mp_server;

PyObject *mp_server_of(mp_state *state, server_rec *s)
{
    PyObject *key, *server;

    if (!s) {
        Py_RETURN_NONE;
    }
    if (!(key = PyLong_FromVoidPtr(s))) {
        return NULL;
    }
    server = Py_XNewRef(PyDict_GetItemWithError(state->servers, key));
    if (!server && !PyErr_Occurred()) {
        server = state->server_type->tp_alloc(state->server_type, 0);
        if (server) {
            ((mp_server *)server)->s = s;
            if (PyDict_SetItem(state->servers, key, server) != 0) {
                Py_CLEAR(server);
            }
        }
    }
    Py_DECREF(key);
    return server;
}

server_rec *mp_server_record(mp_state *state, PyObject *object)
{
    if (!Py_IS_TYPE(object, state->server_type)) {
        PyErr_Format(PyExc_TypeError, "a server (as req.server) is needed, not %.200s",
                     Py_TYPE(object)->tp_name);
        return NULL;
    }
    return ((mp_server *)object)->s;
}

static void server_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);

    if (((mp_server *)op)->pool) {
        apr_pool_destroy(((mp_server *)op)->pool);
    }
    type->tp_free(op);
    Py_DECREF(type);
}

/* Members */

static PyObject *get_member(PyObject *op, void *closure)
{
    return mp_member_get(closure, ((mp_server *)op)->s);
}

static PyObject *get_none(PyObject *op, void *closure)
{
    Py_RETURN_NONE;
}

/* A server without a port of its own is reached by that of its address. */
static PyObject *get_port(PyObject *op, void *closure)
{
    const server_rec *s = ((mp_server *)op)->s;
    apr_port_t port = s->port;

    if (!port && s->addrs) {
        port = s->addrs->host_port;
    }
    if (!port && ap_listeners && ap_listeners->bind_addr) {
        port = ap_listeners->bind_addr->port;
    }
    return PyLong_FromLong(port);
}

static PyObject *get_loglevel(PyObject *op, void *closure)
{
    return PyLong_FromLong(((mp_server *)op)->s->log.level);
}

static PyObject *get_is_virtual(PyObject *op, void *closure)
{
    return PyBool_FromLong(((mp_server *)op)->s->is_virtual);
}

static PyObject *get_uid(PyObject *op, void *closure)
{
    return PyLong_FromUnsignedLong(ap_unixd_config.user_id);
}

static PyObject *get_gid(PyObject *op, void *closure)
{
    return PyLong_FromUnsignedLong(ap_unixd_config.group_id);
}

/* Apache 2.4 keeps SendBufferSize to itself: what the configuration says. */
static PyObject *get_send_buffer_size(PyObject *op, void *closure)
{
    for (const ap_directive_t *d = ap_conftree; d; d = d->next) {
        if (!ap_cstr_casecmp(d->directive, "SendBufferSize")) {
            return PyLong_FromString(d->args, NULL, 10);
        }
    }
    return PyLong_FromLong(0);
}

static PyObject *get_next(PyObject *op, void *closure)
{
    return mp_server_of(mp_state_of_type(Py_TYPE(op)), ((mp_server *)op)->s->next);
}

static PyObject *get_my_generation(PyObject *op, void *closure)
{
    int generation = 0;

    ap_mpm_query(AP_MPMQ_GENERATION, &generation);
    return PyLong_FromLong(generation);
}

/* When the parent process (re)started, as the scoreboard has it. */
static PyObject *get_restart_time(PyObject *op, void *closure)
{
    apr_time_t time = ap_exists_scoreboard_image() ? ap_get_scoreboard_global()->restart_time : 0;

    return PyLong_FromLongLong(apr_time_sec(time));
}

static PyObject *get_server_rec(PyObject *op, void *closure)
{
    return PyCapsule_New(((mp_server *)op)->s, NULL, NULL);
}

#define RO(field, kind, doc) MP_READ_ONLY(get_member, server_rec, field, kind, doc)
#define OWN(name, getter, doc)                                                                     \
    {                                                                                              \
        name, getter, NULL, PyDoc_STR(doc), NULL                                                   \
    }

static PyGetSetDef server_members[] = {
    RO(defn_name, MP_FS, "str or None: file that defines it."),
    RO(defn_line_number, MP_UNSIGNED, "int: line there."),
    OWN("srm_confname", get_none, "None: Apache 2.4 has no such file any more."),
    RO(server_admin, MP_LATIN1, "str: the value of ServerAdmin."),
    RO(server_hostname, MP_LATIN1, "str: the value of ServerName."),
    OWN("port", get_port, "int: TCP port."),
    RO(error_fname, MP_FS, "str or None: the error log, as configured."),
    OWN("loglevel", get_loglevel, "int: LogLevel, one of apache.APLOG_*."),
    OWN("is_virtual", get_is_virtual, "bool: a <VirtualHost>."),
    RO(timeout, MP_TIME, "int: the value of Timeout, seconds."),
    RO(keep_alive_timeout, MP_TIME, "int: the value of KeepAliveTimeout, seconds."),
    RO(keep_alive_max, MP_INT, "int: the value of MaxKeepAliveRequests."),
    RO(keep_alive, MP_INT, "int: 1 if KeepAlive is On, else 0."),
    OWN("send_buffer_size", get_send_buffer_size, "int: SendBufferSize, bytes; 0: the system's."),
    RO(path, MP_FS, "str or None: the value of ServerPath."),
    RO(pathlen, MP_INT, "int: its length."),
    OWN("next", get_next, "mp_server or None: the next (virtual) server."),
    RO(names, MP_STRINGS, "tuple of str: names of ServerAlias without wildcards."),
    RO(wild_names, MP_STRINGS, "tuple of str: names of ServerAlias with wildcards."),
    RO(limit_req_line, MP_INT, "int: the value of LimitRequestLine, bytes."),
    RO(limit_req_fieldsize, MP_INT, "int: the value of LimitRequestFieldSize, bytes."),
    RO(limit_req_fields, MP_INT, "int: the value of LimitRequestFields."),
    OWN("my_generation", get_my_generation, "int: how often Apache was restarted, from 0."),
    OWN("restart_time", get_restart_time, "int: when Apache (re)started, seconds since the epoch."),
    OWN("_server_rec", get_server_rec, "capsule: the server_rec, for C extensions."),
    OWN("server_uid", get_uid, "int: user id that the children run as."),
    OWN("server_gid", get_gid, "int: group id that the children run as."),
    {NULL},
};

/* Methods */

/* key: the table itself. */
static apr_table_t *locate_table(PyObject *owner, void *key)
{
    return key;
}

static PyObject *view(PyObject *op, apr_table_t *table)
{
    return mp_table_view(mp_state_of_type(Py_TYPE(op)), op, locate_table, table);
}

/* This interpreter's tables, made once; 0, or -1 with an exception. Copies: requests merge
 * the configuration's own without the GIL, and other interpreters may have a GIL of theirs. */
static int make_tables(mp_server *self)
{
    const mp_dir_config *config = mp_dir_config_of_server(self->s);

    if (self->pool) {
        return 0;
    }
    if (apr_pool_create_unmanaged(&self->pool) != APR_SUCCESS) {
        self->pool = NULL;
        PyErr_NoMemory();
        return -1;
    }
    self->options = apr_table_copy(self->pool, config->options);
    self->config = mp_config_table(self->pool, config);
    return 0;
}

PyDoc_STRVAR(get_options_doc, "get_options($self, /)\n--\n\n\
mp_table: what PythonOption set at server level (manual, 4.5.6). What is\n\
stored there stays, in this interpreter, for the child's life.");

static PyObject *server_get_options(PyObject *op, PyObject *unused)
{
    mp_server *self = (mp_server *)op;

    return make_tables(self) == 0 ? view(op, self->options) : NULL;
}

PyDoc_STRVAR(get_config_doc, "get_config($self, /)\n--\n\n\
mp_table: the directives in effect at server level (manual, appendix A). As\n\
with get_options(), what is stored there stays.");

static PyObject *server_get_config(PyObject *op, PyObject *unused)
{
    mp_server *self = (mp_server *)op;

    return make_tables(self) == 0 ? view(op, self->config) : NULL;
}

PyDoc_STRVAR(register_cleanup_doc, "register_cleanup($self, request, callable, /, data=None)\n\
--\n\n\
Have callable(data) called when the child ends (manual, 4.5.6).\n\
Raises ValueError if it is not callable.");

static PyObject *server_register_cleanup(PyObject *op, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", "", "data", NULL};
    mp_state *state = mp_state_of_type(Py_TYPE(op));
    PyObject *request, *callable, *data = Py_None;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO|O:register_cleanup", names, &request,
                                     &callable, &data)) {
        return NULL;
    }
    if (!Py_IS_TYPE(request, state->request_type)) {
        PyErr_Format(PyExc_ValueError,
                     "register_cleanup() needs the request object first, not %.200s",
                     Py_TYPE(request)->tp_name);
        return NULL;
    }
    return PyObject_CallFunctionObjArgs(state->dispatch_register_server_cleanup, callable, data,
                                        NULL);
}

PyDoc_STRVAR(log_error_doc, "log_error($self, message, /, level=APLOG_ERR)\n--\n\n\
Write message (str) to this server's error log.");

static PyObject *server_log_error(PyObject *op, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", "level", NULL};
    int level = APLOG_ERR;
    PyObject *message;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|i:log_error", names, &message, &level)) {
        return NULL;
    }
    return mp_log_object(message, level, NULL, ((mp_server *)op)->s);
}

static PyMethodDef server_methods[] = {
    {"get_config", server_get_config, METH_NOARGS, get_config_doc},
    {"get_options", server_get_options, METH_NOARGS, get_options_doc},
    {"log_error", (PyCFunction)(void (*)(void))server_log_error, METH_VARARGS | METH_KEYWORDS,
     log_error_doc},
    {"register_cleanup", (PyCFunction)(void (*)(void))server_register_cleanup,
     METH_VARARGS | METH_KEYWORDS, register_cleanup_doc},
    {NULL},
};

static PyType_Slot server_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A server, as handlers see it (manual, 4.5.6).")},
    {Py_tp_dealloc, server_dealloc},
    {Py_tp_getset, server_members},
    {Py_tp_methods, server_methods},
    {0, NULL},
};

static PyType_Spec server_spec = {
    .name = "_apache.mp_server",
    .basicsize = sizeof(mp_server),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = server_slots,
};

int mp_server_setup(PyObject *module, mp_state *state)
{
    state->servers = PyDict_New();
    state->server_type = mp_type_create(module, &server_spec);
    return state->servers && state->server_type ? 0 : -1;
}
