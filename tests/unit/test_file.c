/* SPDX-License-Identifier: MIT */
/*
 * Shows that file and directory calls do what the system calls say, keep nothing open
 * when they fail, do nothing when cancelled before, and never hold up the loop: each
 * scenario works in a directory of its own below TMPDIR, and looks at the result with
 * plain system calls.
 */
#include "folder_test.h"
#include "io_test.h"

#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

enum { BIG = 8 * 1024 * 1024 };

/* "<folder>/<name>"; four may be in use at once. */
static const char *in_folder(const char *name)
{
    static char paths[4][1024];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void put_file(const char *name, const void *data, size_t len)
{
    int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

    CHECK(fd >= 0);
    CHECK_EQ(write(fd, data, len), len);
    CHECK_EQ(close(fd), 0);
}

/* ---- open, read, write ---- */

static int a_file_is_written_and_read(void *arg)
{
    hk_fd f;
    char buf[16];

    (void)arg;
    CHECK_EQ(hk_open(in_folder("new"), O_RDWR | O_CREAT | O_EXCL, 0600, &f), 0);
    CHECK_EQ(fcntl(hk_fd_number(f), F_GETFD), FD_CLOEXEC);
    CHECK_EQ(hk_write(f, "hello ", 6), 6);
    CHECK_EQ(hk_write_all(f, "world", 5, NULL), 0);
    CHECK_EQ(hk_read(f, buf, sizeof(buf)), 0); /* its position is at the end */
    CHECK_EQ(hk_pread(f, buf, sizeof(buf), 6), 5);
    CHECK(memcmp(buf, "world", 5) == 0);
    CHECK_EQ(hk_pwrite(f, "J", 1, 0), 1);
    CHECK_EQ(hk_pread(f, buf, 5, 0), 5);
    CHECK(memcmp(buf, "Jello", 5) == 0);
    CHECK_EQ(hk_pread(f, buf, sizeof(buf), 11), 0);
    CHECK_EQ(hk_pread(f, buf, sizeof(buf), -1), -EINVAL);
    CHECK_EQ(hk_pwrite(f, buf, sizeof(buf), -1), -EINVAL);
    CHECK_EQ(hk_fsync(f, false), 0);
    CHECK_EQ(hk_fsync(f, true), 0);
    CHECK_EQ(hk_close(f), 0);
    CHECK_EQ(hk_pread(f, buf, 1, 0), -EBADF);
    CHECK_EQ(hk_fsync(f, false), -EBADF);
    return 0;
}

static int opening_fails_as_open_does(void *arg)
{
    hk_fd f = {77}, closed;
    char *data = folder;
    size_t len = 77;
    hk_dir *dir = (hk_dir *)folder;
    int before = open_descriptors();

    (void)arg;
    put_file("file", "x", 1);
    CHECK_EQ(hk_open(folder, O_RDONLY, 0, &closed), 0);
    CHECK_EQ(hk_close(closed), 0);
    CHECK_EQ(hk_open(in_folder("missing"), O_RDONLY, 0, &f), -ENOENT);
    CHECK_EQ(hk_open(in_folder("file"), O_RDWR | O_CREAT | O_EXCL, 0600, &f), -EEXIST);
    CHECK_EQ(hk_open(in_folder("file/x"), O_RDONLY, 0, &f), -ENOTDIR);
    CHECK_EQ(hk_open(folder, O_WRONLY, 0, &f), -EISDIR);
    CHECK_EQ(hk_open(in_folder("file"), O_RDONLY | O_DIRECTORY, 0, &f), -ENOTDIR);
    CHECK_EQ(hk_open_at(closed, "x", O_RDONLY, 0, &f), -EBADF);
    CHECK_EQ(f.value, 77);
    CHECK_EQ(hk_read_file(in_folder("missing"), 10, &data, &len), -ENOENT);
    CHECK_EQ(hk_read_file(folder, 10000, &data, &len), -EISDIR);
    CHECK(data == folder && len == 77);
    CHECK_EQ(hk_dir_open(in_folder("file"), &dir), -ENOTDIR);
    CHECK_EQ(hk_dir_open(in_folder("missing"), &dir), -ENOENT);
    CHECK(dir == (hk_dir *)folder);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}

static int open_at_starts_at_a_directory(void *arg)
{
    hk_fd dir, f;
    char buf[4];

    (void)arg;
    put_file("inside", "abc", 3);
    CHECK_EQ(hk_open(folder, O_RDONLY | O_DIRECTORY, 0, &dir), 0);
    CHECK_EQ(hk_open_at(dir, "inside", O_RDONLY, 0, &f), 0);
    CHECK_EQ(hk_read(f, buf, 4), 3);
    CHECK_EQ(hk_read(dir, buf, 4), -EISDIR);
    CHECK_EQ(hk_close(f), 0);
    CHECK_EQ(hk_close(dir), 0);
    return 0;
}

static int eight_megabytes_come_back(void *arg)
{
    unsigned char *buf = malloc(BIG), *back;
    size_t len;
    hk_fd f;

    (void)arg;
    fill_pattern(buf, BIG);
    CHECK_EQ(hk_open(in_folder("big"), O_WRONLY | O_CREAT, 0600, &f), 0);
    CHECK_EQ(hk_write_all(f, buf, BIG, &len), 0);
    CHECK_EQ(len, BIG);
    CHECK_EQ(hk_close(f), 0);
    CHECK_EQ(hk_read_file(in_folder("big"), BIG, (char **)&back, &len), 0);
    CHECK_EQ(len, BIG);
    check_pattern(back, BIG);
    free(back);
    free(buf);
    return 0;
}

static int writing_past_a_limit_is_an_error(void *arg)
{
    hk_fd full;
    size_t done;

    (void)arg;
    CHECK_EQ(hk_open("/dev/full", O_WRONLY, 0, &full), 0);
    CHECK_EQ(hk_write_all(full, "x", 1, &done), -ENOSPC);
    CHECK_EQ(done, 0);
    CHECK_EQ(hk_close(full), 0);
    return 0;
}

/* ---- whole files ---- */

static int whole_files_have_a_limit_and_a_nul(void *arg)
{
    const size_t sizes[] = {0, 1, 4095, 4096, 4097, 16384, 70000};
    char *text = malloc(70000), *data;
    size_t len;

    (void)arg;
    memset(text, 'f', 70000);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        put_file("whole", text, sizes[i]);
        CHECK_EQ(hk_read_file(in_folder("whole"), sizes[i], &data, &len), 0);
        CHECK_EQ(len, sizes[i]);
        CHECK(memcmp(data, text, len) == 0 && data[len] == '\0');
        free(data);
        if (len > 0)
            CHECK_EQ(hk_read_file(in_folder("whole"), len - 1, &data, &len), -EFBIG);
    }
    free(text);
    return 0;
}

