#include "commands.h"

#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include "atls/io.h"
#include "simulator/maker.h"

/* The client is told to come again then. */
#define RETRY_AFTER_S "1"

static const char usage[] =
    "usage: atls-tee-sim serve DIR [OPTION ...]\n"
    "\n"
    "Serves DIR/collateral by HTTP under the paths of AMD's key distribution service (/vcek/v1,\n"
    "/vlek/v1) or of Intel's provisioning certification service (/sgx/certification/v4,\n"
    "/tdx/certification/v4), until SIGTERM. Prints where it listens.\n"
    "\n"
    "  --listen ADDRESS   HOST:PORT; default 127.0.0.1:0, which picks a port\n"
    "  --help             this text\n";

struct service {
    const struct cli *cli;
    struct atls_sim_world *world;
};

static const char *argument(void *context, const char *name)
{
    return MHD_lookup_connection_value(context, MHD_GET_ARGUMENT_KIND, name);
}

static bool add_headers(struct MHD_Response *response, const struct atls_sim_answer *answer)
{
    char value[16384];

    if (answer->type != NULL &&
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type) != MHD_YES)
        return false;
    if (answer->status == 429 &&
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, RETRY_AFTER_S) != MHD_YES)
        return false;
    if (answer->header == NULL)
        return true;
    if (answer->value.len >= sizeof value)
        return false;
    memcpy(value, answer->value.ptr, answer->value.len);
    value[answer->value.len] = '\0';
    return MHD_add_response_header(response, answer->header, value) == MHD_YES;
}

static enum MHD_Result respond(struct MHD_Connection *connection,
                               const struct atls_sim_answer *answer)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->body.len, answer->body.ptr, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_NO;

    if (response == NULL)
        return MHD_NO;
    if (add_headers(response, answer))
        result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state)
{
    const struct atls_sim_question question = {url, connection, argument};
    struct atls_sim_answer answer = {.status = 405};
    struct atls_err err = ATLS_ERR_INIT;
    struct service *service = context;
    static char seen;
    enum MHD_Result result;

    (void)version;
    (void)upload;
    if (*state == NULL) { /* the headers alone are here */
        *state = &seen;
        return MHD_YES;
    }
    if (*upload_size != 0) {
        *upload_size = 0; /* nothing here takes a body */
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 &&
        atls_sim_world_answer(service->world, &question, &answer, &err) != ATLS_OK) {
        cli_say(service->cli, "%s: %s", url, err.message);
        answer.status = 500;
    }
    result = respond(connection, &answer);
    atls_sim_answer_clear(&answer);
    return result;
}

static enum cli_status run_daemon(struct service *service, int fd, const char *where)
{
    struct MHD_Daemon *daemon;
    sigset_t ends;
    int number;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before the thread of the daemon */
    daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, handle, service,
                              MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_TIMEOUT, 30u,
                              MHD_OPTION_END);
    if (daemon == NULL) {
        cli_say(service->cli, "the server does not start");
        close(fd);
        return CLI_UNKNOWN;
    }
    printf("listening on %s\n", where);
    fflush(stdout);
    while (sigwait(&ends, &number) != 0)
        ;
    MHD_stop_daemon(daemon); /* closes fd */
    return CLI_YES;
}

static enum cli_status run(struct cli *cli)
{
    const char *listen = cli_value(cli, "listen");
    struct service service = {.cli = cli};
    struct atls_err err = ATLS_ERR_INIT;
    struct io_address address;
    enum cli_status status;
    char where[128];
    int fd = -1;

    if (io_address(listen != NULL ? listen : "127.0.0.1:0", &address, &err) != ATLS_OK)
        return cli_usage(cli, "--listen: %s", err.message);
    if (!open_world(cli, &service.world, &status))
        return status;
    if (io_listen(&address, &fd, where, &err) != ATLS_OK)
        status = cli_fail(cli, &err);
    else
        status = run_daemon(&service, fd, where);
    atls_sim_world_free(service.world);
    return status;
}

const struct command command_serve = {
    "serve", "serve the maker's collateral by HTTP", usage, 1, run, NULL};
