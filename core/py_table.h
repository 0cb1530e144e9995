/* mp_table: a dict-like view of an APR table. Every function here holds the
 * interpreter. */
#ifndef MP_PY_TABLE_H
#define MP_PY_TABLE_H

#include "py_module.h"

#include <apr_tables.h>

/* Finds the table that a view shows: owner is the Python object whose record the
 * table belongs to, key what the maker of the view gave. Called before every
 * access, so that a record that is gone, or whose table was replaced, is noticed.
 * Returns NULL with an exception set if the record is gone. */
typedef apr_table_t *(*mp_table_locate)(PyObject *owner, void *key);

/* A view on the table that locate(owner, key) finds; it keeps owner alive. New
 * reference, or NULL with an exception. */
PyObject *mp_table_view(mp_state *state, PyObject *owner, mp_table_locate locate, void *key);

/* Creates the types and adds "table" to the module; 0, or -1 with an exception. */
int mp_table_setup(PyObject *module, mp_state *state);

#endif
