/* A search strategy in C, as a plug-in: one axis of the best known point moves towards a random place.
 *
 * The move goes all of the way or half, a quarter, … of it, so that steps of every size are tried; options are drawn anew.
 * Now and then (the setting `wander`) a point anywhere is proposed instead. Everything random is a hash of the seed and the
 * candidate's id: the same seed gives the same search on one machine. */
#include "json.h"

#include <math.h>

#define NAME "hill-climb"
#define SNAPSHOT_VERSION 1

static const char INFO[] =
    "{\"name\": \"" NAME "\", \"summary\": \"moves one axis of the best known point\","
    " \"docs\": \"One axis of the best known point moves towards a random place, by steps of every size; with the chance"
    " `wander` a point anywhere is proposed.\","
    " \"settings\": [{\"name\": \"wander\", \"kind\": \"number in [0, 1]\", \"default\": \"0.1\","
    " \"doc\": \"Chance of a point anywhere.\"}], \"promises\": [\"learns_from_foreign\"]}";

/* ---- Random numbers ---- */

/* The finaliser of SplitMix64 (Steele, Lea and Flood, 2014). */
static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t random_bits(uint64_t *state) {
    return *state = mix(*state);
}

/* In [0, 1). */
static double random_unit(uint64_t *state) {
    return (double)(random_bits(state) >> 11) / 9007199254740992.0;
}

/* ---- The space ---- */

typedef struct {
    enum { FLOAT, STEPPED, INT, CHOICE } kind;
    bool log;
    double low, high, step; /* of floats */
    int64_t first;          /* of whole numbers */
    uint64_t by;            /* step of whole numbers */
    uint64_t last;          /* largest index: of a stepped number, a whole number or an option */
} axis;

/* A float, or the index of any other value. */
typedef struct {
    bool active;
    double number;
    uint64_t index;
} value;

static void read_axis(reader *r, axis *a) {
    char key[16];
    size_t fields = 0, count = 0;
    int64_t high = 0;
    *a = (axis){.kind = FLOAT, .by = 1};
    reader step = {0};
    r->ok = r->ok && take(r, '{');
    while (more_fields(r, key, sizeof key, &fields)) {
        if (strcmp(key, "float") == 0) {
            r->ok = take(r, '[');
            a->low = read_double(r);
            r->ok = r->ok && take(r, ',');
            a->high = read_double(r);
            r->ok = r->ok && take(r, ']');
        } else if (strcmp(key, "int") == 0) {
            a->kind = INT;
            r->ok = take(r, '[');
            a->first = read_int(r);
            r->ok = r->ok && take(r, ',');
            high = read_int(r);
            r->ok = r->ok && take(r, ']');
        } else if (strcmp(key, "choice") == 0) {
            a->kind = CHOICE;
            r->ok = take(r, '[');
            while (more(r, ']', &count)) skip(r);
            a->last = count - 1;
        } else if (strcmp(key, "log") == 0) {
            a->log = take_word(r, "true") || (skip(r), false);
        } else {
            if (strcmp(key, "step") == 0) step = *r;
            skip(r);
        }
    }
    if (a->kind == INT) {
        if (step.ok) a->by = read_count(&step);
        if (a->by == 0) a->by = 1;
        a->last = ((uint64_t)high - (uint64_t)a->first) / a->by;
    } else if (a->kind == FLOAT && step.ok) {
        a->kind = STEPPED;
        a->step = read_double(&step);
        a->last = (uint64_t)floor((a->high - a->low) / a->step * (1 + 1e-12) + 1e-9);
    }
}

static int64_t whole(const axis *a, uint64_t index) {
    return (int64_t)((uint64_t)a->first + index * a->by);
}

static value read_value(reader *r, const axis *a) {
    value v = {.active = !take_word(r, "null")};
    if (!v.active) return v;
    switch (a->kind) {
    case FLOAT:
        v.number = read_double(r);
        r->ok = r->ok && v.number >= a->low && v.number <= a->high;
        break;
    case STEPPED: {
        double index = round((read_double(r) - a->low) / a->step);
        r->ok = r->ok && index >= 0 && index <= (double)a->last;
        v.index = r->ok ? (uint64_t)index : 0;
        break;
    }
    case INT: {
        int64_t number = read_int(r);
        v.index = ((uint64_t)number - (uint64_t)a->first) / a->by;
        r->ok = r->ok && v.index <= a->last && whole(a, v.index) == number;
        break;
    }
    case CHOICE:
        v.index = read_count(r);
        r->ok = r->ok && v.index <= a->last;
        break;
    }
    return v;
}

