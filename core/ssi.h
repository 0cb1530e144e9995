/* <!--#python --> in server-side includes, where mod_include is loaded. No Python here. */
#ifndef MP_SSI_H
#define MP_SSI_H

#include <apr_pools.h>

void mp_ssi_register_hooks(apr_pool_t *pool);

#endif
