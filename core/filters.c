#include "filters.h"

#include <errno.h>
#include <unistd.h>

#include <sys/socket.h>

#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <apr_hash.h>
#include <apr_portable.h>
#include <apr_strings.h>

APLOG_USE_MODULE(python);

#define BY_TYPE "bytype:"

/* What Apache knows the filters of req.register_*_filter() by, whatever they are called:
 * its register cannot be added to while requests run. */
#define OWN_NAME "mod_python"

/* Bytes of a file that are read at once where a view of them is asked for. */
#define FILE_BLOCK 65536

/* Life cycle */

static const mp_handler *find_handler(const ap_filter_t *f, int is_input)
{
    const mp_dir_config *config =
        f->r ? mp_dir_config_of_request(f->r) : mp_dir_config_of_server(f->c->base_server);
    int level = f->r ? MP_FILTER_REQUEST : MP_FILTER_CONNECTION;
    apr_hash_t *filters = config->filters[level][is_input];
    const char *name = f->frec->name;

    /* AddOutputFilterByType puts mod_filter's own in front, named after ours. */
    if (!ap_cstr_casecmpn(name, BY_TYPE, sizeof(BY_TYPE) - 1)) {
        char *lower = apr_pstrdup(f->r ? f->r->pool : f->c->pool, name + sizeof(BY_TYPE) - 1);
        ap_str_tolower(lower);
        name = lower;
    }
    return filters ? apr_hash_get(filters, name, APR_HASH_KEY_STRING) : NULL;
}

/* Without a brigade to write to. */
static mp_filter_context *new_context(ap_filter_t *f, const mp_handler *handler, int is_input)
{
    apr_pool_t *pool = f->r ? f->r->pool : f->c->pool;
    mp_filter_context *context = apr_pcalloc(pool, sizeof(*context));

    context->f = f;
    context->c = f->c;
    context->r = f->r;
    context->pool = pool;
    context->handler = handler;
    context->is_input = is_input ? 1 : 0;
    context->in = apr_brigade_create(pool, f->c->bucket_alloc);
    return context;
}

/* The same, as f's own. */
static mp_filter_context *new_own_context(ap_filter_t *f, const mp_handler *handler, int is_input)
{
    mp_filter_context *context = new_context(f, handler, is_input);

    context->out = apr_brigade_create(context->pool, f->c->bucket_alloc);
    f->ctx = context;
    return context;
}

/* The filter's context, made at its first call; NULL where its name means no Python
 * handler (it was activated outside the scope that configures it). */
mp_filter_context *mp_filter_context_of(ap_filter_t *f, int is_input)
{
    mp_filter_context *context = f->ctx;
    const mp_handler *handler;

    if (context) {
        return context;
    }
    if (!(handler = find_handler(f, is_input))) {
        ap_log_cerror(APLOG_MARK, APLOG_WARNING, 0, f->c,
                      "KK0113: filter %s is active where no Python%sFilter configures it: it "
                      "passes everything",
                      f->frec->name, is_input ? "Input" : "Output");
        return NULL;
    }
    return new_own_context(f, handler, is_input);
}

mp_filter_context *mp_filter_context_new_block(ap_filter_t *f, const mp_handler *handler)
{
    mp_filter_context *context = new_context(f, handler, 0);

    context->at_end = 1;
    return context;
}

void mp_filter_add_own(request_rec *r, const mp_own_filter *own, int is_input)
{
    ap_filter_t *f = is_input ? ap_add_input_filter(OWN_NAME, NULL, r, r->connection)
                              : ap_add_output_filter(OWN_NAME, NULL, r, r->connection);
    mp_filter_context *context = new_own_context(f, &own->handler, is_input);

    context->interp = own->interp;
    context->is_own = 1;
}

void mp_filters_register(void)
{
    ap_register_input_filter(OWN_NAME, mp_filter_input, NULL, AP_FTYPE_RESOURCE);
    ap_register_output_filter(OWN_NAME, mp_filter_output, NULL, AP_FTYPE_RESOURCE);
}

static ap_filter_func includes; /* mod_include's */

void mp_filters_find_includes(void)
{
    const ap_filter_rec_t *filter = ap_get_output_filter_handle("INCLUDES");

    includes.out_func = filter ? filter->filter_func.out_func : NULL;
}