static void write_value(FILE *file, const axis *a, value v) {
    if (!v.active) {
        fputs("null", file);
    } else if (a->kind == FLOAT) {
        fprintf(file, "%.17g", v.number);
    } else if (a->kind == STEPPED) {
        fprintf(file, "%.17g", fmin(a->low + (double)v.index * a->step, a->high));
    } else if (a->kind == INT) {
        fprintf(file, "%lld", (long long)whole(a, v.index));
    } else {
        fprintf(file, "%llu", (unsigned long long)v.index);
    }
}

static uint64_t to_index(const axis *a, double x) {
    if (!(x > 0)) return 0;
    return x < (double)a->last ? (uint64_t)(x + 0.5) : a->last;
}

/* `share` of the way from `from` to `to`, on the axis's own scale. */
static value between(const axis *a, value from, value to, double share) {
    value v = to;
    if (a->kind == FLOAT && a->log) {
        v.number = exp(log(from.number) * (1 - share) + log(to.number) * share);
    } else if (a->kind == FLOAT) {
        v.number = from.number * (1 - share) + to.number * share;
    } else if (a->kind == INT && a->log) {
        double x = exp(log((double)whole(a, from.index)) * (1 - share) + log((double)whole(a, to.index)) * share);
        v.index = to_index(a, x - (double)a->first);
    } else if (a->kind != CHOICE) {
        v.index = to_index(a, (double)from.index * (1 - share) + (double)to.index * share);
    }
    if (a->kind == FLOAT) v.number = fmin(fmax(v.number, a->low), a->high);
    if (v.index > a->last) v.index = a->last;
    /* Less than a step: the whole way. */
    return a->kind != FLOAT && v.index == from.index ? to : v;
}

/* Anywhere on the axis, log axes by ratio. */
static value draw(const axis *a, uint64_t *state) {
    value low = {.active = true, .number = a->low}, high = {true, a->high, a->last};
    double u = random_unit(state);
    if (a->kind == FLOAT || a->log) return between(a, low, high, u);
    uint64_t bits = random_bits(state);
    return (value){.active = true, .index = a->last == UINT64_MAX ? bits : bits % (a->last + 1)};
}

/* ---- The search ---- */

typedef struct {
    axis *axes;
    size_t n;
    double wander;
    uint64_t seed;
    size_t objectives;
    /* What a snapshot holds. */
    uint64_t next;     /* id of the next candidate */
    uint64_t *pending; /* ids asked and not told, rising */
    size_t pending_count;
    bool has_best;
    value *best;   /* n */
    double *score; /* violation and objectives of the best */
} search;

static void destroy(void *searcher) {
    search *s = searcher;
    free(s->axes);
    free(s->pending);
    free(s->best);
    free(s->score);
    free(s);
}

/* `count` zeroed elements; never NULL where there is memory. */
static void *zeroed(size_t count, size_t size) {
    return calloc(count > 0 ? count : 1, size);
}

static const char *read_settings(reader *r, search *s) {
    char key[16];
    size_t count = 0;
    if (take_word(r, "null")) return NULL;
    if (!take(r, '{')) return "the settings are no table";
    while (more_fields(r, key, sizeof key, &count)) {
        if (strcmp(key, "wander") != 0) return "there is no such setting";
        if (peek(r) == '"') return "`wander` is a number";
        s->wander = read_double(r);
        if (!r->ok || !(s->wander >= 0 && s->wander <= 1)) return "`wander` is a number from 0 to 1";
    }
    return r->ok ? NULL : "the settings cannot be read";
}

static void read_axes(reader *r, search *s) {
    size_t count = 0;
    r->ok = take(r, '[');
    while (more(r, ']', &count)) {
        axis *axes = realloc(s->axes, count * sizeof *axes);
        if (axes == NULL) {
            r->ok = false;
            return;
        }
        s->axes = axes;
        read_axis(r, &axes[count - 1]);
        s->n = count;
    }
}

