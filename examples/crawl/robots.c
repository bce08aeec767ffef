/* SPDX-License-Identifier: MIT */
/*
 * A file is groups: lines "User-agent:", then rules for them. We take the rules of all
 * groups that name us, or, if none does, of those for "*".
 */
#include "robots.h"

#include "memory.h"

#include <hocket.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct rule {
    bool allow;
    char *pattern; /* '*' is any text, '$' at the end is the end */
};

struct robots {
    struct rule *rules;
    size_t count;
    int64_t delay_ns;
    bool for_us; /* the rules are from a group that names us, not from "*" */
};

/* While reading: the state between two lines. */
struct group {
    bool in_rules;            /* a rule came: the next User-agent begins a new group */
    bool names_us, names_all; /* among this group's User-agents */
};

static void forget_rules(struct robots *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->rules[i].pattern);
    r->count = 0;
    r->delay_ns = 0;
}

static void add_rule(struct robots *r, bool allow, const char *pattern, size_t len)
{
    if (len == 0)
        return; /* "Disallow:" forbids nothing */
    r->rules = must_realloc(r->rules, (r->count + 1) * sizeof *r->rules);
    r->rules[r->count++] = (struct rule){allow, must_copy(pattern, len)};
}

static bool is_name(const char *name, const char *line, size_t len)
{
    return strlen(name) == len && strncasecmp(name, line, len) == 0;
}

static void take_agent(struct robots *r, struct group *g, const char *value, size_t len,
                       const char *agent)
{
    size_t agent_len = strcspn(agent, "/ ");

    if (g->in_rules)
        *g = (struct group){0};
    if (len == 1 && *value == '*')
        g->names_all = true;
    if (len < agent_len || strncasecmp(value, agent, agent_len) != 0 ||
        (len > agent_len && value[agent_len] != '/' && value[agent_len] != ' '))
        return;
    g->names_us = true;
    if (!r->for_us)
        forget_rules(r);
    r->for_us = true;
}

static void take_delay(struct robots *r, const char *value, size_t len)
{
    char text[32];
    double seconds;

    if (len >= sizeof text)
        return;
    memcpy(text, value, len);
    text[len] = '\0';
    seconds = strtod(text, NULL);
    if (seconds > 0)
        r->delay_ns = (int64_t)((seconds < 60 ? seconds : 60) * (double)HK_SECOND);
}

static void take_line(struct robots *r, struct group *g, const char *line, size_t len,
                      const char *agent)
{
    const char *comment = memchr(line, '#', len);
    const char *colon, *value;
    size_t name_len;

    if (comment)
        len = (size_t)(comment - line);
    for (; len > 0 && strchr(" \t\r", line[len - 1]); len--)
        continue;
    for (; len > 0 && strchr(" \t", *line); len--)
        line++;
    colon = memchr(line, ':', len);
    if (!colon)
        return;
    name_len = (size_t)(colon - line);
    while (name_len > 0 && strchr(" \t", line[name_len - 1]))
        name_len--;
    for (value = colon + 1; value < line + len && strchr(" \t", *value); value++)
        continue;
    len -= (size_t)(value - line);

    if (is_name("user-agent", line, name_len)) {
        take_agent(r, g, value, len, agent);
        return;
    }
    bool allow = is_name("allow", line, name_len);
    bool disallow = is_name("disallow", line, name_len);
    bool delay = is_name("crawl-delay", line, name_len);

    if (!allow && !disallow && !delay)
        return; /* Sitemap, Host, ...: belongs to no group */
    g->in_rules = true;
    if (!(r->for_us ? g->names_us : g->names_all))
        return;
    if (delay)
        take_delay(r, value, len);
    else
        add_rule(r, allow, value, len);
}

struct robots *robots_parse(const char *text, size_t len, const char *agent)
{
    struct robots *r = must_alloc(sizeof *r);
    struct group group = {0};
    const char *end = text + len;

    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        text += 3;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline ? newline : end;

        take_line(r, &group, text, (size_t)(line_end - text), agent);
        text = line_end + 1;
    }
    return r;
}

void robots_free(struct robots *r)
{
    if (!r)
        return;
    forget_rules(r);
    free(r->rules);
    free(r);
}

/* Greedy with one point to come back to: linear in practice, never exponential. */
static bool matches(const char *pattern, const char *path)
{
    const char *star = NULL, *resume = NULL;

    for (;;) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = path;
        } else if (!*pattern || (*pattern == '$' && !pattern[1] && !*path)) {
            return true;
        } else if (*path && *pattern == *path) {
            pattern++;
            path++;
        } else if (star && *resume) {
            pattern = star;
            path = ++resume;
        } else {
            return false;
        }
    }
}

bool robots_allow(const struct robots *r, const char *path)
{
    size_t longest = 0;
    bool allowed = true;

    for (size_t i = 0; i < r->count; i++) {
        size_t len = strlen(r->rules[i].pattern);

        if (len < longest || !matches(r->rules[i].pattern, path))
            continue;
        allowed = r->rules[i].allow || (len == longest && allowed && longest > 0);
        longest = len;
    }
    return allowed;
}

int64_t robots_delay_ns(const struct robots *r)
{
    return r->delay_ns;
}
