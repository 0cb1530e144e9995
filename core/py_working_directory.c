#include "py_working_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "context.h"
#include "py_convert.h"
#include "py_errors.h"
#include "py_interp.h"

/* Where a thread cannot have a current directory of its own, the threads take turns. The
 * directory is the process's, so this is, too. Recursive: a subrequest may be for a script. */
static pthread_mutex_t turn;
static pthread_once_t turn_is_made = PTHREAD_ONCE_INIT;

/* What leave() goes back to. */
typedef struct {
    int directory; /* descriptor */
    mode_t mask;
    int is_locked;
    const void *thread; /* its mp_thread_token() */
} place;

#define PLACE_NAME "mod_python.place"

static void make_turn(void)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&turn, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

/* Gives the calling thread a current directory and a umask of its own, as they are now.
 * Whoever shares them with it, a thread that it has started for instance, keeps the old
 * ones. A system may refuse: containers often do. */
static int separate_thread(int may_separate)
{
#ifdef CLONE_FS
    return may_separate ? unshare(CLONE_FS) : -1;
#else
    return -1;
#endif
}

/* Goes back. */
static void go_back(place *before)
{
    if (before->directory >= 0) {
        int rv = fchdir(before->directory);
        (void)rv; /* it was the current one: nothing refuses it */
        umask(before->mask);
        close(before->directory);
        before->directory = -1;
    }
    if (before->is_locked) {
        before->is_locked = 0;
        pthread_mutex_unlock(&turn);
    }
}

/* 0, or an errno. Holds, except while it waits for its turn: Apache has been in this
 * directory for the same request, so that the system need not go and look again; and letting
 * go of the GIL costs many times what is done here. */
static int go(const char *path, int may_separate, place *before)
{
    mp_released released;
    int error;

    if (separate_thread(may_separate) != 0) {
        mp_interp_release(&released);
        pthread_once(&turn_is_made, make_turn);
        pthread_mutex_lock(&turn);
        mp_interp_reacquire(&released);
        before->is_locked = 1;
    }
#ifdef O_PATH
    /* All that fchdir() needs: cheaper, and this user need not be able to list it. */
    before->directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
#endif
    if (before->directory < 0) {
        before->directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (before->directory >= 0) {
        before->mask = umask(077); /* meanwhile: nothing becomes more readable */
        umask(before->mask);
        if (chdir(path) == 0) {
            return 0;
        }
    }
    error = errno;
    go_back(before);
    return error;
}

/* Where nobody has come to go back, since an exception came right behind _enter_directory():
 * others would wait for ever. */
static void forget_place(PyObject *capsule)
{
    place *before = PyCapsule_GetPointer(capsule, PLACE_NAME);

    if (before->thread == mp_thread_token()) {
        go_back(before);
    } else if (before->directory >= 0) {
        close(before->directory); /* the thread that would have to go back is another one */
    }
    PyMem_Free(before);
}

PyDoc_STRVAR(enter_doc, "_enter_directory(path, may_separate=1, /)\n--\n\n\
Make path (str) the calling thread's current directory: its own, where the system\n\
can do that; else other threads that call this wait for _leave_directory().\n\
may_separate: 0 has them wait in any case.\n\n\
Returns what _leave_directory() takes. Raises OSError.");

static PyObject *enter_directory(PyObject *module, PyObject *args)
{
    PyObject *path = NULL, *capsule;
    int may_separate = 1, error;
    place *before;

    if (!PyArg_ParseTuple(args, "O&|p:_enter_directory", PyUnicode_FSConverter, &path,
                          &may_separate)) {
        return NULL;
    }
    before = PyMem_Malloc(sizeof(*before));
    if (before) {
        *before = (place){.directory = -1, .thread = mp_thread_token()};
    }
    capsule = before ? PyCapsule_New(before, PLACE_NAME, forget_place) : PyErr_NoMemory();
    if (!capsule) {
        PyMem_Free(before);
        Py_DECREF(path);
        return NULL;
    }
    error = go(PyBytes_AS_STRING(path), may_separate, before);
    if (error) {
        errno = error;
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, PyTuple_GET_ITEM(args, 0));
        Py_CLEAR(capsule);
    }
    Py_DECREF(path);
    return capsule;
}

PyDoc_STRVAR(leave_doc, "_leave_directory(place, /)\n--\n\n\
Go back to the directory, and the umask, of before _enter_directory(), which the same\n\
thread must have called.");

static PyObject *leave_directory(PyObject *module, PyObject *capsule)
{
    place *before = PyCapsule_GetPointer(capsule, PLACE_NAME);

    if (!before) {
        return NULL;
    }
    go_back(before);
    Py_RETURN_NONE;
}

PyMethodDef mp_working_directory_functions[] = {
    {"_enter_directory", enter_directory, METH_VARARGS, enter_doc},
    {"_leave_directory", leave_directory, METH_O, leave_doc},
    {NULL},
};
