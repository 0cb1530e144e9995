/* The entries of an mp_table: finding, reading and changing the APR table behind it.
 * Private to py_table*.c. Every function here holds the interpreter. */
#ifndef MP_PY_TABLE_STORE_H
#define MP_PY_TABLE_STORE_H

#include "py_table.h"

/* Either a view (owner, locate, key) or standalone (pool, table). */
typedef struct {
    PyObject_HEAD PyObject *owner;
    mp_table_locate locate;
    void *key;
    apr_pool_t *pool;
    apr_table_t *table;
    apr_size_t written; /* bytes since the pool was last packed */
    apr_size_t packed;  /* bytes the table held then */
} mp_table;

typedef enum { MP_KEYS, MP_VALUES, MP_ITEMS } mp_table_part;

/* Makes self an empty standalone table; 0, or -1 with an exception. */
int mp_table_open(mp_table *self);

/* Frees what a standalone table owns; nothing for a view. */
void mp_table_close(mp_table *self);

/* The number of entries, or -1 with an exception. */
int mp_table_size(mp_table *self);

/* 1 if key has an entry, 0 if not, -1 with an exception. first, unless NULL, becomes a
 * new reference to the key's first value if there is one. */
int mp_table_find(mp_table *self, PyObject *key, PyObject **first);

/* The value of key, a list if there are several: a new reference. NULL without an
 * exception if there is none. */
PyObject *mp_table_lookup(mp_table *self, PyObject *key);

/* A part of the entry at index: a new reference. NULL without an exception if the
 * index is past the end. */
PyObject *mp_table_entry(mp_table *self, int index, mp_table_part part);

/* That part of all entries: a new list, or NULL with an exception. */
PyObject *mp_table_list(mp_table *self, mp_table_part part);

/* Adds an entry, whether or not the key has one; 0, or -1 with an exception. */
int mp_table_append(mp_table *self, PyObject *key, PyObject *value);

/* Replaces all values of key; a key that is there keeps its spelling and its place.
 * 0, or -1 with an exception. */
int mp_table_assign(mp_table *self, PyObject *key, PyObject *value);

/* Removes all entries of key: 1, 0 if there is none, -1 with an exception. */
int mp_table_remove(mp_table *self, PyObject *key);

/* Removes the last entry and returns it; NULL with KeyError if there is none. */
PyObject *mp_table_pop_last(mp_table *self);

/* Removes all entries; 0, or -1 with an exception. */
int mp_table_empty(mp_table *self);

/* Replaces the keys that other has by all of other's entries; 0, or -1 with an
 * exception. */
int mp_table_overlay(mp_table *self, mp_table *other);

/* An iterator over that part of the entries: a new reference, or NULL with an
 * exception. In py_table_iterator.c. */
PyObject *mp_table_iterate(mp_table *table, mp_table_part part);

/* Creates the iterator's type; 0, or -1 with an exception. */
int mp_table_iterator_setup(PyObject *module, mp_state *state);

#endif
