/* The current directory of the calling thread (Python's os.chdir() is the process's). */
#ifndef MP_PY_WORKING_DIRECTORY_H
#define MP_PY_WORKING_DIRECTORY_H

#include "compat.h"

/* _apache._enter_directory() and _leave_directory(). */
extern PyMethodDef mp_working_directory_functions[];

#endif
