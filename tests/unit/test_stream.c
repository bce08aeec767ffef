/* SPDX-License-Identifier: MIT */
/*
 * Shows that reading from a buffered stream neither loses nor doubles a byte, wherever
 * the bytes are cut and whichever call below fails: over a script of pieces and errors,
 * compared with what a plain search of the whole text would answer.
 */
#include "stream_script.h"

/* ---- read_until, against a search of the whole ---- */

static ssize_t model_until(const char *text, size_t len, const char *delimiter,
                           size_t limit)
{
    size_t delimiter_len = strlen(delimiter);
    const char *hit = memmem(text, len < limit ? len : limit, delimiter, delimiter_len);

    if (hit)
        return hit - text + (ssize_t)delimiter_len;
    if (len >= limit)
        return -EMSGSIZE;
    return len > 0 ? -EPROTO : 0;
}

static void check_until(const char *text, const char *delimiter, size_t limit,
                        size_t piece)
{
    struct script s = text_script(text, piece);
    hk_stream *stream = over(&s);
    size_t at = 0;
    ssize_t got, want;

    do {
        const char *data = NULL, *left;
        size_t left_len;

        want = model_until(text + at, s.len - at, delimiter, limit);
        got = hk_stream_read_until(stream, delimiter, strlen(delimiter), limit, &data);
        CHECK_EQ(got, want);
        if (got > 0)
            CHECK(memcmp(data, text + at, (size_t)got) == 0);
        at += got > 0 ? (size_t)got : 0;
        left_len = hk_stream_peek(stream, &left);
        CHECK_EQ(left_len, s.at - at);
        CHECK(memcmp(left, text + at, left_len) == 0);
    } while (got > 0);
    hk_stream_free(stream);
}

static int read_until_does_not_depend_on_pieces(void *arg)
{
    static const char *const cases[][2] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\nbody", "\r\n\r\n"},
        {"\r\n\r\r\n\r\n\r\r\n\r\n\r\n\r\n", "\r\n\r\n"},
        {"aaaaaab aaab aab", "aaab"},
        {"one\ntwo\n\nfour", "\n"},
        {"0123456789abcdef0123456789abcdef!", "0123456789abcdef"},
        {"xx", "xxx"},
        {"", "x"},
    };

    (void)arg;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        size_t len = strlen(cases[i][0]);

        for (size_t piece = 1; piece <= len + 1; piece++)
            for (size_t limit = 0; limit <= len + 2; limit++)
                check_until(cases[i][0], cases[i][1], limit, piece);
        check_until(cases[i][0], cases[i][1], SIZE_MAX, 1);
    }
    return 0;
}

/* Larger than the first buffer, which then has to grow, up to the limit. */
static int read_until_grows_up_to_its_limit(void *arg)
{
    enum { LEN = 100 * 1000 };
    char *text = malloc(LEN + 1);
    size_t pieces[] = {1000, 1448, ROOM - 1, ROOM, ROOM + 1, LEN};

    (void)arg;
    memset(text, 'x', LEN);
    text[LEN] = '\0';
    text[LEN - 1] = '\n';
    text[ROOM - 1] = '\n'; /* the first ends where the buffer does */
    for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++)
        for (size_t limit = LEN - ROOM - 1; limit <= LEN - ROOM + 1; limit++)
            check_until(text, "\n", limit, pieces[i]);
    free(text);
    return 0;
}

static int delimiters_have_1_to_16_bytes(void *arg)
{
    struct script s = text_script("abc", 1);
    hk_stream *stream = over(&s);
    const char *data = "untouched";

    (void)arg;
    CHECK_EQ(hk_stream_read_until(stream, "", 0, 10, &data), -EINVAL);
    CHECK_EQ(hk_stream_read_until(stream, "12345678901234567", 17, 10, &data), -EINVAL);
    CHECK_EQ(hk_stream_read_until(stream, "c\0", 2, 10, &data), -EPROTO);
    CHECK(strcmp(data, "untouched") == 0);
    CHECK_EQ(s.calls, 4);
    hk_stream_free(stream);
    return 0;
}

/* ---- lines ---- */

static void expect_line(hk_stream *stream, const char *want, size_t want_len)
{
    char *line = NULL;
    size_t len = 99;

    CHECK_EQ(hk_stream_read_line(stream, 64, &line, &len), 1);
    CHECK_EQ(len, want_len);
    CHECK(memcmp(line, want, want_len + 1) == 0);
}

