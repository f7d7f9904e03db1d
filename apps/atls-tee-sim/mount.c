/* Glue between FUSE and simulator/tree.h, which knows what to answer. */
#define _XOPEN_SOURCE    700 /* realpath */
#define FUSE_USE_VERSION 314

#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fuse3/fuse.h>

#include "simulator/tree.h"

/* One makes a quote, the others list and wait. */
#define THREADS 8
/* Whoever dies leaves no dead mount behind. */
#define MOUNT_OPTIONS "auto_unmount,fsname=atls-tee-sim,subtype=tsm"

static const char usage[] =
    "usage: atls-tee-sim mount DIR MOUNTPOINT [OPTION ...]\n"
    "\n"
    "Serves MOUNTPOINT as Linux serves /sys/kernel/config/tsm/report on such a machine, until it "
    "is\n"
    "told to end (SIGTERM, SIGINT) or unmounted (fusermount3 -u). Prints a line that begins with\n"
    "\"ready\" when the directory is there.\n"
    "\n"
    "  --background       return when it is ready\n"
    "  --help             this text\n";

static struct {
    struct atls_sim_tree *tree;
} served;

#define TREE (served.tree)

/* ---- operations ---- */

static int op_getattr(const char *path, struct stat *out, struct fuse_file_info *info)
{
    int answer = atls_sim_tree_stat(TREE, path, out);

    (void)info;
    out->st_uid = getuid();
    out->st_gid = getgid();
    return answer;
}

struct listing {
    void *buf;
    fuse_fill_dir_t fill;
};

static bool list_one(void *context, const char *name, bool directory)
{
    struct listing *l = context;
    struct stat status = {.st_mode = directory ? S_IFDIR : S_IFREG};

    return l->fill(l->buf, name, &status, 0, (enum fuse_fill_dir_flags)0) == 0;
}

static int op_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset,
                      struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
    struct listing l = {buf, fill};

    (void)offset;
    (void)info;
    (void)flags;
    (void)list_one(&l, ".", true);
    (void)list_one(&l, "..", true);
    return atls_sim_tree_list(TREE, path, list_one, &l);
}

static int op_mkdir(const char *path, mode_t mode)
{
    (void)mode; /* as in configfs */
    return atls_sim_tree_mkdir(TREE, path);
}

static int op_rmdir(const char *path)
{
    return atls_sim_tree_rmdir(TREE, path);
}

static struct atls_sim_file *file_of(const struct fuse_file_info *info)
{
    return (struct atls_sim_file *)(uintptr_t)info->fh;
}

static int op_open(const char *path, struct fuse_file_info *info)
{
    struct atls_sim_file *file = NULL;
    int answer = atls_sim_file_open(TREE, path, info->flags, &file);

    if (answer != 0)
        return answer;
    info->fh = (uintptr_t)file;
    info->direct_io = 1; /* sizes say nothing */
    return 0;
}

static int op_read(const char *path, char *out, size_t len, off_t offset,
                   struct fuse_file_info *info)
{
    (void)path;
    return (int)atls_sim_file_read(file_of(info), out, len, offset);
}

static int op_write(const char *path, const char *data, size_t len, off_t offset,
                    struct fuse_file_info *info)
{
    (void)path;
    return (int)atls_sim_file_write(file_of(info), data, len, offset);
}

/* close(2) waits for this, but not for the release. */
static int op_flush(const char *path, struct fuse_file_info *info)
{
    (void)path;
    atls_sim_file_commit(file_of(info));
    return 0;
}

static int op_release(const char *path, struct fuse_file_info *info)
{
    (void)path;
    atls_sim_file_close(file_of(info));
    return 0;
}

/* A shell's "> attribute" truncates; attributes have no length to lose. */
static int op_truncate(const char *path, off_t len, struct fuse_file_info *info)
{
    struct stat status;

    (void)len;
    (void)info;
    return atls_sim_tree_stat(TREE, path, &status);
}

/* What configfs does not do. */
static int op_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    (void)path;
    (void)mode;
    (void)info;
    return -EACCES;
}

static int op_mknod(const char *path, mode_t mode, dev_t device)
{
    (void)path;
    (void)mode;
    (void)device;
    return -EPERM;
}

static int op_unlink(const char *path)
{
    (void)path;
    return -EPERM;
}

static int op_rename(const char *from, const char *to, unsigned int flags)
{
    (void)from;
    (void)to;
    (void)flags;
    return -EPERM;
}

static int op_link(const char *from, const char *to)
{
    (void)from;
    (void)to;
    return -EPERM;
}

static int op_chmod(const char *path, mode_t mode, struct fuse_file_info *info)
{
    (void)path;
    (void)mode;
    (void)info;
    return -EPERM;
}

static int op_chown(const char *path, uid_t user, gid_t group, struct fuse_file_info *info)
{
    (void)path;
    (void)user;
    (void)group;
    (void)info;
    return -EPERM;
}

