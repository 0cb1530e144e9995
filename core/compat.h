/* Differences between the CPython versions (3.11 on) that this module meets. */
#ifndef MP_COMPAT_H
#define MP_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#if PY_VERSION_HEX < 0x030b0000
#error "Kukulkan needs CPython 3.11 or later"
#endif

/* 3.12 introduced the slot that says a module may live in several interpreters, 3.13 the
 * one that says whether it needs the GIL: a free-threaded CPython keeps it then. */
#if PY_VERSION_HEX >= 0x030d0000
#define MP_MODULE_SLOTS                                                                            \
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},                          \
        {Py_mod_gil, Py_MOD_GIL_USED},
#elif PY_VERSION_HEX >= 0x030c0000
#define MP_MODULE_SLOTS {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#else
#define MP_MODULE_SLOTS
#endif

/* Up to 3.11 making a container can set off a garbage collection, which can run anything, in
 * other threads too; later on Python code alone does. Between pause and resume nothing runs. */
static inline int mp_gc_pause(void)
{
#if PY_VERSION_HEX < 0x030c0000
    return PyGC_Disable();
#else
    return 0;
#endif
}

/* collects: what mp_gc_pause() returned. */
static inline void mp_gc_resume(int collects)
{
    if (collects) {
        PyGC_Enable();
    }
}

#endif