static int lines_lose_their_newline_and_nothing_else(void *arg)
{
    static const char text[] = "one\ntwo\r\n\n\r\n\r\r\na\rb\nnul\0nul\nlast\r";
    char *line;

    (void)arg;
    for (size_t piece = 1; piece <= sizeof(text); piece++) {
        struct script s = {.data = text, .len = sizeof(text) - 1, .piece = piece};
        hk_stream *stream = over(&s);

        expect_line(stream, "one", 3);
        expect_line(stream, "two", 3);
        expect_line(stream, "", 0);
        expect_line(stream, "", 0);
        expect_line(stream, "\r", 1);
        expect_line(stream, "a\rb", 3);
        expect_line(stream, "nul\0nul", 7);
        expect_line(stream, "last\r", 5);
        CHECK_EQ(hk_stream_read_line(stream, 64, &line, NULL), 0);
        CHECK_EQ(hk_stream_read_line(stream, 64, &line, NULL), 0);
        hk_stream_free(stream);
    }
    return 0;
}

static int a_line_has_a_limit(void *arg)
{
    struct script s = text_script("1234\n123456789", 1);
    hk_stream *stream = over(&s);
    char *line, buf[9];

    (void)arg;
    CHECK_EQ(hk_stream_read_line(stream, 4, &line, NULL), -EMSGSIZE);
    CHECK_EQ(hk_stream_read_line(stream, 5, &line, NULL), 1);
    CHECK(strcmp(line, "1234") == 0);
    CHECK_EQ(hk_stream_read_line(stream, 9, &line, NULL), -EMSGSIZE);
    CHECK_EQ(hk_stream_read_exactly(stream, buf, 9), 0); /* they stayed buffered */
    CHECK(memcmp(buf, "123456789", 9) == 0);
    hk_stream_free(stream);
    return 0;
}

static int a_cut_line_is_told_from_a_whole_one(void *arg)
{
    char *line, rest[3];

    (void)arg;
    for (size_t piece = 1; piece <= 8; piece++) {
        struct script whole = text_script("a\r\n\n", piece);
        struct script cut = text_script("a\nb\r\r", piece);
        hk_stream *stream = over(&whole);
        size_t len = 9;

        CHECK_EQ(hk_stream_read_whole_line(stream, 9, &line, &len), 1);
        CHECK_EQ(len, 1);
        CHECK_EQ(hk_stream_read_whole_line(stream, 9, &line, &len), 1);
        CHECK_EQ(len, 0);
        CHECK_EQ(hk_stream_read_whole_line(stream, 9, &line, &len), 0);
        hk_stream_free(stream);

        stream = over(&cut);
        CHECK_EQ(hk_stream_read_whole_line(stream, 9, &line, NULL), 1);
        CHECK_EQ(hk_stream_read_whole_line(stream, 9, &line, &len), -EPROTO);
        CHECK_EQ(hk_stream_read_whole_line(stream, 3, &line, &len), -EMSGSIZE);
        CHECK_EQ(hk_stream_read_exactly(stream, rest, 3), 0); /* it stayed buffered */
        CHECK(memcmp(rest, "b\r\r", 3) == 0);
        CHECK_EQ(hk_stream_read_whole_line(stream, 9, &line, &len), 0);
        hk_stream_free(stream);
    }
    return 0;
}

/* The NUL of a last line without newline comes after the last byte of the buffer. */
static int a_last_line_may_fill_the_buffer(void *arg)
{
    (void)arg;
    for (size_t len = ROOM - 1; len <= ROOM + 1; len++) {
        char *text = malloc(len + 1), *line;
        struct script s = {.data = text, .len = len, .piece = len};
        hk_stream *stream = over(&s);
        size_t got;

        memset(text, 'z', len);
        CHECK_EQ(hk_stream_read_line(stream, SIZE_MAX, &line, &got), 1);
        CHECK_EQ(got, len);
        CHECK_EQ(strlen(line), len);
        hk_stream_free(stream);
        free(text);
    }
    return 0;
}

/* ---- an error at each call below ---- */

enum reading { READ, READ_EXACTLY, READ_BIG, READ_LINES, READINGS };

/* Reads on after a failure; everything must have come in the end. */
static size_t read_all(hk_stream *stream, enum reading how, char *out, size_t len,
                       int *failures)
{
    size_t done = 0;

    while (done < len) {
        char *line;
        size_t n = 0;
        ssize_t rc;

        if (how == READ) {
            rc = hk_stream_read(stream, out + done, 7);
            n = rc > 0 ? (size_t)rc : 0;
        } else if (how == READ_LINES) {
            rc = hk_stream_read_line(stream, len + 1, &line, &n);
            if (rc == 1) {
                memcpy(out + done, line, n);
                out[done + n++] = '\n';
            }
        } else {
            n = how == READ_BIG ? len - done : 100;
            n = n < len - done ? n : len - done;
            rc = hk_stream_read_exactly(stream, out + done, n);
        }
        if (rc < 0) {
            CHECK(rc == -EIO || rc == -ECANCELED);
            ++*failures;
            continue;
        }
        done += n;
    }
    return done;
}

