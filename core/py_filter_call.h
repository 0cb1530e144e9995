/* Calling the handler of a filter. No Python in this header: the filters use it. */
#ifndef MP_PY_FILTER_CALL_H
#define MP_PY_FILTER_CALL_H

#include "filters.h"

/* Calls the filter's handler. Must not hold. 0; or -1 if it raised: that is logged
 * and context->page set, unless context->rv says that a neighbour failed. */
int mp_call_filter(mp_filter_context *context);

/* Writes what readline() keeps of a line whose end has not come. Must not hold; may
 * block. */
apr_status_t mp_filter_write_held(mp_filter_context *context);

/* Lets go of the wrapper. Must not hold. */
void mp_filter_drop(mp_filter_context *context);

#endif
