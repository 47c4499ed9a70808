// Vector quantisation: the nearest code of every row, and the sums of the rows of every code.
//
// The nearest code e of a row z has the highest score z.e - |e|^2 / 2. Scores are float32, a product of matrices; codes
// with scores so near that rounding may have changed their order are compared by their distances in float64.
#include <atomic>
#include <cfloat>
#include <cmath>
#include <cstdint>

#include "correlation.h"
#include "pool.h"

extern "C" void pack(const float *weights, const long *shape, const long *strides, const float *bias, float *packed);

constexpr long ROWS = 28;  // that are scored at once: whole tiles of all widths
constexpr long LANES = 16;

typedef int Ints __attribute__((vector_size(LANES * sizeof(int)), aligned(sizeof(int)), may_alias));

template <class Number, class Vector, class Operation>
static inline Number over_lanes(const Vector &x, const Operation &operation) {
    Number lanes[LANES];
    memcpy(lanes, &x, sizeof x);
    for (long half = LANES / 2; half; half /= 2)
        for (long l = 0; l < half; l++) lanes[l] = operation(lanes[l], lanes[l + half]);
    return lanes[0];
}

static float dot(const float *a, const float *b, long size) {
    vector<LANES> sums = {};
    long i = 0;
    for (; i + LANES <= size; i += LANES) sums += *(const vector<LANES> *)(a + i) * *(const vector<LANES> *)(b + i);
    float sum = over_lanes<float>(sums, [](float a, float b) { return a + b; });
    for (; i < size; i++) sum += a[i] * b[i];
    return sum;
}

// Apart from their sum: a compiler would round a square and its sum at once, and NumPy cannot.
__attribute__((noinline)) static void square_differences(const float *z, const float *e, long size, double *squares) {
    for (long i = 0; i < size; i++) squares[i] = ((double)z[i] - e[i]) * ((double)z[i] - e[i]);
}

static double distance(const float *z, const float *e, long size) {
    double squares[64], sum = 0;
    for (long first = 0; first < size; first += 64) {
        const long some = size - first < 64 ? size - first : 64;
        square_differences(z + first, e + first, some, squares);
        for (long i = 0; i < some; i++) sum += squares[i];
    }
    return sum;
}

struct Codebook {
    const float *codes;
    long count, size;
    float longest;  // the greatest |e|

    // How far below the highest score the nearest code's may be: see `codes.slack`.
    float slack(const float *z) const {
        const float length = sqrtf(dot(z, z, size) + size * FLT_MIN);
        return 2 * (longest + 0x1p-29f * length) * (longest + length) * ((size + 4) * FLT_EPSILON);
    }

    // The nearest code of z. scores: a multiple of LANES of them, -inf beyond `count`.
    long nearest(const float *z, const float *scores) const {
        const vector<LANES> *s = (const vector<LANES> *)scores;
        const int vectors = (count + LANES - 1) / LANES;
        vector<LANES> highest = s[0];
        for (int i = 1; i < vectors; i++) highest = s[i] > highest ? s[i] : highest;
        const float limit = over_lanes<float>(highest, [](float a, float b) { return a > b ? a : b; }) - slack(z);
        Ints near = {}, sum = {}, place = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        for (int i = 0; i < vectors; i++, place += LANES) {
            const Ints is_near = ~(s[i] < limit);  // true for NaN too
            near -= is_near;
            sum += is_near & place;
        }
        const auto add = [](int a, int b) { return a + b; };
        if (over_lanes<int>(near, add) == 1) return over_lanes<int>(sum, add);
        return nearest_by_distance(z, scores, limit);
    }

    long nearest_by_distance(const float *z, const float *scores, float limit) const {
        long code = 0;
        double least = INFINITY;
        for (long k = 0; k < count; k++)
            if (!(scores[k] < limit)) {
                const double found = distance(z, codes + k * size, size);
                if (found < least) least = found, code = k;
            }
        return code;
    }
};

// codes (m) of the rows of z (m, d) in a codebook (k, d). halves: for -|e|^2 / 2, (k); packed: packed_size(d, k);
// scores: for each thread ROWS rows of k, rounded up to whole vectors.
extern "C" void nearest_code(const float *z, long m, long d, const float *codebook, long k, float *halves,
                             float *packed, float *scores, int64_t *codes, long threads) {
    const long row = (k + LANES - 1) / LANES * LANES, shape[4] = {1, 1, d, k}, strides[4] = {0, 0, 1, d};
    double largest = 0;
    for (long j = 0; j < k; j++) {
        double square = 0;
        for (long i = 0; i < d; i++) square += (double)codebook[j * d + i] * codebook[j * d + i];
        halves[j] = -square / 2;
        largest = square > largest ? square : largest;
    }
    pack(codebook, shape, strides, halves, packed);
    const Codebook book{codebook, k, d, sqrtf((float)largest + d * FLT_MIN)};
    std::atomic<long> scores_of_next(0);
    share(threads, m, worth(k * d), [&](long start, long stop) {
        float *own = scores + scores_of_next++ * ROWS * row;
        for (long i = 0; i < ROWS * row; i++) own[i] = -INFINITY;
        for (long first = start; first < stop; first += ROWS) {
            const long rows = stop - first < ROWS ? stop - first : ROWS;
            const StridePhase all{rows, 1, 0, row, 0, 0, d, 0, {1, 0, 1, 0, d}, 0};
            correlate_phase(all, k, packed, z + first * d, 0, 1, own, 0);
            for (long i = 0; i < rows; i++) codes[first + i] = book.nearest(z + (first + i) * d, own + i * row);
        }
    });
}

// sums (k, d): of the rows of z (m, d) with each code, in order. Each thread sums some of the columns, in a part of
// `exact` (k d) of its own: neighbours in one line of the cache would wait for each other.
extern "C" void code_sums(const float *z, long m, long d, const int64_t *codes, long k, double *exact, float *sums,
                          long threads) {
    share(threads, (d + LANES - 1) / LANES, worth(m * LANES), [&](long start, long stop) {
        const long first = start * LANES, width = (stop * LANES < d ? stop * LANES : d) - first;
        double *own = exact + first * k;
        memset(own, 0, k * width * sizeof(double));
        for (long i = 0; i < m; i++)
            for (long c = 0; c < width; c++) own[codes[i] * width + c] += z[i * d + first + c];
        for (long j = 0; j < k; j++)
            for (long c = 0; c < width; c++) sums[j * d + first + c] = own[j * width + c];
    });
}
