/* Locks between all processes and threads of the server: what _apache._global_lock()
 * takes. No Python here.
 *
 * They lie in files, locked by flock(): the kernel frees them when their process dies,
 * however it dies, and any thread of the process may release them, which a request needs
 * that ends in another thread than it ran in. Files exclude processes; threads are
 * excluded by what this file keeps beside each.
 *
 * A lock has a holder: the request as it came from the client, or the thread where there
 * is none. Its holder may take it again, and releases it as often.
 *
 * Behind those are some without a file, which exclude the threads of their process. */
#ifndef MP_GLOBAL_LOCK_H
#define MP_GLOBAL_LOCK_H

#include <httpd.h>

/* PythonOption at the level of the main server. */
#define MP_OPTION_MUTEX_DIRECTORY "mod_python.mutex_directory"
#define MP_OPTION_MUTEX_LOCKS "mod_python.mutex_locks"

/* An error for a value that mutex_locks cannot have, or NULL. */
const char *mp_global_lock_check_count(apr_pool_t *pool, const char *value);

/* How many there are in this child, numbered from 0; 0 if they could not be opened,
 * which was logged. */
int mp_global_lock_count(void);

/* How many there are without a file, behind those that could have one: mp_process_lock_first()
 * is the number of the first. */
int mp_process_lock_count(void);
int mp_process_lock_first(void);

/* Who the calling thread is, for the following: the first request that r came from, whose
 * locks are released at its end at the latest; without r (NULL), the thread. */
const void *mp_global_lock_holder(const request_rec *r);

/* Takes a lock. If it is another's, waits if wait, else returns APR_EBUSY. An APR status. */
apr_status_t mp_global_lock_acquire(int index, const void *holder, int wait);

/* Undoes one acquire; never waits. APR_EINVAL if holder is not who has it. */
apr_status_t mp_global_lock_release(int index, const void *holder);

/* Releases all that r, or the calling thread (NULL), still has. */
void mp_global_lock_release_all(const request_rec *r);

void mp_global_lock_register_hooks(apr_pool_t *pool);

#endif