static int may_run_python(const ap_filter_rec_t *filter)
{
    /* Of mod_filter's, which stand in for others, only some tell for which. */
    if (filter && filter->providers) {
        return ap_cstr_casecmpn(filter->name, BY_TYPE, sizeof(BY_TYPE) - 1) ||
               may_run_python(ap_get_output_filter_handle(filter->name + sizeof(BY_TYPE) - 1));
    }
    return filter && (filter->filter_func.out_func == mp_filter_output ||
                      filter->filter_func.out_func == includes.out_func);
}

int mp_filters_on(const request_rec *r)
{
    for (const ap_filter_t *f = r->output_filters; f && f->r; f = f->next) {
        if (may_run_python(f->frec)) {
            return 1;
        }
    }
    for (const ap_filter_t *f = r->input_filters; f && f->r; f = f->next) {
        if (f->frec->filter_func.in_func == mp_filter_input) {
            return 1;
        }
    }
    return 0;
}

/* Passing on */

apr_status_t mp_filter_forward(mp_filter_context *context)
{
    apr_status_t rv;

    context->gathered = 0;
    if (context->is_input || APR_BRIGADE_EMPTY(context->out)) {
        return APR_SUCCESS; /* what reads from us takes it */
    }
    rv = ap_pass_brigade(context->f->next, context->out);
    apr_brigade_cleanup(context->out);
    if (rv != APR_SUCCESS) {
        context->rv = rv;
    }
    return rv;
}

void mp_filter_append(mp_filter_context *context, apr_bucket *bucket)
{
    context->gathered = 0; /* what follows begins a bucket of its own */
    APR_BRIGADE_INSERT_TAIL(context->out, bucket);
}

/* On the way out a connection carries many streams, whose ends are not its own. */
int mp_filter_is_end(const mp_filter_context *context, const apr_bucket *bucket)
{
    return (context->r || context->is_input) && APR_BUCKET_IS_EOS(bucket);
}

/* Reading */

/* Whether out holds what was asked for. */
int mp_filter_is_satisfied(const mp_filter_context *context)
{
    apr_size_t total = 0; /* a line longer than that is not waited for */

    if (context->mode != AP_MODE_GETLINE) {
        return !APR_BRIGADE_EMPTY(context->out);
    }
    for (apr_bucket *b = APR_BRIGADE_FIRST(context->out); b != APR_BRIGADE_SENTINEL(context->out);
         b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t size;
        if (APR_BUCKET_IS_EOS(b)) {
            return 1;
        }
        if (!APR_BUCKET_IS_METADATA(b) &&
            apr_bucket_read(b, &data, &size, APR_BLOCK_READ) == APR_SUCCESS) {
            total += size;
            if (memchr(data, '\n', size) || total >= HUGE_STRING_LEN) {
                return 1;
            }
        }
    }
    return 0;
}

/* Input: one brigade from the next filter, unless this call has what it is for. */
static apr_status_t fetch(mp_filter_context *context)
{
    apr_off_t want = context->want > MP_FILTER_GATHER ? context->want : MP_FILTER_GATHER;
    apr_status_t rv;

    if (mp_filter_is_satisfied(context)) {
        return APR_EAGAIN;
    }
    rv = ap_get_brigade(context->f->next, context->in, AP_MODE_READBYTES, context->block, want);
    if (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(context->in)) {
        return APR_EAGAIN;
    }
    if (APR_STATUS_IS_EOF(rv)) {
        context->at_end = 1;
    } else if (rv != APR_SUCCESS && !APR_STATUS_IS_EAGAIN(rv)) {
        context->rv = rv;
    }
    return rv;
}

int mp_filter_at_hand(const mp_filter_context *context)
{
    const apr_bucket *bucket;

    if (context->at_end || APR_BRIGADE_EMPTY(context->in)) {
        return 0;
    }
    bucket = APR_BRIGADE_FIRST(context->in);
    return !APR_BUCKET_IS_METADATA(bucket) && bucket->length > 0 &&
           bucket->length != (apr_size_t)-1 &&
           (APR_BUCKET_IS_HEAP(bucket) || APR_BUCKET_IS_TRANSIENT(bucket) ||
            APR_BUCKET_IS_POOL(bucket) || APR_BUCKET_IS_IMMORTAL(bucket));
}

