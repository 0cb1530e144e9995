#include "py_connection.h"

#include <ap_mpm.h>
#include <http_log.h>
#include <scoreboard.h>
#include <unistd.h>

#include <apr_network_io.h>

#include "py_convert.h"
#include "py_log.h"
#include "py_members.h"
#include "py_server.h"
#include "py_table.h"

conn_rec *mp_connection_record(mp_connection *self)
{
    if (!self->c) {
        PyErr_SetString(PyExc_ReferenceError,
                        "this connection is over: its record is gone; copy what you need from "
                        "it before the handler returns");
        return NULL;
    }
    return mp_check_usable(self->context, self->interp, "connection") == 0 ? self->c : NULL;
}

PyObject *mp_connection_new(mp_interp *interp, conn_rec *c, mp_request *request)
{
    PyTypeObject *type = mp_interp_state(interp)->connection_type;
    mp_connection *self = (mp_connection *)type->tp_alloc(type, 0);

    if (self) {
        self->c = c;
        self->context = mp_conn_context_of(c);
        self->interp = interp;
        self->request = request;
    }
    return (PyObject *)self;
}

void mp_connection_cut(PyObject *connection)
{
    mp_connection *self = (mp_connection *)connection;

    self->c = NULL;
    self->context = NULL;
    self->request = NULL;
    Py_CLEAR(self->handlers);
}

static void connection_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);

    mp_connection_cut(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *get_member(PyObject *op, void *closure)
{
    conn_rec *c = mp_connection_record((mp_connection *)op);

    return c ? mp_member_get(closure, c) : NULL;
}

static PyObject *get_base_server(PyObject *op, void *closure)
{
    mp_connection *self = (mp_connection *)op;
    conn_rec *c = mp_connection_record(self);

    return c ? mp_server_of(mp_interp_state(self->interp), c->base_server) : NULL;
}

/* The slot of this process in the scoreboard, which is what Apache numbers children by. */
static PyObject *get_child_num(PyObject *op, void *closure)
{
    conn_rec *c = mp_connection_record((mp_connection *)op);
    int daemons = 0;
    pid_t pid = getpid();

    if (!c) {
        return NULL;
    }
    ap_mpm_query(AP_MPMQ_MAX_DAEMON_USED, &daemons);
    for (int i = 0; ap_exists_scoreboard_image() && i < daemons; i++) {
        if (ap_get_scoreboard_process(i)->pid == pid) {
            return PyLong_FromLong(i);
        }
    }
    return PyLong_FromLong(0); /* httpd -X has no slot */
}

static PyObject *get_local_addr(PyObject *op, void *closure)
{
    conn_rec *c = mp_connection_record((mp_connection *)op);

    return c ? mp_address_from(c->local_addr, c->local_ip) : NULL;
}

static PyObject *get_remote_addr(PyObject *op, void *closure)
{
    conn_rec *c = mp_connection_record((mp_connection *)op);

    return c ? mp_address_from(c->client_addr, c->client_ip) : NULL;
}

static PyObject *get_double_reverse(PyObject *op, void *closure)
{
    conn_rec *c = mp_connection_record((mp_connection *)op);

    return c ? PyLong_FromLong(c->double_reverse) : NULL;
}

/* As the manual numbers it: 1 kept, 0 undecided, -1 to be closed. */
static PyObject *get_keepalive(PyObject *op, void *closure)
{
    conn_rec *c = mp_connection_record((mp_connection *)op);

    if (!c) {
        return NULL;
    }
    return PyLong_FromLong(c->keepalive == AP_CONN_KEEPALIVE ? 1
                           : c->keepalive == AP_CONN_CLOSE   ? -1
                                                             : 0);
}

static int set_keepalive(PyObject *op, PyObject *value, void *closure)
{
    conn_rec *c = mp_connection_record((mp_connection *)op);
    long number;

    if (!c || mp_int_from_object(value, "keepalive", -1, 1, &number) != 0) {
        return -1;
    }
    c->keepalive = number > 0 ? AP_CONN_KEEPALIVE : number < 0 ? AP_CONN_CLOSE : AP_CONN_UNKNOWN;
    return 0;
}

static apr_table_t *locate_notes(PyObject *owner, void *key)
{
    conn_rec *c = mp_connection_record((mp_connection *)owner);

    return c ? c->notes : NULL;
}

static PyObject *get_notes(PyObject *op, void *closure)
{
    mp_connection *self = (mp_connection *)op;

    return mp_connection_record(self)
               ? mp_table_view(mp_interp_state(self->interp), op, locate_notes, NULL)
               : NULL;
}

/* Up to 2.x of this API the user was the connection's. */
static PyObject *get_user(PyObject *op, void *closure)
{
    mp_connection *self = (mp_connection *)op;

    if (!mp_connection_record(self)) {
        return NULL;
    }
    if (!self->request) {
        Py_RETURN_NONE;
    }
    return PyObject_GetAttrString((PyObject *)self->request, "user");
}

static PyObject *get_hlist(PyObject *op, void *closure)
{
    mp_connection *self = (mp_connection *)op;

    if (!mp_connection_record(self)) {
        return NULL;
    }
    return PyObject_CallOneArg(mp_interp_state(self->interp)->dispatch_make_hlist, op);
}

static PyObject *get_conn_rec(PyObject *op, void *closure)
{
    conn_rec *c = mp_connection_record((mp_connection *)op);

    return c ? PyCapsule_New(c, NULL, NULL) : NULL;
}

PyDoc_STRVAR(log_error_doc, "log_error($self, message, /, level=APLOG_ERR)\n--\n\n\
Write message (str) to the error log, with what Apache says of this connection.");

static PyObject *connection_log_error(PyObject *op, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", "level", NULL};
    int level = APLOG_ERR;
    PyObject *message, *text, *result = NULL;
    conn_rec *c;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|i:log_error", names, &message, &level)) {
        return NULL;
    }
    /* First: str() may run anything, and the connection end meanwhile. */
    text = mp_log_text(message);
    if (text && (c = mp_connection_record((mp_connection *)op))) {
        result = mp_log_connection(text, level, c);
    }
    Py_XDECREF(text);
    return result;
}

