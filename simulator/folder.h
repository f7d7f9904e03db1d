/* Files of a world's directory: written whole or not at all, private keys for their owner alone. */
#ifndef ATLS_SIMULATOR_FOLDER_H
#define ATLS_SIMULATOR_FOLDER_H

#include <stdbool.h>

#include <openssl/evp.h>

#include <atls/bytes.h>

#define ATLS_SIM_PATH_MAX 4096
/* Of one file. */
#define ATLS_SIM_FILE_MAX (1024 * 1024)

/* Names are relative to folder. Errors of all: ATLS_E_IO, ATLS_E_LIMIT (a path or a file too long),
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_sim_folder_make(const char *folder, const char *name,
                                                    unsigned int mode, struct atls_err *err);
ATLS_MUST_CHECK enum atls_code atls_sim_folder_read(const char *folder, const char *name,
                                                    struct atls_buf *out, struct atls_err *err);
enum atls_sim_access { ATLS_SIM_PUBLIC = 0644, ATLS_SIM_SECRET = 0600 };
/* Replaces the file at once: who reads sees the old content or the new. */
ATLS_MUST_CHECK enum atls_code atls_sim_folder_write(const char *folder, const char *name,
                                                     struct atls_bytes content,
                                                     enum atls_sim_access access,
                                                     struct atls_err *err);
/* Keys, PKCS#8 PEM in keys/NAME.pem. Also ATLS_E_CRYPTO, ATLS_E_DECODE. */
ATLS_MUST_CHECK enum atls_code atls_sim_folder_read_key(const char *folder, const char *name,
                                                        EVP_PKEY **out, struct atls_err *err);
ATLS_MUST_CHECK enum atls_code atls_sim_folder_write_key(const char *folder, const char *name,
                                                         EVP_PKEY *key, struct atls_err *err);
/* One process at a time between lock and unlock; *out_fd is for unlock. */
ATLS_MUST_CHECK enum atls_code atls_sim_folder_lock(const char *folder, int *out_fd,
                                                    struct atls_err *err);
void atls_sim_folder_unlock(int fd);

#endif
