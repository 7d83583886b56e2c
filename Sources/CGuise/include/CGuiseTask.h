// Which task executor's job a thread runs, by the trail that the Swift runtime leaves in thread-local storage: a
// word points at the innermost job's record on the stack, and in it stands the executor that the task prefers. The
// runtime keeps it up to date wherever it takes up another task, which it tells no executor of.
#ifndef CGUISE_TASK_H
#define CGUISE_TASK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Where the trail lies. It is the same on all threads when the runtime was there as the program started.
struct guise_task_trail {
    int64_t word;       // of the word: bytes from the head of the thread's robust list (get_robust_list(2))
    uint32_t executor;  // in the record: of the pointer to the executor
};

// Finds the trail, on a thread that at present runs a job of `executor` (the object's address).
// False where it is not to be found, or not beyond doubt.
bool guise_task_trail_find(const void *executor, struct guise_task_trail *out);

// From here on guise_task_executor knows its way: `kind` is the first word of the executors that count.
void guise_task_trail_use(const struct guise_task_trail *trail, const void *kind);

// For guise_task_executor: `word` from the thread pointer; `kind` NULL until guise_task_trail_use.
extern struct guise_task_way {
    ptrdiff_t word;
    size_t executor;
    const void *kind;
} guise_task_way;

static inline const void *guise_task_kind(void) {
    return __atomic_load_n(&guise_task_way.kind, __ATOMIC_ACQUIRE);
}

// The calling thread's word; NULL until guise_task_trail_use.
static inline uintptr_t *guise_task_word(void) {
    if (!guise_task_kind()) return NULL;
    return (uintptr_t *)((char *)__builtin_thread_pointer() + guise_task_way.word);
}

// The executor of that kind whose job the calling thread runs, or NULL.
static inline const void *guise_task_executor(void) {
    const uintptr_t *word = guise_task_word();
    if (!word || !*word) return NULL;
    const void *const *executor = *(const void *const *const *)(*word + guise_task_way.executor);
    return executor && *executor == guise_task_way.kind ? executor : NULL;
}

// The head of a thread's robust list, 0 when it has none: a fixed place in what the C library keeps of a thread.
// Returns 0 or a negative errno value.
int guise_robust_list(int32_t tid, uint64_t *head);
#endif