static PyMethodDef connection_methods[] = {
    {"log_error", (PyCFunction)(void (*)(void))connection_log_error, METH_VARARGS | METH_KEYWORDS,
     log_error_doc},
    {NULL},
};

static PyMemberDef connection_fields[] = {
    {"_handlers", T_OBJECT, offsetof(mp_connection, handlers), READONLY, NULL},
    {NULL},
};

#define RO(field, kind, doc) MP_READ_ONLY(get_member, conn_rec, field, kind, doc)
#define OWN(name, getter, setter, doc)                                                             \
    {                                                                                              \
        name, getter, setter, PyDoc_STR(doc), NULL                                                 \
    }

static PyGetSetDef connection_members[] = {
    OWN("base_server", get_base_server, NULL, "mp_server: of the address it came in on."),
    OWN("child_num", get_child_num, NULL, "int: number of the child that serves it."),
    OWN("local_addr", get_local_addr, NULL, "(str, int): address and port of the server."),
    OWN("remote_addr", get_remote_addr, NULL, "(str, int): address and port of the peer."),
    OWN("client_addr", get_remote_addr, NULL, "(str, int): the same as remote_addr."),
    {"remote_ip", get_member, NULL, PyDoc_STR("str: address of the peer."),
     (void *)&(const mp_member){"remote_ip", MP_LATIN1, offsetof(conn_rec, client_ip), 0}},
    RO(client_ip, MP_LATIN1, "str: the same as remote_ip."),
    RO(remote_host, MP_LATIN1,
       "str or None: name of the peer; None if not looked up, \"\" if "
       "there is none."),
    RO(remote_logname, MP_LATIN1, "str or None: RFC 1413 name of the user."),
    RO(aborted, MP_BOOL, "bool: the peer has gone."),
    OWN("keepalive", get_keepalive, set_keepalive,
        "int: 1 it stays open after this request, 0 undecided, -1 it is closed."),
    OWN("double_reverse", get_double_reverse, NULL,
        "int: 1 the double reverse look-up agreed, 0 none was made, -1 it did not."),
    RO(keepalives, MP_INT, "int: how many times it was used before."),
    RO(local_ip, MP_LATIN1, "str: address of the server."),
    RO(local_host, MP_LATIN1, "str or None: name of the server, if looked up."),
    RO(id, MP_LONG, "int: unique among the connections open now."),
    OWN("notes", get_notes, NULL, "mp_table: notes of modules to each other."),
    OWN("hlist", get_hlist, NULL, "mp_hlist: the connection handler that runs."),
    OWN("_conn_rec", get_conn_rec, NULL,
        "capsule: the conn_rec, for C extensions; good while the connection is."),
    OWN("user", get_user, NULL, "str or None: req.user, as older programs spell it."),
    {NULL},
};

static PyType_Slot connection_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A connection, as handlers see it (manual, 4.5.4).")},
    {Py_tp_dealloc, connection_dealloc},
    {Py_tp_getset, connection_members},
    {Py_tp_members, connection_fields},
    {Py_tp_methods, mp_connection_io},
    {0, NULL},
};

static PyType_Spec connection_spec = {
    .name = "_apache.mp_conn",
    .basicsize = sizeof(mp_connection),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = connection_slots,
};

int mp_connection_setup(PyObject *module, mp_state *state)
{
    state->connection_type = mp_type_create(module, &connection_spec);
    return state->connection_type ? mp_type_add_methods(state->connection_type, connection_methods)
                                  : -1;
}
