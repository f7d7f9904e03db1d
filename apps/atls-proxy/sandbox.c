#define _GNU_SOURCE /* syscall, O_PATH, setgroups */

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/landlock.h>
#include <seccomp.h>

#include "listen.h"
#include "log.h"
#include "text.h"

/* ---- the user ---- */

static enum atls_code find_group(const char *name, gid_t *out, struct atls_err *err)
{
    char room[4096];
    struct group entry, *found = NULL;

    if (getgrnam_r(name, &entry, room, sizeof room, &found) != 0 || found == NULL)
        return set_error(err, ATLS_E_CONFIG, "group %.60s: there is none of this name", name);
    *out = found->gr_gid;
    return ATLS_OK;
}

static enum atls_code become(const struct config *config, struct atls_err *err)
{
    char room[4096];
    struct passwd entry, *found = NULL;
    enum atls_code code;
    gid_t group;

    if (getpwnam_r(config->user, &entry, room, sizeof room, &found) != 0 || found == NULL)
        return set_error(err, ATLS_E_CONFIG, "user %.60s: there is none of this name",
                         config->user);
    group = found->pw_gid;
    if (config->group != NULL && (code = find_group(config->group, &group, err)) != ATLS_OK)
        return code;
    if (geteuid() == found->pw_uid && getegid() == group)
        return ATLS_OK;
    if ((code = listen_give(found->pw_uid, group, err)) != ATLS_OK)
        return code;
    if (initgroups(found->pw_name, group) != 0 || setresgid(group, group, group) != 0 ||
        setresuid(found->pw_uid, found->pw_uid, found->pw_uid) != 0)
        return set_error(err, ATLS_E_CONFIG, "user %.60s: %s; want to be started as root",
                         config->user, strerror(errno));
    if (found->pw_uid != 0 && setresuid(0, 0, 0) == 0)
        return set_error(err, ATLS_E_INTERNAL, "user %.60s: can become root again", config->user);
    return ATLS_OK;
}

enum atls_code sandbox_become(const struct config *config, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    if (config->user != NULL)
        code = become(config, err);
    else if (config->group != NULL)
        code = set_error(err, ATLS_E_CONFIG, "group %.60s: want a user, too", config->group);
    if (code != ATLS_OK)
        return code;
    if (geteuid() == 0)
        log_say(ATLS_LOG_WARNING, "user", "this is root; user: in the configuration names another");
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* a change of user may have set it again */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return set_error(err, ATLS_E_IO, "no new privileges: %s", strerror(errno));
    return ATLS_OK;
}

