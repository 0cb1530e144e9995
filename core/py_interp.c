#include "py_interp.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include <sys/mman.h>

#include <apr_strings.h>

#include "fork.h"
#include "gate.h"
#include "py_errors.h"
#include "py_pool.h"
#include "py_start.h"

/* A thread that waits for a GIL gets it after some 5 ms, its turn among others after some
 * more, unless who holds it is in a call that does not let it go. */
#define STUCK apr_time_from_msec(100)

/* More than an interpreter takes: some 4 MB with 3.11, 6 with 3.13. */
#define ROOM ((size_t)16 << 20)

struct mp_interp {
    const char *name;
    int members; /* of its pool; 0: it shares the main GIL */
    int member;  /* which of them, from 0 */
    int index;   /* from 1, in the order of making */
    PyInterpreterState *interpreter;
    /* Where it has a GIL of its own: */
    atomic_int busy;            /* threads in it */
    atomic_int waiting;         /* of these, those that wait to enter */
    _Atomic apr_time_t entered; /* when the last one did */
    mp_state *state;            /* NULL until set up */
    PyObject **handlers;        /* by list id; grown under this interpreter's GIL */
    unsigned handler_count;
    mp_gate *gate; /* of its GIL: the following, or the main interpreter's */
    mp_gate own_gate;
    mp_interp *next;
};

/* One per thread that ever attached. */
typedef struct {
    PyThreadState **states; /* by interpreter index */
    int state_count;
    mp_interp *attached;  /* whose GIL this thread holds, as far as this file knows */
    const request_rec *r; /* what it works for */
} mp_thread;

/* Process-wide, and no Python objects: only added to, by one thread at a time. */
static struct {
    mp_interp *_Atomic first;
    mp_interp *main;
    atomic_int others;        /* how many there are besides main, with one that is being made */
    pthread_key_t thread_key; /* for its destructor only */
    atomic_bool stopping;
} process;

static _Thread_local mp_thread *this_thread;

/* Threads */

/* When a thread ends (a worker of the MPM, of mod_http2): its thread states go, and
 * with them what threading.local keeps. */
static void thread_ended(void *value)
{
    mp_thread *thread = value;

    for (int i = 0; i < thread->state_count && !atomic_load(&process.stopping); i++) {
        if (thread->states[i]) {
            PyEval_AcquireThread(thread->states[i]);
            PyThreadState_Clear(thread->states[i]);
            PyThreadState_DeleteCurrent();
        }
    }
    free(thread->states);
    free(thread);
    this_thread = NULL;
}

static mp_thread *get_thread(void)
{
    if (!this_thread) {
        this_thread = ap_calloc(1, sizeof(mp_thread));
        pthread_setspecific(process.thread_key, this_thread);
    }
    return this_thread;
}

static PyThreadState **state_slot(mp_thread *thread, const mp_interp *interp)
{
    if (interp->index >= thread->state_count) {
        int count = interp->index + 8;
        thread->states = ap_realloc(thread->states, (size_t)count * sizeof(*thread->states));
        memset(thread->states + thread->state_count, 0,
               (size_t)(count - thread->state_count) * sizeof(*thread->states));
        thread->state_count = count;
    }
    return &thread->states[interp->index];
}

static PyThreadState *thread_state(mp_thread *thread, const mp_interp *interp)
{
    PyThreadState **slot = state_slot(thread, interp);

    if (!*slot) {
#if PY_VERSION_HEX < 0x030c0000
        /* The first state a thread gets is the one that an extension's own
         * PyGILState_Ensure() finds: it has to be the main interpreter's. From 3.12
         * on it follows the attached state by itself. */
        if (interp != process.main) {
            thread_state(thread, process.main);
            slot = state_slot(thread, interp);
        }
#endif
        *slot = PyThreadState_New(interp->interpreter);
        if (!*slot) {
            ap_abort_on_oom();
        }
    }
    return *slot;
}

static void attach_state(mp_thread *thread, mp_interp *interp, PyThreadState *state)
{
    mp_gate_wait(interp->gate);
    PyEval_AcquireThread(state);
    mp_gate_entered(interp->gate, thread);
    thread->attached = interp;
}

static void attach(mp_thread *thread, mp_interp *interp)
{
    attach_state(thread, interp, thread_state(thread, interp));
}

static void attach_counted(mp_thread *thread, mp_interp *interp)
{
    atomic_fetch_add_explicit(&interp->waiting, 1, memory_order_relaxed);
    attach(thread, interp);
    atomic_store_explicit(&interp->entered, apr_time_now(), memory_order_relaxed);
    atomic_fetch_sub_explicit(&interp->waiting, 1, memory_order_relaxed);
}

