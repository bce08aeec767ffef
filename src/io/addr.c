/* SPDX-License-Identifier: MIT */
/*
 * Addresses in text form: [host]:port, unix:path. Strict, because they come from
 * command lines and configuration files: what is not exactly an address is -EINVAL.
 */
#include <hocket/net.h>

#include "io/address.h"
#include "sys/os_net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

enum {
    PATH_ROOM = sizeof(((struct sockaddr_un *)0)->sun_path),
    PATH_AT = offsetof(struct sockaddr_un, sun_path),
    SCOPE_MAX = 15, /* IFNAMSIZ without its NUL */
};

_Static_assert(sizeof(hk_addr) == 132, "hk_addr is part of the ABI");
_Static_assert(sizeof(struct sockaddr_un) <= sizeof(((hk_addr *)0)->storage),
               "every address fits");

static void addr_set(hk_addr *out, const void *sockaddr, size_t len)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->storage, sockaddr, len);
    out->len = (uint32_t)len;
}

/* ---- text to address ---- */

/* Decimal digits up to the end of the text, nothing else; at most `max`. */
static bool parse_number(const char *text, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = 10 * value + (uint64_t)(*text - '0');
        if (value > max)
            return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool parse_scope(const char *text, uint32_t *out)
{
    if (parse_number(text, UINT32_MAX, out))
        return *out > 0;
    if (strlen(text) > SCOPE_MAX)
        return false;
    *out = hki_os_interface_number(text);
    return *out > 0;
}

/* `host` is the text between the brackets; it is changed. */
static int parse_ipv6(char *host, uint16_t port, hk_addr *out)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    char *scope = strchr(host, '%');

    if (scope) {
        *scope++ = '\0';
        if (!parse_scope(scope, &in6.sin6_scope_id))
            return -EINVAL;
    }
    if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
        return -EINVAL;
    addr_set(out, &in6, sizeof(in6));
    return 0;
}

static int parse_ipv4(const char *host, uint16_t port, hk_addr *out)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

    if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
        return -EINVAL;
    addr_set(out, &in, sizeof(in));
    return 0;
}

/* In a path "@" at the start stands for the NUL of an abstract name. */
static int parse_unix(const char *path, hk_addr *out)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    bool abstract = path[0] == '@';

    if (len == 0 || len >= PATH_ROOM || (abstract && len == 1))
        return -EINVAL;
    memcpy(un.sun_path, path, len);
    if (abstract)
        un.sun_path[0] = '\0';
    /* The kernel takes an abstract name as long as it is said to be, without a NUL. */
    addr_set(out, &un, PATH_AT + len + (abstract ? 0 : 1));
    return 0;
}

int hk_addr_parse(const char *text, hk_addr *out)
{
    char host[INET6_ADDRSTRLEN + 1 + SCOPE_MAX + 2]; /* with %scope and brackets */
    const char *colon = strrchr(text, ':');
    size_t len;
    uint32_t port;

    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, out);
    if (!colon || !parse_number(colon + 1, UINT16_MAX, &port))
        return -EINVAL;
    len = (size_t)(colon - text);
    if (len == 0 || len >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, len);
    host[len] = '\0';
    if (strcmp(host, "*") == 0)
        return parse_ipv6((char[]){"::"}, (uint16_t)port, out);
    if (host[0] != '[')
        return parse_ipv4(host, (uint16_t)port, out);
    if (host[len - 1] != ']')
        return -EINVAL;
    host[len - 1] = '\0';
    return parse_ipv6(host + 1, (uint16_t)port, out);
}

/* ---- address to text ---- */

static void format_ipv4(const hk_addr *addr, char text[HK_ADDR_TEXT_MAX])
{
    char host[INET_ADDRSTRLEN];
    struct sockaddr_in in;

    memcpy(&in, addr->storage, sizeof(in));
    inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host));
    snprintf(text, HK_ADDR_TEXT_MAX, "%s:%u", host, ntohs(in.sin_port));
}

static void format_ipv6(const hk_addr *addr, char text[HK_ADDR_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN], scope[16] = "";
    struct sockaddr_in6 in6;

    memcpy(&in6, addr->storage, sizeof(in6));
    inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
    if (in6.sin6_scope_id > 0 && hki_os_interface_name(in6.sin6_scope_id, scope) < 0)
        snprintf(scope, sizeof(scope), "%u", in6.sin6_scope_id);
    snprintf(text, HK_ADDR_TEXT_MAX, "[%s%s%s]:%u", host, scope[0] ? "%" : "", scope,
             ntohs(in6.sin6_port));
}

/* A socket without a name, as the client's end often is, is "unix:". */
static void format_unix(const hk_addr *addr, char text[HK_ADDR_TEXT_MAX])
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = addr->len < sizeof(un) ? addr->len : sizeof(un);
    size_t path_len;

    memcpy(&un, addr->storage, len);
    path_len = len > PATH_AT ? len - PATH_AT : 0;
    if (path_len > 0 && un.sun_path[0])
        path_len = strnlen(un.sun_path, path_len);
    for (size_t i = 0; i < path_len; i++)
        if (!un.sun_path[i])
            un.sun_path[i] = '@';
    snprintf(text, HK_ADDR_TEXT_MAX, "unix:%.*s", (int)path_len, un.sun_path);
}

int hk_addr_format(const hk_addr *addr, char *text, size_t size)
{
    char whole[HK_ADDR_TEXT_MAX];
    size_t len;

    switch (hki_addr_family(addr)) {
    case AF_INET: format_ipv4(addr, whole); break;
    case AF_INET6: format_ipv6(addr, whole); break;
    case AF_UNIX: format_unix(addr, whole); break;
    default: snprintf(whole, sizeof(whole), "none");
    }
    len = strlen(whole);
    if (len >= size)
        return -ENOSPC;
    memcpy(text, whole, len + 1);
    return (int)len;
}

/* ---- ports; they lie at the same place in both families ---- */

_Static_assert(offsetof(struct sockaddr_in, sin_port) ==
                   offsetof(struct sockaddr_in6, sin6_port),
               "one place for the port");

static unsigned char *port_place(const hk_addr *addr)
{
    unsigned char *bytes = (unsigned char *)(uintptr_t)addr->storage;

    return hki_addr_is_ip(addr) ? bytes + offsetof(struct sockaddr_in, sin_port) : NULL;
}

uint16_t hk_addr_port(const hk_addr *addr)
{
    const unsigned char *place = port_place(addr);

    if (!place)
        return 0;
    return (uint16_t)(place[0] << 8 | place[1]);
}

void hk_addr_set_port(hk_addr *addr, uint16_t port)
{
    unsigned char *place = port_place(addr);

    if (place) {
        place[0] = (unsigned char)(port >> 8);
        place[1] = (unsigned char)port;
    }
}
