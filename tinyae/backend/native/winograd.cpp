// Correlation with kernels of three rows, without stride, by the fast algorithm F(2, 3) over rows (Winograd 1980; Lavin
// & Gray 2016, section 4): two rows of y from four rows d of x by four products instead of six. With
//
//     t0 = d0 - d2        t1 = d1 + d2        t2 = d2 - d1        t3 = d1 - d3
//     v0 = w0        v1 = (w0 + w1 + w2) / 2        v2 = (w0 - w1 + w2) / 2        v3 = w2
//
// and a product * that is a correlation along the row, m_q = t_q * v_q,
//
//     y[2i] = m0 + m1 + m2        y[2i + 1] = m1 - m2 - m3
//
// The gradient by the weights is the transpose of all that: with r0, r3 = dy[2i], dy[2i + 1], r1 = r0 + r3 and
// r2 = r0 - r3, the sums g_q of t_q times r_q over all positions give
//
//     dw0 = g0 + (g1 + g2) / 2        dw1 = (g1 - g2) / 2        dw2 = (g1 + g2) / 2 - g3
//
// Some pairs of rows at a time: t and m (or r) of these stay in the second-level cache.
#include <atomic>

#include "correlation.h"
#include "pool.h"

struct Fast {
    long rows, columns, channels, filters, taps;  // the result's, then the rows of its windows
    long first, pairs;                            // the first window in the padded image; pairs of rows at a time

    long width() const { return columns + taps - 1; }  // pixels of x below a row of y
    long tile() const { return pairs * width() * channels; }
    long sums() const { return pairs * columns * filters; }
};

// The four t, (pairs, width, channels) each, of `count` pairs of rows from pair i on.
static void transform(const Fast &f, const float *x, long row, long i, long count, float *__restrict t) {
    const long size = f.width() * f.channels, next = f.tile();
    for (long k = 0; k < count; k++) {
        const float *d0 = x + f.first + 2 * (i + k) * row, *d1 = d0 + row, *d2 = d1 + row, *d3 = d2 + row;
        float *__restrict to = t + k * size;
        for (long c = 0; c < size; c++) {
            to[c] = d0[c] - d2[c];
            to[next + c] = d1[c] + d2[c];
            to[2 * next + c] = d2[c] - d1[c];
            to[3 * next + c] = d1[c] - d3[c];
        }
    }
}

// Two rows of y, or one if the second is null, from their four products.
static void combine(const float *__restrict m, long next, long size, float *__restrict even, float *__restrict odd) {
    for (long c = 0; c < size; c++) even[c] = m[c] + m[next + c] + m[2 * next + c];
    if (odd)
        for (long c = 0; c < size; c++) odd[c] = m[next + c] - m[2 * next + c] - m[3 * next + c];
}

// The four r of a pair of rows of dy, whose second one may be null: zeros.
static void spread(const float *__restrict even, const float *__restrict odd, long next, long size,
                   float *__restrict r) {
    for (long c = 0; c < size; c++) {
        const float one = even[c], other = odd ? odd[c] : 0.0f;
        r[c] = one;
        r[next + c] = one + other;
        r[2 * next + c] = one - other;
        r[3 * next + c] = other;
    }
}

// y (images, rows, columns, filters) from x. packed: v0 to v3, each as by `pack`, of `packed_size` floats. workspaces:
// for a padded image, 4 t and 4 m, and each thread.
extern "C" void correlate_fast(const Fast *fast, const float *packed, long packed_size, long images, const float *x,
                               const Border *border, float *workspaces, float *y, long threads) {
    const Fast &f = *fast;
    const long pairs = (f.rows + 1) / 2, line = f.columns * f.filters, row = border->padded_row;
    std::atomic<long> next(0);
    share(threads, images, 1, [&](long start, long stop) {
        float *workspace = workspaces + next++ * (border->size() + 4 * f.tile() + 4 * f.sums());
        float *t = workspace + border->size(), *m = t + 4 * f.tile();
        border->clear(workspace, 1);
        for (long n = start; n < stop; n++) {
            const float *in = border->copy(x + n * border->height * border->row, 1, workspace);
            for (long i = 0; i < pairs; i += f.pairs) {
                const long count = pairs - i < f.pairs ? pairs - i : f.pairs;
                transform(f, in, row, i, count, t);
                const StridePhase p{count, f.columns, 0, line, f.filters, 0, f.width() * f.channels, f.channels,
                              {1, 0, 1, 0, f.taps * f.channels}, 0};
                for (long q = 0; q < 4; q++)
                    correlate_phase(p, f.filters, packed + q * packed_size, t + q * f.tile(), 0, 1, m + q * f.sums(),
                                    0);
                for (long k = 0; k < count; k++) {
                    float *even = y + (n * f.rows + 2 * (i + k)) * line;
                    combine(m + k * line, f.sums(), line, even, 2 * (i + k) + 1 < f.rows ? even + line : nullptr);
                }
            }
        }
    });
}

// g (4, taps, channels, filters) += the sums of products. workspaces: for a padded image, 4 t and 4 r a thread.
extern "C" void accumulate_fast(const Fast *fast, float *g, long images, const float *x, const Border *border,
                                float *workspaces, const float *dy, long threads) {
    const Fast &f = *fast;
    const long pairs = (f.rows + 1) / 2, line = f.columns * f.filters, numbers = f.taps * f.channels;
    std::atomic<long> next(0);
    share(threads, numbers, 8, [&](long start, long stop) {
        float *workspace = workspaces + next++ * (border->size() + 4 * f.tile() + 4 * f.sums());
        float *t = workspace + border->size(), *r = t + 4 * f.tile();
        border->clear(workspace, 1);
        for (long n = 0; n < images; n++) {
            const float *in = border->copy(x + n * border->height * border->row, 1, workspace);
            for (long i = 0; i < pairs; i += f.pairs) {
                const long count = pairs - i < f.pairs ? pairs - i : f.pairs;
                transform(f, in, border->padded_row, i, count, t);
                for (long k = 0; k < count; k++) {
                    const float *even = dy + (n * f.rows + 2 * (i + k)) * line;
                    spread(even, 2 * (i + k) + 1 < f.rows ? even + line : nullptr, f.sums(), line, r + k * line);
                }
                for (long q = 0; q < 4; q++) {
                    const Operand a{t + q * f.tile() + start, 0, f.width() * f.channels, f.channels};
                    const Operand b{r + q * f.sums(), 0, line, f.filters};
                    outer(a, stop - start, b, f.filters, 1, count, f.columns,
                          {g + (q * numbers + start) * f.filters, f.filters, 1, false});
                }
            }
        }
    });
}