static void detach(mp_thread *thread)
{
    mp_interp *interp = thread->attached;

    if (interp) {
        thread->attached = NULL;
        PyEval_SaveThread();
        mp_gate_left(interp->gate, thread);
    }
}

void mp_interp_enter(mp_interp *interp, const request_rec *r, mp_attachment *before)
{
    mp_thread *thread = get_thread();

    before->interp = thread->attached;
    before->r = thread->r;
    thread->r = r;
    if (interp->members) {
        atomic_fetch_add_explicit(&interp->busy, 1, memory_order_relaxed);
    }
    if (thread->attached != interp) {
        detach(thread);
        interp->members ? attach_counted(thread, interp) : attach(thread, interp);
    }
}

void mp_interp_leave(const mp_attachment *before)
{
    mp_thread *thread = this_thread;

    thread->r = before->r;
    if (thread->attached->members) {
        atomic_fetch_sub_explicit(&thread->attached->busy, 1, memory_order_relaxed);
    }
    if (thread->attached != before->interp) {
        detach(thread);
        if (before->interp) {
            attach(thread, before->interp);
        }
    }
}

mp_interp *mp_interp_pause(void)
{
    mp_interp *held = mp_interp_current();

    if (held) {
        detach(this_thread);
    }
    return held;
}

void mp_interp_resume(mp_interp *held)
{
    if (held) {
        attach(this_thread, held);
    }
}

mp_interp *mp_interp_current(void)
{
    return this_thread ? this_thread->attached : NULL;
}

const request_rec *mp_interp_current_request(void)
{
    return this_thread ? this_thread->r : NULL;
}

void mp_interp_release(mp_released *released)
{
    released->interp = mp_interp_current();
    released->state = PyThreadState_Get();
    released->interp ? detach(this_thread) : (void)PyEval_SaveThread();
}

void mp_interp_reacquire(const mp_released *released)
{
    released->interp ? attach_state(this_thread, released->interp, released->state)
                     : PyEval_RestoreThread(released->state);
}

mp_interp_thread mp_interp_this_thread(void)
{
    mp_interp_thread thread = {PyThreadState_Get(), PyThread_get_thread_ident()};

    return thread;
}

int mp_interp_raise_in(const mp_interp_thread *thread, PyObject *exception)
{
    int is_pending = thread->state->async_exc != NULL;

    /* It goes to the newest state that the thread has in the interpreter: ours. */
    PyThreadState_SetAsyncExc(thread->ident, exception);
    return is_pending;
}

PyObject *mp_interp_frame_of(const mp_interp_thread *thread)
{
    /* A collection would run code, and let the thread go on. */
    int enabled = PyGC_Disable();
    PyFrameObject *frame = PyThreadState_GetFrame(thread->state);

    if (enabled) {
        PyGC_Enable();
    }
    return (PyObject *)frame;
}

/* Interpreters */

int mp_interp_is_only(void)
{
    return process.others == 0;
}

const char *mp_interp_name(const mp_interp *interp)
{
    return interp->name;
}

int mp_interp_members(const mp_interp *interp)
{
    return interp->members;
}

int mp_interp_member(const mp_interp *interp)
{
    return interp->member;
}

int mp_interp_busy(const mp_interp *interp)
{
    int busy = atomic_load_explicit(&interp->busy, memory_order_relaxed);

    if (atomic_load_explicit(&interp->waiting, memory_order_relaxed) &&
        apr_time_now() - atomic_load_explicit(&interp->entered, memory_order_relaxed) > STUCK) {
        busy += MP_INTERP_STUCK;
    }
    return busy;
}

mp_state *mp_interp_state(const mp_interp *interp)
{
    return interp->state;
}

void mp_interp_set_state(mp_interp *interp, mp_state *state)
{
    interp->state = state;
}

PyObject *mp_interp_handlers(const mp_interp *interp, unsigned id)
{
    return id < interp->handler_count ? interp->handlers[id] : NULL;
}

int mp_interp_keep_handlers(mp_interp *interp, unsigned id, PyObject *handlers)
{
    if (id >= interp->handler_count) {
        unsigned count = id + 16;
        PyObject **grown = PyMem_RawRealloc(interp->handlers, count * sizeof(*grown));
        if (!grown) {
            Py_DECREF(handlers);
            PyErr_NoMemory();
            return -1;
        }
        memset(grown + interp->handler_count, 0, (count - interp->handler_count) * sizeof(*grown));
        interp->handlers = grown;
        interp->handler_count = count;
    }
    Py_XSETREF(interp->handlers[id], handlers);
    return 0;
}

