#include "filters.h"

#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>

#include "py_filter_call.h"

static apr_status_t take(mp_filter_context *context, apr_bucket_brigade *brigade,
                         ap_input_mode_t mode, apr_off_t bytes)
{
    apr_bucket *end = APR_BRIGADE_SENTINEL(context->out);
    apr_bucket *next;

    if (mode == AP_MODE_GETLINE) {
        return apr_brigade_split_line(brigade, context->out, APR_BLOCK_READ, HUGE_STRING_LEN);
    }
    if (mode != AP_MODE_EXHAUSTIVE) {
        apr_status_t rv = apr_brigade_partition(context->out, bytes, &end);
        if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) {
            return rv;
        }
    }
    for (apr_bucket *b = APR_BRIGADE_FIRST(context->out); b != end; b = next) {
        next = APR_BUCKET_NEXT(b);
        if (mode == AP_MODE_SPECULATIVE) {
            apr_bucket *copy;
            if (apr_bucket_copy(b, &copy) == APR_SUCCESS) {
                APR_BRIGADE_INSERT_TAIL(brigade, copy);
            }
        } else {
            APR_BUCKET_REMOVE(b);
            APR_BRIGADE_INSERT_TAIL(brigade, b);
        }
    }
    /* An end that comes next belongs to what was read. */
    if (mode != AP_MODE_SPECULATIVE && end != APR_BRIGADE_SENTINEL(context->out) &&
        APR_BUCKET_IS_EOS(end)) {
        APR_BUCKET_REMOVE(end);
        APR_BRIGADE_INSERT_TAIL(brigade, end);
    }
    context->gathered = 0;
    return APR_SUCCESS;
}

/* The request gets 500, or breaks off if its response has begun; by the contract of
 * AP_FILTER_ERROR: the filter has answered. */
static apr_status_t fail_input(mp_filter_context *context)
{
    request_rec *r = context->r;

    context->failed = 1;
    context->c->keepalive = AP_CONN_CLOSE;
    apr_brigade_cleanup(context->in);
    apr_brigade_cleanup(context->out);
    if (!r) {
        context->c->aborted = 1;
        return APR_ECONNABORTED;
    }
    if (!r->eos_sent) {
        mp_filter_answer(context, r->output_filters);
    }
    return AP_FILTER_ERROR;
}

/* Calls the handler until it has written what is asked for, or the stream ends. */
static apr_status_t fill(mp_filter_context *context)
{
    while (!mp_filter_is_satisfied(context) && !context->closed && !context->disabled) {
        apr_off_t before = context->consumed + context->produced;
        apr_status_t rv = APR_SUCCESS;
        if (mp_call_filter(context) != 0) {
            return context->rv != APR_SUCCESS ? context->rv : fail_input(context);
        }
        int did_nothing = context->consumed + context->produced == before;
        if (context->at_end && !context->closed && (context->told_end || did_nothing)) {
            mp_filter_write_held(context);
            mp_filter_close(context);
        } else if (did_nothing && !context->closed) {
            /* It neither read nor wrote: what comes is not for it. */
            mp_filter_write_held(context);
            rv = mp_filter_pass_on(context);
        }
        if (context->disabled) {
            mp_filter_write_held(context);
            rv = APR_BRIGADE_EMPTY(context->in) ? APR_SUCCESS : mp_filter_pass_on(context);
        }
        if (rv != APR_SUCCESS || context->rv != APR_SUCCESS) {
            return rv != APR_SUCCESS ? rv : context->rv;
        }
        if (context->block == APR_NONBLOCK_READ && !mp_filter_is_satisfied(context) &&
            !context->closed) {
            return APR_EAGAIN;
        }
    }
    return APR_SUCCESS;
}

/* Splitting a line off leaves a bucket without data: it must not pass for some. */
static void drop_empty(apr_bucket_brigade *brigade)
{
    apr_bucket *next;

    for (apr_bucket *b = APR_BRIGADE_FIRST(brigade); b != APR_BRIGADE_SENTINEL(brigade); b = next) {
        next = APR_BUCKET_NEXT(b);
        if (!APR_BUCKET_IS_METADATA(b) && b->length == 0) {
            apr_bucket_delete(b);
        }
    }
}

/* Closed before the end: the rest of the body is read and forgotten, or it would be
 * taken for the next request. */
static apr_status_t drain(mp_filter_context *context)
{
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && !context->at_end) {
        if (!APR_BRIGADE_EMPTY(context->in)) {
            context->at_end = APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(context->in)) != 0;
            apr_brigade_cleanup(context->in);
        } else {
            rv = ap_get_brigade(context->f->next, context->in, AP_MODE_READBYTES, context->block,
                                HUGE_STRING_LEN);
            if (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(context->in)) {
                rv = APR_EAGAIN;
            }
        }
    }
    return rv;
}

apr_status_t mp_filter_input(ap_filter_t *f, apr_bucket_brigade *brigade, ap_input_mode_t mode,
                             apr_read_type_e block, apr_off_t bytes)
{
    mp_filter_context *context = mp_filter_context_of(f, 1);
    apr_status_t rv;

    if (!context) {
        ap_remove_input_filter(f);
        return ap_get_brigade(f->next, brigade, mode, block, bytes);
    }
    if (context->is_running) {
        /* Its own handler reads from the request, not from the filter. */
        return ap_get_brigade(f->next, brigade, mode, block, bytes);
    }
    if (context->failed) {
        return AP_FILTER_ERROR;
    }
    drop_empty(context->out);
    if (APR_BRIGADE_EMPTY(context->out)) {
        if (context->disabled || mode == AP_MODE_INIT || mode == AP_MODE_EATCRLF) {
            return ap_get_brigade(f->next, brigade, mode, block, bytes);
        }
        if (context->closed) {
            if (!context->r) {
                return APR_EOF;
            }
            APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_eos_create(context->c->bucket_alloc));
            return APR_SUCCESS;
        }
    } else if (mode == AP_MODE_INIT || mode == AP_MODE_EATCRLF) {
        return APR_SUCCESS; /* data is waiting: nothing to wake up, or to eat */
    }
    context->mode = mode;
    context->block = block;
    context->want = bytes;
    context->rv = APR_SUCCESS;
    if (!context->disabled) {
        rv = fill(context);
        if (rv != APR_SUCCESS && APR_BRIGADE_EMPTY(context->out)) {
            /* Nothing now, and not to be waited for: as the core's filter says it. */
            return block == APR_NONBLOCK_READ && APR_STATUS_IS_EAGAIN(rv) ? APR_SUCCESS : rv;
        }
        if (APR_BRIGADE_EMPTY(context->out)) {
            return context->disabled ? ap_get_brigade(f->next, brigade, mode, block, bytes)
                                     : APR_EOF; /* a connection that ended */
        }
    }
    if (context->closed && context->r && !context->at_end) {
        rv = drain(context);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    return take(context, brigade, mode, bytes);
}
