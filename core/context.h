/* What this module keeps beside Apache's own records while they live. No Python
 * here: Python objects are kept as void *, for the py_* files. */
#ifndef MP_CONTEXT_H
#define MP_CONTEXT_H

#include <stdatomic.h>

#include <httpd.h>

#include "body.h"
#include "config.h"

struct mp_interp; /* py_interp.h */

/* One per connection. It answers whether the wrappers of this connection's records
 * may be used: only while a handler of this connection runs, by a thread that holds
 * its interpreter, and while no other thread is inside Apache with them
 * (docs/architecture.md, "Lifetimes"). */
typedef struct {
    /* The interpreter whose handler runs now; NULL: none. */
    struct mp_interp *_Atomic active;
    /* > 0: a thread is inside Apache, on this connection, without the GIL. */
    _Atomic int blocked;
    /* That thread: its mp_thread_token(). */
    void *_Atomic thread;
    struct mp_interp *member;          /* of a pool: the one that the connection stays in */
    struct mp_filter_context *filters; /* the connection's, that were called */
    apr_bucket_brigade *in;            /* what a connection handler is to read next */
    apr_bucket_brigade *out; /* what it writes; NULL until TLS, if any, has shaken hands */
    unsigned at_end : 1;     /* it was told that the peer has closed */
} mp_conn_context;

/* A request in one interpreter. Of a pool, the request stays in the member that its
 * first request (of redirects and subrequests) has here. */
typedef struct mp_wrapper_slot {
    struct mp_interp *interp;
    void *wrapper; /* PyObject *, owned; NULL when dropped, or not made */
    struct mp_wrapper_slot *next;
} mp_wrapper_slot;

/* A filter of req.register_*_filter(): its Handler is kept by the wrapper in interp. */
typedef struct {
    mp_handler handler;
    struct mp_interp *interp;
} mp_own_filter;

/* One per request. */
typedef struct {
    request_rec *r;
    mp_conn_context *conn;
    mp_wrapper_slot *wrappers;
    mp_body_in in;
    mp_body_out out;
    struct mp_filter_context *filters; /* that were called for it */
    const apr_table_t *options_source; /* the configuration's, that options was copied from */
    apr_table_t *options;              /* req.get_options(): the request's own copy, or NULL */
    struct mp_interp *added_by[MP_PHASE_COUNT]; /* whose req.add_handler() named the phase */
    apr_table_t *wsgi_before; /* headers_out as it was before wsgi_start_response(), or NULL */
    /* By phase, or NULL: of mp_handler_list, each for the interpreter of its directory. */
    apr_array_header_t **added_elsewhere;
    apr_hash_t *own_filters[2]; /* by is_input: lower-case name -> mp_own_filter, or NULL */
    int early_status; /* that a handler of the first phase has set, while it is put aside, or 0 */
    unsigned has_cleanup : 1;      /* the pool cleanup is registered */
    unsigned keep : 1;             /* req.register_cleanup() was called */
    unsigned over : 1;             /* no wrapper can be made any more */
    unsigned has_locks : 1;        /* it has taken global locks */
    unsigned content_type_set : 1; /* from Python */
} mp_request_context;

/* Found or made; never NULL. */
mp_conn_context *mp_conn_context_of(conn_rec *c);
mp_request_context *mp_request_context_of(request_rec *r);

/* Found, or NULL. */
mp_request_context *mp_request_context_find(request_rec *r);

/* Found or made; never NULL. */
mp_wrapper_slot *mp_wrapper_slot_of(mp_request_context *context, struct mp_interp *interp);

/* Identifies the calling thread while it lives. */
void *mp_thread_token(void);

#endif
