/* Preloaded with the sanitizers: tells LeakSanitizer of memory that comes from mmap(), where it
 * does not look for pointers by itself. APR may take its pools from there (Debian's does), and
 * CPython has its frames there: what only these point to would count as leaked. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
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

/* Never taken back: what is not mapped any more is not looked into. CPython gives and takes
 * its frames' memory again and again, at the same few places, each of which is told once. */
static void tell(void *start, size_t length)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static struct {
        void *start;
        size_t length;
    } told[4096];
    static size_t count;
    size_t i = 0;

    if (pthread_mutex_trylock(&mutex) != 0) {
        /* A copy made by fork() might wait for ever; told twice does no harm. */
        __lsan_register_root_region(start, length);
        return;
    }
    while (i < count && (told[i].start != start || told[i].length != length)) {
        i++;
    }
    if (i == count) {
        __lsan_register_root_region(start, length);
        if (count < sizeof told / sizeof *told) {
            told[count].start = start;
            told[count++].length = length;
        }
    }
    pthread_mutex_unlock(&mutex);
}

static void *map(const void *caller, void *address, size_t length, int protection, int flags,
                 int fd, off_t offset)
{
    void *start = (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);

    if (start != MAP_FAILED && fd == -1 && is_for_pointers(caller)) {
        tell(start, length);
    }
    return start;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return map(__builtin_return_address(0), address, length, protection, flags, fd, offset);
}

/* The name that CPython calls it by. */
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return map(__builtin_return_address(0), address, length, protection, flags, fd, offset);
}
