/* The variables of CGI (RFC 3875), for whatever runs as if behind CGI. No Python here. */
#ifndef MP_CGI_VARS_H
#define MP_CGI_VARS_H

#include <httpd.h>

/* Whether mp_add_cgi_vars(), or ap_add_common_vars() itself, may wait for a name server or
 * an ident server. */
int mp_cgi_vars_may_block(request_rec *r);

/* Fills r->subprocess_env with what a CGI script gets, PATH_TRANSLATED excepted: that
 * would take a subrequest. script_name and path_info: of what is mounted elsewhere than at its
 * file; NULL, both, for a script. */
void mp_add_cgi_vars(request_rec *r, const char *script_name, const char *path_info);

void mp_cgi_vars_register_hooks(apr_pool_t *pool);

#endif
