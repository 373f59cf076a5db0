/* Preloaded into a test's process: of the allocations of SMALLEST bytes or more, that is of the
   contents of tensors and the scratch space of kernels, the k-th from now fails. Smaller ones are
   objects of the library below torch, which dies of a failure: a death that the launcher takes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

enum { SMALLEST = 4096 };
static atomic_long until_failure = 0; /* 0: none fails */
static atomic_long calls = 0;

void fail_at(long k) { until_failure = k; calls = 0; }
long calls_so_far(void) { return calls; }

int posix_memalign(void **place, size_t alignment, size_t size)
{
    static int (*real)(void **, size_t, size_t);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "posix_memalign");
    if (size >= SMALLEST) {
        calls++;
        if (until_failure > 0 && --until_failure == 0) return ENOMEM;
    }
    return real(place, alignment, size);
}