static lapidary_status build(lapidary_bytes request, void **searcher, lapidary_buffer *out) {
    search *s = zeroed(1, sizeof *s);
    if (s == NULL) return LAPIDARY_FAILED;
    reader r = read_bytes(request);
    const char *wrong = NULL;
    char key[16];
    size_t count = 0;
    s->wander = 0.1;
    r.ok = take(&r, '{');
    while (wrong == NULL && more_fields(&r, key, sizeof key, &count)) {
        if (strcmp(key, "settings") == 0) {
            wrong = read_settings(&r, s);
        } else if (strcmp(key, "space") == 0) {
            read_axes(&r, s);
        } else if (strcmp(key, "seed") == 0) {
            s->seed = read_count(&r);
        } else if (strcmp(key, "objectives") == 0) {
            s->objectives = read_count(&r);
        } else {
            skip(&r);
        }
    }
    s->best = zeroed(s->n, sizeof *s->best);
    s->score = zeroed(1 + s->objectives, sizeof *s->score);
    if (wrong != NULL || !r.ok || s->best == NULL || s->score == NULL) {
        destroy(s);
        if (wrong != NULL) return say(out, LAPIDARY_SETTINGS, wrong);
        return say(out, LAPIDARY_FAILED, "the request cannot be read");
    }
    *searcher = s;
    return LAPIDARY_OK;
}

/* Writes the point of candidate `id`. Axes that are not active have values too: the host drops them. */
static void propose(const search *s, uint64_t id, FILE *file) {
    uint64_t state = mix(s->seed) ^ mix(~id);
    bool anywhere = random_unit(&state) < s->wander || !s->has_best;
    size_t moved = s->n > 0 ? random_bits(&state) % s->n : 0;
    double share = ldexp(1, -(int)(random_bits(&state) % 8));
    fputc('[', file);
    for (size_t i = 0; i < s->n; i++) {
        const axis *a = &s->axes[i];
        value v = draw(a, &state);
        if (!anywhere && s->best[i].active) v = i == moved ? between(a, s->best[i], v, share) : s->best[i];
        if (i > 0) fputc(',', file);
        write_value(file, a, v);
    }
    fputc(']', file);
}

static lapidary_status ask(void *searcher, uint64_t n, lapidary_buffer *out) {
    search *s = searcher;
    writer w;
    uint64_t *pending = realloc(s->pending, (s->pending_count + n + 1) * sizeof *pending);
    if (pending == NULL || !begin(&w)) return LAPIDARY_FAILED;
    s->pending = pending;
    fputc('[', w.file);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t id = s->next++;
        pending[s->pending_count++] = id;
        fprintf(w.file, "%s{\"id\":%llu,\"point\":", i > 0 ? "," : "", (unsigned long long)id);
        propose(s, id, w.file);
        fputc('}', w.file);
    }
    fputc(']', w.file);
    return finish(&w, out, LAPIDARY_OK);
}

/* Reads `n` values into `values`. */
static void read_point(reader *r, const search *s, value *values) {
    size_t count = 0;
    r->ok = r->ok && take(r, '[');
    while (more(r, ']', &count)) {
        if (count > s->n) r->ok = false;
        else values[count - 1] = read_value(r, &s->axes[count - 1]);
    }
    r->ok = r->ok && count == s->n;
}

/* Reads a score into `score`: violation first. The number of objectives is returned. */
static size_t read_score(reader *r, const search *s, double *score) {
    char key[16];
    size_t fields = 0, count = 0;
    r->ok = r->ok && take(r, '{');
    while (more_fields(r, key, sizeof key, &fields)) {
        if (strcmp(key, "violation") == 0) {
            score[0] = read_double(r);
            r->ok = r->ok && score[0] >= 0;
        } else if (strcmp(key, "objectives") == 0) {
            r->ok = take(r, '[');
            while (more(r, ']', &count)) {
                double objective = read_double(r);
                r->ok = r->ok && isfinite(objective);
                if (count <= s->objectives) score[count] = objective;
            }
        } else {
            skip(r);
        }
    }
    return count;
}

