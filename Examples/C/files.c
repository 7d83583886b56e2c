/*
 * A small file server in C that acts as its clients. Each client gets a thread; every file is opened with open(2),
 * while the thread impersonates the client. There is no access check in here, and none is missing.
 *
 *     guise run files -- ./files /run/files.sock
 *
 * A client sends one line for each request and gets an answer that starts with OK or ERROR:
 *     whoami           who the service takes the client for
 *     read PATH        the file's contents
 *     write PATH TEXT  puts the text into the file
 */
#include <errno.h>
#include <fcntl.h>
#include <guise.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Opens as the client, whoever the service is. A descriptor keeps its rights, so only the open has to be done so. */
static int open_as(guise_connection *client, const char *path, int flags) {
    if (guise_impersonate(client) < 0) {
        int error = errno;
        fprintf(stderr, "files: %s\n", guise_error_message());
        errno = error;
        return -1;
    }
    int file = open(path, flags | O_CLOEXEC, 0666);
    int error = errno;
    guise_revert();
    errno = error;
    return file;
}

static void whoami(guise_connection *client, FILE *out) {
    static const char *const levels[] = {"Anonymous", "Identification", "Impersonation", "Delegation"};
    char sid[256], name[256];
    guise_token *token;
    if (guise_client_token(client, &token) < 0) {
        fprintf(out, "ERROR %s\n", guise_error_message());
        return;
    }
    if (guise_token_user_name(token, name, sizeof name) < 0) strcpy(name, "unknown");
    if (guise_token_user(token, sid, sizeof sid) < 0) strcpy(sid, "unknown");
    fprintf(out, "OK %s %s at %s\n", name, sid, levels[guise_token_level(token)]);
    guise_token_close(token);
}

static void read_file(guise_connection *client, const char *path, FILE *out) {
    char buffer[4096];
    ssize_t length;
    int file = open_as(client, path, O_RDONLY);
    if (file < 0) {
        fprintf(out, "ERROR %s\n", strerror(errno));
        return;
    }
    fputs("OK ", out);
    while ((length = read(file, buffer, sizeof buffer)) > 0) fwrite(buffer, 1, (size_t)length, out);
    fputc('\n', out);
    close(file);
}

static void write_file(guise_connection *client, const char *path, const char *text, FILE *out) {
    int file = open_as(client, path, O_WRONLY | O_CREAT | O_TRUNC);
    size_t length = strlen(text);
    if (file < 0 || write(file, text, length) != (ssize_t)length)
        fprintf(out, "ERROR %s\n", strerror(errno));
    else
        fputs("OK\n", out);
    if (file >= 0) close(file);
}

static void *serve(void *argument) {
    guise_connection *client = argument;
    char line[8192];
    /* Streams of their own for both ways; the connection keeps its socket. */
    FILE *in = fdopen(dup(guise_connection_fd(client)), "r");
    FILE *out = fdopen(dup(guise_connection_fd(client)), "w");
    while (in && out && fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = 0;
        char *rest = line, *word = strsep(&rest, " "), *path = strsep(&rest, " ");
        if (!strcmp(word, "whoami") && !path)
            whoami(client, out);
        else if (!strcmp(word, "read") && path && !rest)
            read_file(client, path, out);
        else if (!strcmp(word, "write") && path && rest)
            write_file(client, path, rest, out);
        else
            fputs("ERROR whoami, read PATH or write PATH TEXT\n", out);
        if (fflush(out) != 0) break;
    }
    if (in) fclose(in);
    if (out) fclose(out);
    guise_connection_close(client);
    return NULL;
}

int main(int count, char **words) {
    if (count != 2) {
        fprintf(stderr, "usage: files SOCKET\n");
        return 64;
    }
    /* Clients leave when they like. */
    signal(SIGPIPE, SIG_IGN);
    int listener = -1;
    if (guise_attach(GUISE_API_VERSION, NULL, 0, 0) < 0 || (listener = guise_listen(words[1], 0666, 128)) < 0) {
        fprintf(stderr, "files: %s\n", guise_error_message());
        return 1;
    }
    fprintf(stderr, "files: serving at %s as process %d\n", words[1], (int)getpid());
    for (;;) {
        guise_connection *client;
        pthread_t thread;
        if (guise_accept(listener, &client) == 0) {
            if (pthread_create(&thread, NULL, serve, client) == 0)
                pthread_detach(thread);
            else
                guise_connection_close(client);
        } else if (errno != ECONNABORTED && errno != EACCES && errno != EPROTOTYPE && errno != EINTR) {
            /* Not just this client's fault, who did not wait for us, or is not to be served. */
            fprintf(stderr, "files: %s\n", guise_error_message());
            return 1;
        }
    }
}
