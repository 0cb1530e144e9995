/* Configuration: what the directives of chapter 5 mean, merged through server,
 * virtual host, directory and .htaccess. No Python here. */
#ifndef MP_CONFIG_H
#define MP_CONFIG_H

#include <httpd.h>
#include <http_config.h>
#include <apr_hash.h>
#include <apr_tables.h>

/* The one symbol that Apache looks up; everything else is hidden. */
extern module AP_MODULE_DECLARE_DATA python_module __attribute__((visibility("default")));

/* The phases a handler can be configured for, in the order they run. */
typedef enum {
    MP_PHASE_POST_READ_REQUEST,
    MP_PHASE_SERVER_INIT, /* PythonInitHandler outside any directory */
    MP_PHASE_TRANS,
    MP_PHASE_HEADER_PARSER,
    MP_PHASE_INIT, /* PythonInitHandler in a directory */
    MP_PHASE_ACCESS,
    MP_PHASE_AUTHEN,
    MP_PHASE_AUTHZ,
    MP_PHASE_TYPE,
    MP_PHASE_FIXUP,
    MP_PHASE_CONTENT,
    MP_PHASE_LOG,
    MP_PHASE_CLEANUP,
    MP_PHASE_COUNT
} mp_phase;

/* The directive of each phase, "PythonAccessHandler" ..., in that order. */
extern const char *const mp_phase_names[MP_PHASE_COUNT];

/* Where a handler was configured: what goes on sys.path, what names interpreters. */
typedef struct {
    const char *path;         /* ends in '/'; NULL at server level */
    unsigned is_location : 1; /* path is that of a <Location>, no directory */
    unsigned is_wildcard : 1; /* path is an fnmatch pattern */
    unsigned is_pattern : 1;  /* with is_location: path is a pattern of either kind */
    ap_regex_t *regex;        /* <DirectoryMatch>, <LocationMatch>: matches directory or URI */
} mp_section;

typedef struct {
    const char *text; /* "module[::object]", as written */
    const char *name; /* of a filter, as written */
    mp_section section;
    unsigned silent : 1; /* PythonHandlerModule: no error if the object is missing */
} mp_handler;

/* The handlers of one phase in one scope. */
typedef struct {
    apr_array_header_t *handlers; /* of mp_handler */
    unsigned id;                  /* from 1, unique in the configuration; 0: read from .htaccess */
} mp_handler_list;

/* Filters see the body of one request, or the bytes of a connection. */
enum { MP_FILTER_REQUEST, MP_FILTER_CONNECTION };

/* A name that Apache was told for Python filters. */
typedef struct {
    const char *name; /* lower case, as Apache keeps it */
    int is_input;
    const char *file;
    int line;
} mp_registered_filter;

/* The name of the one that every process has. */
#define MP_MAIN_INTERPRETER "main_interpreter"

/* PythonInterpGIL and PythonInterpPool. */
typedef struct {
    signed char own; /* 1: a GIL of its own; 0: the main one; -1: not given */
    short members;   /* of the pool; 0: not given */
} mp_gil;

/* Per directory, and at server level: a flag is 1, 0 or -1 for "not given". */
typedef struct {
    unsigned phases; /* a bit for each that has lists: merging is for every request */
    mp_handler_list *lists[MP_PHASE_COUNT];
    apr_hash_t *by_extension[MP_PHASE_COUNT]; /* ".ext" -> mp_handler_list */
    apr_table_t *options;                     /* PythonOption */
    apr_table_t *removed_options;             /* PythonOption without a value */
    /* Python*Filter, by [level][is_input]: lower-case name -> mp_handler. */
    apr_hash_t *filters[2][2];
    apr_table_t *mime_handlers;             /* AddHandler: extension -> handler */
    apr_table_t *mime_removed;              /* RemoveHandler: extension -> "" */
    apr_array_header_t *connection_filters; /* of mp_registered_filter, in order */
    const mp_handler *connection_handler;   /* PythonConnectionHandler */
    const char *interpreter;                /* PythonInterpreter */
    mp_gil gil;                             /* server level only */
    const char *python_path;                /* PythonPath, not evaluated */
    const char *handler_module;             /* PythonHandlerModule */
    apr_interval_time_t request_timeout;    /* PythonRequestTimeout; 0: none, -1: not given */
    signed char auto_reload;
    signed char debug;
    signed char enable_pdb;
    signed char interp_per_directory;
    signed char interp_per_directive;
    signed char allow_override; /* server level */
} mp_dir_config;

/* A PythonImport, or a PythonPath to be checked before the start. */
typedef struct {
    const char *text;
    const char *interpreter; /* PythonImport only */
    const char *file;
    int line;
} mp_located;

/* What holds for the whole process. */
typedef struct {
    apr_array_header_t *imports;      /* of mp_located */
    apr_array_header_t *python_paths; /* of mp_located */
    apr_array_header_t *filters;      /* of mp_registered_filter */
    apr_hash_t *gils;                 /* name of an interpreter -> mp_gil; NULL: none is named */
    mp_located home_at;               /* where PythonHome stands */
    const char *home;                 /* PythonHome, or NULL */
    int optimize;                     /* PythonOptimize */
    int shutdown_timeout;             /* PythonShutdownTimeout, in seconds */
    unsigned list_count;              /* ids of handler lists given out */
} mp_process_config;

