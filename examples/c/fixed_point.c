/* An optimizer in C, as a plug-in: weights become numbers with a fixed point.
 *
 * Every weight tensor has a grid of its own, multiples of a power of two that `bits` bits can count, and each weight becomes
 * the nearest of them: dynamic fixed point (Courbariaux, Bengio and David, 2014). The file stays as large and compresses
 * better. Where the goal is not met, more bits are taken. */
#include "json.h"

#include <math.h>

#define NAME "fixed-point"
#define FEWEST_BITS 2
#define MOST_BITS 24 /* a float has no more */
#define DEFAULT_BITS 8

#define FLOAT 1u                  /* as an ONNX element type */
#define SMALLEST_EXPONENT (-149) /* 2 to this is the smallest float */

static const char INFO[] =
    "{\"name\": \"" NAME "\", \"summary\": \"rounds weights to numbers with a fixed point, so that the file compresses better\","
    " \"docs\": \"Each weight becomes the nearest multiple of a power of two that is its tensor's own. Where the goal is not"
    " met, more bits are taken.\","
    " \"settings\": [{\"name\": \"bits\", \"kind\": \"int in [2, 24]\", \"default\": \"8\","
    " \"doc\": \"Bits of a weight, its sign among them.\"}], \"promises\": [\"idempotent\"]}";

typedef struct {
    int bits;
} settings;

/* ---- The host ---- */

/* One run. */
typedef struct {
    const lapidary_host_table *host;
    lapidary_buffer *out; /* for what is given back, or why not */
} run;

static void give_back(lapidary_answer *answer) {
    if (answer->release != NULL) answer->release(answer);
    *answer = (lapidary_answer){0};
}

/* Ends the request and has the host do what it asks for. What the host says of a failure is passed on as it stands. */
static lapidary_status send(const run *r, writer *request, const lapidary_tensor *tensors, size_t count,
                            lapidary_answer *answer) {
    lapidary_buffer text;
    *answer = (lapidary_answer){0};
    if (finish(request, &text, LAPIDARY_OK) != LAPIDARY_OK) return LAPIDARY_FAILED;
    lapidary_status status =
        r->host->call(r->host->context, (lapidary_bytes){text.data, text.len}, tensors, count, answer);
    release(&text);
    if (status == LAPIDARY_OK) return LAPIDARY_OK;
    say_bytes(r->out, LAPIDARY_FAILED, answer->text);
    give_back(answer);
    return LAPIDARY_FAILED;
}

/* Asks something about a model. */
static lapidary_status ask(const run *r, const char *call, uint64_t model, lapidary_answer *answer) {
    writer w;
    if (!begin(&w)) return LAPIDARY_FAILED;
    fprintf(w.file, "{\"call\":\"%s\",\"model\":%llu}", call, (unsigned long long)model);
    return send(r, &w, NULL, 0, answer);
}

/* ---- The weights ---- */

typedef struct {
    lapidary_bytes name; /* as it stands in the host's answer */
    const lapidary_tensor *tensor;
} weight;

typedef struct {
    weight *items;
    size_t len;
} weights;

/* The element at `i`: nothing says that elements lie where a float may. */
static float element(const lapidary_tensor *tensor, size_t i) {
    float value;
    memcpy(&value, tensor->data + i * sizeof value, sizeof value);
    return value;
}

static size_t elements(const lapidary_tensor *tensor) {
    return tensor->len / sizeof(float);
}

/* The weights of floats in what the host answered to "weights". */
static bool read_weights(const lapidary_answer *answer, weights *all) {
    reader r = read_bytes(answer->text);
    lapidary_bytes name;
    char form[16];
    size_t names = 0;
    r.ok = take(&r, '{');
    while (more_named(&r, &name, &names)) {
        size_t forms = 0;
        r.ok = take(&r, '{');
        while (more_fields(&r, form, sizeof form, &forms)) {
            if (strcmp(form, "dense") != 0) {
                skip(&r);
                continue;
            }
            uint64_t at = read_count(&r);
            weight *items = realloc(all->items, (all->len + 1) * sizeof *items);
            if (items == NULL || at >= answer->count) return false;
            all->items = items;
            if (answer->tensors[at].dtype == FLOAT) items[all->len++] = (weight){name, &answer->tensors[at]};
        }
    }
    return r.ok;
}

