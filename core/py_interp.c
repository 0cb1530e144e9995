#include "py_interp.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "py_errors.h"

struct mp_interp {
    char *name;
    int index;
    PyInterpreterState *interpreter;
    mp_state *state;     /* NULL until set up */
    PyObject **handlers; /* by list id; grown under this interpreter's GIL */
    unsigned handler_count;
    mp_interp *next;
};

/* One per thread that ever attached. */
typedef struct {
    PyThreadState **states; /* by interpreter index */
    int state_count;
    mp_interp *attached;  /* whose GIL this thread holds, as far as this file knows */
    mp_interp *last;      /* the last one looked up: most threads use one only */
    const request_rec *r; /* what it works for */
} mp_thread;

/* Process-wide, and no Python objects: only added to, under the lock. */
static struct {
    apr_pool_t *pool;
    apr_thread_mutex_t *lock;
    apr_hash_t *by_name;
    mp_interp *first;
    mp_interp *main;
    int count;
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

static void attach(mp_thread *thread, mp_interp *interp)
{
    PyEval_AcquireThread(thread_state(thread, interp));
    thread->attached = interp;
}

static void detach(mp_thread *thread)
{
    if (thread->attached) {
        thread->attached = NULL;
        PyEval_SaveThread();
    }
}

void mp_interp_enter(mp_interp *interp, const request_rec *r, mp_attachment *before)
{
    mp_thread *thread = get_thread();

    before->interp = thread->attached;
    before->r = thread->r;
    thread->r = r;
    if (thread->attached != interp) {
        detach(thread);
        attach(thread, interp);
    }
}

void mp_interp_leave(const mp_attachment *before)
{
    mp_thread *thread = this_thread;

    thread->r = before->r;
    if (thread->attached != before->interp) {
        detach(thread);
        if (before->interp) {
            attach(thread, before->interp);
        }
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
    if (released->interp) {
        this_thread->attached = NULL;
    }
    released->state = PyEval_SaveThread();
}

void mp_interp_reacquire(const mp_released *released)
{
    PyEval_RestoreThread(released->state);
    if (released->interp) {
        this_thread->attached = released->interp;
    }
}

mp_interp_thread mp_interp_this_thread(void)
{
    mp_interp_thread thread = {PyThreadState_Get(), PyThread_get_thread_ident()};

    return thread;
}

void mp_interp_raise_in(const mp_interp_thread *thread, PyObject *exception)
{
    /* It goes to the newest state that the thread has in the interpreter: ours. */
    PyThreadState_SetAsyncExc(thread->ident, exception);
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

int mp_interp_index(const mp_interp *interp)
{
    return interp->index;
}

const char *mp_interp_name(const mp_interp *interp)
{
    return interp->name;
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

static mp_interp *new_interp(const char *name, PyInterpreterState *interpreter)
{
    mp_interp *interp = ap_calloc(1, sizeof(*interp));

    interp->name = apr_pstrdup(process.pool, name);
    interp->index = ++process.count;
    interp->interpreter = interpreter;
    return interp;
}

static void publish(mp_interp *interp)
{
    interp->next = process.first;
    process.first = interp;
    apr_hash_set(process.by_name, interp->name, APR_HASH_KEY_STRING, interp);
}

/* A thread state of a new interpreter that shares the main GIL and loads any
 * extension module; attached to the main interpreter. NULL with *error. */
static PyThreadState *new_interpreter(const char **error)
{
#if PY_VERSION_HEX >= 0x030c0000
    PyThreadState *state = NULL;
    PyInterpreterConfig config = {
        .use_main_obmalloc = 1,
        .allow_fork = 1,
        .allow_exec = 1,
        .allow_threads = 1,
        .allow_daemon_threads = 1,
        .check_multi_interp_extensions = 0,
        .gil = PyInterpreterConfig_SHARED_GIL,
    };
    PyStatus status = Py_NewInterpreterFromConfig(&state, &config);
    *error = PyStatus_Exception(status) ? status.err_msg : "no reason given";
    return state;
#else
    *error = "CPython could not make another interpreter";
    return Py_NewInterpreter();
#endif
}

/* Ends an interpreter that could not be set up; its GIL is free afterwards. */
static void discard(mp_thread *thread, mp_interp *interp, PyThreadState *state)
{
    thread->attached = NULL;
    Py_EndInterpreter(state);
#if PY_VERSION_HEX < 0x030c0000
    /* Up to 3.11 the GIL is still held. */
    PyThreadState_Swap(thread_state(thread, process.main));
    PyEval_SaveThread();
#endif
    free(interp);
}

/* Makes and sets up the interpreter of this name. Under the lock. */
static mp_interp *make(mp_thread *thread, const char *name, int (*setup)(mp_interp *),
                       apr_pool_t *pool, const char **error)
{
    PyThreadState *state;
    mp_interp *interp;

    attach(thread, process.main);
    state = new_interpreter(error);
    if (!state) {
        detach(thread);
        return NULL;
    }
    /* This first state stays with the interpreter, and no thread uses it again: up to
     * 3.11 an interpreter that lost its last one cannot be given another. */
    interp = new_interp(name, PyThreadState_GetInterpreter(state));
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

/* The main interpreter is made at the start and set up when first asked for. */
static mp_interp *set_up_main(mp_thread *thread, int (*setup)(mp_interp *), apr_pool_t *pool,
                              const char **error)
{
    int result;

    attach(thread, process.main);
    result = setup(process.main);
    if (result != 0) {
        *error = mp_error_text(pool);
        process.main->state = NULL;
    }
    detach(thread);
    return result == 0 ? process.main : NULL;
}

mp_interp *mp_interp_get(const char *name, int (*setup)(mp_interp *interp), apr_pool_t *pool,
                         const char **error)
{
    mp_thread *thread = get_thread();
    mp_interp *interp = thread->last;

    if (interp && !strcmp(interp->name, name)) {
        return interp;
    }
    /* Lock before GIL: nobody may wait for the lock while holding a GIL. */
    mp_interp *held = thread->attached;
    detach(thread);
    apr_thread_mutex_lock(process.lock);
    interp = apr_hash_get(process.by_name, name, APR_HASH_KEY_STRING);
    if (!interp) {
        interp = make(thread, name, setup, pool, error);
    } else if (!interp->state) {
        interp = set_up_main(thread, setup, pool, error);
    }
    apr_thread_mutex_unlock(process.lock);
    if (held) {
        attach(thread, held);
    }
    if (interp) {
        thread->last = interp;
    }
    return interp;
}

/* Start */

static const char *parent(apr_pool_t *pool, const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash != path ? apr_pstrmemdup(pool, path, (apr_size_t)(slash - path)) : NULL;
}

const char *mp_interp_site_packages(apr_pool_t *pool)
{
    Dl_info info;
    const char *package;

    if (!dladdr((void *)(uintptr_t)mp_interp_start, &info) || !info.dli_fname) {
        return NULL;
    }
    package = parent(pool, info.dli_fname);
    return package ? parent(pool, package) : NULL;
}

static const char *python_in(apr_pool_t *pool, const char *prefix)
{
    const char *names[] = {
        "python" Py_STRINGIFY(PY_MAJOR_VERSION) "." Py_STRINGIFY(PY_MINOR_VERSION), "python3",
        "python"};

    for (size_t i = 0; prefix && i < Py_ARRAY_LENGTH(names); i++) {
        const char *path = apr_pstrcat(pool, prefix, "/bin/", names[i], NULL);
        if (!access(path, X_OK)) {
            return path;
        }
    }
    return NULL;
}

const char *mp_interp_program(apr_pool_t *pool, const char *home)
{
    const char *site_packages = mp_interp_site_packages(pool);
    const char *program = NULL;

    if (home) {
        return python_in(pool, home);
    }
    /* PREFIX/lib/pythonX.Y/site-packages */
    for (const char *prefix = site_packages; prefix && !program; prefix = parent(pool, prefix)) {
        program = python_in(pool, prefix);
    }
    /* Debian's /usr/local/lib/pythonX.Y/dist-packages belongs to /usr/bin/python3. */
    return program ? program : MP_PYTHON;
}

static PyStatus initialize(const char *program, int optimize)
{
    PyPreConfig preconfig;
    PyConfig config;
    PyStatus status;

    PyPreConfig_InitPythonConfig(&preconfig);
    preconfig.parse_argv = 0;
    preconfig.utf8_mode = 1;        /* file names and logs: UTF-8, whatever Apache's locale */
    preconfig.configure_locale = 0; /* the locale is the server's, not ours */
    preconfig.coerce_c_locale = 0;
    status = Py_PreInitialize(&preconfig);
    if (PyStatus_Exception(status)) {
        return status;
    }
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    config.install_signal_handlers = 0; /* signals are the MPM's */
    if (optimize) {
        config.optimization_level = 1;
    }
    status = PyConfig_SetBytesString(&config, &config.program_name, program);
    if (!PyStatus_Exception(status)) {
        char *argv[] = {"mod_python"};
        status = PyConfig_SetBytesArgv(&config, 1, argv);
    }
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    return status;
}

int mp_interp_start(apr_pool_t *pool, const char *home, int optimize, const char **error)
{
    const char *program = mp_interp_program(pool, home);
    PyStatus status;

    if (!program) {
        *error = apr_psprintf(pool, "there is no python in %s/bin", home);
        return -1;
    }
    /* Of the environment only PYTHONPATH and what tunes the interpreter count: the
     * installation is known. */
    unsetenv("PYTHONHOME");
    unsetenv("PYTHONEXECUTABLE");
    unsetenv("__PYVENV_LAUNCHER__");
    memset(&process, 0, sizeof(process));
    /* One of its own: only our lock guards it. */
    apr_pool_create(&process.pool, pool);
    process.by_name = apr_hash_make(process.pool);
    apr_thread_mutex_create(&process.lock, APR_THREAD_MUTEX_DEFAULT, process.pool);
    pthread_key_create(&process.thread_key, thread_ended);

    if (PyImport_AppendInittab("_apache", PyInit__apache) != 0) {
        *error = "out of memory";
        return -1;
    }
    status = initialize(program, optimize);
    if (PyStatus_Exception(status)) {
        *error = apr_psprintf(pool, "Python as %s cannot start: %s", program,
                              status.err_msg ? status.err_msg : "no reason given");
        return -1;
    }
    process.main = new_interp(MP_MAIN_INTERPRETER, PyInterpreterState_Get());
    publish(process.main);
    *state_slot(get_thread(), process.main) = PyThreadState_Get();
    PyEval_SaveThread();
    return 0;
}

/* Stop */

typedef struct {
    void (*shutdown)(mp_interp *interp);
    pthread_mutex_t mutex;
    pthread_cond_t done_condition;
    int done;
} mp_stop;

static void *run_shutdown(void *value)
{
    mp_stop *stop = value;

    for (mp_interp *interp = process.first; interp; interp = interp->next) {
        if (interp->state) {
            mp_attachment before;
            mp_interp_enter(interp, NULL, &before);
            stop->shutdown(interp);
            mp_interp_leave(&before);
        }
    }
    pthread_mutex_lock(&stop->mutex);
    stop->done = 1;
    pthread_cond_signal(&stop->done_condition);
    pthread_mutex_unlock(&stop->mutex);
    return NULL;
}

static int wait_until_done(mp_stop *stop, apr_interval_time_t timeout)
{
    struct timespec deadline;
    int rv = 0;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += (time_t)apr_time_sec(timeout);
    pthread_mutex_lock(&stop->mutex);
    while (!stop->done && rv == 0) {
        rv = pthread_cond_timedwait(&stop->done_condition, &stop->mutex, &deadline);
    }
    pthread_mutex_unlock(&stop->mutex);
    return stop->done;
}

int mp_interp_is_stopping(void)
{
    return atomic_load(&process.stopping);
}

void mp_interp_stop(void (*shutdown)(mp_interp *interp), apr_interval_time_t timeout)
{
    /* Outlives this call if the thread does. */
    static mp_stop stop = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                           .done_condition = PTHREAD_COND_INITIALIZER};
    pthread_t thread;

    /* The prefork MPM ends its child from a signal handler, which may have
     * interrupted Python: then nothing of Python can be called any more. */
    if (mp_interp_current()) {
        atomic_store(&process.stopping, 1);
        return;
    }
    stop.shutdown = shutdown;
    if (pthread_create(&thread, NULL, run_shutdown, &stop) == 0) {
        pthread_detach(thread);
        if (wait_until_done(&stop, timeout)) {
            atomic_store(&process.stopping, 1);
            /* For good: what exit() tears down, no Python thread sees. */
            attach(get_thread(), process.main);
            return;
        }
    }
    atomic_store(&process.stopping, 1);
}