mp_process_config *mp_process_config_get(void);

/* Whether a handler was ever configured, .htaccess files included: no request needs a
 * closer look before. */
int mp_has_handlers(void);
void mp_note_handlers(void);

static inline mp_dir_config *mp_dir_config_of_request(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &python_module);
}
mp_dir_config *mp_dir_config_of_server(const server_rec *s);

/* PythonOption mod_python.importer.path, or NULL. */
static inline const char *mp_importer_path_of(const mp_dir_config *config)
{
    return config->options ? apr_table_get(config->options, "mod_python.importer.path") : NULL;
}

/* Whether a handler name is ours: "python-program" or "mod_python". */
int mp_is_our_handler(const char *name);

/* The rest of mp_handlers_for(). */
const mp_handler_list *mp_find_handlers(const request_rec *r, mp_phase phase);

/* The configured handlers of a phase for this request, "| .ext" considered; NULL: none. */
static inline const mp_handler_list *mp_handlers_for(const request_rec *r, mp_phase phase)
{
    /* Each request asks for each phase, and mostly there is nothing. */
    return mp_dir_config_of_request(r)->phases & 1U << phase ? mp_find_handlers(r, phase) : NULL;
}

/* The directory of a section for this request: patterns resolved against r->filename,
 * those of a <Location> against r->uri; NULL if there is none. */
const char *mp_section_directory(request_rec *r, const mp_section *section);

/* What that is, as _dispatch.make_handler() has it. */
enum { MP_DIRECTORY, MP_LOCATION, MP_LOCATION_PATTERN };
static inline int mp_section_kind(const mp_section *section)
{
    return !section->is_location ? MP_DIRECTORY
           : section->is_pattern ? MP_LOCATION_PATTERN
                                 : MP_LOCATION;
}

/* Whether the directory of a handler names its interpreter (PythonInterpPerDirective). */
int mp_names_by_directive(const mp_dir_config *config);

/* The extensions that AddHandler maps to Python, without dots, separated by spaces. */
const char *mp_handler_extensions(apr_pool_t *pool, const mp_dir_config *config);

/* The file name's part from the base name's first dot on, or NULL. */
const char *mp_extension(const char *filename);

/* The directives in effect except Python*Handler and PythonOption, made anew in pool. */
apr_table_t *mp_config_table(apr_pool_t *pool, const mp_dir_config *config);

/* An error if the directive stands in .htaccess and PythonAllowOverride forbids it there,
 * or NULL. Every directive that .htaccess may have begins with this. */
const char *mp_check_override(cmd_parms *cmd);

/* config_handlers.c: the section that a directive stands in. */
mp_section mp_section_of(cmd_parms *cmd);

/* config_handlers.c: an error if text is not module[::object], or NULL. */
const char *mp_check_handler(cmd_parms *cmd, const char *text);

/* config_filters.c: Python*Filter, PythonConnectionHandler; return an error or NULL. */
const char *mp_set_filter(cmd_parms *cmd, void *config, const char *text, const char *name);
const char *mp_set_connection_handler(cmd_parms *cmd, void *config, const char *text);

/* config_handlers.c: Python*Handler and PythonHandlerModule; return an error or NULL. */
const char *mp_set_handlers(cmd_parms *cmd, void *config, const char *args);
const char *mp_set_handler_module(cmd_parms *cmd, void *config, const char *module);

/* config_interp.c: how many interpreters with a GIL each stand behind this name; 0: one
 * that shares the main GIL. */
int mp_members_of(const mp_dir_config *config, const char *name);

/* config_interp.c: what add, given in the inner scope, leaves of base. */
mp_gil mp_merge_gil(mp_gil base, mp_gil add);

/* config_interp.c: PythonInterpreter, PythonInterpGIL, PythonInterpPool; return an error
 * or NULL. */
const char *mp_set_interpreter(cmd_parms *cmd, void *config, const char *name);
const char *mp_set_interp_gil(cmd_parms *cmd, void *config, const char *word, const char *name);
const char *mp_set_interp_pool(cmd_parms *cmd, void *config, const char *number, const char *name);

/* config_mime.c: our own reading of AddHandler and RemoveHandler, beside mod_mime's. */
const char *mp_add_mime_handler(cmd_parms *cmd, void *config, const char *handler,
                                const char *extension);
const char *mp_remove_mime_handler(cmd_parms *cmd, void *config, const char *extension);

/* config_mime.c: what add, of the inner scope, leaves of base, in merged. */
void mp_merge_mime_handlers(apr_pool_t *pool, const mp_dir_config *base, const mp_dir_config *add,
                            mp_dir_config *merged);

/* For the module record. */
void *mp_create_dir_config(apr_pool_t *pool, char *dir);
void *mp_merge_dir_config(apr_pool_t *pool, void *base, void *add);
extern const command_rec mp_directives[];
void mp_config_register_hooks(apr_pool_t *pool);

#endif