static mp_interp *new_interp(const char *name, int members, PyInterpreterState *interpreter)
{
    mp_interp *interp = ap_calloc(1, sizeof(*interp));

    interp->name = name;
    interp->index = process.others + 1;
    interp->members = members;
    interp->interpreter = interpreter;
    interp->gate = process.main && !members ? process.main->gate : &interp->own_gate;
    return interp;
}

static void publish(mp_interp *interp)
{
    interp->next = atomic_load(&process.first);
    atomic_store(&process.first, interp);
}

/* Whether there is memory for an interpreter. Where there is not, CPython ends the process
 * from some steps of making one (seen: 3.11, 3.13). */
static int is_room(void)
{
    void *room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return room != MAP_FAILED && munmap(room, ROOM) == 0;
}

/* A thread state of a new interpreter, attached; the main interpreter was, and is so
 * again if this fails: NULL with *error. */
static PyThreadState *new_interpreter(int own_gil, const char **error)
{
#if PY_VERSION_HEX >= 0x030c0000
    PyThreadState *state = NULL;
    /* With the main GIL: any extension module. With its own: those that can do without
     * the main one, and no fork, whose child would have nothing but this interpreter. */
    PyInterpreterConfig config = {
        .use_main_obmalloc = !own_gil,
        .allow_fork = !own_gil,
        .allow_exec = 1,
        .allow_threads = 1,
        .allow_daemon_threads = 1, /* it is never ended before the process */
        .check_multi_interp_extensions = own_gil,
        .gil = own_gil ? PyInterpreterConfig_OWN_GIL : PyInterpreterConfig_SHARED_GIL,
    };
    PyStatus status = Py_NewInterpreterFromConfig(&state, &config);

    if (!state) {
        *error = status.err_msg ? status.err_msg : "no reason given";
    }
    return state;
#else
    PyThreadState *state = Py_NewInterpreter();

    if (!state) {
        *error = "CPython could not make another interpreter";
    }
    return state;
#endif
}

/* Ends an interpreter that could not be set up; its GIL is free afterwards. */
static void discard(mp_thread *thread, mp_interp *interp, PyThreadState *state)
{
    thread->attached = NULL;
    mp_gate_left(interp->gate, thread);
    Py_EndInterpreter(state);
#if PY_VERSION_HEX < 0x030c0000 /* the GIL is still held */
    PyThreadState_Swap(thread_state(thread, process.main));
    PyEval_SaveThread();
#endif
    for (unsigned i = 0; i < interp->handler_count; i++) {
        assert(!interp->handlers[i]); /* no request was there */
    }
    free(interp);
    process.others--;
}

/* The main interpreter is made at the start and set up when first asked for. */
static mp_interp *set_up_main(mp_thread *thread, mp_interp_setup *setup, apr_pool_t *pool,
                              const char **error)
{
    attach(thread, process.main);
    int result = setup(process.main);
    if (result != 0) {
        *error = mp_error_text(pool);
        process.main->state = NULL;
    }
    detach(thread);
    return result == 0 ? process.main : NULL;
}

mp_interp *mp_interp_make(const char *name, int members, int member, mp_interp_setup *setup,
                          apr_pool_t *pool, const char **error)
{
    mp_thread *thread = get_thread();
    PyThreadState *state;
    mp_interp *interp;

    if (!strcmp(name, MP_MAIN_INTERPRETER)) {
        return set_up_main(thread, setup, pool, error);
    }
    if (!is_room()) {
        *error = "memory is short: less than 16 MiB are left";
        return NULL;
    }
    attach(thread, process.main);
    process.others++;
    if (!(state = new_interpreter(members > 0, error))) {
        process.others--;
        detach(thread);
        return NULL;
    }
    /* This first state stays with the interpreter, and no thread uses it again: up to
     * 3.11 an interpreter that lost its last one cannot be given another. */
    interp = new_interp(name, members, PyThreadState_GetInterpreter(state));
    interp->member = member;
    atomic_init(&interp->entered, apr_time_now());
    mp_gate_left(process.main->gate, thread);
    mp_gate_entered(interp->gate, thread);
    thread->attached = interp;
    if (setup(interp) != 0) {
        *error = mp_error_text(pool);
        discard(thread, interp, state);
        return NULL;
    }
    publish(interp);
    detach(thread);
    return interp;
}

