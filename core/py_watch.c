#include "py_watch.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <http_log.h>
#include <http_main.h>
#include <apr_strings.h>

#include "config.h"
#include "fork.h"
#include "py_errors.h"

APLOG_USE_MODULE(python);

#define NEVER APR_INT64_MAX

/* How long Python may take to raise the exception before the log is told; and the least
 * time between two exceptions. */
#define GRACE apr_time_from_sec(1)

/* How long a module may take to be imported before it is ended half done. */
#define IMPORT_GRACE apr_time_from_sec(10)

/* How long it is postponed at a time, first and later. */
#define PAUSE apr_time_from_msec(10)
#define LONG_PAUSE apr_time_from_msec(250)

/* A thread that raises what is due in one interpreter. */
typedef struct mp_raiser {
    mp_interp *interp;
    apr_time_t tell_at; /* when the log is told that it cannot get in */
    struct mp_raiser *next;
} mp_raiser;

/* Process-wide, and no Python objects. A GIL may be held when the mutex is taken, and is
 * never taken while holding that. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    mp_watch *first;
    mp_raiser *raisers;
    apr_time_t wake_at; /* when the watchdog will look again by itself */
    int is_started;
} process = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* The calling thread's. */
static _Thread_local mp_watch *innermost;

static apr_time_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return apr_time_from_sec(time.tv_sec) + time.tv_nsec / 1000;
}

static apr_time_t due_at(const mp_watch *watch)
{
    if (watch->suspended) {
        return NEVER;
    }
    return watch->raise_at < watch->report_at ? watch->raise_at : watch->report_at;
}

/* Which handler it is, for the log; under the mutex. */
static void describe(const mp_watch *watch, char *text, apr_size_t size)
{
    apr_snprintf(text, size, "%s of \"%.200s\" from %s", watch->what, watch->request,
                 watch->client ? watch->client : "?");
}

/* Raising */

/* The mutex is held, and let go meanwhile. Holds the interpreter. */
static void report(mp_watch *watch)
{
    PyObject *frame = mp_interp_frame_of(&watch->thread); /* while it is sure to be there */
    mp_state *state = mp_interp_state(watch->interp);
    const server_rec *server = watch->server;
    const char *stack = NULL;
    PyObject *text = NULL;
    mp_released released;
    char handler[512];

    watch->report_at = NEVER;
    describe(watch, handler, sizeof(handler));
    pthread_mutex_unlock(&process.mutex);
    if (frame) {
        text = PyObject_CallFunctionObjArgs(state->dispatch_describe_stack, frame, NULL);
        Py_DECREF(frame);
    }
    if (!text || !(stack = PyUnicode_AsUTF8(text))) {
        PyErr_Clear();
    }
    mp_interp_release(&released);
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, server,
                 "KK0191: %s did not end at its PythonRequestTimeout: it is in C code, waits for "
                 "an import, or has caught the exception, and occupies a worker until it ends; it "
                 "is at:\n%s",
                 handler, stack ? stack : "(no Python code)");
    mp_interp_reacquire(&released);
    Py_XDECREF(text);
    pthread_mutex_lock(&process.mutex);
}

static mp_watch *find_due(const mp_interp *interp, apr_time_t time)
{
    for (mp_watch *watch = process.first; watch; watch = watch->next) {
        if (watch->interp == interp && due_at(watch) <= time) {
            return watch;
        }
    }
    return NULL;
}

/* What _dispatch's table of files says of the code of a frame, borrowed, or NULL. */
static PyObject *kind_of(const mp_state *state, PyFrameObject *frame)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    PyObject *kind = PyDict_GetItem(state->delicate_files, code->co_filename);

    Py_DECREF(code); /* the frame has another reference */
    return kind;
}

/* Whether the import system is among the callers of a frame. The thread that runs them has
 * references to all of them. */
static int is_in_import(const mp_state *state, PyFrameObject *frame)
{
    int enabled = PyGC_Disable(); /* a collection would run code, and let the thread go on */
    int found = 0;

    Py_INCREF(frame);
    while (frame && !found) {
        PyFrameObject *caller = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = caller;
        found = frame && kind_of(state, frame) == Py_True;
    }
    Py_XDECREF(frame);
    PyErr_Clear(); /* without memory for a frame, what is behind it is not known */
    if (enabled) {
        PyGC_Enable();
    }
    return found;
}

/* Whether an exception would come where it must not, as _delicate.py has it. It comes where
 * the thread is now: a thread does not let go of a GIL but where it can be interrupted, or in
 * C code, and looks for exceptions when that returns. Under the mutex. Holds the interpreter. */
