// Passes over memory: one each, where NumPy takes one for every operation of a formula.
#include <cmath>
#include <cstring>

constexpr long BLOCK = 1024;  // floats that a thread keeps at hand between the loops over them

static inline long end_of_block(long first, long count) {
    return count - first < BLOCK ? count : first + BLOCK;
}

// exp(x) for x <= 0: 2^n exp(r) with r = x - n log 2, |r| <= log(2) / 2, and exp(r) by its Taylor series up to r^7.
static inline float exp_negative(float x) {
    const bool tiny = x < -87.3f;  // below the smallest normal number: 0. NaN stays
    x = tiny ? 0.0f : x;
    const float n = std::nearbyint(x * 1.44269504f), r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    const float high = 1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720 + r * (1.0f / 5040)));
    const float sum = 1 + r * (1 + r * (0.5f + r * (1.0f / 6 + r * high)));
    const int bits = ((int)n + 127) << 23;  // of 2^n
    float power;
    memcpy(&power, &bits, sizeof power);
    return tiny ? 0.0f : sum * power;
}

// log(1 + e) for 0 <= e <= 1: 2 atanh(s) with s = e / (2 + e) <= 1/3, by its series up to s^15.
static inline float log1p_unit(float e) {
    const float s = e / (2 + e), q = s * s;
    const float high = 1.0f / 9 + q * (1.0f / 11 + q * (1.0f / 13 + q * (1.0f / 15)));
    return 2 * s * (1 + q * (1.0f / 3 + q * (1.0f / 5 + q * (1.0f / 7 + q * high))));
}

static double sum(const float *x, long count) {
    float lanes[16] = {};
    long i = 0;
    for (; i + 16 <= count; i += 16)
        for (int k = 0; k < 16; k++) lanes[k] += x[i + k];
    double total = 0;
    for (; i < count; i++) total += x[i];
    for (float lane : lanes) total += lane;
    return total;
}

// primitives.bce_with_logits: returns the sum, writes the gradient.
extern "C" double bce_with_logits(const float *logits, const float *x, long count, float scale, float *dlogits) {
    double total = 0;
    float losses[BLOCK];
    for (long first = 0; first < count; first += BLOCK) {
        const long last = end_of_block(first, count);
        for (long i = first; i < last; i++) {
            const float l = logits[i], e = exp_negative(-std::fabs(l));
            losses[i - first] = (l > 0 ? l : 0.0f) - l * x[i] + log1p_unit(e);
            dlogits[i] = scale * ((l >= 0 ? 1.0f : e) / (1 + e) - x[i]);
        }
        total += sum(losses, last - first);
    }
    return total;
}

// primitives.adam, with the sum of `parts` arrays as the gradient.
extern "C" void adam(float *w, const float *const *gradients, long parts, float *m, float *v, long count, float beta1,
                     float beta2, float rate, float epsilon, float shrink) {
    float g[BLOCK];
    for (long first = 0; first < count; first += BLOCK) {
        const long last = end_of_block(first, count);
        memcpy(g, gradients[0] + first, (last - first) * sizeof(float));
        for (long part = 1; part < parts; part++)
            for (long i = first; i < last; i++) g[i - first] += gradients[part][i];
        for (long i = first; i < last; i++) {
            const float gradient = g[i - first];
            m[i] = beta1 * m[i] + gradient;
            v[i] = beta2 * v[i] + gradient * gradient;
            w[i] = shrink * w[i] - rate * m[i] / (std::sqrt(v[i]) + epsilon);
        }
    }
}

// dx = dy where y > 0, else 0.
extern "C" void relu_gradient(const float *y, const float *dy, long count, float *dx) {
    for (long i = 0; i < count; i++) dx[i] = y[i] > 0 ? dy[i] : 0.0f;
}

// sums (columns) += the rows of x (rows, columns). Blocks of rows first, as sums in float32 should be short.
extern "C" void add_rows(const float *x, long rows, long columns, float *block, float *sums) {
    for (long first = 0; first < rows; first += 256) {
        const long last = rows - first < 256 ? rows : first + 256;
        memset(block, 0, columns * sizeof(float));
        for (long i = first; i < last; i++)
            for (long c = 0; c < columns; c++) block[c] += x[i * columns + c];
        for (long c = 0; c < columns; c++) sums[c] += block[c];
    }
}
