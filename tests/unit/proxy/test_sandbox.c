/* Each test enters the sandbox in a process of its own, which says by its status what it found. */
#define _GNU_SOURCE /* syscall */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testlib.h"

#include "sandbox.h"

static const struct config on = {.sandbox = CONFIG_SANDBOX_ON};

static int in_sandbox(const struct config *config, int (*look)(void))
{
    const pid_t child = fork();
    int status = 0;

    assert_true(child >= 0);
    if (child == 0) {
        const int quiet = open("/dev/null", O_WRONLY);

        (void)dup2(quiet, STDERR_FILENO);
        if (sandbox_enter(config, NULL) != ATLS_OK)
            _exit(100);
        _exit(look());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool refused(long result)
{
    return result == -1 && errno == EPERM;
}

/* Signal 0 is none, but asks for the right to send one. */
static int look_at_signals(void)
{
    const pid_t parent = getppid(), own = getpid();
    siginfo_t info = {.si_code = SI_QUEUE};

    if (!refused(kill(parent, 0)))
        return 1;
    if (!refused(syscall(SYS_tgkill, parent, parent, 0)))
        return 2;
    if (!refused(syscall(SYS_tkill, parent, 0)))
        return 3;
    if (!refused(syscall(SYS_rt_sigqueueinfo, parent, 0, &info)))
        return 4;
    if (!refused(syscall(SYS_rt_tgsigqueueinfo, parent, parent, 0, &info)))
        return 5;
    return syscall(SYS_tgkill, own, own, 0) == 0 ? 0 : 6;
}

static void signals_stay_in_the_process(void **state)
{
    (void)state;
    assert_int_equal(in_sandbox(&on, look_at_signals), 0);
}

static int look_at_programs(void)
{
    char *const args[] = {NULL};

    if (!refused(execve("/bin/true", args, args)))
        return 1;
    return refused(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0)) ? 0 : 2;
}

static void no_program_is_started(void **state)
{
    (void)state;
    assert_int_equal(in_sandbox(&on, look_at_programs), 0);
}

static int look_at_nothing(void)
{
    return kill(getppid(), 0) == 0 ? 0 : 1;
}

static void off_and_report_refuse_nothing(void **state)
{
    const struct config off = {.sandbox = CONFIG_SANDBOX_OFF},
                        report = {.sandbox = CONFIG_SANDBOX_REPORT};

    (void)state;
    assert_int_equal(in_sandbox(&off, look_at_nothing), 0);
    assert_int_equal(in_sandbox(&report, look_at_nothing), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_stay_in_the_process),
        cmocka_unit_test(no_program_is_started),
        cmocka_unit_test(off_and_report_refuse_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
