#include "global_lock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <unixd.h>
#include <util_mutex.h>
#include <apr_file_info.h>
#include <apr_portable.h>
#include <apr_proc_mutex.h>
#include <apr_strings.h>

#include "config.h"
#include "context.h"

APLOG_USE_MODULE(python);

/* For Apache's Mutex directive, and the beginning of the files' names. */
static const char mutex_type[] = "python-lock";

#define DEFAULT_COUNT 8
/* Those without a file are as many, or this. */
#define LEAST_PROCESS_COUNT 31
/* The first is reserved: a key needs another. Each is an open file in each process. */
#define LEAST_COUNT 2
#define GREATEST_COUNT 1024

#if APR_HAS_FLOCK_SERIALIZE
#define MECHANISM APR_LOCK_FLOCK
#else
#define MECHANISM APR_LOCK_FCNTL
#endif

/* Kept by the parent over restarts, so that the children of before and after a graceful
 * one exclude each other. */
typedef struct {
    apr_pool_t *pool;      /* for the following; NULL: none made yet */
    const char *directory; /* as configured, or NULL */
    int count;
    apr_proc_mutex_t **mutexes;
} retained_locks;

typedef struct {
    apr_proc_mutex_t *mutex; /* between processes; NULL: of this one alone */
    pthread_cond_t freed;    /* between threads: these three, under the guard */
    /* NULL: free in this process. Changed under the guard; a holder may ask without it whether
     * it is the one, since nobody else makes it that. */
    const void *_Atomic holder;
    unsigned count;
} global_lock;

/* Of this child. */
static struct {
    pthread_mutex_t guard;
    pthread_key_t thread_key; /* set where a thread may hold locks; for its destructor */
    int count;                /* of those with files; 0 if these could not be opened */
    int first;                /* of those without */
    int total;
    global_lock *locks;
} child = {.guard = PTHREAD_MUTEX_INITIALIZER};

/* In the parent */

const char *mp_global_lock_check_count(apr_pool_t *pool, const char *value)
{
    char *end;
    apr_int64_t count = apr_strtoi64(value, &end, 10);

    if (*value && !*end && count >= LEAST_COUNT && count <= GREATEST_COUNT) {
        return NULL;
    }
    return apr_psprintf(pool, "PythonOption %s: '%s' is no number of locks, from %d to %d",
                        MP_OPTION_MUTEX_LOCKS, value, LEAST_COUNT, GREATEST_COUNT);
}

static int register_type(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    return ap_mutex_register(pconf, mutex_type, NULL, MECHANISM, 0) == APR_SUCCESS
               ? OK
               : HTTP_INTERNAL_SERVER_ERROR;
}

/* A file of our own, opened by the parent, that its children may open. */
static apr_status_t make_in(const char *directory, int index, apr_proc_mutex_t **mutex,
                            apr_pool_t *pool)
{
    const char *name =
        apr_psprintf(pool, "%s/%s-%d.%" APR_PID_T_FMT, directory, mutex_type, index, getpid());
    apr_status_t rv = apr_proc_mutex_create(mutex, name, MECHANISM, pool);

    return rv == APR_SUCCESS ? ap_unixd_set_proc_mutex_perms(*mutex) : rv;
}

/* Where the Mutex directive says. */
static apr_status_t make_configured(server_rec *s, int index, apr_proc_mutex_t **mutex,
                                    apr_pool_t *pool)
{
    apr_status_t rv =
        ap_proc_mutex_create(mutex, NULL, mutex_type, apr_itoa(pool, index), s, pool, 0);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_lockmech_e mechanism = apr_proc_mutex_mech(*mutex);
    if (mechanism == APR_LOCK_FLOCK || mechanism == APR_LOCK_FCNTL) {
        return APR_SUCCESS;
    }
    /* pthread: only the thread that took it can release it. posixsem: nobody can when that
     * has died. sysvsem: gone for the children that a graceful restart leaves running. */
    apr_proc_mutex_destroy(*mutex);
    return make_in(ap_runtime_dir_relative(pool, ""), index, mutex, pool);
}