/* Start */

int mp_interp_start(apr_pool_t *pool, const char *home, int optimize, const char **error)
{
    const char *program = mp_python_program(pool, home);

    if (!program) {
        *error = apr_psprintf(pool, "there is no python in %s/bin", home);
        return -1;
    }
    memset(&process, 0, sizeof(process));
    pthread_key_create(&process.thread_key, thread_ended);
    mp_gate_start();
    mp_fork_watch();
    mp_pool_start(pool);
    if (mp_python_initialize(pool, program, optimize, error) != 0) {
        return -1;
    }
    process.main = new_interp(MP_MAIN_INTERPRETER, 0, PyInterpreterState_Get());
    publish(process.main);
    *state_slot(get_thread(), process.main) = PyThreadState_Get();
    PyEval_SaveThread();
    return 0;
}

/* Stop */

typedef struct {
    void (*shutdown)(mp_interp *interp, apr_time_t until);
    apr_time_t until;
    pthread_mutex_t mutex;
    pthread_cond_t done_condition;
    int running;     /* threads that call it */
    int shared_done; /* it has been called where the main GIL is shared */
} mp_stop;

/* Outlives mp_interp_stop() if the threads do. */
static mp_stop stop = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                       .done_condition = PTHREAD_COND_INITIALIZER};

static void shut_down(mp_interp *interp)
{
    if (interp->state) {
        stop.shutdown(interp, stop.until);
    }
}

static void count_down(int shared_done)
{
    pthread_mutex_lock(&stop.mutex);
    stop.running--;
    stop.shared_done |= shared_done;
    pthread_cond_signal(&stop.done_condition);
    pthread_mutex_unlock(&stop.mutex);
}

/* All that share the main GIL. */
static void *stop_shared(void *unused)
{
    mp_attachment before;

    for (mp_interp *interp = atomic_load(&process.first); interp; interp = interp->next) {
        if (!interp->members) {
            mp_interp_enter(interp, NULL, &before);
            shut_down(interp);
            mp_interp_leave(&before);
        }
    }
    count_down(1);
    return NULL;
}

/* One with a GIL of its own, which is kept for good: what exit() tears down, no Python
 * thread sees. */
static void *stop_own(void *value)
{
    mp_attachment before;

    mp_interp_enter(value, NULL, &before);
    shut_down(value);
    count_down(0);
    for (;;) {
        pause();
    }
    return NULL;
}

static void stop_in_thread(void *(*run)(void *), mp_interp *interp)
{
    pthread_t thread;

    pthread_mutex_lock(&stop.mutex);
    if (pthread_create(&thread, NULL, run, interp) == 0) {
        pthread_detach(thread);
        stop.running++;
    }
    pthread_mutex_unlock(&stop.mutex);
}

/* 0, or -1 if there was not enough time. shared_done: whether the main GIL can be had. */
static int wait_until_done(apr_interval_time_t timeout, int *shared_done)
{
    struct timespec deadline;
    int rv = 0, running;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += (time_t)apr_time_sec(timeout);
    pthread_mutex_lock(&stop.mutex);
    while (stop.running && rv == 0) {
        rv = pthread_cond_timedwait(&stop.done_condition, &stop.mutex, &deadline);
    }
    running = stop.running;
    *shared_done = stop.shared_done;
    pthread_mutex_unlock(&stop.mutex);
    return running ? -1 : 0;
}

int mp_interp_is_stopping(void)
{
    return atomic_load(&process.stopping);
}

int mp_interp_stop(void (*shutdown)(mp_interp *interp, apr_time_t until),
                   apr_interval_time_t timeout)
{
    /* The prefork MPM ends its child from a signal handler, which may have
     * interrupted Python: then nothing of Python can be called any more. */
    if (mp_interp_current()) {
        atomic_store(&process.stopping, 1);
        return 0;
    }
    stop.shutdown = shutdown;
    stop.until = apr_time_now() + timeout * 3 / 4;
    stop_in_thread(stop_shared, NULL);
    for (mp_interp *interp = atomic_load(&process.first); interp; interp = interp->next) {
        if (interp->members) {
            stop_in_thread(stop_own, interp);
        }
    }
    int shared_done;
    int result = wait_until_done(timeout, &shared_done);
    atomic_store(&process.stopping, 1);
    if (shared_done) {
        attach(get_thread(), process.main); /* for good, as stop_own() does */
    }
    return result;
}
