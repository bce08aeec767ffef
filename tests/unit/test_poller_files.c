/* SPDX-License-Identifier: MIT */
/*
 * Shows that files work alike on both backends, cached or not: reads that the page
 * cache answers finish in submit, everything else in the ring or on the blocking pool,
 * and nobody can tell from the results.
 */
#include "unit/poller_rig.h"

#include <poll.h>
#include <sys/stat.h>

#define FILE_BYTES 100000

/* A file of our own, filled with a pattern; its path in `out`. */
static int make_file(char out[32])
{
    static char bytes[FILE_BYTES];
    int fd;

    strcpy(out, "/tmp/hocket-test-XXXXXX");
    fd = mkostemp(out, O_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i % 251);
    assert_int_equal(hki_os_write_all(fd, bytes, sizeof(bytes)), 0);
    assert_int_equal(fsync(fd), 0);
    return fd;
}

static void remove_file(int fd, const char *path)
{
    close_fd(fd);
    assert_int_equal(unlink(path), 0);
}

static void assert_pattern(const char *bytes, size_t len, size_t offset)
{
    for (size_t i = 0; i < len; i++)
        assert_int_equal(bytes[i], (char)((offset + i) % 251));
}

static int read_at(struct rig *rig, int fd, char *buf, size_t len, int64_t offset)
{
    struct op op = op_buf(HKI_IO_READ, fd, HKI_FD_FILE, buf, len);

    op.req.offset = offset;
    return run(rig, &op);
}

static void cached_reads_are_complete(void **state)
{
    RIG(state);
    static char buf[2 * FILE_BYTES];
    char path[32];
    int fd = make_file(path);

    assert_int_equal(read_at(rig, fd, buf, 1000, 500), 1000);
    assert_pattern(buf, 1000, 500);
    assert_int_equal(read_at(rig, fd, buf, sizeof(buf), 0), FILE_BYTES);
    assert_pattern(buf, FILE_BYTES, 0);
    assert_int_equal(read_at(rig, fd, buf, sizeof(buf), FILE_BYTES - 10), 10);
    assert_int_equal(read_at(rig, fd, buf, sizeof(buf), FILE_BYTES), 0);
    /* The file's own position moves. */
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(read_at(rig, fd, buf, 60000, -1), 60000);
    assert_int_equal(read_at(rig, fd, buf, 60000, -1), 40000);
    assert_pattern(buf, 40000, 60000);
    assert_int_equal(read_at(rig, fd, buf, 60000, -1), 0);
    remove_file(fd, path);
}

/* Only the middle is in the cache: the read must not end where the cache does. */
static void uncached_reads_are_complete(void **state)
{
    RIG(state);
    static char buf[FILE_BYTES];
    char path[32];
    int fd = make_file(path);

    for (int i = 0; i < 10; i++) {
        int64_t offset = i % 2 ? -1 : 0;

        posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        if (i % 3)
            assert_int_equal(pread(fd, buf, 20000, i % 3 == 1 ? 0 : 40000), 20000);
        memset(buf, 'x', sizeof(buf));
        lseek(fd, 0, SEEK_SET);
        assert_int_equal(read_at(rig, fd, buf, sizeof(buf), offset), FILE_BYTES);
        assert_pattern(buf, FILE_BYTES, 0);
        if (offset < 0)
            assert_int_equal(lseek(fd, 0, SEEK_CUR), FILE_BYTES);
    }
    remove_file(fd, path);
}

static void a_file_opened_nonblocking_reads_all_the_same(void **state)
{
    RIG(state);
    static char buf[FILE_BYTES];
    char path[32];
    int fd = make_file(path), other = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    assert_int_equal(read_at(rig, other, buf, sizeof(buf), 0), FILE_BYTES);
    assert_pattern(buf, FILE_BYTES, 0);
    close_fd(other);
    remove_file(fd, path);
}

