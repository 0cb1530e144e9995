#include "body.h"

#include <http_config.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>
#include <apr_strings.h>

#include "config.h"

/* In */

int mp_body_setup(request_rec *r, mp_body_in *in)
{
    int status;

    if (in->is_set_up) {
        return OK;
    }
    status = ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK);
    if (status == OK) {
        in->brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
        in->is_set_up = 1;
    }
    return status;
}

/* Moves up to want bytes of the buckets at hand to buffer. */
static apr_status_t drain(request_rec *r, mp_body_in *in, char *buffer, apr_size_t want,
                          apr_size_t *got)
{
    while (*got < want && !APR_BRIGADE_EMPTY(in->brigade)) {
        apr_bucket *bucket = APR_BRIGADE_FIRST(in->brigade);
        if (APR_BUCKET_IS_EOS(bucket)) {
            in->at_end = 1;
            apr_brigade_cleanup(in->brigade);
            break;
        }
        if (!APR_BUCKET_IS_METADATA(bucket)) {
            const char *data;
            apr_size_t size;
            apr_status_t rv = apr_bucket_read(bucket, &data, &size, APR_BLOCK_READ);
            if (rv != APR_SUCCESS) {
                return rv;
            }
            if (size > want - *got) {
                size = want - *got;
                apr_bucket_split(bucket, size);
            }
            memcpy(buffer + *got, data, size);
            *got += size;
            r->read_length += (apr_off_t)size;
            if (!r->read_chunked) {
                /* An inflating filter gives more than the client was to send. */
                r->remaining = r->remaining > (apr_off_t)size ? r->remaining - (apr_off_t)size : 0;
            }
        }
        apr_bucket_delete(bucket);
    }
    return APR_SUCCESS;
}

/* What stays in the brigade must outlive the filter that lent it. */
static void set_aside(request_rec *r, mp_body_in *in)
{
    for (apr_bucket *bucket = APR_BRIGADE_FIRST(in->brigade);
         bucket != APR_BRIGADE_SENTINEL(in->brigade); bucket = APR_BUCKET_NEXT(bucket)) {
        apr_bucket_setaside(bucket, r->pool);
    }
}

/* Reads from the filters, past the line buffer. one_block: what one call brings. */
static apr_status_t read_filters(request_rec *r, mp_body_in *in, char *buffer, apr_size_t want,
                                 apr_size_t *got, int one_block)
{
    apr_status_t rv = APR_SUCCESS;
    apr_size_t before = *got;

    while (*got < want && !in->at_end && !(one_block && *got > before)) {
        if (APR_BRIGADE_EMPTY(in->brigade)) {
            rv = ap_get_brigade(r->input_filters, in->brigade, AP_MODE_READBYTES, APR_BLOCK_READ,
                                (apr_off_t)(want - *got));
            if (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(in->brigade)) {
                rv = APR_EGENERAL; /* a blocking read that gives nothing: a filter gave up */
            }
        }
        if (rv == APR_SUCCESS) {
            rv = drain(r, in, buffer, want, got);
        }
        if (rv != APR_SUCCESS) {
            apr_brigade_cleanup(in->brigade);
            r->connection->keepalive = AP_CONN_CLOSE;
            return rv;
        }
    }
    set_aside(r, in);
    return APR_SUCCESS;
}

/* Moves up to want bytes of the line buffer to buffer. */
static void take_line(mp_body_in *in, char *buffer, apr_size_t want, apr_size_t *got)
{
    apr_size_t size = in->line_end - in->line_pos;

    if (size > want - *got) {
        size = want - *got;
    }
    if (size) {
        memcpy(buffer + *got, in->line + in->line_pos, size);
        in->line_pos += size;
        *got += size;
    }
}

apr_status_t mp_body_read(request_rec *r, mp_body_in *in, char *buffer, apr_size_t want,
                          apr_size_t *got)
{
    *got = 0;
    take_line(in, buffer, want, got);
    return read_filters(r, in, buffer, want, got, 0);
}

apr_status_t mp_body_readline(request_rec *r, mp_body_in *in, char *buffer, apr_size_t want,
                              apr_size_t *got, int *found)
{
    *got = 0;
    *found = 0;
    while (*got < want && !*found) {
        apr_size_t at_hand = in->line_end - in->line_pos;
        if (!at_hand) {
            apr_size_t size = 0;
            if (!in->line) {
                in->line = apr_palloc(r->pool, MP_BODY_BLOCK);
            }
            apr_status_t rv = read_filters(r, in, in->line, MP_BODY_BLOCK, &size, 1);
            in->line_pos = 0;
            in->line_end = size;
            if (rv != APR_SUCCESS || !size) {
                return rv;
            }
            at_hand = size;
        }
        const char *start = in->line + in->line_pos;
        const char *newline = memchr(start, '\n', at_hand);
        apr_size_t size = newline ? (apr_size_t)(newline + 1 - start) : at_hand;
        if (size <= want - *got) {
            *found = newline != NULL;
        } else {
            size = want - *got;
        }
        take_line(in, buffer, *got + size, got);
    }
    return APR_SUCCESS;
}

/* Out */

