/* Whole protocols: connections that Python handles (manual, 4.4 and 5.3). No Python
 * here; what may block says so, and is called without the GIL. */
#ifndef MP_CONNECTION_H
#define MP_CONNECTION_H

#include <httpd.h>

#include "context.h"

/* The data to be read next, without taking it; waits for it as long as Timeout says.
 * APR_EOF when the peer has closed, APR_TIMEUP, APR_ECONNABORTED when the server is
 * stopping, or why reading fails. Blocks. */
apr_status_t mp_connection_peek(conn_rec *c, const char **data, apr_size_t *size);

/* Takes size bytes of what mp_connection_peek() gave. */
void mp_connection_consume(conn_rec *c, apr_size_t size);

/* Has data, a copy, read again before what comes after it. */
void mp_connection_put_back(conn_rec *c, const char *data, apr_size_t size);

/* Writes and flushes. Blocks; data must last for the call. */
apr_status_t mp_connection_write(conn_rec *c, const char *data, apr_size_t size);

void mp_connection_register_hooks(apr_pool_t *pool);

#endif
