/* JSON for plug-ins, as far as they need it. It comes before all other headers. */
#ifndef JSON_H
#define JSON_H

#define _POSIX_C_SOURCE 200809L

#include "lapidary.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Reading ---- */

/* What is left of a text. Once something is not as it should be, `ok` is false and stays so. */
typedef struct {
    const uint8_t *at, *end;
    int depth;
    bool ok;
} reader;

static inline reader read_bytes(lapidary_bytes bytes) {
    return (reader){bytes.data, bytes.data + bytes.len, 0, true};
}

static inline int peek(reader *r) {
    while (r->at < r->end && strchr(" \n\t\r", *r->at)) r->at++;
    return r->at < r->end ? *r->at : 0;
}

static inline bool take(reader *r, char c) {
    if (peek(r) != c) return false;
    r->at++;
    return true;
}

static inline bool take_word(reader *r, const char *word) {
    size_t len = strlen(word);
    if (peek(r) == 0 || (size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0) return false;
    r->at += len;
    return true;
}

/* What stands between the quotes of a text, escapes and all. It lives as long as what is read. */
static inline lapidary_bytes read_raw(reader *r) {
    r->ok = r->ok && take(r, '"');
    const uint8_t *from = r->at;
    while (r->ok && r->at < r->end && *r->at != '"') r->at += *r->at == '\\' && r->end - r->at > 1 ? 2 : 1;
    lapidary_bytes raw = {from, (size_t)(r->at - from)};
    r->ok = r->ok && take(r, '"');
    return raw;
}

/* A text, cut off at `size` - 1 bytes. Escapes stand as they are written: no key or word here has any. */
static inline void read_text(reader *r, char *out, size_t size) {
    lapidary_bytes raw = read_raw(r);
    size_t len = raw.len < size ? raw.len : size - 1;
    memcpy(out, raw.data, len);
    out[len] = 0;
}

/* The characters of a number, which may be a text. */
static inline void read_digits(reader *r, char *out, size_t size) {
    size_t len = 0;
    if (peek(r) == '"') {
        read_text(r, out, size);
        return;
    }
    while (r->at < r->end && *r->at && strchr("+-.0123456789eE", *r->at) && len + 1 < size) out[len++] = (char)*r->at++;
    out[len] = 0;
    r->ok = r->ok && len > 0;
}

static inline double read_double(reader *r) {
    char digits[64], *end;
    read_digits(r, digits, sizeof digits);
    double value = strtod(digits, &end);
    r->ok = r->ok && *digits && !*end;
    return value;
}

static inline int64_t read_int(reader *r) {
    char digits[64], *end;
    read_digits(r, digits, sizeof digits);
    long long value = strtoll(digits, &end, 10);
    r->ok = r->ok && *digits && !*end;
    return value;
}

static inline uint64_t read_count(reader *r) {
    char digits[64], *end;
    read_digits(r, digits, sizeof digits);
    unsigned long long value = strtoull(digits, &end, 10);
    r->ok = r->ok && *digits && *digits != '-' && !*end;
    return value;
}

/* Whether there is another value before `close`: while (more(r, ']', &count)) … */
static inline bool more(reader *r, char close, size_t *count) {
    if (!r->ok || take(r, close)) return false;
    if (*count > 0) r->ok = take(r, ',');
    ++*count;
    return r->ok;
}

/* Whether there is another field; its name is in `name`. */
static inline bool more_named(reader *r, lapidary_bytes *name, size_t *count) {
    if (!more(r, '}', count)) return false;
    *name = read_raw(r);
    r->ok = r->ok && take(r, ':');
    return r->ok;
}

/* The same for names that are known: it is in `key`, cut off at `size` - 1 bytes. */
static inline bool more_fields(reader *r, char *key, size_t size, size_t *count) {
    if (!more(r, '}', count)) return false;
    read_text(r, key, size);
    r->ok = r->ok && take(r, ':');
    return r->ok;
}

static inline void skip(reader *r) {
    lapidary_bytes name;
    size_t count = 0;
    if (++r->depth > 100) r->ok = false;
    if (!r->ok) return;
    if (take(r, '[')) {
        while (more(r, ']', &count)) skip(r);
    } else if (take(r, '{')) {
        while (more_named(r, &name, &count)) skip(r);
    } else if (peek(r) == '"') {
        read_raw(r);
    } else if (!take_word(r, "null") && !take_word(r, "true") && !take_word(r, "false")) {
        read_double(r);
    }
    r->depth--;
}

/* ---- Writing ---- */

static inline void release(lapidary_buffer *buffer) {
    free(buffer->data);
    memset(buffer, 0, sizeof *buffer);
}

/* A stream into a buffer; `finish` it. */
typedef struct {
    FILE *file;
    char *data;
    size_t len;
} writer;

static inline bool begin(writer *w) {
    *w = (writer){0};
    w->file = open_memstream(&w->data, &w->len);
    return w->file != NULL;
}

static inline lapidary_status finish(writer *w, lapidary_buffer *out, lapidary_status status) {
    if (fclose(w->file) != 0) {
        free(w->data);
        return LAPIDARY_FAILED;
    }
    *out = (lapidary_buffer){(uint8_t *)w->data, w->len, w->len, release};
    return status;
}

static inline lapidary_status say_bytes(lapidary_buffer *out, lapidary_status status, lapidary_bytes text) {
    writer w;
    if (!begin(&w)) return status;
    fwrite(text.data, 1, text.len, w.file);
    return finish(&w, out, status);
}

static inline lapidary_status say(lapidary_buffer *out, lapidary_status status, const char *text) {
    return say_bytes(out, status, (lapidary_bytes){(const uint8_t *)text, strlen(text)});
}

#endif