/* Adopted without HKI_FD_FILE, as stdin is when it is redirected from a file. */
static void a_file_in_disguise_works(void **state)
{
    RIG(state);
    static char buf[FILE_BYTES];
    char path[32];
    int fd = make_file(path);
    struct op w, p;

    for (int i = 0; i < 4; i++) {
        struct op op = op_buf(HKI_IO_READ, fd, HKI_FD_BORROWED, buf, sizeof(buf));

        if (i % 2)
            posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        op.req.offset = 0;
        assert_true(run(rig, &op) > 0);
        assert_pattern(buf, (size_t)op.req.result, 0);
    }
    w = op_buf(HKI_IO_WRITE, fd, HKI_FD_BORROWED, buf, sizeof(buf));
    assert_int_equal(run(rig, &w), FILE_BYTES);
    p = op_of(HKI_IO_POLL, fd, HKI_FD_BORROWED);
    p.req.flags = POLLIN | POLLOUT;
    assert_int_equal(run(rig, &p), POLLIN | POLLOUT);
    remove_file(fd, path);
}

static void writes_vectors_and_fsync_work(void **state)
{
    RIG(state);
    char path[32], a[3] = "", b[4] = "";
    struct iovec iov[2] = {{a, 3}, {b, 4}};
    int fd = make_file(path);
    struct op op = op_buf(HKI_IO_WRITE, fd, HKI_FD_FILE, "ABCDEFG", 7);

    op.req.offset = 10;
    assert_int_equal(run(rig, &op), 7);
    op = op_of(HKI_IO_READV, fd, HKI_FD_FILE);
    op.req.iov = iov;
    op.req.len = 2;
    op.req.offset = 10;
    assert_int_equal(run(rig, &op), 7);
    assert_memory_equal(a, "ABC", 3);
    assert_memory_equal(b, "DEFG", 4);
    op.req.code = HKI_IO_WRITEV;
    op.req.offset = FILE_BYTES - 2;
    assert_int_equal(run(rig, &op), 7);
    assert_int_equal(lseek(fd, 0, SEEK_END), FILE_BYTES + 5);
    for (unsigned data_only = 0; data_only < 2; data_only++) {
        op = op_of(HKI_IO_FSYNC, fd, HKI_FD_FILE);
        op.req.flags = data_only;
        assert_int_equal(run(rig, &op), 0);
    }
    remove_file(fd, path);
}

static int open_path(struct rig *rig, int dir, const char *path, int flags)
{
    struct op op = op_of(HKI_IO_OPEN, -1, 0);

    op.req.fd = dir;
    op.req.path = path;
    op.req.flags = (uint32_t)flags;
    op.req.mode_or_mask = 0640;
    return run(rig, &op);
}

static void opened_descriptors_are_as_asked(void **state)
{
    RIG(state);
    static const int ways[] = {O_RDONLY, O_RDWR | O_APPEND, O_RDONLY | O_NONBLOCK};
    char path[32];
    int first = make_file(path), fd, dir;

    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        fd = open_path(rig, AT_FDCWD, path, ways[i]);
        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK),
                         ways[i]);
        close_fd(fd);
    }
    dir = open_path(rig, AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY);
    assert_true(dir >= 0);
    fd = open_path(rig, dir, path + 5, O_RDONLY);
    assert_true(fd >= 0);
    close_fd(fd);
    fd = open_path(rig, dir, path + 5, O_PATH);
    assert_true(fd >= 0);
    close_fd(fd);
    assert_int_equal(open_path(rig, dir, path + 5, O_RDONLY | O_DIRECTORY), -ENOTDIR);
    assert_int_equal(open_path(rig, dir, path + 5, O_CREAT | O_EXCL | O_RDWR), -EEXIST);
    remove_file(first, path);
    assert_int_equal(open_path(rig, dir, path + 5, O_RDONLY), -ENOENT);
    fd = open_path(rig, dir, path + 5, O_CREAT | O_EXCL | O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    remove_file(fd, path);
    close_fd(dir);
}

/* No open waits for the other end of a FIFO, whether the cache knows the name or
 * not. */
