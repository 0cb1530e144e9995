#include "config.h"

#include <stdatomic.h>

#include <apr_fnmatch.h>
#include <apr_hash.h>
#include <apr_strings.h>

/* The argument of a section directive: "<Directory", "/x>" gives "/x". Moves *args on. */
static const char *section_argument(apr_pool_t *pool, const char **args)
{
    char *word = ap_getword_conf(pool, args);
    apr_size_t length = strlen(word);

    if (length && word[length - 1] == '>') {
        word[length - 1] = '\0';
    }
    return word;
}

static const char *with_slash(apr_pool_t *pool, const char *path)
{
    apr_size_t length = strlen(path);

    return length && path[length - 1] == '/' ? path : apr_pstrcat(pool, path, "/", NULL);
}

/* What a section's argument is: a path, a pattern, or with is_regex, or "~", a regex. */
static mp_section section_with(apr_pool_t *pool, const char *args, int is_regex)
{
    mp_section section = {NULL};

    section.path = section_argument(pool, &args);
    if (!is_regex && !strcmp(section.path, "~")) {
        is_regex = 1;
        section.path = section_argument(pool, &args);
    }
    if (is_regex) {
        section.regex = ap_pregcomp(pool, section.path, AP_REG_EXTENDED);
    } else if (apr_fnmatch_test(section.path)) {
        section.is_wildcard = 1;
    }
    return section;
}

static mp_section directory_section(apr_pool_t *pool, const char *args, int is_regex)
{
    mp_section section = section_with(pool, args, is_regex);

    if (!section.regex && !section.is_wildcard) {
        char *canonical = NULL;
        apr_filepath_merge(&canonical, NULL, section.path, APR_FILEPATH_TRUENAME, pool);
        section.path = with_slash(pool, canonical ? canonical : section.path);
    }
    return section;
}

static mp_section location_section(apr_pool_t *pool, const char *args, int is_regex)
{
    mp_section section = section_with(pool, args, is_regex);

    section.is_location = 1;
    section.is_pattern = section.regex || section.is_wildcard;
    return section;
}

mp_section mp_section_of(cmd_parms *cmd)
{
    const ap_directive_t *parent = cmd->directive->parent;
    mp_section section = {NULL};

    /* <Files>, <If>, <Limit> ... have no directory of their own: look further out. */
    for (; parent; parent = parent->parent) {
        const char *args = parent->args;
        if (!ap_cstr_casecmp(parent->directive, "<Directory")) {
            return directory_section(cmd->pool, args, 0);
        }
        if (!ap_cstr_casecmp(parent->directive, "<DirectoryMatch")) {
            return directory_section(cmd->pool, args, 1);
        }
        if (!ap_cstr_casecmp(parent->directive, "<Location")) {
            return location_section(cmd->pool, args, 0);
        }
        if (!ap_cstr_casecmp(parent->directive, "<LocationMatch")) {
            return location_section(cmd->pool, args, 1);
        }
    }
    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS)) {
        section.path = ap_make_dirstr_parent(cmd->pool, cmd->directive->filename);
    }
    return section;
}

static atomic_bool has_handlers;

int mp_has_handlers(void)
{
    return atomic_load_explicit(&has_handlers, memory_order_relaxed);
}

void mp_note_handlers(void)
{
    atomic_store(&has_handlers, 1);
}

static mp_handler_list *new_list(cmd_parms *cmd)
{
    mp_handler_list *list = apr_pcalloc(cmd->pool, sizeof(*list));

    mp_note_handlers();

    list->handlers = apr_array_make(cmd->pool, 2, sizeof(mp_handler));
    if (!ap_check_cmd_context(cmd, NOT_IN_HTACCESS)) {
        list->id = ++mp_process_config_get()->list_count;
    }
    return list;
}

static mp_handler_list *list_for(cmd_parms *cmd, mp_dir_config *config, mp_phase phase,
                                 const char *extension)
{
    mp_handler_list *list;

    config->phases |= 1U << phase;
    if (!extension) {
        if (!config->lists[phase]) {
            config->lists[phase] = new_list(cmd);
        }
        return config->lists[phase];
    }
    if (!config->by_extension[phase]) {
        config->by_extension[phase] = apr_hash_make(cmd->pool);
    }
    list = apr_hash_get(config->by_extension[phase], extension, APR_HASH_KEY_STRING);
    if (!list) {
        list = new_list(cmd);
        apr_hash_set(config->by_extension[phase], extension, APR_HASH_KEY_STRING, list);
    }
    return list;
}

/* Names with dots between them. */
static int is_object_path(const char *path)
{
    int is_name = 0;

    for (; *path; path++) {
        if (*path == ':' || (*path == '.' && !is_name)) {
            return 0;
        }
        is_name = *path != '.';
    }
    return is_name;
}

