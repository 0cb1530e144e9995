/* Interpreters, thread states, the GIL: nobody else touches these.
 *
 * A child has one main interpreter, "main_interpreter", and py_pool.c has others made
 * when they are first asked for; none is ended before the process ends. They share the
 * main one's GIL or have one each. Each worker thread keeps one thread state per
 * interpreter for its own life.
 *
 * Functions here say whether the caller holds the interpreter, must not hold it,
 * or whether they take it. */
#ifndef MP_PY_INTERP_H
#define MP_PY_INTERP_H

#include <httpd.h>

#include "compat.h"
#include "config.h"
#include "py_module.h"

typedef struct mp_interp mp_interp;

/* What mp_interp_enter() left behind, for mp_interp_leave(). */
typedef struct {
    mp_interp *interp;
    const request_rec *r;
} mp_attachment;

/* Starts Python in this process. Must not hold. Leaves the GIL free. Returns 0, or
 * -1 with *error in pool. home: an environment, or NULL for that of this module. */
int mp_interp_start(apr_pool_t *pool, const char *home, int optimize, const char **error);

/* Calls shutdown(interp, until) in every interpreter, attached to it: from one thread for
 * all that share a GIL, and from one for each of the others. Waits at most timeout; where
 * it was done by then no Python thread runs any more. until is when to stop waiting for
 * Python's threads, so that time is left for the rest. 0, or -1 if something had not
 * finished in time. Must not hold. For the end of the child. */
int mp_interp_stop(void (*shutdown)(mp_interp *interp, apr_time_t until),
                   apr_interval_time_t timeout);

/* Whether mp_interp_stop() was called: then nothing may be entered any more. */
int mp_interp_is_stopping(void);

/* Sets a fresh interpreter up, attached to it: 0, or -1 with an exception set. */
typedef int mp_interp_setup(mp_interp *interp);

/* Makes an interpreter, or sets the main one up if that is its name. members: of its
 * pool, 0 if it shares the main GIL; member: which of them. name has to last. NULL with
 * *error in pool. By one thread at a time, see py_pool.c. Must not hold. */
mp_interp *mp_interp_make(const char *name, int members, int member, mp_interp_setup *setup,
                          apr_pool_t *pool, const char **error);

/* Lets go of what the calling thread holds, if anything, and takes it again: around what
 * must not hold. */
mp_interp *mp_interp_pause(void);
void mp_interp_resume(mp_interp *held);

/* Attaches the calling thread to interp; r is what it works for (may be NULL), for
 * messages logged meanwhile. Takes; what was held before is let go until
 * mp_interp_leave(). Any thread of the process may, also one that serves no requests. */
void mp_interp_enter(mp_interp *interp, const request_rec *r, mp_attachment *before);
void mp_interp_leave(const mp_attachment *before);

/* The interpreter this thread is attached to, or NULL. */
mp_interp *mp_interp_current(void);

/* What the calling thread works for, as given to mp_interp_enter(), or NULL. */
const request_rec *mp_interp_current_request(void);

/* Around one blocking call into Apache: lets the GIL go and takes it again. Holds;
 * any thread may call it, also one that Python code started. */
typedef struct {
    PyThreadState *state;
    mp_interp *interp;
} mp_released;
void mp_interp_release(mp_released *released);
void mp_interp_reacquire(const mp_released *released);

/* A thread in an interpreter, for those that hold it from another thread. */
typedef struct {
    PyThreadState *state;
    unsigned long ident; /* threading.get_ident() */
} mp_interp_thread;

/* The calling thread. Holds. */
mp_interp_thread mp_interp_this_thread(void);

/* Has an exception (a type) raised in thread as soon as it runs Python code; NULL: takes
 * back what has not been raised yet. Whether there was something. Holds, as below, the
 * interpreter of thread. */
int mp_interp_raise_in(const mp_interp_thread *thread, PyObject *exception);

/* What thread executes: a new reference to its frame, or NULL without an exception. */
PyObject *mp_interp_frame_of(const mp_interp_thread *thread);

/* Whether the main interpreter is the only one that was made. */
int mp_interp_is_only(void);

const char *mp_interp_name(const mp_interp *interp);

/* How many interpreters with a GIL of their own its name stands for; 0: it shares the
 * main one. And which of them it is, from 0. */
int mp_interp_members(const mp_interp *interp);
int mp_interp_member(const mp_interp *interp);

/* How many threads are in it, working or waiting for its GIL; and MP_INTERP_STUCK more if
 * none has got that for a while. Only where it has one of its own. */
#define MP_INTERP_STUCK (1 << 20)
int mp_interp_busy(const mp_interp *interp);

/* The state of interp's _apache module; set by py_setup.c. NULL: not set up yet. */
mp_state *mp_interp_state(const mp_interp *interp);
void mp_interp_set_state(mp_interp *interp, mp_state *state);

/* The Python handlers made for a configured list (its id, from 1): a borrowed
 * reference, or NULL when not made yet. Holds. */
PyObject *mp_interp_handlers(const mp_interp *interp, unsigned id);

/* Keeps them; steals the reference. Returns 0, or -1 with MemoryError. Holds. */
int mp_interp_keep_handlers(mp_interp *interp, unsigned id, PyObject *handlers);

#endif
