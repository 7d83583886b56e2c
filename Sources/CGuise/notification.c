#define _GNU_SOURCE
#include "CGuiseNotification.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

static int result(int value) { return value < 0 ? -errno : value; }

int guise_notification_wake_synchronously(int listener) {
    return result(ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP));
}

int guise_notification_receive(int listener, struct guise_notification *out) {
    struct seccomp_notif notification;
    memset(&notification, 0, sizeof notification);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) < 0) return -errno;
    out->id = notification.id;
    out->tid = notification.pid;
    out->call = notification.data.nr;
    for (int i = 0; i < 6; i++) out->arguments[i] = notification.data.args[i];
    return 0;
}

bool guise_notification_is_pending(int listener, uint64_t id) {
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

bool guise_notification_is_listener(int descriptor) {
    uint64_t id = 0;
    // Notification ids start at a random number; a listener says ENOENT, anything else ENOTTY or EINVAL.
    return ioctl(descriptor, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0 || errno == ENOENT;
}

int guise_notification_answer(int listener, uint64_t id, int64_t value, int32_t error) {
    struct seccomp_notif_resp response = {.id = id, .val = value, .error = error};
    return result(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response));
}

int guise_notification_continue(int listener, uint64_t id) {
    struct seccomp_notif_resp response = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    return result(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response));
}

int guise_notification_answer_descriptor(int listener, uint64_t id, int descriptor, bool close_on_exec) {
    struct seccomp_notif_addfd request = {
        .id = id, .srcfd = (uint32_t)descriptor, .newfd_flags = close_on_exec ? O_CLOEXEC : 0};
    // Two steps: the one-step form (SECCOMP_ADDFD_FLAG_SEND) does not use the synchronous wake-up.
    int number = result(ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &request));
    // Closed before the thread goes on: locks and the like end when it closes what it was given, not later.
    close(descriptor);
    return number < 0 ? number : guise_notification_answer(listener, id, number, 0);
}

int guise_notification_replace_descriptor(int listener, uint64_t id, int descriptor, int number, bool close_on_exec) {
    struct seccomp_notif_addfd request = {
        .id = id, .flags = SECCOMP_ADDFD_FLAG_SETFD, .srcfd = (uint32_t)descriptor, .newfd = (uint32_t)number,
        .newfd_flags = close_on_exec ? O_CLOEXEC : 0};
    return result(ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &request));
}
