#include "py_pool.h"

#include <limits.h>
#include <stdatomic.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

/* How long a pool gets along with those it has after a further one could not be made. */
#define RETRY_INTERVAL apr_time_from_sec(10)

typedef struct mp_pool {
    const char *name;
    int members;                   /* as in mp_interp: 0 for one with the main GIL */
    _Atomic apr_time_t retry;      /* no further one is made before */
    struct mp_pool *next;          /* of the same name */
    mp_interp *_Atomic interps[1]; /* as many as members, at least one; NULL: not made */
} mp_pool;

/* Process-wide. Two locks, so that nobody who looks a name up waits for one that is made:
 * making takes the main GIL, which another thread may be slow to give. */
static struct {
    apr_pool_t *pool; /* one of its own: only table_lock guards it */
    apr_hash_t *by_name;
    apr_thread_mutex_t *table_lock;  /* held for moments; never waits for a GIL */
    apr_thread_mutex_t *making_lock; /* taken before a GIL, never while holding one */
} pools;

static _Thread_local mp_pool *last; /* looked up: most threads use one only */

void mp_pool_start(apr_pool_t *pool)
{
    apr_pool_create(&pools.pool, pool);
    pools.by_name = apr_hash_make(pools.pool);
    apr_thread_mutex_create(&pools.table_lock, APR_THREAD_MUTEX_DEFAULT, pools.pool);
    apr_thread_mutex_create(&pools.making_lock, APR_THREAD_MUTEX_DEFAULT, pools.pool);
    last = NULL;
}

/* Looking up */

static mp_pool *new_pool(const char *name, int members)
{
    size_t more = members > 1 ? (size_t)members - 1 : 0;
    mp_pool *pool = apr_pcalloc(pools.pool, sizeof(*pool) + more * sizeof(pool->interps[0]));

    pool->name = apr_pstrdup(pools.pool, name);
    pool->members = members;
    return pool;
}

static mp_pool *look_up(const char *name, int members)
{
    mp_pool *first, *pool;

    apr_thread_mutex_lock(pools.table_lock);
    first = apr_hash_get(pools.by_name, name, APR_HASH_KEY_STRING);
    for (pool = first; pool && pool->members != members; pool = pool->next) {
    }
    if (!pool) {
        pool = new_pool(name, members);
        pool->next = first;
        apr_hash_set(pools.by_name, pool->name, APR_HASH_KEY_STRING, pool);
    }
    apr_thread_mutex_unlock(pools.table_lock);
    return pool;
}

static inline mp_pool *find(const char *name, int members)
{
    mp_pool *pool = last;

    if (!pool || pool->members != members || strcmp(pool->name, name) != 0) {
        last = pool = look_up(name, members);
    }
    return pool;
}

static mp_interp *made(mp_pool *pool, int member)
{
    return atomic_load_explicit(&pool->interps[member], memory_order_acquire);
}

/* The least busy of those made, or NULL; *vacant is one that is not made, or -1. */
static mp_interp *least_busy(mp_pool *pool, int *vacant)
{
    /* Equally busy ones by turns: what a request does in an early phase is over when the
     * next looks, and all would go to the first. */
    static _Thread_local unsigned turn;
    mp_interp *best = NULL;
    int least = INT_MAX;
    int member = (int)(turn++ % (unsigned)pool->members);

    *vacant = -1;
    for (int i = 0; i < pool->members; i++, member++) {
        member = member < pool->members ? member : 0;
        mp_interp *interp = made(pool, member);
        int busy = interp ? mp_interp_busy(interp) : INT_MAX;
        if (!interp) {
            *vacant = *vacant < 0 || member < *vacant ? member : *vacant;
        } else if (busy < least) {
            best = interp;
            least = busy;
        }
    }
    return best;
}

/* Making */

/* Under making_lock. */
static mp_interp *make(mp_pool *pool, int member, mp_interp_setup *setup, apr_pool_t *p,
                       const char **error)
{
    mp_interp *interp = made(pool, member);

    if (!interp) {
        interp = mp_interp_make(pool->name, pool->members, member, setup, p, error);
        atomic_store_explicit(&pool->interps[member], interp, memory_order_release);
    }
    return interp;
}

static mp_interp *get_member(mp_pool *pool, int member, mp_interp_setup *setup, apr_pool_t *p,
                             const char **error)
{
    mp_interp *interp = made(pool, member);
    mp_interp *held;

    if (interp) {
        return interp;
    }
    held = mp_interp_pause();
    apr_thread_mutex_lock(pools.making_lock);
    interp = make(pool, member, setup, p, error);
    apr_thread_mutex_unlock(pools.making_lock);
    mp_interp_resume(held);
    return interp;
}

/* Another thread is making one: for this pool, as likely as not. Nobody waits for long,
 * since that one may be waiting for the main GIL. */
static int lock_making(void)
{
    for (int i = 0; i < 100; i++) {
        if (apr_thread_mutex_trylock(pools.making_lock) == APR_SUCCESS) {
            return 1;
        }
        apr_sleep(apr_time_from_msec(5));
    }
    return 0;
}

/* The least busy when there may be one more of them. Holds nothing. */
static mp_interp *grow(mp_pool *pool, mp_interp_setup *setup, apr_pool_t *p, const char **error)
{
    int locked = lock_making();
    int vacant;
    mp_interp *interp = least_busy(pool, &vacant);

    if (locked && vacant >= 0 && mp_interp_busy(interp)) {
        mp_interp *further = make(pool, vacant, setup, p, error);
        if (further) {
            interp = further;
        } else {
            atomic_store(&pool->retry, apr_time_now() + RETRY_INTERVAL);
        }
    }
    if (locked) {
        apr_thread_mutex_unlock(pools.making_lock);
    }
    return interp;
}

mp_interp *mp_pool_take(const char *name, int members, mp_interp_setup *setup, apr_pool_t *pool,
                        const char **error)
{
    mp_pool *found = find(name, members);
    mp_interp *interp = made(found, 0);
    mp_interp *held;
    int vacant;

    if (members <= 1 && interp) {
        return interp;
    }
    if (members <= 1 || !(interp = least_busy(found, &vacant))) {
        return get_member(found, 0, setup, pool, error);
    }
    if (vacant >= 0 && mp_interp_busy(interp) && apr_time_now() >= atomic_load(&found->retry)) {
        held = mp_interp_pause();
        interp = grow(found, setup, pool, error);
        mp_interp_resume(held);
    }
    return interp;
}

mp_interp *mp_pool_member(const char *name, int members, int member, mp_interp_setup *setup,
                          apr_pool_t *pool, const char **error)
{
    return get_member(find(name, members), member, setup, pool, error);
}
