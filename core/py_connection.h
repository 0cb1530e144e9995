/* mp_conn: a conn_rec as handlers see it (manual 4.5.4). Holds the interpreter. */
#ifndef MP_PY_CONNECTION_H
#define MP_PY_CONNECTION_H

#include <httpd.h>

#include "context.h"
#include "py_request.h"

typedef struct {
    PyObject_HEAD conn_rec *c; /* NULL when the record is gone */
    mp_conn_context *context;
    mp_interp *interp;
    PyObject *handlers;       /* tuple of the Handler that runs, or NULL */
    mp_request *request;      /* whose req.connection this is; borrowed, NULL with c */
    unsigned is_protocol : 1; /* of a connection handler: it may read and write */
} mp_connection;

/* A wrapper of c; request, if given, is whose req.connection it is (borrowed: the
 * wrapper is cut together with it). New reference, or NULL with an exception. */
PyObject *mp_connection_new(mp_interp *interp, conn_rec *c, mp_request *request);

/* The record, if it may be used now by the calling thread; NULL with an exception. */
conn_rec *mp_connection_record(mp_connection *self);

/* py_connection_io.c */
extern PyMethodDef mp_connection_io[];

/* Cuts it off its record. */
void mp_connection_cut(PyObject *connection);

int mp_connection_setup(PyObject *module, mp_state *state);

#endif