static int is_delicate(const mp_watch *watch, apr_time_t time)
{
    const mp_state *state = mp_interp_state(watch->interp);
    apr_time_t passed = time - watch->due_since;
    PyFrameObject *frame = (PyFrameObject *)mp_interp_frame_of(&watch->thread);
    PyObject *kind = frame ? kind_of(state, frame) : NULL;
    int result = (kind && (kind == Py_True || passed < GRACE)) ||
                 (frame && passed < IMPORT_GRACE && is_in_import(state, frame));

    Py_XDECREF(frame);
    return result;
}

/* Under the mutex. Holds the interpreter. */
static void raise_in(mp_watch *watch, apr_time_t time)
{
    if (watch->due_since == NEVER) {
        watch->due_since = time;
    }
    if (is_delicate(watch, time)) {
        watch->raise_at = time + (time - watch->due_since < GRACE ? PAUSE : LONG_PAUSE);
        if (!watch->is_told) {
            watch->is_told = 1;
            watch->report_at = watch->due_since + IMPORT_GRACE + 2 * GRACE;
        }
        return;
    }
    if (!watch->is_raised) {
        watch->is_told = 1;
        watch->report_at = time + GRACE;
    }
    mp_interp_raise_in(&watch->thread, mp_interp_state(watch->interp)->request_timeout);
    watch->raise_at = time + (watch->timeout > GRACE ? watch->timeout : GRACE);
    watch->due_since = NEVER;
    watch->is_raised = 1;
}

static void forget_raiser(mp_raiser *raiser)
{
    mp_raiser **link = &process.raisers;

    while (*link != raiser) {
        link = &(*link)->next;
    }
    *link = raiser->next;
    pthread_cond_signal(&process.changed);
}

static void *run_raiser(void *value)
{
    mp_raiser *raiser = value;
    mp_attachment before;
    mp_watch *watch;

    mp_interp_enter(raiser->interp, NULL, &before);
    pthread_mutex_lock(&process.mutex);
    for (apr_time_t time = now(); (watch = find_due(raiser->interp, time)); time = now()) {
        if (watch->report_at <= time) {
            report(watch);
        } else {
            raise_in(watch, time);
        }
    }
    forget_raiser(raiser);
    pthread_mutex_unlock(&process.mutex);
    mp_interp_leave(&before);
    free(raiser);
    return NULL;
}

/* The watchdog */

/* Signals are for Apache's own threads. */
static int start_thread(void *(*run)(void *), void *value)
{
    sigset_t all, before;
    pthread_t thread;
    int rv;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rv = pthread_create(&thread, NULL, run, value);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rv == 0) {
        pthread_detach(thread);
    } else {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, ap_server_conf,
                     "KK0192: PythonRequestTimeout cannot be kept for the moment: no thread "
                     "could be made");
    }
    return rv;
}

/* Has a thread see to what is due in interp, unless one is at it. */
static void start_raiser(mp_interp *interp, apr_time_t time)
{
    mp_raiser *raiser = process.raisers;

    while (raiser && raiser->interp != interp) {
        raiser = raiser->next;
    }
    if (raiser) {
        return;
    }
    raiser = ap_calloc(1, sizeof(*raiser));
    raiser->interp = interp;
    raiser->tell_at = time + GRACE;
    raiser->next = process.raisers;
    process.raisers = raiser;
    if (start_thread(run_raiser, raiser) != 0) {
        forget_raiser(raiser);
        free(raiser);
        process.wake_at = time + GRACE;
    }
}

static void wake_no_later_than(apr_time_t time)
{
    if (time < process.wake_at) {
        process.wake_at = time;
    }
}

/* Tells the log of an interpreter that nobody gets into. The mutex is let go meanwhile.
 * Whether there was one. */
static int tell_of_blocked_raiser(apr_time_t time)
{
    const mp_watch *watch;
    char handler[512];

    for (mp_raiser *raiser = process.raisers; raiser; raiser = raiser->next) {
        if (raiser->tell_at > time) {
            wake_no_later_than(raiser->tell_at);
            continue;
        }
        raiser->tell_at = NEVER;
        if ((watch = find_due(raiser->interp, time))) {
            const server_rec *server = watch->server;
            const char *name = mp_interp_name(raiser->interp); /* lasts; raiser may not */
            describe(watch, handler, sizeof(handler));
            pthread_mutex_unlock(&process.mutex);
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, server,
                         "KK0192: %s is over its PythonRequestTimeout and cannot be ended: C code, "
                         "of this handler or of another, holds the GIL of the interpreter '%s', "
                         "in which no Python code runs meanwhile",
                         handler, name);
            pthread_mutex_lock(&process.mutex);
            return 1;
        }
    }
    return 0;
}

static void wait_for_change(apr_time_t time)
{
    apr_time_t rest = process.wake_at - time;
    struct timespec deadline;

    if (process.wake_at == NEVER) {
        pthread_cond_wait(&process.changed, &process.mutex);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &deadline);
    rest = (rest > 0 ? rest : 0) + deadline.tv_nsec / 1000;
    deadline.tv_sec += (time_t)apr_time_sec(rest);
    deadline.tv_nsec = (long)apr_time_usec(rest) * 1000;
    pthread_cond_timedwait(&process.changed, &process.mutex, &deadline);
}

