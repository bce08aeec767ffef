/* SPDX-License-Identifier: MIT */
#include "unpack.h"

#include <stdlib.h>

enum { UNPACKED_MAX = 64 * 1024 * 1024 };

static int read_all(hk_fd file, char *buf, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = hk_pread(file, buf + done, size - done, (int64_t)done);

        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        done += (size_t)n;
    }
    return 0;
}

static int run_gzip(const char *packed, size_t size, char **out_data, size_t *out_len)
{
    const char *args[] = {"gzip", "-dc", NULL};
    hk_command gzip = {.args = args, .err = HK_STDIO_NULL};
    hk_output output;
    int rc = hk_command_run(&gzip, packed, size, UNPACKED_MAX, &output);

    if (rc < 0)
        return rc;
    if (output.status != 0) {
        free(output.out);
        return -EIO;
    }
    *out_data = output.out;
    *out_len = output.out_len;
    return 0;
}

int unpack(hk_fd file, uint64_t size, char **out_data, size_t *out_len)
{
    char *packed;
    int rc;

    if (size > UNPACKED_MAX)
        return -EFBIG;
    packed = malloc(size ? size : 1);
    if (!packed)
        return -ENOMEM;
    rc = read_all(file, packed, size);
    if (rc == 0)
        rc = run_gzip(packed, size, out_data, out_len);
    free(packed);
    return rc;
}
