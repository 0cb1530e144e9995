#include "py_table_store.h"

#include "py_convert.h"

#include <string.h>

/* Pointers into the APR table are good until Python code can run, and the garbage
 * collector, hence any allocation of a container, can run it: str objects are made
 * while holding such pointers, lists and tuples before or after. */

/* Pools never free a replaced value. A standalone table that has written this many
 * bytes, and as many as it held before, moves to a new pool. */
#define PACK_BYTES 65536

/* The entries of one key: the table, the first entry, and how many there are. */
typedef struct {
    apr_table_t *table;
    const char *key;
    const char *value;
    int count;
} match;

static const apr_table_entry_t *entry_at(const apr_array_header_t *entries, int index)
{
    return &APR_ARRAY_IDX(entries, index, apr_table_entry_t);
}

static apr_size_t entry_bytes(const char *key, const char *value)
{
    return sizeof(apr_table_entry_t) + strlen(key) + 1 + (value ? strlen(value) + 1 : 0);
}

static apr_size_t entries_bytes(const apr_array_header_t *entries)
{
    apr_size_t bytes = 0;

    for (int i = 0; i < entries->nelts; i++) {
        bytes += entry_bytes(entry_at(entries, i)->key, entry_at(entries, i)->val);
    }
    return bytes;
}

/* The APR table of self as it is now, or NULL with an exception. */
static apr_table_t *locate(mp_table *self)
{
    if (self->owner) {
        return self->locate(self->owner, self->key);
    }
    if (!self->table) {
        PyErr_SetString(PyExc_ReferenceError, "the object that this table belonged to is gone");
    }
    return self->table;
}

/* The text of a str or bytes, borrowed from it: 1; 0 if no table can hold it; -1 with
 * TypeError. Lookups copy nothing into the table's pool: it would grow, and a server's
 * is not theirs to change. */
static int borrow_text(PyObject *object, const char **text)
{
    Py_ssize_t size;

    if (PyBytes_Check(object)) {
        *text = PyBytes_AS_STRING(object);
        size = PyBytes_GET_SIZE(object);
    } else if (!PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError, "table key must be str or bytes, not %.200s",
                     Py_TYPE(object)->tp_name);
        return -1;
    } else if (PyUnicode_KIND(object) != PyUnicode_1BYTE_KIND) {
        return 0;
    } else {
        /* CPython keeps such a str as ISO-8859-1 with a NUL at its end. */
        *text = (const char *)PyUnicode_1BYTE_DATA(object);
        size = PyUnicode_GET_LENGTH(object);
    }
    return strlen(*text) == (size_t)size;
}

static int note_match(void *record, const char *key, const char *value)
{
    match *found = record;

    if (found->count++ == 0) {
        found->key = key;
        found->value = value;
    }
    return 1;
}

/* 0, or -1 with an exception. apr_table_get() would not tell an entry without a value
 * from no entry. */
static int find_match(mp_table *self, PyObject *key, match *found)
{
    const char *text;

    *found = (match){.table = locate(self)};
    int possible = found->table ? borrow_text(key, &text) : -1;
    if (possible > 0) {
        apr_table_do(note_match, found, found->table, text, NULL);
    }
    return possible < 0 ? -1 : 0;
}

/* Counts what was written, and repacks a standalone table that may be mostly waste. The
 * pool of a view is Apache's: what it holds goes with the request or the connection. */
static void note_written(mp_table *self, apr_size_t bytes)
{
    apr_pool_t *pool;

    self->written += bytes;
    if (!self->pool || self->written < PACK_BYTES || self->written < self->packed ||
        apr_pool_create_unmanaged(&pool) != APR_SUCCESS) {
        return;
    }
    self->table = apr_table_clone(pool, self->table);
    apr_pool_destroy(self->pool);
    self->pool = pool;
    self->written = 0;
    self->packed = entries_bytes(apr_table_elts(self->table));
}

/* An unmanaged pool has no parent and an allocator of its own: no lock shared with
 * other threads or interpreters, and no end before the object's. */
int mp_table_open(mp_table *self)
{
    if (apr_pool_create_unmanaged(&self->pool) != APR_SUCCESS) {
        PyErr_NoMemory();
        return -1;
    }
    self->table = apr_table_make(self->pool, 8);
    return 0;
}

void mp_table_close(mp_table *self)
{
    if (self->pool) {
        apr_pool_destroy(self->pool);
    }
    self->pool = NULL;
    self->table = NULL;
}

int mp_table_size(mp_table *self)
{
    apr_table_t *table = locate(self);

    return table ? apr_table_elts(table)->nelts : -1;
}

int mp_table_find(mp_table *self, PyObject *key, PyObject **first)
{
    match found;

    if (find_match(self, key, &found) < 0) {
        return -1;
    }
    if (found.count > 0 && first && !(*first = mp_str_from_latin1(found.value))) {
        return -1;
    }
    return found.count > 0;
}

static int append_value(void *list, const char *key, const char *value)
{
    PyObject *text = mp_str_from_latin1(value);
    int status = text ? PyList_Append(list, text) : -1;

    Py_XDECREF(text);
    return status == 0;
}

PyObject *mp_table_lookup(mp_table *self, PyObject *key)
{
    const char *text;
    PyObject *result = NULL;
    PyObject *values = PyList_New(0);
    apr_table_t *table = values ? locate(self) : NULL;

    if (table && borrow_text(key, &text) > 0) {
        apr_table_do(append_value, values, table, text, NULL);
        Py_ssize_t count = PyErr_Occurred() ? 0 : PyList_GET_SIZE(values);
        if (count > 0) {
            result = Py_NewRef(count > 1 ? values : PyList_GET_ITEM(values, 0));
        }
    }
    Py_XDECREF(values);
    return result;
}