static apr_status_t make_all(retained_locks *locks, server_rec *s)
{
    apr_status_t rv = APR_SUCCESS;

    locks->mutexes = apr_pcalloc(locks->pool, sizeof(*locks->mutexes) * (apr_size_t)locks->count);
    for (int i = 0; i < locks->count && rv == APR_SUCCESS; i++) {
        rv = locks->directory ? make_in(locks->directory, i, &locks->mutexes[i], locks->pool)
                              : make_configured(s, i, &locks->mutexes[i], locks->pool);
    }
    return rv;
}

static retained_locks *retained(void)
{
    static const char key[] = "mod_python global locks";
    retained_locks *locks = ap_retained_data_get(key);

    return locks ? locks : ap_retained_data_create(key, sizeof(*locks));
}

static int is_same(const char *one, const char *other)
{
    return one && other ? !strcmp(one, other) : one == other;
}

static int make_locks(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    const apr_table_t *options = mp_dir_config_of_server(s)->options;
    const char *directory = apr_table_get(options, MP_OPTION_MUTEX_DIRECTORY);
    const char *number = apr_table_get(options, MP_OPTION_MUTEX_LOCKS);
    int count = number ? atoi(number) : DEFAULT_COUNT;
    retained_locks *locks = retained();
    apr_status_t rv;

    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK; /* the configuration will be read once more */
    }
    if (directory) {
        directory = ap_server_root_relative(ptemp, directory);
    }
    if (locks->pool && locks->count == count && is_same(locks->directory, directory)) {
        return OK;
    }
    if (locks->pool) {
        apr_pool_destroy(locks->pool); /* children have the files open themselves */
    }
    apr_pool_create(&locks->pool, s->process->pool);
    locks->directory = apr_pstrdup(locks->pool, directory);
    locks->count = count;
    rv = make_all(locks, s);
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(locks->pool);
        locks->pool = NULL;
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s,
                     "KK0180: the files for global locks cannot be made in %s: name a directory "
                     "with 'PythonOption %s DIRECTORY' that Apache can write to",
                     directory ? directory : ap_runtime_dir_relative(ptemp, ""),
                     MP_OPTION_MUTEX_DIRECTORY);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

/* In a child */

static void release_held(const void *holder)
{
    for (int i = 0; i < child.total; i++) {
        const void *_Atomic *found = &child.locks[i].holder;
        while (atomic_load_explicit(found, memory_order_relaxed) == holder &&
               mp_global_lock_release(i, holder) == APR_SUCCESS) {
        }
    }
}

static void open_locks(apr_pool_t *pchild, server_rec *s)
{
    retained_locks *locks = retained();

    pthread_key_create(&child.thread_key, (void (*)(void *))release_held);
    child.first = locks->count;
    child.total = locks->count;
    child.total += locks->count > LEAST_PROCESS_COUNT ? locks->count : LEAST_PROCESS_COUNT;
    child.locks = apr_pcalloc(pchild, sizeof(*child.locks) * (apr_size_t)child.total);
    for (int i = 0; i < child.total; i++) {
        pthread_cond_init(&child.locks[i].freed, NULL);
    }
    for (int i = 0; i < locks->count; i++) {
        global_lock *lock = &child.locks[i];
        apr_status_t rv;
        lock->mutex = locks->mutexes[i];
        rv = apr_proc_mutex_child_init(&lock->mutex, apr_proc_mutex_lockfile(lock->mutex), pchild);
        if (rv != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                         "KK0181: this child cannot open the file of a global lock, %s: sessions "
                         "and _global_lock() will fail in it",
                         apr_proc_mutex_lockfile(locks->mutexes[i]));
            return;
        }
    }
    child.count = locks->count;
}

