#define _GNU_SOURCE
#include "CTestSupport.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NODES 64
#define HELD 1024
#define MUTE_SECONDS 60

static const char content[] = "fuse";

struct node {
    char name[128];
    uint32_t mode;
};

struct test_fuse {
    int device;
    char at[512];
    uint32_t owner;
    pthread_t thread;
    pthread_mutex_t lock;
    // Behind the lock: the opcodes that get no answer, and the requests that wait for one.
    uint64_t mute;
    time_t muted_at;
    uint64_t held[HELD];
    int held_count;
    // What GETXATTR answers; every second time the other one, if there is one.
    char attributes[2][70000];
    int attribute_sizes[2];
    uint64_t attribute_count;
    bool lies;
    uint64_t lie_count;
    // From 2 on by inode - 1; the first is the root.
    struct node nodes[NODES];
    int node_count;
};

static void answer(struct test_fuse *fuse, uint64_t unique, int error, const void *body, size_t size) {
    struct fuse_out_header header = {.len = (uint32_t)(sizeof header + size), .error = -error, .unique = unique};
    char out[sizeof header + 70000];
    memcpy(out, &header, sizeof header);
    if (size) memcpy(out + sizeof header, body, size);
    if (write(fuse->device, out, header.len) < 0) return;  // given up meanwhile
}

static struct fuse_attr attributes(struct test_fuse *fuse, uint64_t node) {
    struct node *it = &fuse->nodes[node - 1];
    struct fuse_attr out = {.ino = node, .mode = it->mode, .nlink = 1, .uid = fuse->owner, .gid = fuse->owner,
                            .blksize = 512, .size = S_ISREG(it->mode) ? sizeof content - 1 : 0};
    if (fuse->lies && S_ISREG(it->mode)) {
        out.size = (uint64_t)1 << 62;
        out.ino = node + 1000 * ++fuse->lie_count;
    }
    return out;
}

static int find(struct test_fuse *fuse, const char *name) {
    for (int i = 1; i < fuse->node_count; i++)
        if (!strcmp(fuse->nodes[i].name, name)) return i + 1;
    return 0;
}

static void entry(struct test_fuse *fuse, uint64_t unique, uint64_t node) {
    // Valid for no time: each look-up asks again.
    struct fuse_entry_out out = {.nodeid = node, .generation = 1, .attr = attributes(fuse, node)};
    answer(fuse, unique, 0, &out, sizeof out);
}

static void handle(struct test_fuse *fuse, struct fuse_in_header *in, char *body) {
    switch (in->opcode) {
    case FUSE_INIT: {
        struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_readahead = 4096,
                                    .max_background = 64, .congestion_threshold = 48, .max_write = 65536};
        return answer(fuse, in->unique, 0, &out, sizeof out);
    }
    case FUSE_LOOKUP: {
        int node = in->nodeid == FUSE_ROOT_ID ? find(fuse, body) : 0;
        return node ? entry(fuse, in->unique, (uint64_t)node) : answer(fuse, in->unique, ENOENT, NULL, 0);
    }
    case FUSE_MKNOD: {
        struct fuse_mknod_in *made = (struct fuse_mknod_in *)body;
        const char *name = body + sizeof *made;
        if (fuse->node_count == NODES || strlen(name) >= sizeof fuse->nodes[0].name)
            return answer(fuse, in->unique, ENOSPC, NULL, 0);
        struct node *it = &fuse->nodes[fuse->node_count++];
        strcpy(it->name, name);
        it->mode = made->mode | 0666;
        return entry(fuse, in->unique, (uint64_t)fuse->node_count);
    }
    case FUSE_GETATTR:
    case FUSE_SETATTR: {
        struct fuse_attr_out out = {.attr = attributes(fuse, in->nodeid)};
        return answer(fuse, in->unique, 0, &out, sizeof out);
    }
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
        struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO};
        return answer(fuse, in->unique, 0, &out, sizeof out);
    }
    case FUSE_READ: {
        struct fuse_read_in *wanted = (struct fuse_read_in *)body;
        size_t size = wanted->offset == 0 ? sizeof content - 1 : 0;
        return answer(fuse, in->unique, 0, content, size);
    }
    case FUSE_WRITE: {
        struct fuse_write_out out = {.size = ((struct fuse_write_in *)body)->size};
        return answer(fuse, in->unique, 0, &out, sizeof out);
    }
    case FUSE_GETXATTR: {
        struct fuse_getxattr_in *wanted = (struct fuse_getxattr_in *)body;
        int which = fuse->attribute_sizes[1] > 0 ? (int)(fuse->attribute_count++ & 1) : 0;
        int size = fuse->attribute_sizes[which];
        if (size == 0) return answer(fuse, in->unique, ENODATA, NULL, 0);
        if (wanted->size == 0) {
            struct fuse_getxattr_out out = {.size = (uint32_t)size};
            return answer(fuse, in->unique, 0, &out, sizeof out);
        }
        if (wanted->size < (uint32_t)size) return answer(fuse, in->unique, ERANGE, NULL, 0);
        return answer(fuse, in->unique, 0, fuse->attributes[which], (size_t)size);
    }
    case FUSE_STATFS: {
        struct fuse_statfs_out out = {.st = {.bsize = 512, .namelen = 255}};
        return answer(fuse, in->unique, 0, &out, sizeof out);
    }
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR: return answer(fuse, in->unique, 0, NULL, 0);
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: return;
    default: return answer(fuse, in->unique, ENOSYS, NULL, 0);
    }
}

