/* Plain members of httpd's records as rows of a table: name, kind, offset, docstring.
 * Every function here holds the interpreter. */
#ifndef MP_PY_MEMBERS_H
#define MP_PY_MEMBERS_H

#include "compat.h"

#include <apr_pools.h>

typedef enum {
    MP_LATIN1,   /* char *, ISO-8859-1: str or None */
    MP_FS,       /* char *, UTF-8 with surrogateescape: str or None */
    MP_INT,      /* int */
    MP_BOOL,     /* int, shown as bool */
    MP_UNSIGNED, /* unsigned int */
    MP_LONG,     /* long */
    MP_OFFSET,   /* apr_off_t or apr_int64_t: bytes, bits */
    MP_TIME,     /* apr_time_t or apr_interval_time_t: int, seconds */
    MP_STRINGS,  /* apr_array_header_t * of char *: tuple of str */
} mp_member_kind;

typedef struct {
    const char *name;
    mp_member_kind kind;
    size_t offset;
    unsigned takes_none : 1; /* may be set to None */
} mp_member;

/* The member's value in record; new reference. */
PyObject *mp_member_get(const mp_member *member, const void *record);

/* Sets it, strings copied into pool. 0, or -1 with an exception. */
int mp_member_set(const mp_member *member, void *record, apr_pool_t *pool, PyObject *value);

/* An int within [low, high]; -1 with an exception. what names the value. */
int mp_int_from_object(PyObject *value, const char *what, long low, long high, long *number);

/* Rows for a PyGetSetDef table: the closure is the mp_member. */
#define MP_READ_ONLY(getter, type, field, its_kind, its_doc)                                       \
    MP_READ_WRITE(getter, NULL, type, field, its_kind, 0, its_doc)
/* clang-format off */
#define MP_READ_WRITE(getter, setter, type, field, its_kind, none, its_doc)              \
    {.name = #field, .get = getter, .set = setter, .doc = PyDoc_STR(its_doc),            \
     .closure = (void *)&(const mp_member){#field, its_kind, offsetof(type, field), none}}
/* clang-format on */

#endif