PyObject *mp_table_entry(mp_table *self, int index, mp_table_part part)
{
    apr_table_t *table = locate(self);

    if (!table || index >= apr_table_elts(table)->nelts) {
        return NULL;
    }
    const apr_table_entry_t *entry = entry_at(apr_table_elts(table), index);
    if (part != MP_ITEMS) {
        return mp_str_from_latin1(part == MP_KEYS ? entry->key : entry->val);
    }
    PyObject *key = mp_str_from_latin1(entry->key);
    PyObject *value = mp_str_from_latin1(entry->val);
    PyObject *item = key && value ? PyTuple_Pack(2, key, value) : NULL;
    Py_XDECREF(key);
    Py_XDECREF(value);
    return item;
}

PyObject *mp_table_list(mp_table *self, mp_table_part part)
{
    PyObject *list = PyList_New(0);
    PyObject *item;

    for (int i = 0; list && (item = mp_table_entry(self, i, part)); i++) {
        if (PyList_Append(list, item) < 0) {
            Py_CLEAR(list);
        }
        Py_DECREF(item);
    }
    if (PyErr_Occurred()) {
        Py_CLEAR(list);
    }
    return list;
}

int mp_table_append(mp_table *self, PyObject *key, PyObject *value)
{
    apr_table_t *table = locate(self);
    char *text = NULL;

    if (!table) {
        return -1;
    }
    apr_pool_t *pool = apr_table_elts(table)->pool;
    char *name = mp_latin1_from_object(pool, key, "table key");
    if (!name) {
        return -1;
    }
    text = mp_latin1_from_object(pool, value, "table value");
    if (text) {
        apr_table_addn(table, name, text);
    }
    note_written(self, entry_bytes(name, text));
    return text ? 0 : -1;
}

static int is_text(const char *stored, PyObject *value)
{
    const char *text;

    return stored && (PyUnicode_Check(value) || PyBytes_Check(value)) &&
           borrow_text(value, &text) > 0 && strcmp(stored, text) == 0;
}

int mp_table_assign(mp_table *self, PyObject *key, PyObject *value)
{
    match found;

    if (find_match(self, key, &found) < 0) {
        return -1;
    }
    if (found.count == 0) {
        return mp_table_append(self, key, value);
    }
    if (found.count == 1 && is_text(found.value, value)) {
        return 0;
    }
    apr_pool_t *pool = apr_table_elts(found.table)->pool;
    char *text = mp_latin1_from_object(pool, value, "table value");
    if (!text) {
        return -1;
    }
    apr_table_setn(found.table, found.key, text);
    note_written(self, strlen(text) + 1);
    return 0;
}

int mp_table_remove(mp_table *self, PyObject *key)
{
    match found;

    if (find_match(self, key, &found) < 0) {
        return -1;
    }
    if (found.count > 0) {
        apr_table_unset(found.table, found.key);
    }
    return found.count > 0;
}

/* APR removes by key only, which would take the entry's duplicates with it. Adding the
 * others again, in place, writes each where it already is and restores APR's index. */
static void drop_last(apr_table_t *table)
{
    const apr_array_header_t *entries = apr_table_elts(table);
    int last = entries->nelts - 1;

    apr_table_clear(table);
    for (int i = 0; i < last; i++) {
        apr_table_addn(table, entry_at(entries, i)->key, entry_at(entries, i)->val);
    }
}

PyObject *mp_table_pop_last(mp_table *self)
{
    PyObject *item = PyTuple_New(2);
    apr_table_t *table = item ? locate(self) : NULL;

    if (!table) {
        goto fail;
    }
    const apr_array_header_t *entries = apr_table_elts(table);
    if (entries->nelts == 0) {
        PyErr_SetString(PyExc_KeyError, "popitem(): table is empty");
        goto fail;
    }
    for (int i = 0; i < 2; i++) {
        const apr_table_entry_t *entry = entry_at(entries, entries->nelts - 1);
        PyObject *text = mp_str_from_latin1(i == 0 ? entry->key : entry->val);
        if (!text) {
            goto fail;
        }
        PyTuple_SET_ITEM(item, i, text);
    }
    drop_last(table);
    return item;
fail:
    Py_XDECREF(item);
    return NULL;
}

int mp_table_empty(mp_table *self)
{
    apr_table_t *table = locate(self);

    if (!table) {
        return -1;
    }
    apr_table_clear(table);
    return 0;
}

/* Below Python, because Apache's own text (a certificate in the environment) may hold
 * the line breaks that assignment refuses, and an entry may have no value. */
int mp_table_overlay(mp_table *self, mp_table *other)
{
    apr_table_t *from = locate(other);
    apr_table_t *table = from ? locate(self) : NULL;

    if (!table || table == from) {
        return table ? 0 : -1;
    }
    const apr_array_header_t *entries = apr_table_elts(from);
    for (int i = 0; i < entries->nelts; i++) {
        apr_table_unset(table, entry_at(entries, i)->key);
    }
    for (int i = 0; i < entries->nelts; i++) {
        apr_table_add(table, entry_at(entries, i)->key, entry_at(entries, i)->val);
    }
    note_written(self, entries_bytes(entries));
    return 0;
}
