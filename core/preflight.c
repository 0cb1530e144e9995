/* Python never runs in Apache's parent. So that a mistake stops the start and not
 * each child, one process is forked that becomes the children's user, starts Python
 * as they will, evaluates every PythonPath, and reports through a pipe. */
#include "preflight.h"

#include <errno.h>
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <httpd.h>
#include <http_config.h>
#include <http_log.h>
#include <http_core.h>
#include <unixd.h>
#include <apr_strings.h>

#include "config.h"
#include "py_preflight.h"

APLOG_USE_MODULE(python);

/* Of one line for each thing that is wrong. */
#define REPORT_SIZE 8192

static int become_user(void)
{
    if (geteuid() != 0 || ap_unixd_config.user_id == 0) {
        return 0;
    }
    if (setgid(ap_unixd_config.group_id) != 0 ||
        (ap_unixd_config.user_name[0] != '#' &&
         initgroups(ap_unixd_config.user_name, ap_unixd_config.group_id) != 0) ||
        setuid(ap_unixd_config.user_id) != 0) {
        return -1;
    }
    return 0;
}

static void write_all(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left) {
        ssize_t written = write(fd, text, left);
        if (written < 0 && errno != EINTR) {
            return;
        }
        if (written > 0) {
            text += written;
            left -= (size_t)written;
        }
    }
}

static void run_child(int fd, apr_pool_t *pool)
{
    const char *report;

    if (become_user() != 0) {
        report = apr_psprintf(pool, "KK0001: cannot become user %s: %s\n",
                              ap_unixd_config.user_name, strerror(errno));
    } else {
        report = mp_python_preflight(pool, mp_process_config_get());
    }
    write_all(fd, report);
    _exit(0);
}

/* Reads what the child writes until it is done with it. */
static char *read_report(int fd, apr_pool_t *pool)
{
    char *report = apr_pcalloc(pool, REPORT_SIZE);
    size_t size = 0;

    while (size < REPORT_SIZE - 1) {
        ssize_t got = read(fd, report + size, REPORT_SIZE - 1 - size);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            break;
        }
        size += got > 0 ? (size_t)got : 0;
    }
    /* What is beyond is not shown, but the child must not be stopped by it. */
    char rest[512];
    while (size == REPORT_SIZE - 1 && read(fd, rest, sizeof(rest)) > 0) {
    }
    return report;
}

static int log_report(char *report, int status)
{
    char *last = NULL;
    int result = OK;

    for (char *line = apr_strtok(report, "\n", &last); line; line = apr_strtok(NULL, "\n", &last)) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_CRIT, 0, NULL, "%s", line);
        result = HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_CRIT, 0, NULL,
                     "KK0001: Python crashed when it was tried before the start (wait status %d)",
                     status);
        result = HTTP_INTERNAL_SERVER_ERROR;
    }
    return result;
}

/* At a start the configuration is read twice: once is enough. A restart reads it once. */
static int is_second_reading(void)
{
    static const char key[] = "mod_python preflight";
    int *readings = ap_retained_data_get(key);

    if (!readings) {
        readings = ap_retained_data_create(key, sizeof(*readings));
    }
    return ++*readings == 2;
}

static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    int fds[2], status = 0;
    pid_t pid;
    char *report;

    if (is_second_reading()) {
        return OK;
    }
    if (pipe(fds) != 0 || (pid = fork()) < 0) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_CRIT, errno, NULL,
                     "KK0001: Python cannot be tried before the start");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (pid == 0) {
        close(fds[0]);
        run_child(fds[1], ptemp);
    }
    close(fds[1]);
    report = read_report(fds[0], ptemp);
    close(fds[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return log_report(report, status);
}

void mp_preflight_register_hooks(apr_pool_t *pool)
{
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_LAST);
}
