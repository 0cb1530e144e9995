/* Filters: the brigades that go through a Python filter, in and out (manual, 4.3,
 * 4.5.5 and 5.2). No Python here. What may block says so, and is called without the
 * GIL. */
#ifndef MP_FILTERS_H
#define MP_FILTERS_H

#include <httpd.h>
#include <util_filter.h>
#include <apr_buckets.h>

#include "config.h"
#include "context.h"

/* Most bytes that one read gives: what a filter needs of memory does not grow with
 * the data. Smaller blocks cost more hand-overs of the GIL: at 64 KiB half as much
 * goes through. */
#define MP_FILTER_BLOCK 1048576

/* Bytes that writes gather before they go on. */
#define MP_FILTER_GATHER 8192

struct mp_interp;

/* A <!--#python attribute="code" --> of a page. */
typedef struct {
    const char *attribute; /* "eval" or "exec" */
    const char *code;
} mp_ssi_block;

/* One per filter and request, or connection; and one for all blocks of a page. */
typedef struct mp_filter_context {
    ap_filter_t *f;
    conn_rec *c;
    request_rec *r; /* NULL: a connection's filter */
    apr_pool_t *pool;
    const mp_handler *handler;
    apr_bucket_brigade *in;        /* to be read by the handler */
    apr_bucket_brigade *out;       /* written by it, and not yet passed on */
    apr_size_t gathered;           /* bytes that writes gathered in out */
    apr_off_t consumed;            /* bytes read by the handler, all in all */
    apr_off_t produced;            /* bytes written by it, all in all */
    apr_status_t rv;               /* of the neighbour that failed */
    const char *page;              /* PythonDebug: what to show of a failure, or NULL */
    const mp_ssi_block *ssi_block; /* while it is run, or NULL */
    unsigned is_input : 1;
    unsigned is_own : 1;     /* of req.register_*_filter() */
    unsigned was_called : 1; /* something came through it */
    unsigned holds : 1;      /* readline() keeps something for the next read */
    unsigned is_running : 1; /* the handler is being called */
    unsigned closed : 1;     /* by close(): the end was passed on */
    unsigned at_end : 1;     /* the end of the stream was met ... */
    unsigned told_end : 1;   /* ... and the handler was told, by None */
    unsigned disabled : 1;   /* by disable(): everything passes */
    unsigned failed : 1;     /* the handler raised: nothing passes any more */
    unsigned timed_out : 1;  /* its last call took longer than PythonRequestTimeout */
    ap_input_mode_t mode;    /* input: what this call asks for, */
    apr_read_type_e block;   /* how it may read ... */
    apr_off_t want;          /* ... and how much it is for */
    struct mp_interp *interp;
    void *wrapper; /* PyObject *, owned */
    struct mp_filter_context *next;
} mp_filter_context;

/* The data to be read next, without taking it: at least one byte on APR_SUCCESS;
 * APR_EAGAIN when there is none for the moment, APR_EOF at the end of the stream.
 * What is not data goes on, in order. May block. */
apr_status_t mp_filter_peek(mp_filter_context *context, const char **data, apr_size_t *size);

/* Whether mp_filter_peek() would find data in memory, and thus cannot block. */
int mp_filter_at_hand(const mp_filter_context *context);

/* Takes size bytes of what mp_filter_peek() gave. */
void mp_filter_consume(mp_filter_context *context, apr_size_t size);

/* Bytes of a file that come next; 0 if it is something else that does. */
apr_size_t mp_filter_file_at_hand(const mp_filter_context *context);

/* Reads at most *size bytes of that file into buffer, and takes them; *size becomes their
 * number, 0 where the file has become shorter. May block. */
apr_status_t mp_filter_read_file(mp_filter_context *context, char *buffer, apr_size_t *size);

/* Whether a write of size bytes would be a mere copy, that cannot block. */
int mp_filter_fits(const mp_filter_context *context, apr_size_t size);

/* Writes to the next filter. May block unless it fits; data must last for the call. */
apr_status_t mp_filter_write(mp_filter_context *context, const char *data, apr_size_t size);

/* Sends a FLUSH bucket behind what was written. May block. */
apr_status_t mp_filter_flush(mp_filter_context *context);

/* Ends the stream. May block. */
apr_status_t mp_filter_close(mp_filter_context *context);

/* Passes on, unread, what this call is about. May block. */
apr_status_t mp_filter_pass_on(mp_filter_context *context);

/* For the two directions. The context of a filter, made at its first call; NULL where
 * its name means no Python handler. */
mp_filter_context *mp_filter_context_of(ap_filter_t *f, int is_input);
/* That of blocks. There is nothing to read; the brigade to write to is the caller's. */
mp_filter_context *mp_filter_context_new_block(ap_filter_t *f, const mp_handler *handler);
/* Passes out to the next filter; on input nothing, for what reads takes it. May block. */
apr_status_t mp_filter_forward(mp_filter_context *context);
void mp_filter_append(mp_filter_context *context, apr_bucket *bucket);
int mp_filter_is_end(const mp_filter_context *context, const apr_bucket *bucket);

/* Input: whether out holds what this call asks for. */
int mp_filter_is_satisfied(const mp_filter_context *context);

/* Makes the response that of a failed filter: the traceback, for PythonDebug; else
 * Apache's own page, by an error bucket. If it has begun, it is to break off. Filters of
 * content are left out, for they may hold back, or have compressed, some of what failed;
 * of a subrequest it goes to next. May block. */
void mp_filter_answer(mp_filter_context *context, ap_filter_t *next);

/* filter_output.c, filter_input.c: what Apache calls. */
apr_status_t mp_filter_output(ap_filter_t *f, apr_bucket_brigade *brigade);
apr_status_t mp_filter_input(ap_filter_t *f, apr_bucket_brigade *brigade, ap_input_mode_t mode,
                             apr_read_type_e block, apr_off_t bytes);

/* Puts a filter of req.register_*_filter() in the way of r's input or output. */
void mp_filter_add_own(request_rec *r, const mp_own_filter *own, int is_input);

/* Notes where mod_include's filter is, if it is loaded: its pages may run Python. */
void mp_filters_find_includes(void);

/* Whether a filter that may run Python is in the way of r's output or input. */
int mp_filters_on(const request_rec *r);

/* For mp_filters_register_hooks(). */
void mp_filters_register(void);

/* config_filters.c */
void mp_filters_register_hooks(apr_pool_t *pool);

#endif
