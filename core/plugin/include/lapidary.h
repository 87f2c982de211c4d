/* Lapidary's interface for plug-ins in C and other languages, version 1.0.
 *
 * A plug-in is a shared library that exports one table, `lapidary_plugin`, and carries a note in the section
 * `.note.lapidary`, from which a host knows what it is before opening it:
 *
 *     static lapidary_searcher_table searcher = { sizeof searcher, build, ask, tell, destroy, snapshot, restore };
 *     LAPIDARY_PLUGIN(LAPIDARY_SEARCHER, "my-strategy", "1.0.0", info, searcher);
 *
 * Build it with `cc -shared -fPIC -o my_strategy.so my_strategy.c`, look at it with `lapidary plugin check my_strategy.so`.
 *
 * Rules. Texts are UTF-8 JSON, not ended by a zero. What the host lends (`lapidary_bytes`) lives as long as the call. What a
 * plug-in gives (`lapidary_buffer`) belongs to the host until it calls the buffer's `release`, exactly once. A call that does
 * not return LAPIDARY_OK may put the reason as plain text into its buffer. Calls for one searcher come one after the other,
 * not always from the same thread. Tables only grow at their end and begin with their size: look at it before reading a field
 * that came later than the version you need.
 *
 * Numbers. Floats are the shortest text that reads back as the same bits; "nan", "inf" and "-inf" are texts; whole numbers
 * beyond 2^53 are texts too ("18446744073709551615"), and so may yours be.
 */
#ifndef LAPIDARY_H
#define LAPIDARY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LAPIDARY_MAGIC 0x5944504cu /* "LPDY" */
#define LAPIDARY_MAJOR 1
#define LAPIDARY_MINOR 0

#define LAPIDARY_SEARCHER 1u
#define LAPIDARY_OPTIMIZER 2u

/* How a call ended. */
typedef int32_t lapidary_status;
#define LAPIDARY_OK 0
#define LAPIDARY_FAILED 1             /* it cannot go on */
#define LAPIDARY_PANICKED 2           /* what it was working on must not be used any more */
#define LAPIDARY_SETTINGS 3           /* a setting is unknown or not as it must be */
#define LAPIDARY_UNFIT 4              /* the settings do not fit what it is built for */
#define LAPIDARY_UNKNOWN_TRIAL 5      /* it never asked for the trial it was told */
#define LAPIDARY_TOLD_TWICE 6         /* it was told the trial before */
#define LAPIDARY_OBJECTIVES 7         /* the trial has another number of objectives than it was built for */
#define LAPIDARY_FOREIGN_SNAPSHOT 8   /* the snapshot is another strategy's, or of another version */
#define LAPIDARY_MALFORMED_SNAPSHOT 9 /* the snapshot is malformed */
#define LAPIDARY_NO_SNAPSHOTS 10      /* it takes no snapshots */

/* Bytes lent for the length of a call. */
typedef struct lapidary_bytes {
    const uint8_t *data;
    size_t len;
} lapidary_bytes;

/* Bytes that belong to whoever gets them, until given back through `release`. It comes zeroed; leave it so, or fill it. */
typedef struct lapidary_buffer {
    uint8_t *data;
    size_t len;
    size_t capacity; /* for the maker */
    void (*release)(struct lapidary_buffer *buffer);
} lapidary_buffer;