void mp_name_status(request_rec *r, int status)
{
    if (atoi(ap_get_status_line(status)) != status &&
        (!r->status_line || atoi(r->status_line) != status)) {
        r->status_line =
            apr_psprintf(r->pool, "%d %s", status, status == 418 ? "I'm a Teapot" : "Status");
    }
}

static void open_out(request_rec *r, mp_body_out *out)
{
    if (!out->brigade) {
        out->brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    }
}

static apr_status_t pass(request_rec *r, mp_body_out *out)
{
    apr_status_t rv;

    if (out->early) {
        /* A request that ends while it is read is its connection's last: the client is told. */
        r->connection->keepalive = AP_CONN_CLOSE;
    }
    rv = ap_pass_brigade(r->output_filters, out->brigade);
    apr_brigade_cleanup(out->brigade);
    out->gathered = 0;
    if (rv == APR_SUCCESS && r->connection->aborted) {
        rv = APR_ECONNABORTED;
    }
    if (rv != APR_SUCCESS) {
        out->failed = 1;
    }
    return rv;
}

/* Whether writing is pointless, but no error: behind the end of the response (a filter
 * may have ended it early) the client would take it for the next one. */
static int is_over(const request_rec *r, const mp_body_out *out)
{
    return out->ignored || r->eos_sent;
}

static int is_gone(const request_rec *r, const mp_body_out *out)
{
    return out->failed || r->connection->aborted;
}

int mp_body_fits(const request_rec *r, const mp_body_out *out, apr_size_t size)
{
    return !is_over(r, out) && !is_gone(r, out) && out->gathered + size <= MP_BODY_GATHER;
}

void mp_body_gather(request_rec *r, mp_body_out *out, const char *data, apr_size_t size)
{
    open_out(r, out);
    apr_brigade_write(out->brigade, NULL, NULL, data, size);
    out->gathered += size;
    out->queued += (apr_off_t)size;
}

apr_status_t mp_body_write(request_rec *r, mp_body_out *out, const char *data, apr_size_t size,
                           int flush)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;

    if (is_over(r, out) || is_gone(r, out)) {
        return is_over(r, out) ? APR_SUCCESS : APR_ECONNABORTED;
    }
    open_out(r, out);
    if (size) {
        APR_BRIGADE_INSERT_TAIL(out->brigade, apr_bucket_transient_create(data, size, alloc));
        out->queued += (apr_off_t)size;
    }
    if (flush) {
        APR_BRIGADE_INSERT_TAIL(out->brigade, apr_bucket_flush_create(alloc));
    }
    return pass(r, out);
}

apr_size_t mp_body_cut(mp_body_out *out, apr_size_t size)
{
    if (out->has_limit && (apr_off_t)size > out->limit - out->queued) {
        out->is_cut = 1;
        return (apr_size_t)(out->limit > out->queued ? out->limit - out->queued : 0);
    }
    return size;
}

apr_status_t mp_body_sendfile(request_rec *r, mp_body_out *out, apr_file_t *file, apr_off_t offset,
                              apr_off_t length, int at_end)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);

    if (is_over(r, out) || is_gone(r, out)) {
        return is_over(r, out) ? APR_SUCCESS : APR_ECONNABORTED;
    }
    open_out(r, out);
    if (length) {
        apr_bucket *bucket = apr_brigade_insert_file(out->brigade, file, offset, length, r->pool);
        if (core->enable_mmap == ENABLE_MMAP_OFF) {
            apr_bucket_file_enable_mmap(bucket, 0);
        }
    }
    out->queued += length;
    if (at_end) {
        APR_BRIGADE_INSERT_TAIL(out->brigade, apr_bucket_eos_create(r->connection->bucket_alloc));
    }
    return pass(r, out);
}

apr_status_t mp_body_pass(request_rec *r, mp_body_out *out, int at_end)
{
    if (!out->brigade || APR_BRIGADE_EMPTY(out->brigade)) {
        return APR_SUCCESS; /* Apache sends the end itself */
    }
    if (is_over(r, out)) {
        mp_body_discard(out);
        return APR_SUCCESS;
    }
    if (at_end) {
        /* In one brigade with the data, so that Content-Length can be computed. */
        APR_BRIGADE_INSERT_TAIL(out->brigade, apr_bucket_eos_create(r->connection->bucket_alloc));
    }
    return pass(r, out);
}

void mp_body_discard(mp_body_out *out)
{
    if (out->brigade) {
        apr_brigade_cleanup(out->brigade);
        out->queued -= (apr_off_t)out->gathered;
        out->gathered = 0;
    }
}

void mp_body_break(request_rec *r, mp_body_out *out)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;

    open_out(r, out);
    mp_body_discard(out);
    r->connection->keepalive = AP_CONN_CLOSE;
    if (!r->eos_sent) {
        /* The chunk filter leaves out the last chunk at this status, as it does for
         * a proxied response that broke off. */
        APR_BRIGADE_INSERT_TAIL(out->brigade,
                                ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, alloc));
        APR_BRIGADE_INSERT_TAIL(out->brigade, apr_bucket_eos_create(alloc));
        pass(r, out);
    }
}
