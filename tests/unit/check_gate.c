/* Of one gate, what the argument names: see test_gate.py. */
#undef NDEBUG
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "gate.c"

static mp_gate gate;
static const char one, other;

/* Nobody waits where nobody is inside. */
static void check_free(void)
{
    mp_gate_wait(&gate);
    assert(!gate.score && !gate.left_out && !gate.holder);
}

/* Who has left makes no place for who has entered since. */
static void check_holders(void)
{
    mp_gate_entered(&gate, &one);
    mp_gate_entered(&gate, &other);
    mp_gate_left(&gate, &one);
    assert(gate.holder == &other);
    mp_gate_left(&gate, &other);
    assert(!gate.holder);
}

/* Who is inside for long is not waited for again and again. */
static void check_vain(void)
{
    mp_gate_entered(&gate, &one);
    mp_gate_wait(&gate);
    assert(gate.score == ANEW && gate.left_out == LEFT_OUT);
    for (int i = LEFT_OUT; i > 0; i--) {
        assert(gate.left_out == i);
        mp_gate_wait(&gate);
    }
    assert(gate.score == ANEW && gate.left_out == 0);
    for (int i = 0; i < ANEW / IN_VAIN; i++) {
        assert(gate.left_out == 0);
        mp_gate_wait(&gate);
    }
    assert(gate.score == 0);
    mp_gate_wait(&gate);
    assert(gate.left_out == LEFT_OUT && gate.holder == &one && !gate.is_waited_for);
}

/* One waits at a time; what another one finds out changes nothing. */
static void check_one_waits(void)
{
    mp_gate_entered(&gate, &one);
    gate.is_waited_for = 1;
    mp_gate_wait(&gate);
    assert(!gate.score && !gate.left_out && gate.is_waited_for);
}

static void *leave(void *unused)
{
    while (!atomic_load(&gate.is_waited_for)) {
    }
    mp_gate_left(&gate, &one);
    return NULL;
}

/* Who comes while another one is about to leave finds it free. */
static void check_helped(void)
{
    int tries = 0;

    do { /* a processor that does something else may come between */
        pthread_t thread;
        memset(&gate, 0, sizeof(gate));
        gate.score = GREATEST - 1;
        mp_gate_entered(&gate, &one);
        assert(!pthread_create(&thread, NULL, leave, NULL));
        mp_gate_wait(&gate);
        while (gate.holder) { /* it waited in vain, and the other one has not seen it wait */
            gate.is_waited_for = 1;
        }
        assert(!pthread_join(thread, NULL));
    } while (gate.score < GREATEST && ++tries < 10000);
    assert(gate.score == GREATEST - 1 + HELPED);
}

int main(int argc, char **argv)
{
    const struct {
        const char *name;
        void (*check)(void);
    } checks[] = {
        {"free", check_free},           {"holders", check_holders}, {"vain", check_vain},
        {"one_waits", check_one_waits}, {"helped", check_helped},
    };

    mp_gate_start();
    is_of_use = 1;
    for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
        if (argc == 2 && !strcmp(argv[1], checks[i].name)) {
            checks[i].check();
            return 0;
        }
    }
    return 2;
}