static void *run_watchdog(void *unused)
{
    pthread_mutex_lock(&process.mutex);
    while (!mp_interp_is_stopping()) {
        apr_time_t time = now();
        process.wake_at = NEVER;
        for (const mp_watch *watch = process.first; watch; watch = watch->next) {
            apr_time_t due = due_at(watch);
            if (due > time) {
                wake_no_later_than(due);
            } else {
                start_raiser(watch->interp, time);
            }
        }
        if (!tell_of_blocked_raiser(time)) {
            wait_for_change(time);
        }
    }
    pthread_mutex_unlock(&process.mutex);
    return NULL;
}

/* Under the mutex. The watchdog wakes by itself often enough for most calls: it is told
 * of those only that end before it does. */
static void tell_watchdog(const mp_watch *watch)
{
    if (due_at(watch) < process.wake_at) {
        process.wake_at = due_at(watch);
        pthread_cond_signal(&process.changed);
    }
    if (!process.is_started) {
        process.is_started = start_thread(run_watchdog, NULL) == 0;
    }
}

/* Calls */

void mp_watch_begin(mp_watch *watch, mp_interp *interp, const request_rec *r, const char *what,
                    apr_interval_time_t timeout)
{
    watch->interp = NULL;
    if (timeout <= 0 && !innermost) {
        return;
    }
    watch->interp = interp;
    watch->thread = mp_interp_this_thread();
    watch->outer = innermost;
    watch->server = r ? r->server : ap_server_conf;
    watch->what = what;
    watch->request = r && r->the_request ? r->the_request : "(no request)";
    watch->client = r ? r->useragent_ip : NULL;
    watch->timeout = timeout;
    watch->raise_at = timeout > 0 ? now() + timeout : NEVER;
    watch->report_at = NEVER;
    watch->due_since = NEVER;
    watch->suspended = 0;
    watch->is_told = 0;
    watch->is_raised = 0;
    watch->is_owed = 0;
    pthread_mutex_lock(&process.mutex);
    if (watch->outer && watch->outer->raise_at < watch->raise_at) {
        watch->timeout = watch->outer->timeout;
        watch->raise_at = watch->outer->raise_at;
    }
    watch->next = process.first;
    if (watch->next) {
        watch->next->link = &watch->next;
    }
    watch->link = &process.first;
    process.first = watch;
    tell_watchdog(watch);
    pthread_mutex_unlock(&process.mutex);
    innermost = watch;
}

int mp_watch_end(mp_watch *watch)
{
    if (!watch->interp) {
        return 0;
    }
    mp_fork_end(); /* in a copy the mutex may be locked for ever */
    innermost = watch->outer;
    pthread_mutex_lock(&process.mutex);
    *watch->link = watch->next;
    if (watch->next) {
        watch->next->link = watch->link;
    }
    pthread_mutex_unlock(&process.mutex);
    if (watch->is_raised) {
        mp_interp_raise_in(&watch->thread, NULL); /* if it has not hit yet */
    }
    return watch->is_raised;
}

PyObject *mp_watch_report(const mp_interp *interp, PyObject *subject, PyObject *handler, int flags)
{
    mp_state *state = mp_interp_state(interp);

    if (!handler || !PyErr_ExceptionMatches(state->request_timeout)) {
        return NULL;
    }
    return PyObject_CallFunction(state->dispatch_report_timeout, "OOiN", subject, handler, flags,
                                 mp_take_exception());
}

int mp_watch_suspend(void)
{
    if (!innermost) {
        return 0;
    }
    mp_fork_end(); /* as in mp_watch_end() */
    pthread_mutex_lock(&process.mutex);
    innermost->suspended++;
    pthread_mutex_unlock(&process.mutex);
    return 1;
}

void mp_watch_take_back(const mp_interp *interp)
{
    mp_watch *watch = innermost;

    while (watch && !(watch->interp == interp && watch->is_raised)) {
        watch = watch->outer;
    }
    if (watch && mp_interp_raise_in(&watch->thread, NULL)) {
        pthread_mutex_lock(&process.mutex);
        watch->is_owed = 1;
        watch->raise_at = now() + GRACE; /* what is nested has that time left */
        pthread_mutex_unlock(&process.mutex);
    }
}

void mp_watch_resume(void)
{
    if (innermost) {
        pthread_mutex_lock(&process.mutex);
        innermost->suspended--;
        if (innermost->is_owed) {
            innermost->is_owed = 0;
            innermost->raise_at = now();
        }
        if (innermost->report_at != NEVER && innermost->is_raised) {
            innermost->report_at = now() + GRACE; /* it could not react before */
        }
        tell_watchdog(innermost);
        pthread_mutex_unlock(&process.mutex);
    }
}
