// The few things Swift cannot say to Linux. Thin: every function is one system call or one kernel protocol
// step, and none holds a policy. A function that can fail returns a negative errno value.
#ifndef CGUISE_H
#define CGUISE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "CGuiseCalls.h"
#include "CGuiseCredentials.h"
#include "CGuiseFilter.h"
#include "CGuiseFlags.h"
#include "CGuiseMark.h"
#include "CGuiseNotification.h"
#include "CGuisePassword.h"
#include "CGuiseProcess.h"
#include "CGuiseProbe.h"
#include "CGuiseRing.h"
#include "CGuiseSocket.h"
#include "CGuiseTask.h"
#include "CGuiseTerminal.h"
#include "CGuiseThread.h"
#include "CGuiseWorker.h"

#endif
