#include "py_environ.h"

#include <string.h>

#include <ap_mpm.h>
#include <http_protocol.h>

#include "py_convert.h"

/* Names that requests usually have, kept as interned str: applications look them up by
 * constants, which are interned too. */
enum {
    ALWAYS = 1, /* every environ has it */
    KEEP = 2,   /* the value is mostly that of the request before: environ_base has it */
};
static const struct {
    const char *name;
    int flags;
} usual_names[] = {
    {"AUTH_TYPE", 0},
    {"CONTENT_LENGTH", 0},
    {"CONTENT_TYPE", 0},
    {"CONTEXT_DOCUMENT_ROOT", KEEP},
    {"CONTEXT_PREFIX", KEEP},
    {"DOCUMENT_ROOT", ALWAYS | KEEP},
    {"GATEWAY_INTERFACE", ALWAYS | KEEP},
    {"HTTPS", KEEP},
    {"HTTP_ACCEPT", KEEP},
    {"HTTP_ACCEPT_ENCODING", KEEP},
    {"HTTP_ACCEPT_LANGUAGE", KEEP},
    {"HTTP_AUTHORIZATION", 0},
    {"HTTP_CACHE_CONTROL", 0},
    {"HTTP_CONNECTION", KEEP},
    {"HTTP_COOKIE", 0},
    {"HTTP_HOST", KEEP},
    {"HTTP_IF_MODIFIED_SINCE", 0},
    {"HTTP_IF_NONE_MATCH", 0},
    {"HTTP_ORIGIN", 0},
    {"HTTP_RANGE", 0},
    {"HTTP_REFERER", 0},
    {"HTTP_SEC_FETCH_DEST", 0},
    {"HTTP_SEC_FETCH_MODE", 0},
    {"HTTP_SEC_FETCH_SITE", 0},
    {"HTTP_SEC_FETCH_USER", 0},
    {"HTTP_UPGRADE_INSECURE_REQUESTS", 0},
    {"HTTP_USER_AGENT", KEEP},
    {"HTTP_X_FORWARDED_FOR", 0},
    {"HTTP_X_FORWARDED_HOST", 0},
    {"HTTP_X_FORWARDED_PROTO", 0},
    {"HTTP_X_REQUESTED_WITH", 0},
    {"LD_LIBRARY_PATH", KEEP},
    {"PATH", KEEP},
    {"PATH_INFO", ALWAYS},
    {"QUERY_STRING", ALWAYS},
    {"REMOTE_ADDR", ALWAYS | KEEP},
    {"REMOTE_HOST", 0},
    {"REMOTE_PORT", ALWAYS},
    {"REMOTE_USER", 0},
    {"REQUEST_METHOD", ALWAYS | KEEP},
    {"REQUEST_SCHEME", KEEP},
    {"REQUEST_URI", ALWAYS},
    {"SCRIPT_FILENAME", 0},
    {"SCRIPT_NAME", ALWAYS | KEEP},
    {"SERVER_ADDR", ALWAYS | KEEP},
    {"SERVER_ADMIN", ALWAYS | KEEP},
    {"SERVER_NAME", ALWAYS | KEEP},
    {"SERVER_PORT", ALWAYS | KEEP},
    {"SERVER_PROTOCOL", ALWAYS | KEEP},
    {"SERVER_SIGNATURE", ALWAYS | KEEP},
    {"SERVER_SOFTWARE", ALWAYS | KEEP},
    {"UNIQUE_ID", 0},
    {"wsgi.errors", ALWAYS},
    {"wsgi.input", ALWAYS},
    {"wsgi.url_scheme", ALWAYS | KEEP},
};

/* Values longer than this are not kept. */
#define KEPT_SIZE ((size_t)256)

/* A hash table with open addressing, never full: a power of two. */
#define NAME_SLOTS MP_ENVIRON_SLOTS

/* Where a name is in it, or the empty slot where it would be. The factors give the names
 * above few collisions. */
static Py_ssize_t slot_of(PyObject *names, const char *name, size_t size)
{
    size_t hash = size ? 21 * size + 44 * (size_t)name[size - 1] + 58 * (size_t)name[size / 2] +
                             (size_t)name[size / 4]
                       : 0;

    for (;; hash++) {
        PyObject *known = PyTuple_GET_ITEM(names, (Py_ssize_t)(hash % NAME_SLOTS));
        if (known == Py_None || ((size_t)PyUnicode_GET_LENGTH(known) == size &&
                                 !memcmp(PyUnicode_1BYTE_DATA(known), name, size))) {
            return (Py_ssize_t)(hash % NAME_SLOTS);
        }
    }
}

static PyObject *filled_tuple(PyObject *item)
{
    PyObject *tuple = PyTuple_New(NAME_SLOTS);

    for (Py_ssize_t i = 0; tuple && i < NAME_SLOTS; i++) {
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(item));
    }
    return tuple;
}

