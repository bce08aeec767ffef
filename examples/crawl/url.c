/* SPDX-License-Identifier: MIT */
#include "url.h"

#include <string.h>
#include <strings.h>

/* ---- classes of characters, apart from the locale ---- */

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_unreserved(char c)
{
    return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* What may stand in a path or a query as it is. */
static bool is_plain(char c)
{
    return is_unreserved(c) || (c && strchr("!$&'()*+,;=:@/?[]", c));
}

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* ---- writing into the caller's URL_SIZE bytes ---- */

struct writing {
    char *out;
    size_t len;
    bool full;
};

static void put(struct writing *w, char c)
{
    if (w->len + 1 < URL_SIZE)
        w->out[w->len++] = c;
    else
        w->full = true;
}

static void put_text(struct writing *w, const char *text, size_t len)
{
    while (len-- > 0)
        put(w, *text++);
}

static void put_percent(struct writing *w, unsigned char byte)
{
    put(w, '%');
    put(w, "0123456789ABCDEF"[byte >> 4]);
    put(w, "0123456789ABCDEF"[byte & 15]);
}

/* Part of a path or query, in its one form. */
static void put_normal(struct writing *w, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool coded = text[i] == '%' && i + 2 < len && hex_value(text[i + 1]) >= 0 &&
                     hex_value(text[i + 2]) >= 0;

        if (coded) {
            int byte = hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]);

            if (is_unreserved((char)byte))
                put(w, (char)byte);
            else
                put_percent(w, (unsigned char)byte);
            i += 2;
        } else if (is_plain(text[i])) {
            put(w, text[i]);
        } else {
            put_percent(w, (unsigned char)text[i]);
        }
    }
}

/* ---- the authority ---- */