/* /proc says that its files are empty. */
static int files_that_hide_their_size_are_read_whole(void *arg)
{
    char *data;
    size_t len;
    struct stat st;

    (void)arg;
    CHECK_EQ(stat("/proc/self/maps", &st), 0);
    CHECK_EQ(st.st_size, 0);
    CHECK_EQ(hk_read_file("/proc/self/maps", SIZE_MAX, &data, &len), 0);
    CHECK(len > 500 && strlen(data) == len && data[len - 1] == '\n');
    free(data);
    CHECK_EQ(hk_read_file("/proc/self/maps", 500, &data, &len), -EFBIG);
    CHECK_EQ(hk_read_file("/dev/zero", 10000, &data, &len), -EFBIG);
    CHECK_EQ(hk_read_file("/dev/null", 10000, &data, &len), 0);
    CHECK_EQ(len, 0);
    free(data);
    return 0;
}

static int read_fifo(void *arg)
{
    hk_fd *f = arg;
    char buf[100];

    CHECK_EQ(hk_read_exactly(*f, buf, sizeof(buf), NULL), 0);
    return 0;
}

static int a_fifo_is_a_stream(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_fd f, out;
    char byte;

    (void)arg;
    CHECK_EQ(mkfifo(in_folder("fifo"), 0600), 0);
    CHECK_EQ(hk_open(in_folder("fifo"), O_WRONLY, 0, &out), -ENXIO);
    CHECK_EQ(hk_open(in_folder("fifo"), O_RDONLY, 0, &f), 0);
    CHECK_EQ(hk_read(f, &byte, 1), 0);
    CHECK_EQ(hk_open(in_folder("fifo"), O_WRONLY, 0, &out), 0);
    CHECK_EQ(hk_write(out, "f", 1), 1);
    CHECK_EQ(hk_read(f, &byte, 1), 1);
    CHECK_EQ(hk_close(out), 0);
    CHECK_EQ(hk_close(f), 0);
    CHECK_EQ(hk_open(in_folder("fifo"), O_RDWR, 0, &f), 0);
    hk_scope_open(&s);
    hk_spawn(&s, read_fifo, &f);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(hk_yield(), 0); /* the reader waits */
        CHECK_EQ(hk_write_all(f, "0123456789", 10, NULL), 0);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_close(f), 0);
    return 0;
}