static void fail_each_read(enum reading how, size_t len, size_t piece, int error)
{
    char *text = malloc(len + 1), *out = malloc(len + 1);
    int failures = 1;

    for (size_t i = 0; i < len; i++)
        text[i] = i % 37 == 36 || i == len - 1 ? '\n' : (char)('a' + i % 23);
    for (int fail_at = 1; failures > 0; fail_at++) {
        struct script s = {.data = text, .len = len, .piece = piece};
        hk_stream *stream = over(&s);

        s.fail_at = fail_at;
        s.error = error;
        failures = 0;
        memset(out, 0, len);
        CHECK_EQ(read_all(stream, how, out, len, &failures), len);
        CHECK(memcmp(out, text, len) == 0);
        CHECK_EQ(s.at, len);
        CHECK(fail_at < 10000);
        hk_stream_free(stream);
    }
    free(text);
    free(out);
}

static int a_failed_read_loses_nothing(void *arg)
{
    (void)arg;
    for (enum reading how = READ; how < READINGS; how++) {
        fail_each_read(how, 300, 1, -EIO);
        fail_each_read(how, 300, 11, -ECANCELED);
        fail_each_read(how, 5 * ROOM, 5000, -ECANCELED);
        fail_each_read(how, 5 * ROOM, 5 * ROOM, -EIO);
    }
    return 0;
}

static int read_exactly_tells_a_clean_end_from_a_torn_one(void *arg)
{
    char *buf = malloc(3 * ROOM);

    (void)arg;
    for (size_t len = 10; len < 3 * ROOM; len += 2 * ROOM) {
        struct script s = text_script("abc", 2);
        hk_stream *stream = over(&s);
        const char *left;

        CHECK_EQ(hk_stream_read_exactly(stream, buf, 0), 0);
        CHECK_EQ(hk_stream_read_exactly(stream, buf, len), -EPROTO);
        CHECK_EQ(hk_stream_peek(stream, &left), 3);
        CHECK(memcmp(left, "abc", 3) == 0);
        CHECK_EQ(hk_stream_read_exactly(stream, buf, len), -EPROTO);
        CHECK_EQ(hk_stream_read_exactly(stream, buf, 3), 0);
        CHECK(memcmp(buf, "abc", 3) == 0);
        CHECK_EQ(hk_stream_read_exactly(stream, buf, len), -ENODATA);
        CHECK_EQ(hk_stream_read_exactly(stream, buf, 0), 0);
        CHECK_EQ(hk_stream_read(stream, buf, len), 0);
        hk_stream_free(stream);
    }
    free(buf);
    return 0;
}

static int large_reads_pass_the_buffer(void *arg)
{
    enum { LEN = 4 * ROOM };
    char *text = make_text(LEN), *buf = malloc(LEN);
    struct script s = {.data = text, .len = LEN, .piece = SIZE_MAX};
    hk_stream *stream = over(&s);

    (void)arg;
    CHECK_EQ(hk_stream_read(stream, buf, 1), 1);
    CHECK_EQ(s.asked, ROOM);
    CHECK_EQ(hk_stream_read(stream, buf + 1, LEN), ROOM - 1); /* first what is there */
    CHECK_EQ(s.calls, 1);
    CHECK_EQ(hk_stream_read(stream, buf + ROOM, 2 * ROOM), 2 * ROOM);
    CHECK_EQ(s.asked, 2 * ROOM);
    CHECK_EQ(hk_stream_read(stream, buf, 0), 0);
    CHECK_EQ(hk_stream_read_exactly(stream, buf + 3 * ROOM, ROOM), 0);
    CHECK(memcmp(buf, text, LEN) == 0);
    hk_stream_free(stream);
    free(text);
    free(buf);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(read_until_does_not_depend_on_pieces),
        ON_A_THREAD(read_until_does_not_depend_on_pieces),
        IN_A_TASK(read_until_grows_up_to_its_limit),
        ON_A_THREAD(read_until_grows_up_to_its_limit),
        IN_A_TASK(delimiters_have_1_to_16_bytes),
        ON_A_THREAD(delimiters_have_1_to_16_bytes),
        IN_A_TASK(lines_lose_their_newline_and_nothing_else),
        ON_A_THREAD(lines_lose_their_newline_and_nothing_else),
        IN_A_TASK(a_line_has_a_limit),
        ON_A_THREAD(a_line_has_a_limit),
        IN_A_TASK(a_cut_line_is_told_from_a_whole_one),
        ON_A_THREAD(a_cut_line_is_told_from_a_whole_one),
        IN_A_TASK(a_last_line_may_fill_the_buffer),
        ON_A_THREAD(a_last_line_may_fill_the_buffer),
        IN_A_TASK(a_failed_read_loses_nothing),
        ON_A_THREAD(a_failed_read_loses_nothing),
        IN_A_TASK(read_exactly_tells_a_clean_end_from_a_torn_one),
        ON_A_THREAD(read_exactly_tells_a_clean_end_from_a_torn_one),
        IN_A_TASK(large_reads_pass_the_buffer),
        ON_A_THREAD(large_reads_pass_the_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
