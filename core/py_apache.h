/* The functions of the _apache module: what mod_python.apache is made from. */
#ifndef MP_PY_APACHE_H
#define MP_PY_APACHE_H

#include "compat.h"

extern PyMethodDef mp_apache_functions[];

#endif
