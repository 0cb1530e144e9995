#include "ssi.h"

#include <httpd.h>
#include <http_config.h>
#include <http_log.h>
#include <util_filter.h>
#include <apr_strings.h>
/* It needs those before. */
#include <mod_include.h>

#include "context.h"
#include "filters.h"
#include "py_filter_call.h"

APLOG_USE_MODULE(python);

static APR_OPTIONAL_FN_TYPE(ap_ssi_get_tag_and_value) * get_attribute;

/* What blocks are in the place of: a filter that a directive configures. */
static const mp_handler the_filter = {.text = "#python", .name = "INCLUDES"};

/* The context that all blocks share which this filter of mod_include's meets, found or made. */
static mp_filter_context *context_of(ap_filter_t *f)
{
    mp_filter_context *context = mp_request_context_of(f->r)->filters;

    while (context && (context->f != f || context->handler != &the_filter)) {
        context = context->next;
    }
    return context ? context : mp_filter_context_new_block(f, &the_filter);
}

static void show_error(include_ctx_t *ctx, ap_filter_t *f, apr_bucket_brigade *out)
{
    SSI_CREATE_ERROR_BUCKET(ctx, f, out);
}

/* Calls the block. What it writes to the request goes where it stands in the page, too: the
 * filters up to mod_include's are at work on what came before, and may have the end. */
static int call(mp_filter_context *context)
{
    request_rec *r = context->r;
    mp_body_out *body = &mp_request_context_of(r)->out;
    mp_body_out kept = *body;
    ap_filter_t *filters = r->output_filters;
    int eos_sent = r->eos_sent;
    int result;

    r->output_filters = context->f->next;
    r->eos_sent = 0;
    *body = (mp_body_out){.brigade = context->out, .failed = kept.failed};
    result = mp_call_filter(context);
    kept.failed = body->failed;
    *body = kept;
    if (r->eos_sent) { /* by an internal redirect: nothing may follow */
        apr_brigade_cleanup(context->out);
        context->rv = AP_FILTER_ERROR;
    }
    r->eos_sent |= eos_sent;
    context->f->next = r->output_filters; /* with those that the block has added */
    r->output_filters = filters;
    return result;
}

/* Runs a block, which writes to out; an error of a neighbour that failed. */
static apr_status_t run(include_ctx_t *ctx, ap_filter_t *f, apr_bucket_brigade *out,
                        const mp_ssi_block *block)
{
    mp_filter_context *context = context_of(f);
    int result;

    mp_note_handlers(); /* it may add some */
    context->ssi_block = block;
    context->out = out;
    context->gathered = 0;
    context->closed = 0;
    result = call(context);
    context->ssi_block = NULL;
    context->out = NULL;
    if (result != 0 && context->rv == APR_SUCCESS) {
        show_error(ctx, f, out);
    }
    return context->rv;
}

/* The one attribute of the directive: 0, or -1 if there is something else, which is logged. */
static int read_attribute(include_ctx_t *ctx, const request_rec *r, mp_ssi_block *block)
{
    const char *wanted = "write eval=\"EXPRESSION\" or exec=\"CODE\"";
    char *name = NULL, *value = NULL;

    if (ctx->argc == 1) {
        get_attribute(ctx, &name, &value, SSI_VALUE_DECODED);
    }
    if (!name) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "KK0114: #python with %u attributes in %s: %s",
                      ctx->argc, r->filename, wanted);
    } else if (strcmp(name, "eval") && strcmp(name, "exec")) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "KK0114: #python with the unknown attribute \"%s\" in %s: %s", name,
                      r->filename, wanted);
    } else if (!value || !*value) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "KK0114: #python %s without code in %s: %s",
                      name, r->filename, wanted);
    } else {
        block->attribute = name;
        block->code = value;
        return 0;
    }
    return -1;
}

/* What mod_include calls for a directive; what it returns ends the page. */
static apr_status_t handle_python(include_ctx_t *ctx, ap_filter_t *f, apr_bucket_brigade *out)
{
    const request_rec *r = f->r;
    mp_ssi_block block;

    if (!(ctx->flags & SSI_FLAG_PRINTING)) {
        return APR_SUCCESS; /* of an #if that is not true */
    }
    if (ctx->flags & SSI_FLAG_NO_EXEC) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "KK0115: #python used but not allowed in %s: Options has IncludesNOEXEC",
                      r->filename);
        show_error(ctx, f, out);
        return APR_SUCCESS;
    }
    if (read_attribute(ctx, r, &block) != 0) {
        show_error(ctx, f, out);
        return APR_SUCCESS;
    }
    return run(ctx, f, out, &block);
}

/* mod_include makes its table of directives in this hook. */
static int register_directive(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    APR_OPTIONAL_FN_TYPE(ap_register_include_handler) *register_handler =
        APR_RETRIEVE_OPTIONAL_FN(ap_register_include_handler);

    get_attribute = APR_RETRIEVE_OPTIONAL_FN(ap_ssi_get_tag_and_value);
    mp_filters_find_includes();
    if (register_handler && get_attribute) {
        register_handler(apr_pstrdup(pconf, "python"), handle_python);
    }
    return OK;
}

void mp_ssi_register_hooks(apr_pool_t *pool)
{
    static const char *const behind[] = {"mod_include.c", NULL};

    ap_hook_post_config(register_directive, behind, NULL, APR_HOOK_REALLY_FIRST);
}