/* ---- stat ---- */

static int stat_tells_what_stat_tells(void *arg)
{
    struct timespec times[2] = {{1, 2}, {1234567890, 987654321}};
    struct stat want;
    hk_stat got;
    hk_fd f;

    (void)arg;
    put_file("file", "12345", 5);
    CHECK_EQ(chmod(in_folder("file"), 0640), 0);
    CHECK_EQ(utimensat(AT_FDCWD, in_folder("file"), times, 0), 0);
    CHECK_EQ(symlink("file", in_folder("link")), 0);
    CHECK_EQ(stat(in_folder("file"), &want), 0);
    CHECK_EQ(hk_stat_path(in_folder("link"), &got), 0);
    CHECK_EQ(got.size_bytes, 5);
    CHECK_EQ(got.mode, S_IFREG | 0640);
    CHECK_EQ(got.inode, want.st_ino);
    CHECK_EQ(got.device, want.st_dev);
    CHECK_EQ(got.links, 1);
    CHECK_EQ(got.uid, want.st_uid);
    CHECK_EQ(got.gid, want.st_gid);
    CHECK_EQ(got.modified_ns, INT64_C(1234567890987654321));
    CHECK_EQ(hk_stat_link(in_folder("link"), &got), 0);
    CHECK(S_ISLNK(got.mode));
    CHECK_EQ(hk_open(in_folder("file"), O_RDONLY, 0, &f), 0);
    CHECK_EQ(hk_stat_fd(f, &got), 0);
    CHECK_EQ(got.inode, want.st_ino);
    CHECK_EQ(hk_close(f), 0);
    got.size_bytes = 77;
    CHECK_EQ(hk_stat_fd(f, &got), -EBADF);
    CHECK_EQ(hk_stat_path(in_folder("missing"), &got), -ENOENT);
    CHECK_EQ(got.size_bytes, 77);
    return 0;
}

/* ---- directories ---- */

enum { FILES = 400, NAME_LEN = 200 }; /* a few pieces of 32 KiB */

/* 200 bytes: zeros, and the number at the end. */
static void make_files(void)
{
    for (int i = 0; i < FILES; i++) {
        char name[NAME_LEN + 1];

        snprintf(name, sizeof(name), "%0*d", NAME_LEN, i);
        CHECK_EQ(mknod(in_folder(name), S_IFREG | 0600, 0), 0);
    }
}

static int a_directory_gives_each_entry_once(void *arg)
{
    bool seen[FILES] = {false};
    hk_dir_entry entry;
    hk_dir *dir;
    int rc, count = 0, others = 0;

    (void)arg;
    make_files();
    CHECK_EQ(mkdir(in_folder("folder"), 0700), 0);
    CHECK_EQ(symlink("x", in_folder(".hidden")), 0);
    CHECK_EQ(hk_dir_open(folder, &dir), 0);
    while ((rc = hk_dir_next(dir, &entry)) == 1) {
        CHECK(entry.inode != 0);
        if (strlen(entry.name) == NAME_LEN) {
            int i = atoi(entry.name);

            CHECK(i >= 0 && i < FILES && !seen[i] && entry.type == DT_REG);
            seen[i] = true;
            count++;
        } else if (strcmp(entry.name, "folder") == 0) {
            others += entry.type == DT_DIR;
        } else {
            CHECK(strcmp(entry.name, ".hidden") == 0);
            others += 10 * (entry.type == DT_LNK);
        }
    }
    CHECK_EQ(rc, 0);
    CHECK_EQ(count, FILES);
    CHECK_EQ(others, 11);
    CHECK_EQ(hk_dir_next(dir, &entry), 0);
    hk_dir_close(dir);
    hk_dir_close(NULL);
    return 0;
}