/* Takes over the reference to item. */
static void replace(PyObject *tuple, Py_ssize_t slot, PyObject *item)
{
    PyObject *before = PyTuple_GET_ITEM(tuple, slot);

    PyTuple_SET_ITEM(tuple, slot, item);
    Py_DECREF(before);
}

/* Names, values where they are kept, and the entries of every environ: a copy of a dict
 * that is large enough is faster than one that grows. */
static int add_names(mp_state *state)
{
    PyObject *empty = PyUnicode_FromString("");
    int failed = !empty;

    for (size_t i = 0; !failed && i < sizeof(usual_names) / sizeof(*usual_names); i++) {
        const char *text = usual_names[i].name;
        PyObject *name = PyUnicode_InternFromString(text);
        failed = !name || ((usual_names[i].flags & ALWAYS) &&
                           PyDict_SetItem(state->environ_base, name, empty) != 0);
        if (failed) {
            Py_XDECREF(name);
            break;
        }
        Py_ssize_t slot = slot_of(state->environ_names, text, strlen(text));
        replace(state->environ_names, slot, name);
        state->environ_blank[slot] = usual_names[i].flags == ALWAYS;
        if (usual_names[i].flags & KEEP) {
            replace(state->environ_values, slot, Py_NewRef(Py_Ellipsis));
        }
    }
    Py_XDECREF(empty);
    return failed ? -1 : 0;
}

static int mpm_is(int question)
{
    int answer = 0;

    return ap_mpm_query(question, &answer) == APR_SUCCESS && answer != AP_MPMQ_NOT_SUPPORTED;
}

int mp_environ_setup(mp_state *state)
{
    PyObject *sys = PyImport_ImportModule("sys");
    state->sys_dict = sys ? Py_NewRef(PyModule_GetDict(sys)) : NULL;
    Py_XDECREF(sys);
    state->stderr_name = PyUnicode_InternFromString("stderr");
    state->input_name = PyUnicode_InternFromString("wsgi.input");
    state->errors_name = PyUnicode_InternFromString("wsgi.errors");
    state->environ_names = filled_tuple(Py_None);
    state->environ_values = filled_tuple(Py_None);
    state->environ_base = Py_BuildValue(
        "{s:(ii),s:O,s:O,s:O,s:O}", "wsgi.version", 1, 0, "wsgi.multithread",
        mpm_is(AP_MPMQ_IS_THREADED) ? Py_True : Py_False, "wsgi.multiprocess",
        mpm_is(AP_MPMQ_IS_FORKED) ? Py_True : Py_False, "wsgi.run_once", Py_False,
        /* Reading ends with the body, with chunks too: what Werkzeug and others ask for. */
        "wsgi.input_terminated", Py_True);
    return state->sys_dict && state->stderr_name && state->input_name && state->errors_name &&
                   state->environ_names && state->environ_values && state->environ_base
               ? add_names(state)
               : -1;
}

/* slot is that of name; 0, or -1 with an exception. */
static int set_text(mp_state *state, PyObject *environ, const char *name, Py_ssize_t slot,
                    PyObject *text)
{
    PyObject *known = PyTuple_GET_ITEM(state->environ_names, slot);
    PyObject *key = known != Py_None ? Py_NewRef(known) : mp_str_from_latin1(name);
    int result = key && text ? PyDict_SetItem(environ, key, text) : -1;

    Py_XDECREF(key);
    return result;
}

/* Notes the value that the environ of the next request shall begin with. */
static int keep_text(mp_state *state, const char *name, Py_ssize_t slot, PyObject *text)
{
    if (set_text(state, state->environ_base, name, slot, text) != 0) {
        return -1;
    }
    state->environ_kept += PyTuple_GET_ITEM(state->environ_values, slot) == Py_Ellipsis;
    replace(state->environ_values, slot, Py_NewRef(text));
    state->environ_texts[slot] = (const char *)PyUnicode_1BYTE_DATA(text);
    return 0;
}

/* What is being filled: a copy of environ_base. */
typedef struct {
    PyObject *environ;
    int seen_count;
    char seen[NAME_SLOTS]; /* the kept values that this request has, too; what is set otherwise */
} mp_filling;

/* The slot of the name at index in the list of variables: mostly that of the request before. */
static inline Py_ssize_t slot_at(mp_state *state, size_t index, const char *name)
{
    mp_environ_guess *guess = &state->environ_guesses[index % MP_ENVIRON_GUESSES];

    if (!guess->name || strcmp(guess->name, name) != 0) {
        guess->slot = slot_of(state->environ_names, name, strlen(name));
        PyObject *known = PyTuple_GET_ITEM(state->environ_names, guess->slot);
        guess->name = known != Py_None ? (const char *)PyUnicode_1BYTE_DATA(known) : NULL;
    }
    return guess->slot;
}