static bool put_port(struct writing *w, const char *text, size_t len, bool https)
{
    uint32_t port = 0;
    char digits[5];
    int n = 0;

    for (size_t i = 0; i < len; i++) {
        if (!is_digit(text[i]) || port > 65535)
            return false;
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (port > 65535 || (len && port == 0))
        return false;
    if (len == 0 || port == (https ? 443 : 80))
        return true;
    put(w, ':');
    for (; port > 0; port /= 10)
        digits[n++] = (char)('0' + port % 10);
    while (n > 0)
        put(w, digits[--n]);
    return true;
}

static bool is_host_char(char c, bool in_brackets)
{
    if (in_brackets)
        return hex_value(c) >= 0 || c == ':' || c == '.';
    return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_';
}

static bool put_authority(struct writing *w, const char *text, size_t len, bool https)
{
    bool brackets = len > 0 && text[0] == '[';
    const char *end = brackets ? memchr(text, ']', len) : memchr(text, ':', len);
    size_t host_len = end ? (size_t)(end - text) : len;
    size_t from = brackets ? 1 : 0;
    size_t name_len = host_len;

    if (brackets && !end)
        return false;
    if (!brackets && name_len > 1 && text[name_len - 1] == '.')
        name_len--; /* "example.org." is example.org */
    if (name_len <= from)
        return false;
    for (size_t i = from; i < name_len; i++)
        if (!is_host_char(text[i], brackets))
            return false;
    for (size_t i = 0; i < name_len; i++)
        put(w, to_lower(text[i]));
    if (brackets) {
        put(w, ']');
        host_len++;
    }
    if (host_len == len)
        return true;
    return text[host_len] == ':' &&
           put_port(w, text + host_len + 1, len - host_len - 1, https);
}

/* ---- the path ---- */

/* Takes "." and ".." out of the path that begins at `start` and ends the text. */
static void remove_dots(struct writing *w, size_t start)
{
    char *to = w->out + start;
    char *from = to, *first = to;

    w->out[w->len] = '\0';
    while (*from) { /* each turn: one "/segment" */
        size_t len = 1 + strcspn(from + 1, "/");
        bool last = from[len] == '\0';

        if (len == 2 && from[1] == '.') {
            if (last)
                *to++ = '/';
        } else if (len == 3 && from[1] == '.' && from[2] == '.') {
            while (to > first && *--to != '/')
                continue;
            if (last)
                *to++ = '/';
        } else {
            memmove(to, from, len);
            to += len;
        }
        from += len;
    }
    w->len = (size_t)(to - w->out);
}

/* The base's path up to its last slash: the folder in which a relative `ref` lies. */
static size_t folder_len(const char *path)
{
    size_t len = strcspn(path, "?");

    while (len > 0 && path[len - 1] != '/')
        len--;
    return len;
}

static void put_path(struct writing *w, const char *base_path, const char *ref)
{
    size_t start = w->len;
    size_t ref_path = strcspn(ref, "?");
    const char *query = ref[ref_path] ? ref + ref_path : NULL;

    if (base_path && ref_path == 0) { /* "" or "?query": the same page */
        put_text(w, base_path, strcspn(base_path, "?"));
        if (!query && base_path[strcspn(base_path, "?")])
            query = base_path + strcspn(base_path, "?");
    } else {
        if (base_path && *ref != '/')
            put_text(w, base_path, folder_len(base_path));
        else if (*ref != '/')
            put(w, '/');
        put_normal(w, ref, ref_path);
    }
    remove_dots(w, start);
    if (query)
        put_normal(w, query, strlen(query));
}

/* ---- the whole ---- */

/* Copies `ref` without what surrounds it, its tabs and newlines, and its fragment. */
static bool clean(const char *ref, char *out)
{
    size_t len = 0;

    while (*ref && (unsigned char)*ref <= ' ')
        ref++;
    for (; *ref && *ref != '#'; ref++) {
        if (*ref == '\t' || *ref == '\n' || *ref == '\r')
            continue;
        if (len + 1 >= URL_SIZE)
            return false;
        out[len++] = *ref;
    }
    while (len > 0 && (unsigned char)out[len - 1] <= ' ')
        len--;
    out[len] = '\0';
    return true;
}

/* The length of "scheme" if `ref` begins with "scheme:", else 0. */
static size_t scheme_len(const char *ref)
{
    size_t len = 0;

    if (!is_alpha(*ref))
        return 0;
    while (is_alpha(ref[len]) || is_digit(ref[len]) ||
           (ref[len] && strchr("+-.", ref[len])))
        len++;
    return ref[len] == ':' ? len : 0;
}

static url_kind resolve_full(const char *ref, bool https, char *out)
{
    struct writing w = {.out = out};
    size_t authority_len = strcspn(ref, "/?");

    if (https)
        put_text(&w, "https://", 8);
    else
        put_text(&w, "http://", 7);
    if (!put_authority(&w, ref, authority_len, https))
        return URL_BAD;
    put_path(&w, NULL, ref + authority_len);
    out[w.len] = '\0';
    if (w.full)
        return URL_BAD;
    return https ? URL_HTTPS : URL_HTTP;
}

static url_kind resolve_relative(const char *base, const char *ref, char *out)
{
    struct writing w = {.out = out};
    struct url_parts parts;

    url_split(base, &parts);
    put_text(&w, base, parts.origin_len);
    put_path(&w, *ref == '/' ? NULL : parts.path, ref);
    out[w.len] = '\0';
    if (w.full)
        return URL_BAD;
    return strncmp(base, "https:", 6) == 0 ? URL_HTTPS : URL_HTTP;
}

url_kind url_resolve(const char *base, const char *ref, char *out)
{
    char text[URL_SIZE];
    size_t scheme;
    bool https;

    if (!clean(ref, text))
        return URL_BAD;
    scheme = scheme_len(text);
    if (scheme > 0) {
        https = scheme == 5 && strncasecmp(text, "https", 5) == 0;
        if (!https && !(scheme == 4 && strncasecmp(text, "http", 4) == 0))
            return URL_OTHER;
        if (strncmp(text + scheme, "://", 3) != 0)
            return URL_BAD;
        return resolve_full(text + scheme + 3, https, out);
    }
    if (!base)
        return URL_BAD;
    if (text[0] == '/' && text[1] == '/')
        return resolve_full(text + 2, strncmp(base, "https:", 6) == 0, out);
    return resolve_relative(base, text, out);
}

void url_split(const char *url, struct url_parts *out)
{
    const char *colon = strstr(url, "://");
    const char *authority = colon ? colon + 3 : url; /* a database may hold anything */
    size_t len = strcspn(authority, "/");
    bool brackets = *authority == '[';
    size_t host_len = brackets ? strcspn(authority, "]") - 1 : strcspn(authority, ":/");
    const char *rest = authority + host_len + (brackets ? 2 : 0);
    uint32_t port = 0;

    if (*rest == ':')
        for (rest++; is_digit(*rest); rest++)
            port = port * 10 + (uint32_t)(*rest - '0');
    *out = (struct url_parts){
        .origin_len = (size_t)(authority - url) + len,
        .authority = authority,
        .authority_len = len,
        .host = authority + (brackets ? 1 : 0),
        .host_len = host_len,
        .port = port ? (uint16_t)port : 80,
        .path = authority + len,
    };
}

bool url_is_page(const char *url)
{
    static const char *const not_pages[] = {
        "7z",   "asc",   "atom", "avi",  "bin",  "bmp",  "bz2",  "c",    "conf", "cpp",
        "css",  "csv",   "deb",  "diff", "dmg",  "doc",  "docx", "eot",  "epub", "exe",
        "flac", "gif",   "gz",   "h",    "ico",  "inc",  "iso",  "jar",  "jpeg", "jpg",
        "js",   "json",  "log",  "m4a",  "map",  "md",   "mjs",  "mkv",  "mobi", "mov",
        "mp3",  "mp4",   "mpeg", "mpg",  "msi",  "odp",  "ods",  "odt",  "ogg",  "ogv",
        "otf",  "patch", "pdf",  "png",  "ppt",  "pptx", "ps",   "py",   "rar",  "rpm",
        "rss",  "rst",   "rtf",  "sh",   "sig",  "sql",  "svg",  "tar",  "tgz",  "tif",
        "tiff", "tsv",   "ttf",  "txt",  "wasm", "wav",  "webm", "webp", "whl",  "wmv",
        "woff", "woff2", "xls",  "xlsx", "xml",  "xz",   "yaml", "yml",  "zip",  "zst",
    };
    struct url_parts parts;
    const char *name, *dot = NULL;
    size_t len;

    url_split(url, &parts);
    len = strcspn(parts.path, "?");
    for (name = parts.path; name < parts.path + len; name++)
        if (*name == '.')
            dot = name + 1;
        else if (*name == '/')
            dot = NULL;
    if (!dot)
        return true;
    len = (size_t)(parts.path + len - dot);
    for (size_t i = 0; i < sizeof not_pages / sizeof *not_pages; i++)
        if (strlen(not_pages[i]) == len && strncasecmp(not_pages[i], dot, len) == 0)
            return false;
    return true;
}