int mp_global_lock_count(void)
{
    return child.count;
}

int mp_process_lock_count(void)
{
    return child.total - child.first;
}

int mp_process_lock_first(void)
{
    return child.first;
}

static request_rec *first_of(const request_rec *r)
{
    while (r->main || r->prev) {
        r = r->main ? r->main : r->prev;
    }
    return (request_rec *)r;
}

static apr_status_t end_of_request(void *r)
{
    mp_global_lock_release_all(r);
    return APR_SUCCESS;
}

const void *mp_global_lock_holder(const request_rec *r)
{
    request_rec *first;
    mp_request_context *context;

    if (!r) {
        pthread_setspecific(child.thread_key, mp_thread_token());
        return mp_thread_token();
    }
    first = first_of(r);
    context = mp_request_context_of(first);
    if (!context->has_locks) {
        context->has_locks = 1;
        apr_pool_cleanup_register(first->pool, first, end_of_request, apr_pool_cleanup_null);
    }
    return first;
}

/* fcntl() takes threads of two processes that wait for each other's process for a deadlock,
 * although other threads are going to release what they wait for. */
static apr_status_t lock_file(apr_proc_mutex_t *mutex)
{
    apr_status_t rv;

    while ((rv = apr_proc_mutex_lock(mutex)) == EDEADLK) {
        apr_sleep(apr_time_from_msec(1));
    }
    return rv;
}

static void set_free(global_lock *lock)
{
    pthread_mutex_lock(&child.guard);
    lock->holder = NULL;
    pthread_cond_signal(&lock->freed);
    pthread_mutex_unlock(&child.guard);
}

apr_status_t mp_global_lock_acquire(int index, const void *holder, int wait)
{
    global_lock *lock = &child.locks[index];
    apr_status_t rv = APR_SUCCESS;
    int is_known;

    pthread_mutex_lock(&child.guard);
    is_known = lock->holder == holder;
    while (lock->holder && !is_known && wait) {
        pthread_cond_wait(&lock->freed, &child.guard);
    }
    if (is_known) {
        lock->count++;
    } else if (lock->holder) {
        rv = APR_EBUSY;
    } else {
        lock->holder = holder;
        lock->count = 1;
    }
    pthread_mutex_unlock(&child.guard);
    if (is_known || rv != APR_SUCCESS || !lock->mutex) {
        return rv;
    }
    rv = wait ? lock_file(lock->mutex) : apr_proc_mutex_trylock(lock->mutex);
    if (rv != APR_SUCCESS) {
        set_free(lock);
    }
    return rv;
}

apr_status_t mp_global_lock_release(int index, const void *holder)
{
    global_lock *lock = &child.locks[index];
    apr_status_t rv;
    int is_last = 0, is_known;

    pthread_mutex_lock(&child.guard);
    is_known = lock->holder == holder;
    if (is_known) {
        is_last = --lock->count == 0;
    }
    pthread_mutex_unlock(&child.guard);
    if (!is_known) {
        return APR_EINVAL;
    }
    if (!is_last) {
        return APR_SUCCESS;
    }
    rv = lock->mutex ? apr_proc_mutex_unlock(lock->mutex) : APR_SUCCESS;
    set_free(lock);
    return rv;
}

void mp_global_lock_release_all(const request_rec *r)
{
    if (r) {
        mp_request_context *context;
        r = first_of(r);
        context = mp_request_context_find((request_rec *)r);
        if (!context || !context->has_locks) {
            return;
        }
        context->has_locks = 0;
    }
    release_held(r ? (const void *)r : mp_thread_token());
}

void mp_global_lock_register_hooks(apr_pool_t *pool)
{
    ap_hook_pre_config(register_type, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(make_locks, NULL, NULL, APR_HOOK_MIDDLE);
    /* Before Python starts: what PythonImport names may want them. */
    ap_hook_child_init(open_locks, NULL, NULL, APR_HOOK_FIRST);
}
