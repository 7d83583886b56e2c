// A number that a process carries, and that its children and the programs it executes carry on.
#ifndef CGUISE_MARK_H
#define CGUISE_MARK_H
#include <stdint.h>

static const uint64_t GUISE_MARK_NONE = UINT64_MAX;

// The mark is the process's soft limit RLIMIT_LOCKS, which has limited nothing since Linux 2.4.25 (setrlimit(2)): the
// kernel hands limits on at fork and keeps them at exec, and lets others than the process set them. The filter keeps the
// process itself from it.
int guise_mark_read(int32_t tid, uint64_t *mark);
// `uid` and `gid` are the process's, real, effective and saved. GUISE_MARK_NONE: its hard limit, as if it had no mark.
// -EINVAL: its hard limit is lower.
int guise_mark_write(int32_t tid, uint32_t uid, uint32_t gid, uint64_t mark);
#endif