/* Refuses, by name, a weight that is not finite: "non_finite" is an error that the host knows. */
static lapidary_status check_finite(const run *r, const weights *all) {
    for (size_t i = 0; i < all->len; i++) {
        lapidary_bytes name = all->items[i].name;
        for (size_t k = 0; k < elements(all->items[i].tensor); k++) {
            float v = element(all->items[i].tensor, k);
            if (isfinite(v)) continue;
            writer w;
            if (!begin(&w)) return LAPIDARY_FAILED;
            fprintf(w.file, "{\"non_finite\":{\"weight\":\"%.*s\",\"index\":%zu,\"value\":\"%s\"}}", (int)name.len,
                    (const char *)name.data, k, isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
            return finish(&w, r->out, LAPIDARY_FAILED);
        }
    }
    return LAPIDARY_OK;
}

static bool same(lapidary_bytes a, lapidary_bytes b) {
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* Moves the weight called `name` to the first `kept` ones, and counts it. */
static void keep(weights *all, size_t *kept, lapidary_bytes name) {
    for (size_t i = *kept; i < all->len; i++) {
        if (!same(all->items[i].name, name)) continue;
        weight moved = all->items[i];
        all->items[i] = all->items[*kept];
        all->items[(*kept)++] = moved;
        return;
    }
}

/* Leaves only the weights of layers, which the host names in its answer to "describe". */
static bool keep_layers(const lapidary_answer *answer, weights *all) {
    reader r = read_bytes(answer->text);
    char key[16];
    size_t fields = 0, layers = 0, kept = 0;
    r.ok = take(&r, '{');
    while (more_fields(&r, key, sizeof key, &fields)) {
        if (strcmp(key, "layers") != 0) {
            skip(&r);
            continue;
        }
        r.ok = take(&r, '[');
        while (more(&r, ']', &layers)) {
            size_t facts = 0;
            r.ok = take(&r, '{');
            while (more_fields(&r, key, sizeof key, &facts)) {
                if (strcmp(key, "weight") == 0 && peek(&r) == '"') keep(all, &kept, read_raw(&r));
                else skip(&r);
            }
        }
    }
    all->len = kept;
    return r.ok;
}

/* ---- The rounding ---- */

/* Rounds to multiples of the smallest power of two for which `bits` bits are enough. */
static void round_all(float *values, size_t n, int bits) {
    float largest = 0;
    int exponent;
    for (size_t i = 0; i < n; i++) largest = fmaxf(largest, fabsf(values[i]));
    frexpf(largest, &exponent);
    int step = exponent - (bits - 1);
    if (step < SMALLEST_EXPONENT) step = SMALLEST_EXPONENT;
    double most = ldexp(1, bits - 1) - 1;
    for (size_t i = 0; i < n; i++) {
        double multiple = rint(ldexp(values[i], -step));
        values[i] = (float)ldexp(fmax(-most, fmin(multiple, most)), step);
    }
}

static void free_all(lapidary_tensor *tensors, size_t n) {
    for (size_t i = 0; tensors != NULL && i < n; i++) free((void *)tensors[i].data);
    free(tensors);
}

/* The weights as rounded tensors; NULL without memory. */
static lapidary_tensor *rounded(const weights *all, int bits) {
    lapidary_tensor *tensors = calloc(all->len + 1, sizeof *tensors);
    for (size_t i = 0; tensors != NULL && i < all->len; i++) {
        float *values = malloc(all->items[i].tensor->len + 1);
        tensors[i] = *all->items[i].tensor;
        tensors[i].data = (const uint8_t *)values;
        if (values == NULL) {
            free_all(tensors, i);
            return NULL;
        }
        memcpy(values, all->items[i].tensor->data, tensors[i].len);
        round_all(values, elements(&tensors[i]), bits);
    }
    return tensors;
}

/* Has the host make a model of the rounded weights; its number is in `model`. */
static lapidary_status apply(const run *r, const weights *all, int bits, uint64_t *model) {
    writer w;
    lapidary_answer answer = {0};
    lapidary_tensor *tensors = rounded(all, bits);
    if (tensors == NULL || !begin(&w)) {
        free_all(tensors, all->len);
        return LAPIDARY_FAILED;
    }
    fputs("{\"call\":\"apply\",\"model\":0,\"edits\":[", w.file);
    for (size_t i = 0; i < all->len; i++) {
        lapidary_bytes name = all->items[i].name;
        fprintf(w.file, "%s{\"set_weight\":{\"name\":\"%.*s\",\"tensor\":{\"dense\":%zu}}}", i > 0 ? "," : "",
                (int)name.len, (const char *)name.data, i);
    }
    fputs("]}", w.file);
    lapidary_status status = send(r, &w, tensors, all->len, &answer);
    free_all(tensors, all->len);
    if (status != LAPIDARY_OK) return status;
    reader number = read_bytes(answer.text);
    *model = read_count(&number);
    give_back(&answer);
    return number.ok ? LAPIDARY_OK : say(r->out, LAPIDARY_FAILED, "the host's model has no number");
}

/* Whether a model meets the user's goal is in `met`. */
static lapidary_status accept(const run *r, uint64_t model, bool *met) {
    writer w;
    lapidary_answer metrics, answer;
    lapidary_status status = ask(r, "measure", model, &metrics);
    if (status != LAPIDARY_OK) return status;
    bool begun = begin(&w);
    if (begun) fprintf(w.file, "{\"call\":\"accept\",\"metrics\":%.*s}", (int)metrics.text.len, (const char *)metrics.text.data);
    give_back(&metrics);
    if (!begun) return LAPIDARY_FAILED;
    status = send(r, &w, NULL, 0, &answer);
    if (status != LAPIDARY_OK) return status;
    reader word = read_bytes(answer.text);
    *met = take_word(&word, "true");
    give_back(&answer);
    return LAPIDARY_OK;
}

/* Tells how far the work is, and fails once nobody waits for it any more: "cancelled" is an error that the host knows. */
static lapidary_status progress(const run *r, double share) {
    writer w;
    lapidary_answer answer;
    if (!begin(&w)) return LAPIDARY_FAILED;
    fprintf(w.file, "{\"call\":\"progress\",\"share\":%.17g,\"text\":\"rounding weights\"}", share);
    lapidary_status status = send(r, &w, NULL, 0, &answer);
    if (status != LAPIDARY_OK) return status;
    reader word = read_bytes(answer.text);
    bool cancelled = take_word(&word, "true");
    give_back(&answer);
    return cancelled ? say(r->out, LAPIDARY_FAILED, "\"cancelled\"") : LAPIDARY_OK;
}

static lapidary_status done(const run *r, uint64_t model, const char *note) {
    writer w;
    if (!begin(&w)) return LAPIDARY_FAILED;
    fprintf(w.file, "{\"model\":%llu,\"notes\":[%s]}", (unsigned long long)model, note);
    return finish(&w, r->out, LAPIDARY_OK);
}

/* Takes more bits until the goal is met. */
static lapidary_status search(const run *r, const weights *all, int first) {
    lapidary_answer answer;
    char note[64] = "";
    for (int bits = first; bits <= MOST_BITS; bits++) {
        uint64_t model = 0;
        bool met = false;
        lapidary_status status = progress(r, (double)(bits - first) / MOST_BITS);
        if (status == LAPIDARY_OK) status = apply(r, all, bits, &model);
        if (status == LAPIDARY_OK) status = accept(r, model, &met);
        if (status != LAPIDARY_OK) return status;
        if (bits > first) snprintf(note, sizeof note, "\"%d bits, as fewer did not meet the goal\"", bits);
        if (met) return done(r, model, note);
        status = ask(r, "release", model, &answer);
        if (status != LAPIDARY_OK) return status;
        give_back(&answer);
    }
    return done(r, 0, "\"left as it was: no number of bits met the goal\"");
}

static lapidary_status optimize(void *optimizer, lapidary_bytes request, const lapidary_host_table *host,
                                lapidary_buffer *out) {
    const settings *self = optimizer;
    run r = {host, out};
    lapidary_answer tensors = {0}, layers = {0};
    weights all = {0};
    (void)request; /* nothing is drawn, and `progress` says whether the work is cancelled */
    lapidary_status status = ask(&r, "weights", 0, &tensors);
    if (status == LAPIDARY_OK) status = ask(&r, "describe", 0, &layers);
    if (status == LAPIDARY_OK && !read_weights(&tensors, &all)) {
        status = say(out, LAPIDARY_FAILED, "the weights cannot be read");
    }
    if (status == LAPIDARY_OK) status = check_finite(&r, &all);
    if (status == LAPIDARY_OK && !keep_layers(&layers, &all)) {
        status = say(out, LAPIDARY_FAILED, "the layers cannot be read");
    }
    if (status == LAPIDARY_OK) status = search(&r, &all, self->bits);
    free(all.items);
    give_back(&layers);
    give_back(&tensors);
    return status;
}

/* ---- The rest of the table ---- */

static const char *read_settings(reader *r, settings *self) {
    char key[16];
    size_t count = 0;
    if (take_word(r, "null")) return NULL;
    if (!take(r, '{')) return "the settings are no table";
    while (more_fields(r, key, sizeof key, &count)) {
        if (strcmp(key, "bits") != 0) return "there is no such setting";
        int64_t bits = peek(r) == '"' ? 0 : read_int(r);
        if (!r->ok || bits < FEWEST_BITS || bits > MOST_BITS) return "`bits` is a whole number from 2 to 24";
        self->bits = (int)bits;
    }
    return r->ok ? NULL : "the settings cannot be read";
}

static lapidary_status build(lapidary_bytes text, void **optimizer, lapidary_buffer *out) {
    settings *self = malloc(sizeof *self);
    if (self == NULL) return LAPIDARY_FAILED;
    reader r = read_bytes(text);
    self->bits = DEFAULT_BITS;
    const char *wrong = read_settings(&r, self);
    if (wrong != NULL) {
        free(self);
        return say(out, LAPIDARY_SETTINGS, wrong);
    }
    *optimizer = self;
    return LAPIDARY_OK;
}

static void destroy(void *optimizer) {
    free(optimizer);
}

static lapidary_status info(lapidary_buffer *out) {
    return say(out, LAPIDARY_OK, INFO);
}

static const lapidary_optimizer_table TABLE = {sizeof TABLE, build, optimize, destroy};

LAPIDARY_PLUGIN(LAPIDARY_OPTIMIZER, NAME, "0.1.0", info, TABLE);
