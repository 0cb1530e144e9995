/* The start and the end of Python in a child. No Python in this header: the hooks use it. */
#ifndef MP_PY_CHILD_H
#define MP_PY_CHILD_H

#include <httpd.h>

/* Starts Python, runs the PythonImports, and arranges for the end. Must not hold. */
void mp_child_start(apr_pool_t *pchild, server_rec *s);

#endif
