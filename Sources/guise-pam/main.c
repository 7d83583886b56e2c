// Asks PAM whether a password is a user's, and ends. The authority starts one of these for each question and ends it when
// it takes too long: what the modules of a stack do to the process they run in is theirs to know.
//
// In, on standard input until its end: directory, service, user, asker, password, each ended by a zero byte. The directory
// is that of the configuration; empty: the machine's own. Out, on standard output, in one piece, when PAM is done:
// outcome, user, account of what happened, each ended by a zero byte. Anything but an exit status of 0 is no answer.
#define _GNU_SOURCE
#include <fcntl.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

// Of what is asked and what is answered: fits into a pipe at once (PIPE_BUF).
enum { LARGEST = 4096 };
// The most bytes of what the modules have to say.
enum { LARGEST_TEXT = 1024 };
// The most microseconds that modules get between a wrong password and the answer.
enum { LARGEST_DELAY = 5000000 };

struct question {
    const char *directory, *service, *user, *asker, *password;
};

static char text[LARGEST_TEXT];
static size_t text_length;
static struct timespec begun;

static void say(const char *words) {
    size_t length = strlen(words), room = sizeof text - text_length;
    const char *before = text_length ? "; " : "";
    if (length + strlen(before) >= room) return;
    text_length += (size_t)snprintf(text + text_length, room, "%s%s", before, words);
}

// pam_conv(3). What is typed without being shown is the password; nobody is there to answer anything else.
static int converse(int count, const struct pam_message **messages, struct pam_response **out, void *data) {
    const char *password = data;
    if (count <= 0 || count > PAM_MAX_NUM_MSG) return PAM_CONV_ERR;
    struct pam_response *answers = calloc((size_t)count, sizeof *answers);
    if (!answers) return PAM_BUF_ERR;
    int result = PAM_SUCCESS;
    for (int i = 0; i < count && result == PAM_SUCCESS; i++) {
        switch (messages[i]->msg_style) {
        case PAM_PROMPT_ECHO_OFF:
            answers[i].resp = strdup(password);
            if (!answers[i].resp) result = PAM_BUF_ERR;
            break;
        case PAM_ERROR_MSG:
        case PAM_TEXT_INFO:
            if (messages[i]->msg) say(messages[i]->msg);
            break;
        default:
            say("asked for more than a password");
            result = PAM_CONV_ERR;
        }
    }
    if (result != PAM_SUCCESS) {
        for (int i = 0; i < count; i++) {
            if (!answers[i].resp) continue;
            explicit_bzero(answers[i].resp, strlen(answers[i].resp));
            free(answers[i].resp);
        }
        free(answers);
        answers = NULL;
    }
    *out = answers;
    return result;
}

#ifdef PAM_FAIL_DELAY
// pam_fail_delay(3), counted from when PAM was asked: what was done meanwhile, which is less for a user that there is not,
// is in it.
static void delay(int result, unsigned microseconds, void *data) {
    (void)data;
    if (result == PAM_SUCCESS) return;
    if (microseconds > LARGEST_DELAY) microseconds = LARGEST_DELAY;
    struct timespec end = begun;
    end.tv_sec += microseconds / 1000000;
    end.tv_nsec += (long)(microseconds % 1000000) * 1000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_nsec -= 1000000000;
        end.tv_sec++;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) != 0) {}
}
#endif

// Before the password was found right: nothing tells a user that there is from one that there is not.
static const char *outcome_of_password(int result) {
    switch (result) {
    case PAM_SUCCESS: return "right";
    case PAM_AUTH_ERR:
    case PAM_USER_UNKNOWN:
    case PAM_CRED_INSUFFICIENT:
    case PAM_PERM_DENIED:
    case PAM_MAXTRIES:
    case PAM_ACCT_EXPIRED:
    case PAM_CRED_EXPIRED:
    case PAM_NEW_AUTHTOK_REQD:
    case PAM_AUTHTOK_EXPIRED:
    case PAM_CONV_ERR: return "wrong";
    default: return "failed";
    }
}

