/* Query strings and urlencoded forms: parse_qs() and parse_qsl() of mod_python.util. */
#ifndef MP_PY_QUERY_H
#define MP_PY_QUERY_H

#include "compat.h"

/* parse_qs and parse_qsl, for the _apache module. */
extern PyMethodDef mp_query_functions[];

#endif
