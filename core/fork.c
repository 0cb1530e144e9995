#include "fork.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <httpd.h>
#include <http_log.h>
#include <http_main.h>

#include "config.h"

APLOG_USE_MODULE(python);

static atomic_bool is_copy;
static _Thread_local sigset_t mask_before;

/* What ends other processes ends a copy, rather than to be blocked, as in Apache's threads, or
 * to run the end of a child; also if it comes before the copy has got so far. */
static void before_fork(void)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask_before);
}

static void after_fork(void)
{
    pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
}

static void after_fork_in_copy(void)
{
    const int ends[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
    sigset_t none;

    atomic_store(&is_copy, 1);
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        signal(ends[i], SIG_DFL);
    }
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

void mp_fork_watch(void)
{
    atomic_store(&is_copy, 0);
    pthread_atfork(before_fork, after_fork, after_fork_in_copy);
}

void mp_fork_end(void)
{
    if (atomic_load_explicit(&is_copy, memory_order_relaxed)) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, ap_server_conf,
                     "KK0197: a process that was made by os.fork() in a handler came back from it, "
                     "and was ended: end such a process with os._exit()");
        _exit(EXIT_FAILURE);
    }
}