const char *mp_check_handler(cmd_parms *cmd, const char *text)
{
    const char *separator = strstr(text, "::");

    /* Where there is no package a module's name cannot begin at one's own. */
    if (*text && *text != '.' &&
        (!separator || (separator != text && is_object_path(separator + 2)))) {
        return NULL;
    }
    return apr_psprintf(cmd->pool,
                        "%s: '%s' is no handler: expected module or module::object, as in "
                        "'%s mymodule::myfunction'",
                        cmd->cmd->name, text, cmd->cmd->name);
}

static const char *check_context(cmd_parms *cmd, mp_phase phase)
{
    if ((phase == MP_PHASE_POST_READ_REQUEST || phase == MP_PHASE_TRANS) && cmd->path) {
        return apr_psprintf(cmd->pool,
                            "%s cannot be used inside <Directory>, <Location> or <Files>: when "
                            "this phase runs, the URI is not yet mapped to a file; move it out "
                            "to the server or <VirtualHost> level",
                            cmd->cmd->name);
    }
    return NULL;
}

/* Splits args into handlers and, behind '|', extensions. Returns an error or NULL. */
static const char *split_args(cmd_parms *cmd, const char *args, apr_array_header_t *handlers,
                              apr_array_header_t *extensions)
{
    int behind_bar = 0;

    while (*args) {
        const char *word = ap_getword_conf(cmd->pool, &args);
        if (!behind_bar && *word == '|') {
            behind_bar = 1;
            if (!*++word) {
                continue;
            }
        }
        if (behind_bar) {
            if (*word != '.' || !word[1]) {
                return apr_psprintf(cmd->pool,
                                    "%s: '%s' behind '|' is no file extension: write it with "
                                    "its dot, as in '| .py .html'",
                                    cmd->cmd->name, word);
            }
            APR_ARRAY_PUSH(extensions, const char *) = word;
        } else {
            const char *error = mp_check_handler(cmd, word);
            if (error) {
                return error;
            }
            APR_ARRAY_PUSH(handlers, const char *) = word;
        }
    }
    if (!handlers->nelts) {
        return apr_psprintf(cmd->pool,
                            "%s needs at least one handler: "
                            "module[::object] [module[::object] ...] [ | .ext [.ext ...]]",
                            cmd->cmd->name);
    }
    if (behind_bar && !extensions->nelts) {
        return apr_psprintf(cmd->pool, "%s: no extension behind '|': write it as in '| .py .html'",
                            cmd->cmd->name);
    }
    return NULL;
}

const char *mp_set_handlers(cmd_parms *cmd, void *configv, const char *args)
{
    mp_phase phase = (mp_phase)(apr_uintptr_t)cmd->info;
    apr_array_header_t *handlers = apr_array_make(cmd->temp_pool, 2, sizeof(const char *));
    apr_array_header_t *extensions = apr_array_make(cmd->temp_pool, 2, sizeof(const char *));
    mp_section section = mp_section_of(cmd);
    const char *error = mp_check_override(cmd);

    if (!error) {
        error = check_context(cmd, phase);
    }
    if (!error) {
        error = split_args(cmd, args, handlers, extensions);
    }
    if (error) {
        return error;
    }
    if (phase == MP_PHASE_INIT && !cmd->path) {
        phase = MP_PHASE_SERVER_INIT;
    }
    if (extensions->nelts && phase <= MP_PHASE_TRANS) {
        return apr_psprintf(cmd->pool,
                            "%s cannot be limited by '| .ext' here: when this phase runs, the "
                            "URI is not yet mapped to a file",
                            cmd->cmd->name);
    }
    for (int e = 0; e < (extensions->nelts ? extensions->nelts : 1); e++) {
        mp_handler_list *list =
            list_for(cmd, configv, phase,
                     extensions->nelts ? APR_ARRAY_IDX(extensions, e, const char *) : NULL);
        for (int h = 0; h < handlers->nelts; h++) {
            mp_handler *handler = apr_array_push(list->handlers);
            handler->text = APR_ARRAY_IDX(handlers, h, const char *);
            handler->section = section;
        }
    }
    return NULL;
}

const char *mp_set_handler_module(cmd_parms *cmd, void *configv, const char *module)
{
    mp_dir_config *config = configv;
    mp_section section = mp_section_of(cmd);
    const char *error = mp_check_override(cmd);

    if (error) {
        return error;
    }
    if (!*module || *module == '.' || strstr(module, "::")) {
        return apr_psprintf(cmd->pool,
                            "PythonHandlerModule: '%s' is no module name: write the module "
                            "alone, its functions are found by the names of the phases",
                            module);
    }
    config->handler_module = module;
    for (int phase = 0; phase < MP_PHASE_COUNT; phase++) {
        int early = phase <= MP_PHASE_TRANS;
        if (cmd->path ? early : phase == MP_PHASE_INIT) {
            continue; /* never runs in this scope */
        }
        mp_handler *handler = apr_array_push(list_for(cmd, config, phase, NULL)->handlers);
        handler->text = module;
        handler->section = section;
        handler->silent = 1;
    }
    return NULL;
}