static int an_empty_and_a_removed_directory_have_no_entries(void *arg)
{
    hk_dir_entry entry;
    hk_dir *dir;

    (void)arg;
    CHECK_EQ(hk_mkdir(in_folder("sub"), 0700), 0);
    CHECK_EQ(hk_dir_open(in_folder("sub"), &dir), 0);
    CHECK_EQ(hk_dir_next(dir, &entry), 0);
    hk_dir_close(dir);
    CHECK_EQ(hk_dir_open(in_folder("sub"), &dir), 0);
    CHECK_EQ(rmdir(in_folder("sub")), 0);
    CHECK_EQ(hk_dir_next(dir, &entry), 0);
    hk_dir_close(dir);
    return 0;
}

static int names_are_made_moved_and_removed(void *arg)
{
    struct stat st;

    (void)arg;
    CHECK_EQ(hk_mkdir(in_folder("d"), 0700), 0);
    CHECK_EQ(stat(in_folder("d"), &st), 0);
    CHECK_EQ(st.st_mode, S_IFDIR | 0700);
    CHECK_EQ(hk_mkdir(in_folder("d"), 0700), -EEXIST);
    put_file("f", "x", 1);
    CHECK_EQ(hk_rename(in_folder("f"), in_folder("d/g")), 0);
    CHECK_EQ(hk_rename(in_folder("f"), in_folder("d/g")), -ENOENT);
    CHECK_EQ(hk_unlink(in_folder("d/g")), 0);
    CHECK_EQ(hk_unlink(in_folder("d/g")), -ENOENT);
    CHECK_EQ(hk_unlink(in_folder("d")), -EISDIR);
    return 0;
}

/* ---- cancel ---- */

static int try_all_calls(void *arg)
{
    hk_fd *f = arg, none;
    hk_stat st;
    char buf[4], *data;
    size_t len;
    hk_dir *dir;
    const char *made = in_folder("made"), *file = in_folder("file");

    CHECK_EQ(hk_open(made, O_RDWR | O_CREAT, 0600, &none), -ECANCELED);
    CHECK_EQ(hk_open_at(*f, made, O_RDWR | O_CREAT, 0600, &none), -ECANCELED);
    CHECK_EQ(hk_mkdir(made, 0700), -ECANCELED);
    CHECK_EQ(hk_rename(file, made), -ECANCELED);
    CHECK_EQ(hk_unlink(file), -ECANCELED);
    CHECK_EQ(hk_pwrite(*f, "XXXX", 4, 0), -ECANCELED);
    CHECK_EQ(hk_pread(*f, buf, 4, 0), -ECANCELED);
    CHECK_EQ(hk_fsync(*f, false), -ECANCELED);
    CHECK_EQ(hk_stat_path(file, &st), -ECANCELED);
    CHECK_EQ(hk_stat_link(file, &st), -ECANCELED);
    CHECK_EQ(hk_stat_fd(*f, &st), -ECANCELED);
    CHECK_EQ(hk_read_file(file, 100, &data, &len), -ECANCELED);
    CHECK_EQ(hk_dir_open(folder, &dir), -ECANCELED);
    return 0;
}

static int try_next_entry(void *arg)
{
    hk_dir_entry entry;

    return hk_dir_next(arg, &entry);
}

