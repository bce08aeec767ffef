/* SPDX-License-Identifier: MIT */
/*
 * libxml2 calls us for each tag and text (SAX), so that no tree is ever built: twice as
 * fast, and a page of any size takes no more memory than its longest tag.
 */
#include "html.h"

#include "memory.h"
#include "url.h"

#include <libxml/HTMLparser.h>
#include <libxml/xmlerror.h>
#include <stdlib.h>
#include <string.h>

enum { TITLE_MAX_BYTES = 512 };

struct parsing {
    struct html *out;
    char base[URL_SIZE]; /* what relative links are relative to */
    bool has_base_tag;
    struct strset
        seen; /* what stood in links, before it is made a URL: saves most work */
    bool in_title, has_title;
    char title[TITLE_MAX_BYTES + 1];
    size_t title_len;
    bool bad_bytes, unknown_charset;
};

/* ---- tags ---- */

static const char *attribute(const xmlChar **attributes, const char *name)
{
    for (; attributes && attributes[0]; attributes += 2)
        if (strcmp((const char *)attributes[0], name) == 0)
            return (const char *)attributes[1];
    return NULL;
}

static void take_link(struct parsing *p, const char *href)
{
    size_t len = strcspn(href, "#");
    char url[URL_SIZE];
    bool is_new;
    uint32_t number;
    url_kind kind;

    if (len == 0 && *href)
        return; /* "#place" on this page */
    number = strset_add(&p->seen, href, len, &is_new);
    if (!is_new)
        return;
    kind = url_resolve(p->base, strset_text(&p->seen, number), url);
    if (kind == URL_HTTP || kind == URL_HTTPS)
        (void)strset_add(&p->out->links, url, strlen(url), NULL);
}

static void take_base(struct parsing *p, const char *href)
{
    char url[URL_SIZE];

    if (p->has_base_tag || url_resolve(p->base, href, url) > URL_HTTPS)
        return;
    p->has_base_tag = true;
    memcpy(p->base, url, sizeof p->base);
}

static void on_start(void *ctx, const xmlChar *tag, const xmlChar **attributes)
{
    struct parsing *p = ctx;
    const char *name = (const char *)tag;
    const char *href = NULL;

    if (strcmp(name, "a") == 0 || strcmp(name, "area") == 0)
        href = attribute(attributes, "href");
    else if (strcmp(name, "frame") == 0 || strcmp(name, "iframe") == 0)
        href = attribute(attributes, "src");
    else if (strcmp(name, "base") == 0 && attribute(attributes, "href"))
        take_base(p, attribute(attributes, "href"));
    else if (strcmp(name, "title") == 0 && !p->has_title)
        p->in_title = p->has_title = true;
    if (href)
        take_link(p, href);
}

static void on_end(void *ctx, const xmlChar *tag)
{
    struct parsing *p = ctx;

    if (p->in_title && strcmp((const char *)tag, "title") == 0)
        p->in_title = false;
}

/* White space is one blank, and none at the ends. */
static void on_text(void *ctx, const xmlChar *text, int len)
{
    struct parsing *p = ctx;

    for (int i = 0; p->in_title && i < len && p->title_len < TITLE_MAX_BYTES; i++) {
        bool blank = text[i] <= ' ';

        if (blank && (p->title_len == 0 || p->title[p->title_len - 1] == ' '))
            continue;
        p->title[p->title_len++] = blank ? ' ' : (char)text[i];
    }
}

static void on_error(void *ctx, xmlErrorPtr error)
{
    struct parsing *p = ctx;

    switch (error->code) {
    case XML_ERR_UNSUPPORTED_ENCODING:
    case XML_ERR_UNKNOWN_ENCODING: p->unknown_charset = true; break;
    case XML_ERR_INVALID_ENCODING:
    case XML_ERR_INVALID_CHAR:
    case XML_I18N_CONV_FAILED: p->bad_bytes = true; break;
    default: /* HTML is as it is */ break;
    }
}

/* ---- the page ---- */

static uint64_t hash_of(const char *text, size_t len)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    return hash;
}

/* A title cut in the middle of a character, or in no known charset, is made UTF-8. */
static char *finish_title(struct parsing *p)
{
    while (p->title_len > 0 && p->title[p->title_len - 1] == ' ')
        p->title_len--;
    p->title[p->title_len] = '\0';
    for (int cut = 0; cut < 4 && !xmlCheckUTF8((const xmlChar *)p->title); cut++)
        if (p->title_len == TITLE_MAX_BYTES - (size_t)cut)
            p->title[--p->title_len] = '\0';
    if (!xmlCheckUTF8((const xmlChar *)p->title))
        for (char *c = p->title; *c; c++)
            if ((unsigned char)*c >= 0x80)
                *c = '?';
    return must_copy(p->title, p->title_len);
}

static void run_parser(struct parsing *p, const char *bytes, size_t size,
                       const char *url, const char *charset)
{
    static const int options = HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                               HTML_PARSE_NONET | HTML_PARSE_RECOVER;
    htmlParserCtxtPtr parser = htmlNewParserCtxt();

    if (!parser)
        return; /* as if the page were empty */
    memset(parser->sax, 0, sizeof *parser->sax);
    parser->sax->initialized = XML_SAX2_MAGIC; /* serror counts only then */
    parser->sax->startElement = on_start;
    parser->sax->endElement = on_end;
    parser->sax->characters = on_text;
    parser->sax->serror = on_error;
    parser->userData = p;
    xmlSetStructuredErrorFunc(p, on_error); /* of this thread: for what has no parser */
    (void)htmlCtxtReadMemory(parser, bytes, (int)size, url, charset,
                             options); /* no tree was asked for */
    xmlSetStructuredErrorFunc(NULL, NULL);
    htmlFreeParserCtxt(parser);
}

/* The charset to read the page in; NULL: as its tag <meta> says. */
static const char *choose_charset(struct parsing *p, const char *named,
                                  const char *bytes)
{
    xmlCharEncodingHandlerPtr handler =
        *named ? xmlFindCharEncodingHandler(named) : NULL;

    if (handler) {
        (void)xmlCharEncCloseFunc(handler);
        return named;
    }
    p->unknown_charset = *named != '\0';
    /* Nobody says anything: what can be read as UTF-8 is UTF-8. */
    if (!strcasestr(bytes, "charset=") && xmlCheckUTF8((const xmlChar *)bytes))
        return "utf-8";
    return NULL;
}

void html_parse(const char *bytes, size_t size, const char *url, const char *charset,
                struct html *out)
{
    struct parsing p = {.out = out};

    *out = (struct html){.hash = hash_of(bytes, size)};
    memcpy(p.base, url, strlen(url) + 1);
    if (size > 0)
        run_parser(&p, bytes, size, url, choose_charset(&p, charset, bytes));
    if (p.has_title)
        out->title = finish_title(&p);
    if (p.unknown_charset)
        out->trouble = HTML_UNKNOWN_CHARSET;
    else if (p.bad_bytes)
        out->trouble = HTML_BAD_BYTES;
    strset_fini(&p.seen);
}

void html_free(struct html *html)
{
    free(html->title);
    strset_fini(&html->links);
}

void html_init(void)
{
    xmlInitParser();
}

void html_fini(void)
{
    xmlCleanupParser();
}
