/* Preloaded with the sanitizers: tells LeakSanitizer of the memory that APR takes for its
 * pools from mmap(), if it is built to do so, as Debian's is. LeakSanitizer does not look for
 * pointers there by itself: whatever only a pool points to would count as leaked. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void __lsan_register_root_region(const void *start, size_t size);

/* Only APR's: LeakSanitizer itself maps memory while it has the lock that registering takes. */
static int is_apr(const void *code)
{
    Dl_info info;

    return dladdr(code, &info) && strstr(info.dli_fname, "/libapr-1.");
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    void *start = (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);

    /* Never taken back: what is not mapped any more is not looked into. */
    if (start != MAP_FAILED && fd == -1 && is_apr(__builtin_return_address(0))) {
        __lsan_register_root_region(start, length);
    }
    return start;
}