static int cancelled_before_nothing_happens(void *arg)
{
    int before = open_descriptors();
    hk_dir_entry entry;
    hk_dir *dir;
    struct stat st;
    char buf[8];
    hk_fd f;

    (void)arg;
    put_file("file", "kept", 4);
    CHECK_EQ(hk_open(in_folder("file"), O_RDWR, 0, &f), 0);
    CHECK_EQ(run_cancelled(try_all_calls, &f), 0);
    CHECK_EQ(stat(in_folder("made"), &st), -1);
    CHECK_EQ(hk_pread(f, buf, 8, 0), 4);
    CHECK(memcmp(buf, "kept", 4) == 0);
    CHECK_EQ(hk_close(f), 0);
    CHECK_EQ(hk_dir_open(folder, &dir), 0);
    CHECK_EQ(run_cancelled(try_next_entry, dir), -ECANCELED); /* nothing read yet */
    CHECK_EQ(hk_dir_next(dir, &entry), 1);
    CHECK(strcmp(entry.name, "file") == 0);
    CHECK_EQ(run_cancelled(try_next_entry, dir), -ECANCELED);
    CHECK_EQ(hk_dir_next(dir, &entry), 0);
    hk_dir_close(dir);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}

/* ---- memory ---- */

static int all_calls(void)
{
    hk_dir_entry entry;
    hk_dir *dir;
    char *data;
    size_t len;
    int rc = hk_read_file(in_folder("file"), 100, &data, &len);

    if (rc < 0)
        return rc;
    free(data);
    rc = hk_read_file("/proc/self/maps", SIZE_MAX, &data, &len); /* grows */
    if (rc < 0)
        return rc;
    free(data);
    rc = hk_dir_open(folder, &dir);
    if (rc < 0)
        return rc;
    rc = hk_dir_next(dir, &entry);
    hk_dir_close(dir);
    return rc < 0 ? rc : 0;
}

static int every_allocation_may_fail(void *arg)
{
    int before = open_descriptors(), rc = -ENOMEM;

    (void)arg;
    put_file("file", "x", 1);
    CHECK_EQ(all_calls(), 0); /* the blocking pool has its threads */
    before = open_descriptors();
    for (uint64_t nth = 1; rc < 0; nth++) {
        CHECK(nth < 200);
        hk_fault_arm(HK_FAULT_ALLOC, nth, -ENOMEM);
        rc = all_calls();
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        CHECK(rc == 0 || rc == -ENOMEM);
        CHECK_EQ(open_descriptors(), before);
    }
    return 0;
}

static int opening_without_descriptors_is_emfile(void *arg)
{
    rlim_t old;
    char *data;
    size_t len;
    hk_dir *dir;
    hk_fd f;

    (void)arg;
    put_file("file", "x", 1);
    CHECK_EQ(all_calls(), 0);
    old = forbid_descriptors();
    CHECK_EQ(hk_open(in_folder("file"), O_RDONLY, 0, &f), -EMFILE);
    CHECK_EQ(hk_read_file(in_folder("file"), 9, &data, &len), -EMFILE);
    CHECK_EQ(hk_dir_open(folder, &dir), -EMFILE);
    restore_descriptors(old);
    CHECK_EQ(all_calls(), 0);
    return 0;
}

#define TASK_TEST(scenario)                                                            \
    {                                                                                  \
#scenario "_in_a_task", run_in_a_task, make_folder, remove_folder,             \
            (void *)(uintptr_t)scenario                                                \
    }
#define BOTH_TESTS(scenario)                                                           \
    TASK_TEST(scenario),                                                               \
    {                                                                                  \
#scenario "_on_a_thread", run_on_a_thread, make_folder, remove_folder,         \
            (void *)(uintptr_t)scenario                                                \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_TESTS(a_file_is_written_and_read),
        BOTH_TESTS(opening_fails_as_open_does),
        BOTH_TESTS(open_at_starts_at_a_directory),
        BOTH_TESTS(eight_megabytes_come_back),
        BOTH_TESTS(writing_past_a_limit_is_an_error),
        BOTH_TESTS(whole_files_have_a_limit_and_a_nul),
        BOTH_TESTS(files_that_hide_their_size_are_read_whole),
        BOTH_TESTS(a_fifo_is_a_stream),
        BOTH_TESTS(stat_tells_what_stat_tells),
        BOTH_TESTS(a_directory_gives_each_entry_once),
        BOTH_TESTS(an_empty_and_a_removed_directory_have_no_entries),
        BOTH_TESTS(names_are_made_moved_and_removed),
        BOTH_TESTS(cancelled_before_nothing_happens),
        TASK_TEST(every_allocation_may_fail),
        TASK_TEST(opening_without_descriptors_is_emfile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