static void *op_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
    (void)connection;
    /* Names come and go, and orders change what is there. */
    config->entry_timeout = 0;
    config->attr_timeout = 0;
    config->negative_timeout = 0;
    return NULL;
}

static const struct fuse_operations operations = {
    .getattr = op_getattr,
    .readdir = op_readdir,
    .mkdir = op_mkdir,
    .rmdir = op_rmdir,
    .open = op_open,
    .read = op_read,
    .write = op_write,
    .flush = op_flush,
    .release = op_release,
    .truncate = op_truncate,
    .create = op_create,
    .mknod = op_mknod,
    .unlink = op_unlink,
    .rename = op_rename,
    .link = op_link,
    .symlink = op_link,
    .chmod = op_chmod,
    .chown = op_chown,
    .init = op_init,
};

/* ---- serving ---- */

static void say(const char *message)
{
    fprintf(stderr, "atls-tee-sim mount: %s\n", message);
}

static enum cli_status loop(const struct cli *cli, struct fuse *fuse)
{
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    int answer;

    if (config == NULL)
        return cli_out_of_memory(cli);
    fuse_loop_cfg_set_max_threads(config, THREADS);
    fuse_loop_cfg_set_idle_threads(config, THREADS);
    answer = fuse_loop_mt(fuse, config);
    fuse_loop_cfg_destroy(config);
    /* A signal is the usual end. */
    if (answer < 0) {
        cli_say(cli, "FUSE: %s", strerror(-answer));
        return CLI_UNKNOWN;
    }
    return CLI_YES;
}

/* Between mounting and unmounting. */
static enum cli_status serve(const struct cli *cli, struct fuse *fuse, const char *provider)
{
    struct fuse_session *session = fuse_get_session(fuse);
    enum cli_status status;

    /* Whoever reads that it is ready may end it at once. */
    if (fuse_set_signal_handlers(session) != 0) {
        cli_say(cli, "no signal handlers");
        return CLI_UNKNOWN;
    }
    printf("ready %s %s\n", cli_operand(cli, 1), provider);
    fflush(stdout);
    if (fuse_daemonize(!cli_flag(cli, "background")) == 0) {
        status = loop(cli, fuse);
    } else {
        cli_say(cli, "no background: %s", strerror(errno));
        status = CLI_UNKNOWN;
    }
    fuse_remove_signal_handlers(session);
    return status;
}

static enum cli_status mount_tree(const struct cli *cli, const char *provider)
{
    char name[] = "atls-tee-sim", option[] = "-o", options[] = MOUNT_OPTIONS;
    char *words[] = {name, option, options, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, words);
    struct fuse *fuse = fuse_new(&args, &operations, sizeof operations, NULL);
    enum cli_status status = CLI_UNKNOWN;

    if (fuse == NULL) {
        cli_say(cli, "FUSE does not start");
    } else if (fuse_mount(fuse, cli_operand(cli, 1)) != 0) {
        cli_say(cli, "%s: cannot be mounted; without FUSE there is: atls-tee-sim evidence",
                cli_operand(cli, 1));
        fuse_destroy(fuse);
    } else {
        status = serve(cli, fuse, provider);
        fuse_unmount(fuse);
        fuse_destroy(fuse);
    }
    fuse_opt_free_args(&args);
    return status;
}

static enum cli_status run_world(const struct cli *cli, struct atls_sim_world *world)
{
    struct atls_sim_provider provider = atls_sim_world_provider(world, say);
    struct atls_err err = ATLS_ERR_INIT;
    enum cli_status status;

    if (atls_sim_tree_new(&provider, 0, &served.tree, &err) != ATLS_OK)
        return cli_fail(cli, &err);
    status = mount_tree(cli, provider.name);
    atls_sim_tree_free(served.tree);
    return status;
}

/* In the background the working directory is another. */
static bool absolute(struct cli *cli, size_t index, char **out)
{
    if ((*out = realpath(cli->operands[index], NULL)) == NULL) {
        cli_say(cli, "%s: %s", cli->operands[index], strerror(errno));
        return false;
    }
    cli->operands[index] = *out;
    return true;
}

static enum cli_status run(struct cli *cli)
{
    char *directory = NULL, *mountpoint = NULL;
    enum cli_status status = CLI_UNKNOWN;
    struct atls_sim_world *world = NULL;

    if (cli_operand(cli, 0) == NULL || cli_operand(cli, 1) == NULL)
        return cli_usage(cli, "want DIR and MOUNTPOINT");
    if (absolute(cli, 0, &directory) && absolute(cli, 1, &mountpoint) &&
        open_world(cli, &world, &status)) {
        status = run_world(cli, world);
        atls_sim_world_free(world);
    }
    free(directory);
    free(mountpoint);
    return status;
}

const struct command command_mount = {
    "mount", "serve a machine's configfs-tsm reports", usage, 2, run, NULL};
