/* SPDX-License-Identifier: MIT */
/*
 * Strict where leniency lets two programs read one request in two ways: no blank before
 * the colon, no folded lines, one Host, one length.
 */
#include "request.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is_token(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr("!#$%&'*+-.^_`|~", *text))
            return false;
    return true;
}

/* Cuts the line at `*cursor` off, without its CR LF; NULL when there is none left. */
static char *next_line(char **cursor, const char *end)
{
    char *line = *cursor;
    char *newline = memchr(line, '\n', (size_t)(end - line));

    if (!newline)
        return NULL;
    *cursor = newline + 1;
    if (newline > line && newline[-1] == '\r')
        newline--;
    *newline = '\0';
    return line;
}

static int check_method(const char *method)
{
    static const char *const known[] = {"POST",    "PUT",     "DELETE", "PATCH",
                                        "OPTIONS", "CONNECT", "TRACE"};

    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        return 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(method, known[i]) == 0)
            return 405;
    return 501;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7f)
            return true;
    return false;
}

/* "http://host/path", which proxies are sent, means "/path" here. */
static const char *without_authority(const char *target)
{
    if (strncasecmp(target, "http://", 7) != 0)
        return target;
    target = strchr(target + 7, '/');
    return target ? target : "/";
}

static int parse_first_line(char *line, struct request *out, bool *out_old)
{
    char *target = strchr(line, ' ');
    char *version = target ? strchr(target + 1, ' ') : NULL;

    if (!version)
        return 400;
    *target++ = '\0';
    *version++ = '\0';
    if (!is_token(line) || has_control(target) || strncmp(version, "HTTP/", 5) != 0 ||
        strlen(version) != 8 || !isdigit((unsigned char)version[5]) ||
        version[6] != '.' || !isdigit((unsigned char)version[7]))
        return 400;
    out->method = line;
    out->head_only = strcmp(line, "HEAD") == 0;
    if (version[5] != '1')
        return 505;
    *out_old = version[7] == '0';
    if (strlen(target) > TARGET_MAX)
        return 414;
    out->target = without_authority(target);
    return check_method(line);
}

/* Whether the comma-separated `list` has `word`, without regard to case. */
static bool list_has(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (; *list; list += strcspn(list, ",")) {
        list += strspn(list, ", \t");
        if (strncasecmp(list, word, len) == 0 &&
            (!list[len] || strchr(",; \t", list[len])))
            return true;
    }
    return false;
}

/* What must be known of the headers only until all of them have been read. */
struct reading {
    bool old; /* HTTP/1.0 */
    unsigned headers, hosts, lengths;
    bool chunked, close, keep;
};

/* "gzip;q=0" is a refusal; finer weights make no difference for one coding. */
static bool takes_gzip(const char *value)
{
    const char *found = strcasestr(value, "gzip");

    return found && strncmp(found + 4, ";q=0", 4) != 0;
}

static int take_header(const char *name, const char *value, struct reading *r,
                       struct request *out)
{
    if (strcasecmp(name, "host") == 0) {
        r->hosts++;
    } else if (strcasecmp(name, "connection") == 0) {
        r->close |= list_has(value, "close");
        r->keep |= list_has(value, "keep-alive");
    } else if (strcasecmp(name, "content-length") == 0) {
        if (!*value || value[strspn(value, "0123456789")])
            return 400;
        r->lengths++;
        out->has_body |= value[strspn(value, "0")] != '\0';
    } else if (strcasecmp(name, "transfer-encoding") == 0) {
        r->chunked = out->has_body = true;
    } else if (strcasecmp(name, "accept-encoding") == 0) {
        out->takes_gzip = takes_gzip(value);
    } else if (strcasecmp(name, "if-none-match") == 0) {
        out->if_none_match = value;
    } else if (strcasecmp(name, "if-range") == 0) {
        out->if_range = value;
    } else if (strcasecmp(name, "range") == 0) {
        out->range = value;
    }
    return 0;
}

static int parse_header(char *line, struct reading *r, struct request *out)
{
    char *colon = strchr(line, ':');
    char *value, *end;

    if (++r->headers > HEADERS_MAX)
        return 431;
    if (!colon)
        return 400;
    *colon = '\0';
    if (!is_token(line)) /* also: a folded line, a blank before the colon */
        return 400;
    value = colon + 1 + strspn(colon + 1, " \t");
    end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    return take_header(line, value, r, out);
}

int request_parse(char *head, size_t len, struct request *out)
{
    struct reading r = {0};
    char *line, *end = head + len;
    int verdict, status;

    *out = (struct request){0};
    if (memchr(head, '\0', len))
        return 400;
    head += strspn(head, "\r\n"); /* left over from a request before, says RFC 9112 */
    line = head < end ? next_line(&head, end) : NULL;
    if (!line)
        return 400;
    verdict = parse_first_line(line, out, &r.old);
    if (verdict && verdict != 405 && verdict != 501)
        return verdict;
    while ((line = next_line(&head, end)) && *line) {
        status = parse_header(line, &r, out);
        if (status)
            return status;
    }
    if (r.hosts > 1 || (!r.old && r.hosts == 0) || r.lengths > 1 ||
        (r.chunked && r.lengths))
        return 400;
    out->keep_alive = !r.close && (!r.old || r.keep);
    return verdict;
}