/* A file is not mapped: that costs more than reading it, and ends the process if somebody
 * truncates the file meanwhile. Of what a program writes little by little, what was made of
 * the first goes on before the next is waited for. */
static apr_status_t read_bucket(mp_filter_context *context, apr_bucket *bucket, const char **data,
                                apr_size_t *size)
{
    apr_status_t rv;

    if (APR_BUCKET_IS_FILE(bucket)) {
        apr_bucket_file_enable_mmap(bucket, 0);
        apr_bucket_file_set_buf_size(bucket, FILE_BLOCK);
    }
    rv = apr_bucket_read(bucket, data, size, APR_NONBLOCK_READ);
    if (!APR_STATUS_IS_EAGAIN(rv)) {
        return rv;
    }
    if (context->produced && !context->is_input) {
        rv = mp_filter_flush(context);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    return apr_bucket_read(bucket, data, size, APR_BLOCK_READ);
}

apr_status_t mp_filter_peek(mp_filter_context *context, const char **data, apr_size_t *size)
{
    for (;;) {
        apr_status_t rv = APR_SUCCESS;
        if (context->at_end) {
            return APR_EOF;
        }
        if (APR_BRIGADE_EMPTY(context->in)) {
            rv = context->is_input ? fetch(context) : APR_EAGAIN;
            if (rv != APR_SUCCESS) {
                return rv;
            }
        }
        apr_bucket *bucket = APR_BRIGADE_FIRST(context->in);
        if (mp_filter_is_end(context, bucket)) {
            apr_bucket_delete(bucket);
            context->at_end = 1;
        } else if (APR_BUCKET_IS_METADATA(bucket)) {
            APR_BUCKET_REMOVE(bucket);
            mp_filter_append(context, bucket);
            rv = mp_filter_forward(context);
        } else if ((rv = read_bucket(context, bucket, data, size)) == APR_SUCCESS) {
            if (*size) {
                return APR_SUCCESS;
            }
            apr_bucket_delete(bucket);
        }
        if (rv != APR_SUCCESS) {
            context->rv = rv;
            return rv;
        }
    }
}

void mp_filter_consume(mp_filter_context *context, apr_size_t size)
{
    apr_bucket *bucket = APR_BRIGADE_FIRST(context->in);

    if (size < bucket->length) {
        apr_bucket_split(bucket, size);
    }
    apr_bucket_delete(bucket);
    context->consumed += (apr_off_t)size;
}

/* What a buffer of APR's holds is in no file yet. */
apr_size_t mp_filter_file_at_hand(const mp_filter_context *context)
{
    const apr_bucket *bucket;
    const apr_bucket_file *file;

    if (context->at_end || APR_BRIGADE_EMPTY(context->in)) {
        return 0;
    }
    bucket = APR_BRIGADE_FIRST(context->in);
    if (!APR_BUCKET_IS_FILE(bucket)) {
        return 0;
    }
    file = bucket->data;
    return apr_file_flags_get(file->fd) & APR_FOPEN_BUFFERED ? 0 : bucket->length;
}

apr_status_t mp_filter_read_file(mp_filter_context *context, char *buffer, apr_size_t *size)
{
    apr_bucket *bucket = APR_BRIGADE_FIRST(context->in);
    const apr_bucket_file *file = bucket->data;
    apr_os_file_t fd;
    ssize_t got;

    apr_os_file_get(&fd, file->fd);
    do {
        got = pread(fd, buffer, *size, bucket->start);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return context->rv = errno;
    }
    *size = (apr_size_t)got;
    if (got) {
        mp_filter_consume(context, *size);
    } else {
        apr_bucket_delete(bucket);
    }
    return APR_SUCCESS;
}

/* Writing */

int mp_filter_fits(const mp_filter_context *context, apr_size_t size)
{
    return context->is_input || context->gathered + size <= MP_FILTER_GATHER;
}

apr_status_t mp_filter_write(mp_filter_context *context, const char *data, apr_size_t size)
{
    if (!size) {
        return APR_SUCCESS; /* on the way in, an empty bucket would pass for data, too */
    }
    context->produced += (apr_off_t)size;
    if (mp_filter_fits(context, size)) {
        context->gathered += size;
        return apr_brigade_write(context->out, NULL, NULL, data, size);
    }
    mp_filter_append(context, apr_bucket_transient_create(data, size, context->c->bucket_alloc));
    return mp_filter_forward(context);
}

apr_status_t mp_filter_flush(mp_filter_context *context)
{
    if (context->is_input) {
        return APR_SUCCESS; /* its bucket would pass for data that waits to be read */
    }
    mp_filter_append(context, apr_bucket_flush_create(context->c->bucket_alloc));
    return mp_filter_forward(context);
}

apr_status_t mp_filter_close(mp_filter_context *context)
{
    if (context->closed) {
        return APR_SUCCESS;
    }
    context->closed = 1;
    if (context->r && !context->ssi_block) {
        mp_filter_append(context, apr_bucket_eos_create(context->c->bucket_alloc));
    }
    return mp_filter_forward(context);
}

apr_status_t mp_filter_pass_on(mp_filter_context *context)
{
    apr_status_t rv = APR_SUCCESS;

    if (context->is_input && APR_BRIGADE_EMPTY(context->in) && !context->at_end) {
        rv = fetch(context);
    }
    while (!APR_BRIGADE_EMPTY(context->in)) {
        apr_bucket *bucket = APR_BRIGADE_FIRST(context->in);
        if (mp_filter_is_end(context, bucket)) {
            context->at_end = 1;
            context->closed = 1;
        }
        if (!APR_BUCKET_IS_METADATA(bucket) && bucket->length == 0) {
            apr_bucket_delete(bucket); /* what a socket leaves: it must not pass for data */
            continue;
        }
        APR_BUCKET_REMOVE(bucket);
        mp_filter_append(context, bucket);
    }
    if (rv == APR_SUCCESS || APR_STATUS_IS_EAGAIN(rv) || APR_STATUS_IS_EOF(rv)) {
        rv = mp_filter_forward(context);
    }
    return rv;
}

/* A response of HTTP/1.0 without a length ends where the connection does: only a reset tells
 * that this is not the end. */
static void reset_connection(const request_rec *r)
{
    conn_rec *c = r->connection;
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    apr_os_sock_t descriptor;

    if (r->proto_num >= HTTP_VERSION(1, 1) || c->master ||
        apr_table_get(r->headers_out, "Content-Length")) {
        return;
    }
    if (apr_os_sock_get(&descriptor, ap_get_conn_socket(c)) == APR_SUCCESS) {
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        c->aborted = 1;
    }
}

/* Whether something of the response has gone out. mod_proxy sets sent_bodyct before, but then
 * the filter that sends the headers, of HTTP/1 or HTTP/2, is still there. */
static int has_response_begun(const request_rec *r)
{
    const ap_filter_t *f = r->sent_bodyct ? r->proto_output_filters : NULL;

    while (f && ap_cstr_casecmp(f->frec->name, "HTTP_HEADER") &&
           ap_cstr_casecmp(f->frec->name, "H2_C2_RESPONSE_OUT")) {
        f = f->next;
    }
    return r->sent_bodyct && !f;
}

void mp_filter_answer(mp_filter_context *context, ap_filter_t *next)
{
    int status = context->timed_out ? HTTP_GATEWAY_TIME_OUT : HTTP_INTERNAL_SERVER_ERROR;
    request_rec *r = context->r;
    int has_begun = has_response_begun(r);
    apr_bucket_alloc_t *alloc = context->c->bucket_alloc;
    apr_bucket_brigade *answer = apr_brigade_create(r->pool, alloc);

    if (context->page && !has_begun) {
        r->status = status;
        r->status_line = NULL;
        r->content_encoding = NULL;
        apr_table_clear(r->headers_out);
        ap_set_content_type(r, "text/plain; charset=utf-8");
        APR_BRIGADE_INSERT_TAIL(answer, apr_bucket_pool_create(context->page, strlen(context->page),
                                                               context->pool, alloc));
    } else {
        APR_BRIGADE_INSERT_TAIL(answer,
                                ap_bucket_error_create(has_begun ? HTTP_BAD_GATEWAY : status, NULL,
                                                       context->pool, alloc));
    }
    APR_BRIGADE_INSERT_TAIL(answer, apr_bucket_eos_create(alloc));
    ap_pass_brigade(r->main ? next : r->proto_output_filters, answer);
    if (has_begun && !r->main) {
        reset_connection(r);
    }
}
