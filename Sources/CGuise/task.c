#define _GNU_SOURCE
#include "CGuiseTask.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

// A function of the Swift runtime, to find the module that it lies in.
__attribute__((weak)) extern void *swift_task_getCurrent(void);

struct guise_task_way guise_task_way;

// As many words of a record as are looked at.
#define WORDS 8

struct search {
    const void *executor;
    uintptr_t low, high;  // of the stack in use
    const uintptr_t *word;
    uint32_t offset;
    unsigned found;
};

static bool holds(const struct dl_phdr_info *module, uintptr_t address) {
    for (int i = 0; i < module->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &module->dlpi_phdr[i];
        if (header->p_type == PT_LOAD && address - module->dlpi_addr - header->p_vaddr < header->p_memsz)
            return true;
    }
    return false;
}

static int look(struct dl_phdr_info *module, size_t size, void *argument) {
    (void)size;
    struct search *search = argument;
    if (!module->dlpi_tls_data || !holds(module, (uintptr_t)&swift_task_getCurrent)) return 0;
    for (int i = 0; i < module->dlpi_phnum; i++) {
        if (module->dlpi_phdr[i].p_type != PT_TLS) continue;
        const uintptr_t *words = module->dlpi_tls_data;
        for (size_t w = 0; w < module->dlpi_phdr[i].p_memsz / sizeof *words; w++) {
            // The job's record is on the stack, above what runs now; most words are no pointers at all.
            uintptr_t at = words[w];
            if (at <= search->low || at > search->high || at % sizeof at) continue;
            for (uint32_t k = 0; k < WORDS && at + (k + 1) * sizeof at <= search->high; k++) {
                if (((const uintptr_t *)at)[k] != (uintptr_t)search->executor) continue;
                search->word = &words[w];
                search->offset = k * (uint32_t)sizeof at;
                search->found++;
            }
        }
    }
    return 1;
}

bool guise_task_trail_find(const void *executor, struct guise_task_trail *out) {
    pthread_attr_t attributes;
    void *stack;
    size_t size;
    if (!&swift_task_getCurrent || pthread_getattr_np(pthread_self(), &attributes) != 0) return false;
    pthread_attr_getstack(&attributes, &stack, &size);
    pthread_attr_destroy(&attributes);
    struct search search = {
        .executor = executor, .low = (uintptr_t)&search, .high = (uintptr_t)stack + size};
    dl_iterate_phdr(look, &search);
    uint64_t head;
    if (search.found != 1 || guise_robust_list(0, &head) != 0 || !head) return false;
    out->word = (int64_t)((uintptr_t)search.word - head);
    out->executor = search.offset;
    return true;
}

void guise_task_trail_use(const struct guise_task_trail *trail, const void *kind) {
    uint64_t head;
    if (guise_robust_list(0, &head) != 0 || !head) return;
    guise_task_way.word = (ptrdiff_t)(head - (uintptr_t)__builtin_thread_pointer()) + (ptrdiff_t)trail->word;
    guise_task_way.executor = trail->executor;
    __atomic_store_n(&guise_task_way.kind, kind, __ATOMIC_RELEASE);
}

int guise_robust_list(int32_t tid, uint64_t *head) {
    void *found;
    size_t length;
    if (syscall(SYS_get_robust_list, tid, &found, &length) < 0) return -errno;
    *head = (uintptr_t)found;
    return 0;
}
