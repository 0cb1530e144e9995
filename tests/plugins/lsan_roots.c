/* Preloaded with the sanitizers: tells LeakSanitizer of memory that comes from mmap(), where it
 * does not look for pointers by itself. APR may take its pools from there (Debian's does), and
 * CPython has its frames there: what only these point to would count as leaked. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void __lsan_register_root_region(const void *start, size_t size);

/* Not LeakSanitizer's own, which it asks for while it has the lock that registering takes. */
static int is_for_pointers(const void *caller)
{
    Dl_info info;

    return dladdr(caller, &info) &&
           (strstr(info.dli_fname, "/libapr-1.") || strstr(info.dli_fname, "/libpython3."));
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    void *start = (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);

    /* Never taken back: what is not mapped any more is not looked into. */
    if (start != MAP_FAILED && fd == -1 && is_for_pointers(__builtin_return_address(0))) {
        __lsan_register_root_region(start, length);
    }
    return start;
}