/* Whether score `a` is better than `b`: the lesser violation, then the lesser objective. */
static bool better(const double *a, const double *b, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (a[i] != b[i]) return a[i] < b[i];
    }
    return false;
}

/* Where `id` is among the pending ids, or their count. */
static size_t find_pending(const search *s, uint64_t id) {
    size_t i = 0;
    while (i < s->pending_count && s->pending[i] != id) i++;
    return i;
}

static lapidary_status learn(search *s, lapidary_bytes trial, value *point, double *score, lapidary_buffer *out) {
    reader r = read_bytes(trial);
    char key[16];
    size_t fields = 0, objectives = 0;
    bool foreign = false, scored = false;
    uint64_t id = 0;
    r.ok = take(&r, '{');
    while (more_fields(&r, key, sizeof key, &fields)) {
        if (strcmp(key, "id") == 0) {
            id = read_count(&r);
        } else if (strcmp(key, "point") == 0) {
            read_point(&r, s, point);
        } else if (strcmp(key, "foreign") == 0) {
            foreign = take_word(&r, "true") || (skip(&r), false);
        } else if (strcmp(key, "score") == 0) {
            objectives = read_score(&r, s, score);
            scored = true;
        } else {
            skip(&r);
        }
    }
    if (!r.ok) return say(out, LAPIDARY_FAILED, "the trial cannot be read");
    if (scored && objectives != s->objectives) return LAPIDARY_OBJECTIVES;
    if (!foreign) {
        size_t i = find_pending(s, id);
        if (i == s->pending_count) return id < s->next ? LAPIDARY_TOLD_TWICE : LAPIDARY_UNKNOWN_TRIAL;
        s->pending_count--;
        memmove(&s->pending[i], &s->pending[i + 1], (s->pending_count - i) * sizeof *s->pending);
    }
    if (scored && (!s->has_best || better(score, s->score, 1 + s->objectives))) {
        s->has_best = true;
        memcpy(s->best, point, s->n * sizeof *point);
        memcpy(s->score, score, (1 + s->objectives) * sizeof *score);
    }
    return LAPIDARY_OK;
}

static lapidary_status tell(void *searcher, lapidary_bytes trial, lapidary_buffer *out) {
    search *s = searcher;
    value *point = zeroed(s->n, sizeof *point);
    double *score = zeroed(1 + s->objectives, sizeof *score);
    lapidary_status status = LAPIDARY_FAILED;
    if (point != NULL && score != NULL) status = learn(s, trial, point, score, out);
    free(point);
    free(score);
    return status;
}

static lapidary_status snapshot(void *searcher, lapidary_buffer *out) {
    const search *s = searcher;
    writer w;
    if (!begin(&w)) return LAPIDARY_FAILED;
    fprintf(w.file, "{\"strategy\":\"" NAME "\",\"version\":%d,\"state\":{\"wander\":%.17g,\"seed\":%llu,\"next\":%llu,",
            SNAPSHOT_VERSION, s->wander, (unsigned long long)s->seed, (unsigned long long)s->next);
    fputs("\"pending\":[", w.file);
    for (size_t i = 0; i < s->pending_count; i++) {
        fprintf(w.file, "%s%llu", i > 0 ? "," : "", (unsigned long long)s->pending[i]);
    }
    fputs("],\"best\":", w.file);
    if (s->has_best) {
        fputs("{\"point\":[", w.file);
        for (size_t i = 0; i < s->n; i++) {
            if (i > 0) fputc(',', w.file);
            write_value(w.file, &s->axes[i], s->best[i]);
        }
        fprintf(w.file, "],\"score\":{\"violation\":%.17g,\"objectives\":[", s->score[0]);
        for (size_t i = 1; i <= s->objectives; i++) fprintf(w.file, "%s%.17g", i > 1 ? "," : "", s->score[i]);
        fputs("]}}", w.file);
    } else {
        fputs("null", w.file);
    }
    fputs("}}", w.file);
    return finish(&w, out, LAPIDARY_OK);
}

