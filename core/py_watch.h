/* PythonRequestTimeout: handlers that take too long get apache.RequestTimeout raised.
 *
 * A call of handlers is watched from mp_watch_begin() to mp_watch_end(), both in the
 * interpreter it runs in: whoever holds that knows whether the call still runs, and so
 * the exception hits nothing else. A thread of the child, made with the first such
 * call, sees to the times; it never takes a GIL, but has threads made that do.
 *
 * While a call is nested in another one, a filter's in a handler's req.write() for
 * instance, the outer one waits, and its time is the inner one's too: the exception is
 * raised from the inside out. */
#ifndef MP_PY_WATCH_H
#define MP_PY_WATCH_H

#include <httpd.h>

#include "py_interp.h"

/* One call, on the stack of whoever makes it. Times are those of a clock that nobody
 * sets, in microseconds. */
typedef struct mp_watch {
    mp_interp *interp; /* NULL: it is not watched */
    mp_interp_thread thread;
    struct mp_watch *outer; /* that of the same thread that this one is nested in */
    struct mp_watch *next;  /* of all threads' */
    struct mp_watch **link; /* what points here */
    const server_rec *server;
    const char *what;     /* the directive that names the handlers */
    const char *request;  /* the request's first line */
    const char *client;   /* its address */
    apr_time_t timeout;   /* from one exception to the next */
    apr_time_t raise_at;  /* when it is raised, for the first time or again */
    apr_time_t report_at; /* when the log is told that it did not help */
    apr_time_t due_since; /* since when raising it is postponed, or NEVER */
    unsigned suspended;   /* calls nested in it */
    int is_told;          /* report_at was set */
    int is_raised;
    int is_owed; /* it was taken back while something was nested: to be raised at its end */
} mp_watch;

/* Holds interp. timeout 0: no limit but that of the call that this one is nested in. */
void mp_watch_begin(mp_watch *watch, mp_interp *interp, const request_rec *r, const char *what,
                    apr_interval_time_t timeout);

/* Holds the same. Nothing is raised any more. Whether something was. */
int mp_watch_end(mp_watch *watch);

/* Holds the same. Before mp_watch_end(), since describing an error runs code of its own:
 * what _dispatch makes of a RequestTimeout that has left it, because it did not come while
 * a handler ran. subject is what handler (NULL: none was called) was called with. New
 * reference; NULL with an exception, if it is another one or that fails. */
PyObject *mp_watch_report(const mp_interp *interp, PyObject *subject, PyObject *handler, int flags);

/* Around what the calling thread does besides its innermost watched call, if it has any:
 * nothing is raised in that meanwhile. Whether it has one; then mp_watch_take_back() has to
 * be called as soon as the thread holds interp: what was raised before and has not hit yet
 * would hit what it does there. */
int mp_watch_suspend(void);
void mp_watch_take_back(const mp_interp *interp);
void mp_watch_resume(void);

#endif
