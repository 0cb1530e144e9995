/* Bodies: reading the request's, writing the response's. No Python here; every
 * function that may block says so, and is called without the GIL. */
#ifndef MP_BODY_H
#define MP_BODY_H

#include <httpd.h>
#include <apr_buckets.h>

/* Bytes that an unflushed write may gather before they go to the filters:
 * Apache's own figure for ap_rwrite(). */
#define MP_BODY_GATHER 8192

/* Bytes asked of the input filters at once: as Apache's own readers do. */
#define MP_BODY_BLOCK 8192

typedef struct {
    apr_bucket_brigade *brigade;
    char *line;          /* MP_BODY_BLOCK bytes read ahead for readline */
    apr_size_t line_pos; /* the unread part of it */
    apr_size_t line_end;
    unsigned is_set_up : 1;
    unsigned at_end : 1;
} mp_body_in;

typedef struct {
    apr_bucket_brigade *brigade; /* written and not yet passed on */
    apr_size_t gathered;         /* bytes in it */
    apr_off_t queued;            /* bytes written since the request began */
    apr_off_t limit;             /* bytes that may be written, if has_limit */
    unsigned has_limit : 1;
    unsigned is_cut : 1;  /* something was left out because of it */
    unsigned failed : 1;  /* the client is gone */
    unsigned ignored : 1; /* the response is over: writing is pointless, not an error */
    unsigned early : 1;   /* Apache is still reading the request */
} mp_body_out;

/* Gives r a status line for this status if Apache has none, and would send 500 instead. */
void mp_name_status(request_rec *r, int status);

/* Prepares reading. OK, or the HTTP status that the request deserves (RFC 9112, 6). */
int mp_body_setup(request_rec *r, mp_body_in *in);

/* Reads until want bytes are there or the body ends; blocks. *got is the number of
 * bytes read, also on failure. */
apr_status_t mp_body_read(request_rec *r, mp_body_in *in, char *buffer, apr_size_t want,
                          apr_size_t *got);

/* The same, ending behind the first LF; *found tells whether it was met. */
apr_status_t mp_body_readline(request_rec *r, mp_body_in *in, char *buffer, apr_size_t want,
                              apr_size_t *got, int *found);

/* Whether a write of size bytes would be a mere copy, that cannot block. */
int mp_body_fits(const request_rec *r, const mp_body_out *out, apr_size_t size);

/* Copies size bytes, for which mp_body_fits() said yes. */
void mp_body_gather(request_rec *r, mp_body_out *out, const char *data, apr_size_t size);

/* Passes what was gathered, and then data, to the filters; flush: on to the client.
 * Blocks. data must last for the call only. */
apr_status_t mp_body_write(request_rec *r, mp_body_out *out, const char *data, apr_size_t size,
                           int flush);

/* The part of size bytes that may be written; notes if that is not all. */
apr_size_t mp_body_cut(mp_body_out *out, apr_size_t size);

/* Passes length bytes of an open file from offset on, and the end of the response if at_end
 * is true; blocks. */
apr_status_t mp_body_sendfile(request_rec *r, mp_body_out *out, apr_file_t *file, apr_off_t offset,
                              apr_off_t length, int at_end);

/* Passes what was gathered; the end of the response too if at_end is true and it
 * was not passed already. May block. */
apr_status_t mp_body_pass(request_rec *r, mp_body_out *out, int at_end);

/* Forgets what was gathered. */
void mp_body_discard(mp_body_out *out);

/* Ends a response that has begun and cannot be completed, so that the client can
 * tell: no last chunk, and the connection is closed. May block. */
void mp_body_break(request_rec *r, mp_body_out *out);

#endif