/* Reads the pending ids, which must rise. */
static void read_pending(reader *r, search *to) {
    size_t count = 0;
    r->ok = r->ok && take(r, '[');
    while (more(r, ']', &count)) {
        uint64_t id = read_count(r);
        uint64_t *pending = realloc(to->pending, count * sizeof *pending);
        r->ok = r->ok && pending != NULL && (count == 1 || id > pending[count - 2]);
        if (pending == NULL) return;
        to->pending = pending;
        pending[count - 1] = id;
        to->pending_count = count;
    }
}

static void read_best(reader *r, const search *s, search *to) {
    char key[16];
    size_t fields = 0, points = 0, objectives = 0;
    if (take_word(r, "null")) return;
    r->ok = r->ok && take(r, '{');
    while (more_fields(r, key, sizeof key, &fields)) {
        if (strcmp(key, "point") == 0) {
            read_point(r, s, to->best);
            points++;
        } else if (strcmp(key, "score") == 0) {
            objectives = read_score(r, s, to->score);
        } else {
            r->ok = false;
        }
    }
    r->ok = r->ok && points == 1 && objectives == s->objectives;
    to->has_best = true;
}

/* Reads the state of a snapshot into `to`, which is zeroed but for its memory. */
static bool read_state(reader *r, const search *s, search *to) {
    char key[16];
    size_t fields = 0;
    unsigned seen = 0;
    r->ok = r->ok && take(r, '{');
    while (more_fields(r, key, sizeof key, &fields)) {
        if (strcmp(key, "wander") == 0) {
            r->ok = peek(r) != '"' && read_double(r) == s->wander;
            seen |= 1;
        } else if (strcmp(key, "seed") == 0) {
            r->ok = peek(r) != '"' && read_count(r) == s->seed;
            seen |= 2;
        } else if (strcmp(key, "next") == 0) {
            to->next = read_count(r);
            seen |= 4;
        } else if (strcmp(key, "pending") == 0) {
            read_pending(r, to);
            seen |= 8;
        } else if (strcmp(key, "best") == 0) {
            read_best(r, s, to);
            seen |= 16;
        } else {
            r->ok = false;
        }
    }
    bool pending = to->pending_count == 0 || (r->ok && to->pending[to->pending_count - 1] < to->next);
    return r->ok && seen == 31 && pending && to->next <= INT64_MAX;
}

static lapidary_status restore(void *searcher, lapidary_bytes bytes, lapidary_buffer *out) {
    search *s = searcher;
    reader r = read_bytes(bytes), state = {0};
    char key[16], strategy[64] = "";
    size_t fields = 0;
    uint64_t version = 0;
    r.ok = take(&r, '{');
    while (more_fields(&r, key, sizeof key, &fields)) {
        if (strcmp(key, "strategy") == 0) {
            read_text(&r, strategy, sizeof strategy);
        } else if (strcmp(key, "version") == 0) {
            version = read_count(&r);
        } else {
            if (strcmp(key, "state") == 0) state = r;
            skip(&r);
        }
    }
    if (!r.ok) return say(out, LAPIDARY_MALFORMED_SNAPSHOT, "it is no snapshot");
    if (strcmp(strategy, NAME) != 0 || version != SNAPSHOT_VERSION) return LAPIDARY_FOREIGN_SNAPSHOT;
    search to = {0};
    to.best = zeroed(s->n, sizeof *to.best);
    to.score = zeroed(1 + s->objectives, sizeof *to.score);
    bool sound = to.best != NULL && to.score != NULL && read_state(&state, s, &to);
    if (sound) {
        search old = *s;
        s->next = to.next;
        s->pending = to.pending;
        s->pending_count = to.pending_count;
        s->has_best = to.has_best;
        s->best = to.best;
        s->score = to.score;
        to = old;
    }
    free(to.pending);
    free(to.best);
    free(to.score);
    return sound ? LAPIDARY_OK : say(out, LAPIDARY_MALFORMED_SNAPSHOT, "it is of another search, or damaged");
}

static lapidary_status info(lapidary_buffer *out) {
    return say(out, LAPIDARY_OK, INFO);
}

static const lapidary_searcher_table TABLE = {sizeof TABLE, build, ask, tell, destroy, snapshot, restore};

LAPIDARY_PLUGIN(LAPIDARY_SEARCHER, NAME, "0.1.0", info, TABLE);