static void opening_a_fifo_never_waits(void **state)
{
    RIG(state);
    char path[32], buf[4];
    struct op op;
    int fd = make_file(path), reader, writer;

    remove_file(fd, path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(open_path(rig, AT_FDCWD, path, O_WRONLY), -ENXIO);
    reader = open_path(rig, AT_FDCWD, path, O_RDONLY);
    assert_true(reader >= 0);
    assert_int_equal(fcntl(reader, F_GETFL) & O_NONBLOCK, 0);
    writer = open_path(rig, AT_FDCWD, path, O_WRONLY | O_CREAT);
    assert_true(writer >= 0);
    assert_int_equal(fcntl(writer, F_GETFL) & O_NONBLOCK, 0);
    op = op_buf(HKI_IO_WRITE, writer, 0, "fifo", 4);
    assert_int_equal(run(rig, &op), 4);
    op = op_buf(HKI_IO_READ, reader, 0, buf, 4);
    assert_int_equal(run(rig, &op), 4);
    close_fd(writer);
    remove_file(reader, path);
}

static int stat_it(struct rig *rig, int dir, const char *path, unsigned flags,
                   struct statx *out)
{
    struct op op = op_of(HKI_IO_STATX, -1, 0);

    op.req.fd = dir;
    op.req.path = path;
    op.req.flags = flags;
    op.req.mode_or_mask = STATX_BASIC_STATS;
    op.req.statx = out;
    return run(rig, &op);
}

static void statx_works_on_paths_and_handles(void **state)
{
    RIG(state);
    struct statx found;
    char path[32];
    int fd = make_file(path);

    assert_int_equal(stat_it(rig, AT_FDCWD, path, 0, &found), 0);
    assert_int_equal(found.stx_size, FILE_BYTES);
    memset(&found, 0, sizeof(found));
    assert_int_equal(stat_it(rig, fd, "", AT_EMPTY_PATH, &found), 0);
    assert_int_equal(found.stx_size, FILE_BYTES);
    assert_true(S_ISREG(found.stx_mode));
    assert_int_equal(stat_it(rig, AT_FDCWD, "/nowhere", 0, &found), -ENOENT);
    assert_int_equal(stat_it(rig, 9999, "", AT_EMPTY_PATH, &found), -EBADF);
    assert_int_equal(found.stx_size, FILE_BYTES); /* untouched on failure */
    remove_file(fd, path);
}

static void file_errors_are_results(void **state)
{
    RIG(state);
    char path[32], buf[4];
    int fd = make_file(path), dir = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct op op = op_buf(HKI_IO_READ, dir, HKI_FD_FILE, buf, sizeof(buf));

    assert_int_equal(run(rig, &op), -EISDIR);
    op = op_buf(HKI_IO_READ, 9999, HKI_FD_FILE, buf, sizeof(buf));
    assert_int_equal(run(rig, &op), -EBADF);
    close_fd(dir);
    remove_file(fd, path);
}

static int square(void *arg)
{
    int *number = arg;

    *number *= *number;
    return -EINTR; /* whatever it is, it is the result */
}

static void work_runs_on_the_pool(void **state)
{
    RIG(state);
    enum { COUNT = 500 };
    static struct op ops[COUNT];
    static int numbers[COUNT];

    for (int i = 0; i < COUNT; i++) {
        numbers[i] = i;
        ops[i] = op_of(HKI_IO_WORK, -1, 0);
        ops[i].req.work = square;
        ops[i].req.work_arg = &numbers[i];
        submit(rig, &ops[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(finish(rig, &ops[i]), -EINTR);
        assert_int_equal(numbers[i], i * i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(cached_reads_are_complete),
        BOTH(uncached_reads_are_complete),
        BOTH(a_file_opened_nonblocking_reads_all_the_same),
        BOTH(a_file_in_disguise_works),
        BOTH(writes_vectors_and_fsync_work),
        BOTH(opened_descriptors_are_as_asked),
        BOTH(opening_a_fifo_never_waits),
        BOTH(statx_works_on_paths_and_handles),
        BOTH(file_errors_are_results),
        BOTH(work_runs_on_the_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
