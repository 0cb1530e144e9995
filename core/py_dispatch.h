/* The only calls from C into Python handlers. No Python in this header: the hooks use
 * it. Nobody may hold an interpreter when calling these; they take and give back. */
#ifndef MP_PY_DISPATCH_H
#define MP_PY_DISPATCH_H

#include <httpd.h>

#include "config.h"

/* Runs a phase's handlers for r: list (may be NULL) and those that req.add_handler()
 * added. Returns what Apache's hook returns. */
int mp_dispatch(request_rec *r, mp_phase phase, const mp_handler_list *list);

/* Runs the handler of a connection. Returns DECLINED if it left the connection to
 * Apache, else OK. */
int mp_dispatch_connection(conn_rec *c, const mp_handler *handler);

/* Whether req.add_handler() added to this phase. */
int mp_has_added_handlers(request_rec *r, mp_phase phase);

/* Has the PythonCleanupHandler run, and what is left of r's wrappers and filters cut off, when
 * r's pool ends. */
void mp_dispatch_cleanup_later(request_rec *r);

#endif
