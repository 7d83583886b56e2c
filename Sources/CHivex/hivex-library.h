// Debian: libhivex-dev.
#include <hivex.h>

#include <sys/syscall.h>
#include <unistd.h>

/// A file in memory, without a name, closed on exec; -1 and errno. Swift does not see memfd_create(2), which is GNU's.
static inline int hivex_library_memory_file(void)
{
    return (int)syscall(SYS_memfd_create, "hive", 1U /* MFD_CLOEXEC */);
}