/* What a searcher can do. `snapshot` and `restore` may be NULL, or the table may end before them; all else must be there. */
typedef struct lapidary_searcher_table {
    size_t size; /* of this table */
    /* Makes a searcher from
     *   {"settings": {…} or null, "space": [axis, …], "seed": 7, "objectives": 1, "trials": 100 (where known)}
     * An axis is {"name": "lr", "float": [0.0001, 0.1], "log": true, "step": … (where stepped)},
     * {"name": "depth", "int": [1, 6], "log": false, "step": 1} or {"name": "act", "choice": ["relu", "gelu"]}, each with
     * "when": "act == relu" where it is active under a condition only. */
    lapidary_status (*build)(lapidary_bytes request, void **searcher, lapidary_buffer *out);
    /* At most n candidates with fresh, rising ids: [{"id": 0, "point": [0.01, 3, 1], "fidelity": 1, "parent": 5}, …].
     * A point has a value for each axis, in order: a number, or the index of a choice; null where the axis is inactive (a
     * value there is dropped). Fidelity is in (0, 1], 1 where left out; parent is the trial it goes on from, where there is
     * one. None at all means that the space is exhausted or, while trials are open, that it waits for one to be told. */
    lapidary_status (*ask)(void *searcher, uint64_t n, lapidary_buffer *out);
    /* Learns from a trial: a candidate as above with
     *   "foreign": true       where it is not one of its own, and the id means nothing to it
     *   "metrics": {…}        what was measured
     *   "failed": "why" or "stopped": "why"  where it did not come to its end
     *   "score": {"objectives": [0.5], "violation": 0}  all to be minimised; left out where there is none
     *   "curve": [{"step": 1, "metrics": {…}}]  and  "repeats": 3 (the earlier trial that answered it)  where there are any */
    lapidary_status (*tell)(void *searcher, lapidary_bytes trial, lapidary_buffer *out);
    /* Ends a searcher. */
    void (*destroy)(void *searcher);
    /* The whole state: {"strategy": name, "version": 1, "state": any JSON}. */
    lapidary_status (*snapshot)(void *searcher, lapidary_buffer *out);
    /* Takes on the state of a snapshot; the same sequence goes on from there. Refused, it changes nothing. */
    lapidary_status (*restore)(void *searcher, lapidary_bytes snapshot, lapidary_buffer *out);
} lapidary_searcher_table;

/* A tensor lent for the length of a call: row-major elements in the machine's byte order. */
typedef struct lapidary_tensor {
    const uint8_t *data;
    size_t len; /* bytes of all elements */
    const uint64_t *shape;
    size_t rank;
    uint32_t dtype; /* element type, by its ONNX number: 1 float, 3 int8, 5 int16, 7 int64, 9 bool, 11 double … */
    uint32_t reserved;
} lapidary_tensor;

/* What a host answers. It belongs to whoever gets it, until given back through `release`; its tensors are the host's own
 * memory where it is in the same process. */
typedef struct lapidary_answer {
    lapidary_bytes text; /* JSON; where the status is not LAPIDARY_OK, why not */
    const lapidary_tensor *tensors;
    size_t count;
    void *owner; /* for the maker */
    void (*release)(struct lapidary_answer *answer);
} lapidary_answer;

/* What a host offers an optimizer while it is at work. Models go by numbers: 0 is the one it works on, others come from
 * calls. A number in a text that stands for a tensor is its place among the tensors beside the text. Requests:
 *   {"call": "describe", "model": 0}     signature, nodes and layers of a model; "structural", "trainable"
 *   {"call": "weights", "model": 0}      {name: {"dense": 0} or {"quantized": {"codes": 0, "bits": 8, "signed": true,
 *                                        "granularity": "Tensor" or {"Axis": 0} or {"Block": {"axis": 0, "size": 32}},
 *                                        "scales": 1, "zero_points": 2}}}; codes and zero points are int16
 *   {"call": "apply", "model": 0, "edits": [{"set_weight": {"name": …, "tensor": as above}},
 *       {"quantize_value": {"node", "value", "affine": {"scale", "zero_point"}}}, {"cut_channels": {"group", "keep": […]}},
 *       {"rename_value": {"from", "to"}}]}                        the number of the changed model
 *   {"call": "groups", "model": 0}       the groups of channels that can be cut
 *   {"call": "forward", "model": 0, "inputs": {name: 0}}          a list of tensors
 *   {"call": "observe", "model": 0, "inputs": {name: 0}, "values": [name]}   [[name, tensor], …]
 *   {"call": "fit", "model": 0, "plan": {"losses": [[{"labels": {"smoothing": 0, "class_weights": []}}, 1]], "update":
 *       {"name": "adamw", "beta1": 0.9, "beta2": 0.999}, "learning_rate", "weight_decay", "schedule": "cosine", "epochs", "batch",
 *       "patience": null, "masks": {}, "frozen": [], "seed", "pause": 1 (where it is to)}, "train": samples, "valid": samples or null}
 *                                        [the number of the trained model, epochs], after the pause where there is one
 *   {"call": "go_on", "pause": 2 or null}   the same, of the run that was paused last: to the bits of one without a pause
 *   {"call": "samples", "part": "train", "valid" or "calibration"}   {"inputs": {name: 0}, "targets": {"classes": {"labels": 1,
 *                                        "names": […]}} or {"values": 1} or null}, or null
 *   {"call": "measure", "model": 0}      metrics on the samples that decisions may see; sizes are always among them
 *   {"call": "accept", "metrics": {…}}   whether they meet the goal
 *   {"call": "build", "spec": {"family": {"name", "settings"}} or {"file": path}}   the number of a model for the same task
 *   {"call": "file_bytes", "model": 0}, {"call": "release", "model": 1}
 *   {"call": "progress", "share": 0.5, "text": "…"}               true once the work is cancelled: return then */
