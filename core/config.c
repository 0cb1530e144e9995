#include "config.h"

#include <apr_fnmatch.h>
#include <apr_hash.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "global_lock.h"

const char *const mp_phase_names[MP_PHASE_COUNT] = {
    [MP_PHASE_POST_READ_REQUEST] = "PythonPostReadRequestHandler",
    [MP_PHASE_SERVER_INIT] = "PythonInitHandler",
    [MP_PHASE_TRANS] = "PythonTransHandler",
    [MP_PHASE_HEADER_PARSER] = "PythonHeaderParserHandler",
    [MP_PHASE_INIT] = "PythonInitHandler",
    [MP_PHASE_ACCESS] = "PythonAccessHandler",
    [MP_PHASE_AUTHEN] = "PythonAuthenHandler",
    [MP_PHASE_AUTHZ] = "PythonAuthzHandler",
    [MP_PHASE_TYPE] = "PythonTypeHandler",
    [MP_PHASE_FIXUP] = "PythonFixupHandler",
    [MP_PHASE_CONTENT] = "PythonHandler",
    [MP_PHASE_LOG] = "PythonLogHandler",
    [MP_PHASE_CLEANUP] = "PythonCleanupHandler",
};

/* PythonShutdownTimeout, in seconds. Apache kills a child nine seconds after telling it to
 * end: before, everything has to be over. */
#define SHUTDOWN_TIMEOUT 3
#define MAX_SHUTDOWN_TIMEOUT 8

/* Made anew at each reading of the configuration, in its pool. */
static mp_process_config *process_config;

mp_process_config *mp_process_config_get(void)
{
    return process_config;
}

static int make_process_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    process_config = apr_pcalloc(pconf, sizeof(*process_config));
    process_config->imports = apr_array_make(pconf, 4, sizeof(mp_located));
    process_config->filters = apr_array_make(pconf, 4, sizeof(mp_registered_filter));
    process_config->python_paths = apr_array_make(pconf, 4, sizeof(mp_located));
    process_config->shutdown_timeout = SHUTDOWN_TIMEOUT;
    return OK;
}

