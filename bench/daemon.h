/* atls-verifierd as a process of a benchmark: a folder below /tmp with its configuration, a port of
 * the loopback, what it used. Exits the program on failure; ends with it. */
#ifndef ATLS_BENCH_DAEMON_H
#define ATLS_BENCH_DAEMON_H

#include <stdint.h>
#include <sys/types.h>

struct daemon {
    char folder[32], config[64], log[64];
    pid_t pid;
    uint16_t port;
};

/* Makes the folder; a store goes into it before the start. */
void daemon_prepare(struct daemon *d);
/* program: path of atls-verifierd; limits: YAML of "limits:". Returns when it is ready. */
void daemon_start(struct daemon *d, const char *program, const char *store, const char *limits,
                  const char *sessions);
void daemon_stop(struct daemon *d);

/* CPU time of all threads of a process, user and system. */
double process_cpu_ns(pid_t pid);
/* Of all processes of PostgreSQL that descend from this one; to 10 ms. */
double postgres_cpu_ns(void);
/* Memory that is resident, KiB; the most that ever was. */
long process_rss_kib(pid_t pid);
long process_peak_kib(pid_t pid);
#endif
