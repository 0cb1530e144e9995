/* A handler at work: in which interpreter, on which connection, with which flags. */
#ifndef MP_PY_ACTIVITY_H
#define MP_PY_ACTIVITY_H

#include "config.h"
#include "context.h"
#include "py_interp.h"

/* Flags for mod_python._dispatch; the same there. */
enum { MP_FLAG_RELOAD = 1, MP_FLAG_DEBUG = 2, MP_FLAG_PDB = 4 };

int mp_flags_of(const mp_dir_config *config);

/* How long handlers may take (PythonRequestTimeout); 0: no limit. */
apr_interval_time_t mp_timeout_of(const mp_dir_config *config);

/* The PythonPath in effect, or None: new reference, or NULL with an exception. Holds. */
PyObject *mp_python_path_of(mp_state *state, const mp_dir_config *config);

/* The interpreter for a handler of this section (NULL: not known) in this phase of r
 * (manual, 4.1 and 5.4.4 to 5.4.6), made if need be; of a pool, the one that the request
 * stays in. NULL if it cannot be made, which is logged. May be called holding another. */
mp_interp *mp_interpreter_of_request(request_rec *r, mp_phase phase, const mp_section *section,
                                     apr_pool_t *pool);

/* The same for what belongs to a connection. */
mp_interp *mp_interpreter_of_connection(conn_rec *c);

/* The same for one member of what is behind a name; from 0. */
mp_interp *mp_interpreter_at_start(const char *name, int members, int member, apr_pool_t *pool);

/* The name of the interpreter for what belongs to a server. */
const char *mp_interpreter_name_of_server(const server_rec *s);

/* Python did not start: there are no interpreters in this child, for this reason. */
void mp_interpreters_fail(const char *error);

/* Between begin and end the calling thread holds interp, and the records of c, and of
 * its requests, may be used. r, if given, is what messages are logged under. */
typedef struct {
    mp_attachment attachment;
    mp_conn_context *conn;
    mp_interp *before;
    int blocked;
} mp_activity;

void mp_activity_begin(mp_activity *activity, mp_interp *interp, conn_rec *c, request_rec *r);

/* Lets no further use begin and waits for the threads that are inside Apache with a
 * record of the connection: then wrappers can be cut. Holds; lets go meanwhile. */
void mp_activity_settle(const mp_activity *activity);
void mp_activity_end(const mp_activity *activity);

#endif
