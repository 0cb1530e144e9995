/* Waiting for a GIL without sleeping, for the moment that most handlers have it.
 *
 * Who finds a GIL taken sleeps, and is woken by who gives it up: four changes of threads,
 * for CPython wakes while it holds a mutex that is wanted next. That takes longer than the
 * handler of a small page has the GIL. A gate knows, of one GIL, who has entered through it
 * and not left yet; one thread at a time waits for that here, before it asks for the GIL,
 * about as long as sleeping would take. Nothing depends on it: where the GIL is given up in
 * another way, in a function that blocks for instance, somebody waits here in vain, and if
 * that is usual, nobody does any more. */
#ifndef MP_GATE_H
#define MP_GATE_H

#include <stdatomic.h>
#include <stddef.h>

/* All zero at first. */
typedef struct {
    const void *_Atomic holder; /* the thread that is inside, or NULL */
    atomic_bool is_waited_for;  /* by the thread that may use what follows */
    int score;                  /* falls while waiting is in vain; below zero: leave it */
    int left_out;               /* how many more will not wait */
} mp_gate;

/* Before any of the following. */
void mp_gate_start(void);

/* Before a GIL is asked for. Whoever returns may find it taken all the same. */
void mp_gate_wait(mp_gate *gate);

/* thread has it. */
static inline void mp_gate_entered(mp_gate *gate, const void *thread)
{
    atomic_store_explicit(&gate->holder, thread, memory_order_relaxed);
}

/* thread has given it up; another one may have entered since. */
static inline void mp_gate_left(mp_gate *gate, const void *thread)
{
    atomic_compare_exchange_strong_explicit(&gate->holder, &thread, NULL, memory_order_relaxed,
                                            memory_order_relaxed);
}

#endif
