#include "filters.h"

#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>

#include "py_filter_call.h"

/* A request's client is told by mp_filter_answer(); a connection has none to tell. */
static apr_status_t fail_output(mp_filter_context *context)
{
    request_rec *r = context->r;

    apr_brigade_cleanup(context->in);
    apr_brigade_cleanup(context->out);
    context->c->keepalive = AP_CONN_CLOSE;
    if (!r) {
        context->failed = 1;
        context->c->aborted = 1;
        return APR_ECONNABORTED;
    }
    context->disabled = 1; /* lets the error page pass */
    mp_filter_answer(context, context->f->next);
    context->disabled = 0;
    context->failed = 1;
    return AP_FILTER_ERROR;
}

/* Behind the end of the stream only what is no data goes on (EOR, for one). */
static apr_status_t pass_metadata(mp_filter_context *context, apr_bucket_brigade *brigade)
{
    apr_bucket *next;

    for (apr_bucket *b = APR_BRIGADE_FIRST(brigade); b != APR_BRIGADE_SENTINEL(brigade); b = next) {
        next = APR_BUCKET_NEXT(b);
        if (!APR_BUCKET_IS_METADATA(b) || mp_filter_is_end(context, b)) {
            apr_bucket_delete(b);
        }
    }
    return APR_BRIGADE_EMPTY(brigade) ? APR_SUCCESS : ap_pass_brigade(context->f->next, brigade);
}

/* Whether there is something for the handler: data, or the end. */
static int concerns_handler(const mp_filter_context *context, apr_bucket_brigade *brigade)
{
    for (apr_bucket *b = APR_BRIGADE_FIRST(brigade); b != APR_BRIGADE_SENTINEL(brigade);
         b = APR_BUCKET_NEXT(b)) {
        if (mp_filter_is_end(context, b) || (!APR_BUCKET_IS_METADATA(b) && b->length)) {
            return 1;
        }
    }
    return 0;
}

/* Whether the handler has not yet been given all that is there, the end included. */
static int is_left(const mp_filter_context *context)
{
    return !APR_BRIGADE_EMPTY(context->in) || context->holds ||
           (context->at_end && !context->told_end);
}

/* Calls the handler as long as it takes something of what is there; what it leaves
 * then, it does not want: that goes on as it is. */
static apr_status_t run_output(mp_filter_context *context)
{
    apr_off_t before;

    do {
        before = context->consumed;
        if (mp_call_filter(context) != 0) {
            return context->rv != APR_SUCCESS ? context->rv : fail_output(context);
        }
    } while (!context->closed && !context->disabled && is_left(context) &&
             context->consumed > before);
    if (context->closed) {
        return pass_metadata(context, context->in);
    }
    if (context->at_end) { /* its bucket was taken, and has to go on */
        apr_status_t rv = mp_filter_write_held(context);
        rv = rv == APR_SUCCESS ? mp_filter_close(context) : rv;
        return rv == APR_SUCCESS ? pass_metadata(context, context->in) : rv;
    }
    if (!APR_BRIGADE_EMPTY(context->in) || context->disabled) {
        apr_status_t rv = mp_filter_write_held(context);
        return rv == APR_SUCCESS ? mp_filter_pass_on(context) : rv;
    }
    return mp_filter_forward(context);
}

apr_status_t mp_filter_output(ap_filter_t *f, apr_bucket_brigade *brigade)
{
    mp_filter_context *context = mp_filter_context_of(f, 0);

    if (!context) {
        ap_remove_output_filter(f);
        return ap_pass_brigade(f->next, brigade);
    }
    if (context->disabled || context->is_running) {
        /* Running: its own handler wrote to the request, not to the filter. */
        return ap_pass_brigade(f->next, brigade);
    }
    if (context->failed) {
        apr_brigade_cleanup(brigade);
        return AP_FILTER_ERROR;
    }
    if (context->closed) {
        return pass_metadata(context, brigade);
    }
    if (!context->was_called && f->r) {
        /* What comes out may be longer or shorter. */
        apr_table_unset(f->r->headers_out, "Content-Length");
        apr_table_unset(f->r->headers_out, "Content-MD5");
    }
    context->was_called = 1;
    if (!concerns_handler(context, brigade)) {
        return ap_pass_brigade(f->next, brigade);
    }
    APR_BRIGADE_CONCAT(context->in, brigade);
    apr_status_t rv = run_output(context);
    apr_brigade_cleanup(context->in); /* empty, unless something failed */
    return rv;
}
