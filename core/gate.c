#include "gate.h"

#include <sched.h>
#include <time.h>

/* Nanoseconds: what going to sleep and being woken takes, about. */
#define LONGEST 20000

/* Between two looks at the clock. */
#define PAUSES 16

/* Waiting goes on while two waits in five help: each of these adds three, up to the greatest
 * score, and another one takes two. Below zero it is left, and tried anew later: four times in
 * vain at least. */
#define HELPED 3
#define IN_VAIN 2
#define GREATEST 30
#define ANEW 8
#define LEFT_OUT 256

/* Process-wide: whether there is a processor for the other thread. Set at the start. */
static int is_of_use;

void mp_gate_start(void)
{
    cpu_set_t processors;

    is_of_use = sched_getaffinity(0, sizeof(processors), &processors) != 0 /* very many */
                || CPU_COUNT(&processors) > 1;
}

static void pause_processor(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int is_taken(mp_gate *gate)
{
    return atomic_load_explicit(&gate->holder, memory_order_relaxed) != NULL;
}

static long long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* Whether that helped. */
static int wait_while_taken(mp_gate *gate)
{
    long long end = now() + LONGEST;

    do {
        for (int i = 0; i < PAUSES && is_taken(gate); i++) {
            pause_processor();
        }
    } while (is_taken(gate) && now() < end);
    return !is_taken(gate);
}

void mp_gate_wait(mp_gate *gate)
{
    if (!is_of_use || !is_taken(gate) ||
        atomic_exchange_explicit(&gate->is_waited_for, 1, memory_order_acquire)) {
        return;
    }
    if (gate->left_out > 0) {
        gate->left_out--;
    } else if (wait_while_taken(gate)) {
        gate->score = gate->score < GREATEST ? gate->score + HELPED : gate->score;
    } else if ((gate->score -= IN_VAIN) < 0) {
        gate->score = ANEW;
        gate->left_out = LEFT_OUT;
    }
    atomic_store_explicit(&gate->is_waited_for, 0, memory_order_release);
}