/* ---- files ---- */

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define WRITES                                                                                     \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |                                 \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define SOCKETS (LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define FOLDERS (LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR)

/* All that the kernel's version of Landlock knows of these; reading stays free: what may be read is
 * said by users and modes, and a reload may name any file. */
static uint64_t handled_by(long abi)
{
    uint64_t all = LANDLOCK_ACCESS_FS_EXECUTE | WRITES | SOCKETS | FOLDERS |
                   LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                   LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM |
                   LANDLOCK_ACCESS_FS_REFER;

    if (abi < 2)
        all &= ~(uint64_t)LANDLOCK_ACCESS_FS_REFER;
    if (abi < 3)
        all &= ~(uint64_t)LANDLOCK_ACCESS_FS_TRUNCATE;
    return all;
}

struct walls {
    int ruleset;
    uint64_t handled;
};

/* What is below path may be done so; nothing where there is no path. */
static void permit(const struct walls *w, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = access & w->handled};

    if ((rule.parent_fd = open(path, O_PATH | O_CLOEXEC)) < 0)
        return;
    if (syscall(SYS_landlock_add_rule, w->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        log_say(ATLS_LOG_WARNING, "sandbox", "%s: %s", path, strerror(errno));
    close(rule.parent_fd);
}

/* The same of the folder that a file is in. */
static void permit_around(const struct walls *w, const char *file, uint64_t access)
{
    char path[4096];
    char *slash;

    if (strlen(file) >= sizeof path || file[0] != '/')
        return;
    memcpy(path, file, strlen(file) + 1);
    slash = strrchr(path, '/');
    slash[slash == path] = '\0';
    permit(w, path, access);
}

static void permit_all(const struct walls *w, const struct config *c)
{
    static const char *const places[] = {"/dev", "/tmp", "/var/tmp"};

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        permit(w, places[i], WRITES | SOCKETS);
    permit(w, "/run", SOCKETS);
    permit(w, "/sys/kernel/config", WRITES | FOLDERS);
    for (size_t i = 0; i < c->attester_count; i++)
        if (strncmp(c->attesters[i].uri, "tsm:/", 5) == 0) {
            char path[256];

            snprintf(path, sizeof path, "%.*s", (int)strcspn(c->attesters[i].uri + 4, "?"),
                     c->attesters[i].uri + 4);
            permit(w, path, WRITES | FOLDERS);
        }
    for (size_t i = 0; i < c->verifier_count; i++)
        if (strncmp(c->verifiers[i].uri, "local:", 6) == 0)
            permit_around(w, c->verifiers[i].uri + 6, WRITES);
    for (size_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].at.address.family == ADDRESS_UNIX)
            permit_around(w, c->listeners[i].at.address.path, SOCKETS);
    if (c->operation.line > 0 && c->operation.at.address.family == ADDRESS_UNIX)
        permit_around(w, c->operation.at.address.path, SOCKETS);
}

static enum atls_code wall_files(const struct config *config, struct atls_err *err)
{
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_ruleset_attr attributes = {.handled_access_fs = 0};
    struct walls w = {-1, 0};
    int problem;

    if (abi < 1) {
        log_say(ATLS_LOG_WARNING, "sandbox", "files: this kernel has no Landlock: %s",
                strerror(errno));
        return ATLS_OK;
    }
    w.handled = attributes.handled_access_fs = handled_by(abi);
    w.ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (w.ruleset < 0)
        return set_error(err, ATLS_E_IO, "sandbox: files: %s", strerror(errno));
    permit_all(&w, config);
    problem = syscall(SYS_landlock_restrict_self, w.ruleset, 0) != 0 ? errno : 0;
    close(w.ruleset);
    if (problem != 0)
        return set_error(err, ATLS_E_IO, "sandbox: files: %s", strerror(problem));
    log_say(ATLS_LOG_INFO, "sandbox", "files: Landlock, version %ld", abi);
    return ATLS_OK;
}

/* ---- system calls ---- */

#if defined(__SANITIZE_ADDRESS__)
#define ATLS_LEAK_CHECK
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ATLS_LEAK_CHECK
#endif
#endif

/* Of no use to who moves bytes and asks devices: other processes, programs, kernels, mounts, clocks
 * and what is new and little tried. */
static const char *const useless[] = {
#if !defined(ATLS_LEAK_CHECK) /* which looks at other threads with it */
    "ptrace",
#endif
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "create_module",
    "delete_module",
    "execve",
    "execveat",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "kill",
    "lookup_dcookie",
    "mknod",
    "mknodat",
    "mount",
    "mount_setattr",
    "move_mount",
    "name_to_handle_at",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "personality",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "pivot_root",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "query_module",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "stime",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "tkill",
    "umount",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "vhangup",
};

/* A TPM behind a program of its own is asked by starting that. */
static bool starts_programs(const struct config *config)
{
    for (size_t i = 0; i < config->attester_count; i++)
        if (strncmp(config->attesters[i].uri, "tpm2:cmd:", 9) == 0)
            return true;
    return false;
}

static enum atls_code add_rules(scmp_filter_ctx filter, const struct config *config,
                                unsigned *out_count, struct atls_err *err)
{
    const uint32_t action =
        config->sandbox == CONFIG_SANDBOX_REPORT ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(EPERM);
    const bool programs = starts_programs(config);

    for (size_t i = 0; i < sizeof useless / sizeof useless[0]; i++) {
        const int number = seccomp_syscall_resolve_name(useless[i]);
        int problem;

        if (number == __NR_SCMP_ERROR || (programs && (strncmp(useless[i], "execve", 6) == 0 ||
                                                       strcmp(useless[i], "kill") == 0)))
            continue;
        /* Calls that this architecture has not are passed over by the library. */
        if ((problem = seccomp_rule_add(filter, action, number, 0)) != 0)
            return set_error(err, ATLS_E_IO, "sandbox: system call %s: %s", useless[i],
                             strerror(-problem));
        (*out_count)++;
    }
    return ATLS_OK;
}

/* Signals go to threads of our own alone, as abort(3) and the C library send them. */
static enum atls_code wall_signals(scmp_filter_ctx filter, const struct config *config,
                                   unsigned *out_count, struct atls_err *err)
{
    const uint32_t action =
        config->sandbox == CONFIG_SANDBOX_REPORT ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(EPERM);
    int problem;

    if (starts_programs(config)) /* which have numbers of their own */
        return ATLS_OK;
    problem = seccomp_rule_add(filter, action, SCMP_SYS(tgkill), 1,
                               SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid(), 0));
    if (problem != 0)
        return set_error(err, ATLS_E_IO, "sandbox: system call tgkill: %s", strerror(-problem));
    (*out_count)++;
    return ATLS_OK;
}

static enum atls_code wall_calls(const struct config *config, struct atls_err *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    enum atls_code code;
    unsigned count = 0;
    int problem;

    if (filter == NULL)
        return set_error(err, ATLS_E_NOMEM, "sandbox: out of memory");
    if ((code = add_rules(filter, config, &count, err)) == ATLS_OK)
        code = wall_signals(filter, config, &count, err);
    if (code == ATLS_OK && (problem = seccomp_load(filter)) != 0) {
        log_say(ATLS_LOG_WARNING, "sandbox", "system calls: this kernel does not filter them: %s",
                strerror(-problem));
    } else if (code == ATLS_OK) {
        log_say(ATLS_LOG_INFO, "sandbox", "system calls: %u are %s", count,
                config->sandbox == CONFIG_SANDBOX_REPORT ? "logged, not refused" : "refused");
    }
    seccomp_release(filter);
    return code;
}

enum atls_code sandbox_enter(const struct config *config, struct atls_err *err)
{
    enum atls_code code;

    if (config->sandbox == CONFIG_SANDBOX_OFF) {
        log_say(ATLS_LOG_WARNING, "sandbox", "off");
        return ATLS_OK;
    }
    if (config->sandbox == CONFIG_SANDBOX_ON && (code = wall_files(config, err)) != ATLS_OK)
        return code;
    if (config->sandbox == CONFIG_SANDBOX_REPORT)
        log_say(ATLS_LOG_WARNING, "sandbox", "files: nothing is refused, as configured");
    return wall_calls(config, err);
}
