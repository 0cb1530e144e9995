/* Copies of a child of Apache's, which handlers make with os.fork(), and programs that they
 * start. No Python here. */
#ifndef MP_FORK_H
#define MP_FORK_H

/* From now on a fork() of this process has signals as any process has them. */
void mp_fork_watch(void);

/* Ends the process if it is such a copy: Apache knows nothing of it, and it would serve
 * requests beside the child. */
void mp_fork_end(void);

#endif
