/* mp_request: a request_rec as handlers see it (manual 4.5.3). Every function here
 * holds the interpreter. */
#ifndef MP_PY_REQUEST_H
#define MP_PY_REQUEST_H

#include <httpd.h>

#include "config.h"
#include "context.h"
#include "py_interp.h"
#include "py_module.h"

typedef struct {
    PyObject_HEAD request_rec *r; /* NULL when the record is gone */
    mp_request_context *context;  /* with it */
    mp_interp *interp;
    server_rec *server;   /* once the record is gone, what its server was */
    mp_phase phase;       /* running, or last run */
    PyObject *dict;       /* what handlers keep here */
    PyObject *connection; /* made when first asked for */
    PyObject *cleanups;   /* [(callable, data)], or NULL */
    PyObject *added;      /* {phase: [Handler]} of req.add_handler(), or NULL */
    PyObject *handlers;   /* the Handlers of the phase that runs, as configured, or NULL */
    PyObject *running;    /* the Handler that runs, or NULL */
    PyObject *form;       /* req.form, or NULL */
    PyObject *modules;    /* {name: module} that its code is to see, or NULL */
    PyObject *make_form;  /* called with the request for the first req.form, or NULL */
    PyObject *filters;    /* {(is_input, name): Handler} of req.register_*_filter(), or NULL */
} mp_request;

/* The one wrapper of r in the interpreter that is attached; made if it is new. New
 * reference, or NULL with an exception. r NULL gives None. */
PyObject *mp_request_of(mp_interp *interp, request_rec *r);

/* The record, if it may be used now by the calling thread; NULL with an exception. */
request_rec *mp_request_record(mp_request *self);

/* Cuts the wrapper off its record: any use raises from now on. */
void mp_request_cut(mp_request *self);

/* Around a blocking call into Apache on behalf of self. In py_activity.c. */
typedef struct {
    mp_released released;
    mp_conn_context *conn;
    void *thread;
} mp_blocking;
void mp_blocking_begin(mp_blocking *blocking, mp_conn_context *conn);
void mp_blocking_end(const mp_blocking *blocking);

/* Whether another thread is inside Apache with records of this connection. */
int mp_is_used_elsewhere(mp_conn_context *conn);

/* 0 if records of this connection may be used by the calling thread under interp;
 * else -1 with an exception. what: "request", "connection". */
int mp_check_usable(mp_conn_context *conn, const mp_interp *interp, const char *what);

/* The next line of the body; NULL without an exception at its end. In py_request_io.c. */
PyObject *mp_request_next_line(PyObject *op);

/* req.write, which start_response() returns. New reference, or NULL with an exception. In
 * py_request_io.c. */
PyObject *mp_request_bound_write(PyObject *op);

/* What OSError says when the client has gone. */
#define MP_WRITE_FAILED "Write failed, client closed connection."

/* The tables of methods and members, each in the file of its name. */
extern PyMethodDef mp_request_cgi[];
extern PyMethodDef mp_request_io[];
extern PyMethodDef mp_request_methods[];
extern PyMethodDef mp_request_wsgi[];
extern PyMethodDef mp_request_wsgi_env[];
extern PyMethodDef mp_request_psp[];
extern PyMethodDef mp_request_publisher[];
extern PyMethodDef mp_request_handlers[];
extern PyMethodDef mp_request_http[];
extern PyGetSetDef mp_request_handlers_members[];

/* Creates the type and adds it to the module's state; 0, or -1 with an exception. */
int mp_request_setup(PyObject *module, mp_state *state);

#endif