void mp_config_register_hooks(apr_pool_t *pool)
{
    /* First: directives of this very reading write into it. */
    ap_hook_pre_config(make_process_config, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

/* Create and merge */

void *mp_create_dir_config(apr_pool_t *pool, char *dir)
{
    mp_dir_config *config = apr_pcalloc(pool, sizeof(*config));

    config->request_timeout = -1;
    config->gil.own = -1;
    config->auto_reload = -1;
    config->debug = -1;
    config->enable_pdb = -1;
    config->interp_per_directory = -1;
    config->interp_per_directive = -1;
    config->allow_override = -1;
    if (!dir) {
        /* Server level: a table that lives as long as the child. */
        config->options = apr_table_make(pool, 4);
    }
    return config;
}

/* The options of base, less those that add removes, plus those that add gives. */
static apr_table_t *merge_options(apr_pool_t *pool, const mp_dir_config *base,
                                  const mp_dir_config *add)
{
    apr_table_t *merged;

    if (!add->removed_options && (!add->options || apr_is_empty_table(add->options))) {
        return base->options;
    }
    if (!add->removed_options && (!base->options || apr_is_empty_table(base->options))) {
        return add->options; /* no request changes it: req.get_options() is a copy */
    }
    merged = base->options ? apr_table_copy(pool, base->options) : apr_table_make(pool, 4);
    if (add->removed_options) {
        const apr_array_header_t *keys = apr_table_elts(add->removed_options);
        for (int i = 0; i < keys->nelts; i++) {
            apr_table_unset(merged, APR_ARRAY_IDX(keys, i, apr_table_entry_t).key);
        }
    }
    if (add->options) {
        apr_table_overlap(merged, add->options, APR_OVERLAP_TABLES_SET);
    }
    return merged;
}

void *mp_merge_dir_config(apr_pool_t *pool, void *basev, void *addv)
{
    const mp_dir_config *base = basev;
    const mp_dir_config *add = addv;
    mp_dir_config *merged = apr_pmemdup(pool, base, sizeof(*base));

    merged->phases |= add->phases;
    for (unsigned left = add->phases; left; left &= left - 1) {
        int phase = __builtin_ctz(left);
        if (add->lists[phase]) {
            merged->lists[phase] = add->lists[phase];
        }
        if (add->by_extension[phase]) {
            merged->by_extension[phase] =
                base->by_extension[phase]
                    ? apr_hash_overlay(pool, add->by_extension[phase], base->by_extension[phase])
                    : add->by_extension[phase];
        }
    }
    merged->options = merge_options(pool, base, add);
    if (add->removed_options) {
        merged->removed_options =
            base->removed_options
                ? apr_table_overlay(pool, add->removed_options, base->removed_options)
                : add->removed_options;
    }
#define INHERIT(field, given)                                                                      \
    if (given) {                                                                                   \
        merged->field = add->field;                                                                \
    }
    for (int i = 0; i < 4; i++) {
        apr_hash_t *given = add->filters[i / 2][i % 2];
        apr_hash_t *known = base->filters[i / 2][i % 2];
        if (given) {
            merged->filters[i / 2][i % 2] = known ? apr_hash_overlay(pool, given, known) : given;
        }
    }
    if (add->connection_filters && base->connection_filters) {
        merged->connection_filters =
            apr_array_append(pool, base->connection_filters, add->connection_filters);
    } else {
        INHERIT(connection_filters, add->connection_filters)
    }
    mp_merge_mime_handlers(pool, base, add, merged);
    INHERIT(connection_handler, add->connection_handler)
    INHERIT(interpreter, add->interpreter)
    if (add->gil.own >= 0) {
        merged->gil = mp_merge_gil(base->gil, add->gil);
    }
    INHERIT(python_path, add->python_path)
    INHERIT(handler_module, add->handler_module)
    INHERIT(request_timeout, add->request_timeout >= 0)
    INHERIT(auto_reload, add->auto_reload >= 0)
    INHERIT(debug, add->debug >= 0)
    INHERIT(enable_pdb, add->enable_pdb >= 0)
    INHERIT(interp_per_directory, add->interp_per_directory >= 0)
    INHERIT(interp_per_directive, add->interp_per_directive >= 0)
    INHERIT(allow_override, add->allow_override >= 0)
#undef INHERIT
    return merged;
}

/* Reading */

mp_dir_config *mp_dir_config_of_server(const server_rec *s)
{
    return ap_get_module_config(s->lookup_defaults, &python_module);
}

const char *mp_extension(const char *filename)
{
    const char *base;

    if (!filename) {
        return NULL;
    }
    base = strrchr(filename, '/');
    return strchr(base ? base + 1 : filename, '.');
}

const mp_handler_list *mp_find_handlers(const request_rec *r, mp_phase phase)
{
    const mp_dir_config *config = mp_dir_config_of_request(r);

    if (config->by_extension[phase]) {
        const char *extension = mp_extension(r->filename);
        mp_handler_list *list =
            extension ? apr_hash_get(config->by_extension[phase], extension, APR_HASH_KEY_STRING)
                      : NULL;
        if (list) {
            return list;
        }
    }
    return config->lists[phase];
}

int mp_is_our_handler(const char *name)
{
    return !strcmp(name, "python-program") || !strcmp(name, "mod_python");
}

int mp_names_by_directive(const mp_dir_config *config)
{
    return !config->interpreter && config->interp_per_directory <= 0 &&
           config->interp_per_directive > 0;
}

static int matches(const mp_section *section, const char *directory)
{
    if (section->regex) {
        return !ap_regexec(section->regex, directory, 0, NULL, 0);
    }
    return !apr_fnmatch(section->path, directory, APR_FNM_PATHNAME);
}

/* The part of the URI, from its start, that a pattern of <Location> matches: wildcards
 * have to match all of it. */
static const char *location_of(request_rec *r, const mp_section *section)
{
    ap_regmatch_t match;

    if (!section->regex) {
        return r->uri;
    }
    return !ap_regexec(section->regex, r->uri, 1, &match, 0)
               ? apr_pstrmemdup(r->pool, r->uri, (apr_size_t)match.rm_eo)
               : NULL;
}

const char *mp_section_directory(request_rec *r, const mp_section *section)
{
    if (!section->regex && !section->is_wildcard) {
        return section->path;
    }
    if (section->is_location) {
        return location_of(r, section);
    }
    if (!r->filename || *r->filename != '/') {
        return NULL; /* "proxy:http://...": no file, and the directories in it are none */
    }
    /* The shortest matching one: "/a/", "/a/b/" ... */
    for (const char *end = r->filename; (end = strchr(end, '/')); end++) {
        apr_size_t length = (apr_size_t)(end - r->filename);
        const char *directory = apr_pstrmemdup(r->pool, r->filename, length);
        const char *with_slash = apr_pstrcat(r->pool, directory, "/", NULL);
        if (matches(section, with_slash) || (length && matches(section, directory))) {
            return with_slash;
        }
    }
    return NULL;
}

static void show_flag(apr_table_t *table, const char *name, int flag)
{
    if (flag >= 0) {
        apr_table_setn(table, name, flag ? "1" : "0");
    }
}

apr_table_t *mp_config_table(apr_pool_t *pool, const mp_dir_config *config)
{
    apr_table_t *table = apr_table_make(pool, 8);

    show_flag(table, "PythonAutoReload", config->auto_reload);
    show_flag(table, "PythonDebug", config->debug);
    show_flag(table, "PythonEnablePdb", config->enable_pdb);
    show_flag(table, "PythonInterpPerDirectory", config->interp_per_directory);
    show_flag(table, "PythonInterpPerDirective", config->interp_per_directive);
    show_flag(table, "PythonAllowOverride", config->allow_override);
    show_flag(table, "PythonOptimize", process_config->optimize ? 1 : -1);
    if (config->request_timeout >= 0) {
        apr_table_setn(
            table, "PythonRequestTimeout",
            apr_psprintf(pool, "%" APR_TIME_T_FMT "ms", apr_time_as_msec(config->request_timeout)));
    }
    if (config->interpreter) {
        apr_table_setn(table, "PythonInterpreter", config->interpreter);
    }
    if (config->gil.own >= 0) {
        apr_table_setn(table, "PythonInterpGIL", config->gil.own ? "Own" : "Shared");
    }
    if (config->gil.members) {
        apr_table_setn(table, "PythonInterpPool", apr_itoa(pool, config->gil.members));
    }
    if (config->python_path) {
        apr_table_setn(table, "PythonPath", config->python_path);
    }
    if (config->handler_module) {
        apr_table_setn(table, "PythonHandlerModule", config->handler_module);
    }
    return table;
}

/* Directives */

const char *mp_check_override(cmd_parms *cmd)
{
    if (!ap_check_cmd_context(cmd, NOT_IN_HTACCESS) ||
        mp_dir_config_of_server(cmd->server)->allow_override) {
        return NULL;
    }
    return apr_psprintf(cmd->pool,
                        "%s not allowed here: PythonAllowOverride is Off for this server, so no "
                        ".htaccess file may have directives of Python; move it to a <Directory> "
                        "section of the server's configuration",
                        cmd->cmd->name);
}

static const char *set_option(cmd_parms *cmd, void *configv, const char *key, const char *value)
{
    mp_dir_config *config = configv;
    const char *error = mp_check_override(cmd);

    if (error) {
        return error;
    }
    if (!value || !*value) {
        if (!config->removed_options) {
            config->removed_options = apr_table_make(cmd->pool, 2);
        }
        apr_table_setn(config->removed_options, key, "");
        if (config->options) {
            apr_table_unset(config->options, key);
        }
        return NULL;
    }
    if (!ap_cstr_casecmp(key, MP_OPTION_MUTEX_LOCKS)) {
        const char *error = mp_global_lock_check_count(cmd->pool, value);
        if (error) {
            return error;
        }
    }
    if (!config->options) {
        config->options = apr_table_make(cmd->pool, 4);
    }
    apr_table_setn(config->options, key, value);
    if (config->removed_options) {
        apr_table_unset(config->removed_options, key);
    }
    return NULL;
}

static mp_located located(cmd_parms *cmd, const char *text, const char *interpreter)
{
    mp_located item = {
        .text = text,
        .interpreter = interpreter,
        .file = cmd->directive->filename,
        .line = cmd->directive->line_num,
    };
    return item;
}

static const char *set_python_path(cmd_parms *cmd, void *configv, const char *path)
{
    mp_dir_config *config = configv;
    const char *error = mp_check_override(cmd);

    if (error) {
        return error;
    }
    config->python_path = path;
    if (!ap_check_cmd_context(cmd, NOT_IN_HTACCESS)) {
        /* Python does not run here: py_preflight.c evaluates them all before the start. */
        APR_ARRAY_PUSH(process_config->python_paths, mp_located) = located(cmd, path, NULL);
    }
    return NULL;
}

static const char *set_import(cmd_parms *cmd, void *config, const char *module,
                              const char *interpreter)
{
    if (mp_check_handler(cmd, module)) {
        return apr_psprintf(cmd->pool,
                            "PythonImport: '%s' is neither module nor module::callable: write it "
                            "as in 'PythonImport mymodule::myfunction main_interpreter'",
                            module);
    }
    APR_ARRAY_PUSH(process_config->imports, mp_located) = located(cmd, module, interpreter);
    return NULL;
}

static const char *set_optimize(cmd_parms *cmd, void *config, int flag)
{
    process_config->optimize = flag;
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

static const char *set_shutdown_timeout(cmd_parms *cmd, void *config, const char *text)
{
    char *end;
    apr_int64_t seconds = apr_strtoi64(text, &end, 10);

    if (end == text || *end || seconds < 1 || seconds > MAX_SHUTDOWN_TIMEOUT) {
        return apr_psprintf(cmd->pool,
                            "PythonShutdownTimeout: '%s' is no number of seconds from 1 to %d; "
                            "after 9 seconds Apache kills a child that does not end",
                            text, MAX_SHUTDOWN_TIMEOUT);
    }
    process_config->shutdown_timeout = (int)seconds;
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

static const char *set_home(cmd_parms *cmd, void *config, const char *home)
{
    process_config->home = ap_server_root_relative(cmd->pool, home);
    process_config->home_at = located(cmd, home, NULL);
    if (!process_config->home) {
        return apr_psprintf(cmd->pool, "PythonHome: '%s' is no path", home);
    }
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

/* ap_set_flag_slot() stores an int; these fields are one byte. */
static const char *set_flag(cmd_parms *cmd, void *config, int flag)
{
    const char *error = mp_check_override(cmd);

    if (!error) {
        *((signed char *)config + (apr_size_t)cmd->info) = (signed char)flag;
    }
    return error;
}

static const char *set_request_timeout(cmd_parms *cmd, void *configv, const char *text)
{
    mp_dir_config *config = configv;

    if (!apr_isdigit(*text) ||
        ap_timeout_parameter_parse(text, &config->request_timeout, "s") != APR_SUCCESS ||
        config->request_timeout < 0) {
        return apr_psprintf(cmd->pool,
                            "PythonRequestTimeout: '%s' is no time: write a number of seconds, or "
                            "one with a unit as in 500ms or 2min; 0 is no limit",
                            text);
    }
    return NULL;
}

static const char *set_allow_override(cmd_parms *cmd, void *configv, int flag)
{
    ((mp_dir_config *)configv)->allow_override = (signed char)flag;
    return ap_check_cmd_context(cmd, NOT_IN_DIR_LOC_FILE);
}

#define HANDLER(phase, override, text)                                                             \
    AP_INIT_RAW_ARGS(text, mp_set_handlers, (void *)(phase), override,                             \
                     "handler [handler ...] [ | .ext [.ext ...]]")
#define FLAG(text, field, help)                                                                    \
    AP_INIT_FLAG(text, set_flag, (void *)APR_OFFSETOF(mp_dir_config, field), OR_ALL, help)

#define FILTER(text, bits, override)                                                               \
    AP_INIT_TAKE12(text, mp_set_filter, (void *)(apr_uintptr_t)(bits), override,                   \
                   "handler [name]: a filter and the name to activate it by")

/* PostReadRequest and Trans run before the URI is mapped. They are let into
 * directory sections here so that mp_set_handlers() can say what is wrong. */
const command_rec mp_directives[] = {
    HANDLER(MP_PHASE_POST_READ_REQUEST, RSRC_CONF | ACCESS_CONF, "PythonPostReadRequestHandler"),
    HANDLER(MP_PHASE_TRANS, RSRC_CONF | ACCESS_CONF, "PythonTransHandler"),
    HANDLER(MP_PHASE_HEADER_PARSER, OR_ALL, "PythonHeaderParserHandler"),
    HANDLER(MP_PHASE_INIT, OR_ALL, "PythonInitHandler"),
    HANDLER(MP_PHASE_ACCESS, OR_ALL, "PythonAccessHandler"),
    HANDLER(MP_PHASE_AUTHEN, OR_ALL, "PythonAuthenHandler"),
    HANDLER(MP_PHASE_AUTHZ, OR_ALL, "PythonAuthzHandler"),
    HANDLER(MP_PHASE_TYPE, OR_ALL, "PythonTypeHandler"),
    HANDLER(MP_PHASE_FIXUP, OR_ALL, "PythonFixupHandler"),
    HANDLER(MP_PHASE_CONTENT, OR_ALL, "PythonHandler"),
    HANDLER(MP_PHASE_LOG, OR_ALL, "PythonLogHandler"),
    HANDLER(MP_PHASE_CLEANUP, OR_ALL, "PythonCleanupHandler"),
    FILTER("PythonInputFilter", 1, RSRC_CONF | ACCESS_CONF),
    FILTER("PythonOutputFilter", 0, RSRC_CONF | ACCESS_CONF),
    FILTER("PythonConnectionInputFilter", 3, RSRC_CONF),
    FILTER("PythonConnectionOutputFilter", 2, RSRC_CONF),
    AP_INIT_TAKE1("PythonConnectionHandler", mp_set_connection_handler, NULL, RSRC_CONF,
                  "handler of connections: module[::object]"),
    AP_INIT_TAKE1("PythonHandlerModule", mp_set_handler_module, NULL, OR_ALL,
                  "module searched for the default object of every phase"),
    AP_INIT_TAKE12("PythonOption", set_option, NULL, OR_ALL,
                   "key [value], for req.get_options(); without value the key is removed"),
    AP_INIT_TAKE1("PythonPath", set_python_path, NULL, OR_ALL,
                  "the module search path, a Python list: \"['/dir']\" or \"sys.path+['/dir']\""),
    AP_INIT_TAKE1("PythonInterpreter", mp_set_interpreter, NULL, OR_ALL,
                  "name of the interpreter to run in"),
    AP_INIT_TAKE12("PythonInterpGIL", mp_set_interp_gil, NULL, RSRC_CONF,
                   "Shared or Own: the GIL of the interpreters, or of the one named behind it"),
    AP_INIT_TAKE12("PythonInterpPool", mp_set_interp_pool, NULL, RSRC_CONF,
                   "how many interpreters with a GIL each stand behind a name, and which name"),
    FLAG("PythonAutoReload", auto_reload, "On: reload a handler's module when its file changes"),
    FLAG("PythonDebug", debug, "On: send tracebacks to the client too"),
    FLAG("PythonEnablePdb", enable_pdb, "On: run handlers in pdb, with httpd -X"),
    FLAG("PythonInterpPerDirectory", interp_per_directory,
         "On: an interpreter for each directory of requested files"),
    FLAG("PythonInterpPerDirective", interp_per_directive,
         "On: an interpreter for each directory that configures a handler"),
    AP_INIT_TAKE1("PythonRequestTimeout", set_request_timeout, NULL, RSRC_CONF | ACCESS_CONF,
                  "seconds after which RequestTimeout is raised in a handler; 0: never"),
    AP_INIT_FLAG("PythonAllowOverride", set_allow_override, NULL, RSRC_CONF,
                 "Off: no .htaccess file may have directives of Python"),
    AP_INIT_TAKE2("PythonImport", set_import, NULL, RSRC_CONF,
                  "module[::callable] interpreter_name, imported when a child starts"),
    AP_INIT_FLAG("PythonOptimize", set_optimize, NULL, RSRC_CONF, "On: compile as python -O does"),
    AP_INIT_TAKE1("PythonShutdownTimeout", set_shutdown_timeout, NULL, RSRC_CONF,
                  "seconds that the end of a child waits for cleanups and threads, 1 to 8"),
    AP_INIT_TAKE1("PythonHome", set_home, NULL, RSRC_CONF,
                  "environment to run in, instead of the one that this module lies in"),
    AP_INIT_ITERATE2("AddHandler", mp_add_mime_handler, NULL, OR_FILEINFO,
                     "noted for req.get_addhandler_exts(); the directive is mod_mime's"),
    AP_INIT_ITERATE("RemoveHandler", mp_remove_mime_handler, NULL, OR_FILEINFO,
                    "noted for req.get_addhandler_exts(); the directive is mod_mime's"),
    {NULL},
};
