#include "connection.h"

#include <ap_mpm.h>
#include <http_config.h>
#include <http_connection.h>
#include <http_core.h>
#include <scoreboard.h>
#include <util_filter.h>
#include <apr_poll.h>

#include "config.h"
#include "py_dispatch.h"

/* How often a waiting connection looks whether the server is stopping. */
#define STOP_CHECK apr_time_from_sec(1)

/* Bytes asked of the input filters at once. */
#define BLOCK_SIZE 8192

static int server_is_stopping(void)
{
    int state = 0;

    return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state == AP_MPMQ_STOPPING;
}

/* Waits until the peer has sent something. */
static apr_status_t wait_readable(conn_rec *c, apr_interval_time_t left)
{
    apr_pollfd_t pollfd = {
        .p = c->pool,
        .desc_type = APR_POLL_SOCKET,
        .reqevents = APR_POLLIN,
        .desc.s = ap_get_conn_socket(c),
    };

    while (left > 0) {
        apr_interval_time_t slice = left < STOP_CHECK ? left : STOP_CHECK;
        apr_int32_t count;
        apr_status_t rv = apr_poll(&pollfd, 1, &count, slice);
        if (!APR_STATUS_IS_TIMEUP(rv) && !APR_STATUS_IS_EINTR(rv)) {
            return rv;
        }
        if (server_is_stopping()) {
            return APR_ECONNABORTED;
        }
        left -= slice;
    }
    return APR_TIMEUP;
}

/* One brigade from the filters. */
static apr_status_t fetch(conn_rec *c, apr_bucket_brigade *in)
{
    for (;;) {
        /* Not blocking: the filters cannot be told that the server is stopping. */
        apr_status_t rv =
            ap_get_brigade(c->input_filters, in, AP_MODE_READBYTES, APR_NONBLOCK_READ, BLOCK_SIZE);
        if (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(in)) {
            return APR_SUCCESS;
        }
        if (rv == APR_SUCCESS || APR_STATUS_IS_EAGAIN(rv)) {
            rv = wait_readable(c, c->base_server->timeout);
        }
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
}

/* mod_reqtimeout takes all that comes before a request for the handshake: here it is over. */
static void end_handshake_timeout(conn_rec *c)
{
    for (ap_filter_t *f = c->input_filters; f; f = f->next) {
        if (!ap_cstr_casecmp(f->frec->name, "reqtimeout")) {
            ap_remove_input_filter(f);
            return;
        }
    }
}

/* Before the first byte: TLS shakes hands, as long as Timeout and the server let it. */
static apr_status_t begin(conn_rec *c, mp_conn_context *context)
{
    apr_time_t end;
    apr_status_t rv;

    if (context->out) {
        return APR_SUCCESS;
    }
    end = apr_time_now() + c->base_server->timeout;
    if (!context->in) {
        context->in = apr_brigade_create(c->pool, c->bucket_alloc);
    }
    for (;;) {
        /* Not blocking: as in fetch(). */
        rv = ap_get_brigade(c->input_filters, context->in, AP_MODE_INIT, APR_NONBLOCK_READ, 0);
        if (!APR_STATUS_IS_EAGAIN(rv)) {
            break;
        }
        rv = wait_readable(c, STOP_CHECK); /* mod_reqtimeout may have a limit of its own */
        if ((rv != APR_SUCCESS && !APR_STATUS_IS_TIMEUP(rv)) || apr_time_now() >= end) {
            c->aborted = 1; /* or closing would wait for the handshake, to say goodbye */
            return rv == APR_SUCCESS ? APR_TIMEUP : rv;
        }
    }
    if (rv == APR_SUCCESS) {
        context->out = apr_brigade_create(c->pool, c->bucket_alloc);
        end_handshake_timeout(c);
    }
    return rv;
}

apr_status_t mp_connection_peek(conn_rec *c, const char **data, apr_size_t *size)
{
    mp_conn_context *context = mp_conn_context_of(c);
    apr_status_t rv = begin(c, context);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (;;) {
        rv = APR_BRIGADE_EMPTY(context->in) ? fetch(c, context->in) : APR_SUCCESS;
        if (rv != APR_SUCCESS) {
            return rv;
        }
        apr_bucket *bucket = APR_BRIGADE_FIRST(context->in);
        if (APR_BUCKET_IS_EOS(bucket)) {
            return APR_EOF;
        }
        if (!APR_BUCKET_IS_METADATA(bucket)) {
            rv = apr_bucket_read(bucket, data, size, APR_BLOCK_READ);
            if (rv != APR_SUCCESS || *size) {
                return rv;
            }
        }
        apr_bucket_delete(bucket);
    }
}

void mp_connection_consume(conn_rec *c, apr_size_t size)
{
    apr_bucket_brigade *in = mp_conn_context_of(c)->in;
    apr_bucket *bucket = APR_BRIGADE_FIRST(in);

    if (size < bucket->length) {
        apr_bucket_split(bucket, size);
    }
    apr_bucket_delete(bucket);
    for (bucket = APR_BRIGADE_FIRST(in); bucket != APR_BRIGADE_SENTINEL(in);
         bucket = APR_BUCKET_NEXT(bucket)) {
        apr_bucket_setaside(bucket, c->pool); /* mod_ssl lends it for one call only */
    }
}

void mp_connection_put_back(conn_rec *c, const char *data, apr_size_t size)
{
    apr_bucket *bucket = apr_bucket_heap_create(data, size, NULL, c->bucket_alloc);

    APR_BRIGADE_INSERT_HEAD(mp_conn_context_of(c)->in, bucket);
}

apr_status_t mp_connection_write(conn_rec *c, const char *data, apr_size_t size)
{
    mp_conn_context *context = mp_conn_context_of(c);
    apr_bucket_brigade *out;
    apr_status_t rv;

    if (c->aborted) {
        return APR_ECONNABORTED;
    }
    rv = begin(c, context);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    out = context->out;
    APR_BRIGADE_INSERT_TAIL(out, apr_bucket_transient_create(data, size, c->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(out, apr_bucket_flush_create(c->bucket_alloc));
    rv = ap_pass_brigade(c->output_filters, out);
    apr_brigade_cleanup(out);
    return rv == APR_SUCCESS && c->aborted ? APR_ECONNABORTED : rv;
}

static int process_connection(conn_rec *c)
{
    const mp_handler *handler = mp_dir_config_of_server(c->base_server)->connection_handler;
    int status;

    if (!handler || c->master) {
        return DECLINED;
    }
    ap_update_child_status_from_conn(c->sbh, SERVER_BUSY_READ, c);
    status = mp_dispatch_connection(c, handler);
    if (status == DECLINED) {
        return DECLINED; /* HTTP, or another module's protocol, then */
    }
    c->keepalive = AP_CONN_CLOSE;
    if (c->cs) {
        c->cs->state = CONN_STATE_LINGER;
    }
    return OK;
}

void mp_connection_register_hooks(apr_pool_t *pool)
{
    /* Before HTTP/2, which would read the connection's first bytes. */
    ap_hook_process_connection(process_connection, NULL, NULL, APR_HOOK_FIRST);
}
