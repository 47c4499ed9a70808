// Passes over memory: one each, where NumPy takes one for every operation of a formula.
#include <cmath>
#include <cstring>

#include "pool.h"

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
    const int bits = ((int)n + 127) << 23;  // the bits of 2^n
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

static void add_block(float *__restrict sum, const float *__restrict x, long count) {
    for (long i = 0; i < count; i++) sum[i] += x[i];
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

static void bce_block(const float *logits, const float *x, long count, float scale, float *__restrict losses,
                      float *__restrict dlogits) {
    for (long i = 0; i < count; i++) {
        const float l = logits[i], e = exp_negative(-std::fabs(l));
        const float gap = (l > 0 ? 1.0f : 0.0f) - x[i];
        losses[i] = (gap == 0 ? 0.0f : l * gap) + log1p_unit(e);
        dlogits[i] = scale * ((l >= 0 ? 1.0f : e) / (1 + e) - x[i]);
    }
}

// bce_with_logits: writes each block's sum, and the gradient.
extern "C" void bce_with_logits(const float *logits, const float *x, long count, float scale, double *sums,
                                float *dlogits, long threads) {
    share(threads, (count + BLOCK - 1) / BLOCK, worth(BLOCK * 16), [=](long start, long stop) {
        float losses[BLOCK];
        for (long block = start; block < stop; block++) {
            const long first = block * BLOCK, size = end_of_block(first, count) - first;
            bce_block(logits + first, x + first, size, scale, losses, dlogits + first);
            sums[block] = sum(losses, size);
        }
    });
}

static void adam_block(float *__restrict w, const float *__restrict g, float *__restrict m, float *__restrict v,
                       long count, float beta1, float beta2, float rate, float epsilon, float shrink) {
    for (long i = 0; i < count; i++) {
        m[i] = beta1 * m[i] + g[i];
        v[i] = beta2 * v[i] + g[i] * g[i];
        w[i] = shrink * w[i] - rate * m[i] / (std::sqrt(v[i]) + epsilon);
    }
}

// adam, with the sum of `parts` arrays as the gradient.
extern "C" void adam(float *w, const float *const *gradients, long parts, float *m, float *v, long count, float beta1,
                     float beta2, float rate, float epsilon, float shrink, long threads) {
    share(threads, (count + BLOCK - 1) / BLOCK, worth(BLOCK * 16), [=](long start, long stop) {
        float sum[BLOCK];
        for (long first = start * BLOCK; first < count && first < stop * BLOCK; first += BLOCK) {
            const long size = end_of_block(first, count) - first;
            const float *g = gradients[0] + first;
            if (parts > 1) {
                memcpy(sum, g, size * sizeof(float));
                for (long part = 1; part < parts; part++) add_block(sum, gradients[part] + first, size);
                g = sum;
            }
            adam_block(w + first, g, m + first, v + first, size, beta1, beta2, rate, epsilon, shrink);
        }
    });
}

// y = max(x, 0); NaN stays.
extern "C" void relu(const float *x, long count, float *y, long threads) {
    share(threads, count, worth(8), [=](long start, long stop) {
        for (long i = start; i < stop; i++) y[i] = x[i] < 0 ? 0.0f : x[i];
    });
}

static void relu_gradient_part(const float *__restrict y, const float *__restrict dy, long count,
                               float *__restrict dx) {
    for (long i = 0; i < count; i++) {
        const float all = dy[i];  // read in any case: or else this is a branch for every number
        dx[i] = y[i] > 0 ? all : 0.0f;
    }
}

// dx = dy where y > 0, else 0.
extern "C" void relu_gradient(const float *y, const float *dy, long count, float *dx, long threads) {
    share(threads, count, worth(8), [=](long start, long stop) {
        relu_gradient_part(y + start, dy + start, stop - start, dx + start);
    });
}