typedef struct lapidary_host_table {
    size_t size; /* of this table */
    void *context;
    lapidary_status (*call)(void *context, lapidary_bytes request, const lapidary_tensor *tensors, size_t count,
                            lapidary_answer *answer);
} lapidary_host_table;

/* What an optimizer can do. All functions must be there. */
typedef struct lapidary_optimizer_table {
    size_t size; /* of this table */
    /* Makes an optimizer from its settings, an object or null. */
    lapidary_status (*build)(lapidary_bytes settings, void **optimizer, lapidary_buffer *out);
    /* Works on model 0: {"seed": 7, "cancelled": false}. Gives {"model": its number, "notes": [text, …]}. A reason may be one of
     * the host's own errors: "cancelled", {"non_finite": {"weight", "index", "value": "nan"}}, {"needs": {"optimizer", "what"}}
     * or, as it stands, what the host answered to a call that failed. */
    lapidary_status (*optimize)(void *optimizer, lapidary_bytes request, const lapidary_host_table *host, lapidary_buffer *out);
    /* Ends an optimizer. */
    void (*destroy)(void *optimizer);
} lapidary_optimizer_table;

/* What a plug-in exports as `lapidary_plugin`. The first three fields are the same in every version. */
typedef struct lapidary_descriptor {
    uint32_t magic;
    uint16_t major;
    uint16_t minor;
    uint32_t size; /* of this table */
    uint32_t kind;
    /* What there is to know:
     *   {"name": …, "summary": one line, "docs": …, "settings": [{"name", "kind", "default", "doc"}], "promises": […]}
     * and, where there is one, "schema": the JSON Schema of an object of all settings, without references; it goes before the list.
     * The name is that of the note; a default is JSON text. Promises of searchers: "learns_from_foreign", "never_repeats",
     * "ends", "ignores_outcomes"; of optimizers: "idempotent", "round_to_nearest", "keeps_weights", "magnitude". `lapidary plugin check` holds it
     * to them. */
    lapidary_status (*info)(lapidary_buffer *out);
    const void *table; /* lapidary_searcher_table or lapidary_optimizer_table */
} lapidary_descriptor;

/* The note. */
typedef struct lapidary_note {
    uint32_t owner_size;
    uint32_t content_size;
    uint32_t type;
    char owner[12];
    uint32_t magic;
    uint16_t major;
    uint16_t minor;
    uint16_t needs; /* the lowest minor version of a host that it works with */
    uint16_t panic; /* 1 where a panic or exception ends the process: it then runs in a child process only */
    uint32_t kind;
    char target[64];
    char name[64];
    char version[64];
} lapidary_note;

#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__)
#define LAPIDARY_TARGET "x86_64-linux-gnu"
#elif defined(__x86_64__) && defined(__linux__)
#define LAPIDARY_TARGET "x86_64-linux-musl"
#elif defined(__aarch64__) && defined(__linux__) && defined(__GLIBC__)
#define LAPIDARY_TARGET "aarch64-linux-gnu"
#elif defined(__aarch64__) && defined(__linux__)
#define LAPIDARY_TARGET "aarch64-linux-musl"
#else
#error "plug-ins are built for Linux on x86_64 or aarch64"
#endif

/* Exports a plug-in; once in a library. `plugin_table` is a table, not a pointer to one. */
#define LAPIDARY_PLUGIN(plugin_kind, plugin_name, plugin_version, plugin_info, plugin_table)                              \
    __attribute__((used, section(".note.lapidary"), aligned(4))) static const lapidary_note lapidary_note_of_file = {     \
        9, sizeof(lapidary_note) - 24, 1, "Lapidary", LAPIDARY_MAGIC, LAPIDARY_MAJOR, LAPIDARY_MINOR, 0, 0, plugin_kind,  \
        LAPIDARY_TARGET, plugin_name, plugin_version};                                                                    \
    __attribute__((visibility("default"))) const lapidary_descriptor lapidary_plugin = {                                  \
        LAPIDARY_MAGIC, LAPIDARY_MAJOR, LAPIDARY_MINOR, sizeof(lapidary_descriptor), plugin_kind, plugin_info,            \
        &plugin_table}

#ifdef __cplusplus
}
#endif

#endif