static const char *outcome_of_account(int result) {
    switch (result) {
    case PAM_SUCCESS: return "right";
    case PAM_ACCT_EXPIRED: return "expired";
    case PAM_NEW_AUTHTOK_REQD:
    case PAM_AUTHTOK_EXPIRED: return "change";
    case PAM_AUTH_ERR:
    case PAM_PERM_DENIED:
    case PAM_USER_UNKNOWN:
    case PAM_MAXTRIES: return "closed";
    default: return "failed";
    }
}

static const char *ask(const struct question *question, char *user, size_t capacity) {
    const struct pam_conv conversation = {converse, (void *)question->password};
    pam_handle_t *pam = NULL;
    int result = *question->directory
        ? pam_start_confdir(question->service, question->user, &conversation, question->directory, &pam)
        : pam_start(question->service, question->user, &conversation, &pam);
    if (result != PAM_SUCCESS || !pam) {
        say("pam_start");
        say(pam_strerror(pam, result));
        return "failed";
    }
    clock_gettime(CLOCK_MONOTONIC, &begun);
    const char *call = "pam_set_item", *outcome = "failed";
    // As programs without a terminal do it. Where the user is the authority does not know: PAM_RHOST stays unset.
    result = pam_set_item(pam, PAM_TTY, "guise");
    if (result == PAM_SUCCESS) result = pam_set_item(pam, PAM_RUSER, question->asker);
#ifdef PAM_FAIL_DELAY
    if (result == PAM_SUCCESS) result = pam_set_item(pam, PAM_FAIL_DELAY, (const void *)delay);
#endif
    if (result == PAM_SUCCESS) {
        call = "pam_authenticate";
        result = pam_authenticate(pam, PAM_DISALLOW_NULL_AUTHTOK);
        outcome = outcome_of_password(result);
    }
    if (result == PAM_SUCCESS) {
        call = "pam_acct_mgmt";
        result = pam_acct_mgmt(pam, PAM_DISALLOW_NULL_AUTHTOK);
        outcome = outcome_of_account(result);
    }
    // Modules may have made somebody else of the user.
    const void *item = NULL;
    if (pam_get_item(pam, PAM_USER, &item) == PAM_SUCCESS && item && strlen(item) < capacity) strcpy(user, item);
    else if (result == PAM_SUCCESS) outcome = "failed";
    if (result != PAM_SUCCESS) {
        say(call);
        say(pam_strerror(pam, result));
    }
    pam_end(pam, result);
    return outcome;
}

// Splits what was read into its five parts.
static bool parse(char *bytes, size_t length, struct question *out) {
    const char **parts[] = {&out->directory, &out->service, &out->user, &out->asker, &out->password};
    char *next = bytes;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *end = memchr(next, 0, length - (size_t)(next - bytes));
        if (!end) return false;
        *parts[i] = next;
        next = end + 1;
    }
    return next == bytes + length && *out->service && *out->user && *out->password;
}

// Whatever the modules print, read or start has nothing to do with the answer.
static int put_streams_away(void) {
    int answer = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    int nothing = open("/dev/null", O_RDWR);
    if (answer < 0 || nothing < 0) return -1;
    for (int stream = 0; stream <= 2; stream++)
        if (dup2(nothing, stream) < 0) return -1;
    if (nothing > 2) close(nothing);
    return answer;
}

int main(void) {
    static char bytes[LARGEST];
    size_t length = 0;
    ssize_t got;
    while (length < sizeof bytes && (got = read(STDIN_FILENO, bytes + length, sizeof bytes - length)) > 0)
        length += (size_t)got;
    struct question question;
    if (!parse(bytes, length, &question)) {
        fputs("guise-pam is started by guised alone\n", stderr);
        return 64;
    }
    // A module that crashes leaves no password on the disk; and no answer outlives who asked.
    const struct rlimit none = {0, 0}, files = {1024, 1024};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || setrlimit(RLIMIT_NOFILE, &files) != 0 || chdir("/") != 0)
        return 1;
    int out = put_streams_away();
    if (out < 0) return 1;

    char user[256] = "", answer[LARGEST];
    const char *outcome = ask(&question, user, sizeof user);
    explicit_bzero(bytes, sizeof bytes);
    int size = snprintf(answer, sizeof answer, "%s%c%s%c%s%c", outcome, 0, user, 0, text, 0);
    return size > 0 && write(out, answer, (size_t)size) == size ? 0 : 1;
}