/* A value that is not the one kept. Not inlined: it is what add_entry() seldom does. */
__attribute__((noinline)) static int set_entry(mp_state *state, mp_filling *filling,
                                               Py_ssize_t slot, const char *name, const char *value)
{
    PyObject *kept = PyTuple_GET_ITEM(state->environ_values, slot);

    if (kept == Py_None) {
        if (!*value && state->environ_blank[slot] && !filling->seen[slot]) {
            return 0; /* it is "" in environ_base */
        }
        filling->seen[slot] = 1;
    }
    size_t size = strlen(value);
    int is_kept = kept != Py_None && size <= KEPT_SIZE;
    PyObject *text = PyUnicode_DecodeLatin1(value, (Py_ssize_t)size, NULL);
    int result = text ? set_text(state, filling->environ, name, slot, text) : -1;
    if (result == 0 && is_kept) {
        result = keep_text(state, name, slot, text);
    }
    kept = PyTuple_GET_ITEM(state->environ_values, slot); /* it may be since */
    if (result == 0 && kept != Py_None && kept != Py_Ellipsis) {
        filling->seen_count += !filling->seen[slot];
        filling->seen[slot] = 1;
    }
    Py_XDECREF(text);
    return result;
}

/* index: in the list of variables. 0, or -1 with an exception. */
static inline int add_entry(mp_state *state, mp_filling *filling, size_t index, const char *name,
                            const char *value)
{
    Py_ssize_t slot = slot_at(state, index, name);
    const char *known = state->environ_texts[slot];

    if (known && !strcmp(known, value)) {
        filling->seen_count += !filling->seen[slot];
        filling->seen[slot] = 1;
        return 0;
    }
    return set_entry(state, filling, slot, name, value);
}

/* Takes out what was kept and is not of this request; 0, or -1 with an exception. */
static int remove_unseen(mp_state *state, mp_filling *filling)
{
    for (Py_ssize_t slot = 0; slot < NAME_SLOTS; slot++) {
        PyObject *kept = PyTuple_GET_ITEM(state->environ_values, slot);
        if (kept != Py_None && kept != Py_Ellipsis && !filling->seen[slot] &&
            PyDict_DelItem(filling->environ, PyTuple_GET_ITEM(state->environ_names, slot)) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Also where a proxy in front speaks TLS and says so by SetEnvIf ... HTTPS=on: the rule of
 * wsgiref.util.guess_scheme(). */
static const char *url_scheme(request_rec *r)
{
    const char *https = apr_table_get(r->subprocess_env, "HTTPS");

    return https && (!strcmp(https, "on") || !strcmp(https, "yes") || !strcmp(https, "1"))
               ? "https"
               : ap_http_scheme(r);
}

/* All entries; 0, or -1 with an exception. Runs nothing of Python's, so the tables stay. */
static int fill(mp_state *state, mp_filling *filling, request_rec *r, PyObject *request)
{
    const apr_array_header_t *entries = apr_table_elts(r->subprocess_env);
    const char *authorization = apr_table_get(r->headers_in, "Authorization");
    PyObject *errors = PyDict_GetItemWithError(state->sys_dict, state->stderr_name);
    size_t index = (size_t)entries->nelts;

    for (int i = 0; i < entries->nelts; i++) {
        const apr_table_entry_t *entry = &APR_ARRAY_IDX(entries, i, apr_table_entry_t);
        if (entry->key && entry->val &&
            add_entry(state, filling, (size_t)i, entry->key, entry->val) != 0) {
            return -1;
        }
    }
    if ((authorization &&
         add_entry(state, filling, index, "HTTP_AUTHORIZATION", authorization) != 0) ||
        add_entry(state, filling, index + 1, "wsgi.url_scheme", url_scheme(r)) != 0 ||
        (!errors && PyErr_Occurred()) ||
        PyDict_SetItem(filling->environ, state->input_name, request) != 0 ||
        PyDict_SetItem(filling->environ, state->errors_name, errors ? errors : Py_None) != 0) {
        return -1;
    }
    return filling->seen_count == state->environ_kept ? 0 : remove_unseen(state, filling);
}

PyObject *mp_environ_new(mp_state *state, request_rec *r, PyObject *request)
{
    /* A collection would run anything: another request would put its own values into
     * environ_base, which then were not those of the copy, and this one could end. */
    int collects = mp_gc_pause();
    mp_filling filling = {.environ = PyDict_Copy(state->environ_base)};

    mp_gc_resume(collects);
    if (!filling.environ) {
        return NULL;
    }
    if (fill(state, &filling, r, request) != 0) {
        Py_CLEAR(filling.environ);
    }
    return filling.environ;
}