static void *serve(void *argument) {
    struct test_fuse *fuse = argument;
    static const size_t capacity = 70000 + sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in);
    char *buffer = malloc(capacity);
    for (;;) {
        struct pollfd one = {.fd = fuse->device, .events = POLLIN};
        if (poll(&one, 1, 1000) == 0) {
            // Whatever becomes of the test, nothing waits for ever.
            if (time(NULL) > fuse->muted_at + MUTE_SECONDS) test_fuse_mute(fuse, 0);
            continue;
        }
        ssize_t got = read(fuse->device, buffer, capacity);
        if (got < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN)) continue;
        if (got < (ssize_t)sizeof(struct fuse_in_header)) break;
        struct fuse_in_header *in = (struct fuse_in_header *)buffer;
        pthread_mutex_lock(&fuse->lock);
        if (in->opcode < 64 && (fuse->mute >> in->opcode & 1) && fuse->held_count < HELD)
            fuse->held[fuse->held_count++] = in->unique;
        else handle(fuse, in, buffer + sizeof *in);
        pthread_mutex_unlock(&fuse->lock);
    }
    free(buffer);
    return NULL;
}

struct test_fuse *test_fuse_mount(const char *at, uint32_t owner) {
    struct test_fuse *fuse = calloc(1, sizeof *fuse);
    if (!fuse) return NULL;
    fuse->owner = owner;
    fuse->nodes[0] = (struct node){.mode = S_IFDIR | 0777};
    fuse->nodes[1] = (struct node){.name = "file", .mode = S_IFREG | 0666};
    fuse->node_count = 2;
    pthread_mutex_init(&fuse->lock, NULL);
    snprintf(fuse->at, sizeof fuse->at, "%s", at);
    fuse->device = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    char options[128];
    snprintf(options, sizeof options, "fd=%d,rootmode=40777,user_id=%u,group_id=%u,allow_other", fuse->device,
             owner, owner);
    if (fuse->device < 0 || mount("guise-test", at, "fuse", MS_NOSUID | MS_NODEV, options) < 0) goto failed;
    if (pthread_create(&fuse->thread, NULL, serve, fuse) == 0) return fuse;
    umount2(at, MNT_DETACH);
failed:;
    int error = errno;
    if (fuse->device >= 0) close(fuse->device);
    free(fuse);
    errno = error;
    return NULL;
}

void test_fuse_mute(struct test_fuse *fuse, uint64_t opcodes) {
    pthread_mutex_lock(&fuse->lock);
    fuse->mute = opcodes;
    fuse->muted_at = time(NULL);
    if (opcodes == 0) {
        for (int i = 0; i < fuse->held_count; i++) answer(fuse, fuse->held[i], EIO, NULL, 0);
        fuse->held_count = 0;
    }
    pthread_mutex_unlock(&fuse->lock);
}

int test_fuse_held(struct test_fuse *fuse) {
    pthread_mutex_lock(&fuse->lock);
    int count = fuse->held_count;
    pthread_mutex_unlock(&fuse->lock);
    return count;
}

void test_fuse_attribute(struct test_fuse *fuse, int which, const void *bytes, int size) {
    pthread_mutex_lock(&fuse->lock);
    memcpy(fuse->attributes[which], bytes, (size_t)size);
    fuse->attribute_sizes[which] = size;
    pthread_mutex_unlock(&fuse->lock);
}

void test_fuse_lie(struct test_fuse *fuse) {
    pthread_mutex_lock(&fuse->lock);
    fuse->lies = true;
    pthread_mutex_unlock(&fuse->lock);
}

void test_fuse_unmount(struct test_fuse *fuse) {
    test_fuse_mute(fuse, 0);
    // Forced: what still waits is told so, and the reading thread that there is no file system any more.
    if (umount2(fuse->at, MNT_FORCE) < 0) umount2(fuse->at, MNT_FORCE | MNT_DETACH);
    pthread_join(fuse->thread, NULL);
    close(fuse->device);
    free(fuse);
}
