// Correlation: each output is the sum over its window of an image, times the weights of each filter.
//
//     out[i, j, f] = bias[f] + sum over the window's numbers k of in[i in_row + j in_column + k] weights[k, f]
//
// A tile is R neighbouring outputs by `width` filters. For a convolution, weights lie packed, block of filters
// by block: a block's biases, then its `width` weights for each number of the window, in the order in which a tile
// meets them. A dense layer is a correlation too: examples are the outputs of one row, a window is a whole example.
#include <atomic>

#include "correlation.h"
#include "pool.h"

// sum + a b, rounded once where the processor can, as in the vectors: else it were at the choice of the compiler.
static inline float multiply_add(float a, float b, float sum) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return __builtin_fmaf(a, b, sum);
#else
    return sum + a * b;
#endif
}

struct CorrelationTile {
    static constexpr int NARROWEST = 1;
    const Window &window;
    const float *in[MOST_ROWS];  // pointers to the starts of the windows
    float *out[MOST_ROWS];
    const float *bias, *weights;
    long weights_row;  // step between the weights of neighbouring numbers of the window
    long filters;      // the filters of the tile that exist; the rest is padding

    template <int R, int V, int L>
    void run() const {
        if constexpr (V * L == 1) dot<R>();
        else product<R, V, L>();
    }

    template <int R, int V, int L>
    void product() const {
        typedef vector<L> vec;
        vec sums[R][V];
        const float *a[R], *w = weights;
        for (int r = 0; r < R; r++) {
            a[r] = in[r];
            for (int v = 0; v < V; v++) sums[r][v] = *(const vec *)(bias + v * L);
        }
        for (long tap = 0; tap < window.taps; tap++)
            for (long run = 0; run < window.runs; run++) {
                const long first = tap * window.tap + run * window.run;
                for (long k = first; k < first + window.length; k++, w += weights_row) {
                    vec b[V];
                    for (int v = 0; v < V; v++) b[v] = *(const vec *)(w + v * L);
                    for (int r = 0; r < R; r++)
                        for (int v = 0; v < V; v++) sums[r][v] += a[r][k] * b[v];
                }
            }
        for (int r = 0; r < R; r++)
            if (filters < V * L) memcpy(out[r], sums[r], filters * sizeof(float));
            else
                for (int v = 0; v < V; v++) *(vec *)(out[r] + v * L) = sums[r][v];
    }

    // One filter: vectors run along the window instead, and each sum is added up at the end.
    template <int R>
    void dot() const {
        typedef vector<16> vec;
        vec sums[R] = {};
        float rest[R];
        for (int r = 0; r < R; r++) rest[r] = bias[0];
        const float *w = weights;
        for (long tap = 0; tap < window.taps; tap++)
            for (long run = 0; run < window.runs; run++, w += window.length) {
                const long first = tap * window.tap + run * window.run;
                long k = 0;
                for (; k + 16 <= window.length; k += 16)
                    for (int r = 0; r < R; r++) sums[r] += *(const vec *)(in[r] + first + k) * *(const vec *)(w + k);
                for (; k < window.length; k++)
                    for (int r = 0; r < R; r++) rest[r] = multiply_add(in[r][first + k], w[k], rest[r]);
            }
        for (int r = 0; r < R; r++) {
            vector<4> quarters[4];
            memcpy(quarters, &sums[r], sizeof quarters);
            vector<4> sum = (quarters[0] + quarters[1]) + (quarters[2] + quarters[3]);
            out[r][0] = rest[r] + ((sum[0] + sum[1]) + (sum[2] + sum[3]));
        }
    }
};

// One block of packed weights: `width` filters, of which the first `used` exist and the rest are zeros. Strides of taps,
// columns of taps, channels and filters, so that any view will do; bias may be null.
static void pack_block(const float *weights, const long *shape, const long *strides, const float *bias, int width,
                       long used, float *packed) {
    memset(packed, 0, width * sizeof(float));
    if (bias) memcpy(packed, bias, used * sizeof(float));
    packed += width;
    for (long u = 0; u < shape[0]; u++)
        for (long v = 0; v < shape[1]; v++)
            for (long c = 0; c < shape[2]; c++, packed += width) {
                const float *from = weights + u * strides[0] + v * strides[1] + c * strides[2];
                for (long i = 0; i < used; i++) packed[i] = from[i * strides[3]];
                for (long i = used; i < width; i++) packed[i] = 0;
            }
}

// The packed weights of one phase, in blocks as `correlate` takes them.
extern "C" void pack(const float *weights, const long *shape, const long *strides, const float *bias, float *packed) {
    const long size = shape[0] * shape[1] * shape[2];
    for (long f = 0; f < shape[3];) {
        const int width = next_width(shape[3] - f);
        const long used = shape[3] - f < width ? shape[3] - f : width;
        pack_block(weights + f * strides[3], shape, strides, bias ? bias + f : nullptr, width, used, packed);
        packed += (size + 1) * width;
        f += width;
    }
}

// How many floats `pack` writes for windows of `size` numbers.
extern "C" long packed_size(long size, long filters) {
    long total = 0;
    for (long f = 0; f < filters; f += next_width(filters - f)) total += (size + 1) * next_width(filters - f);
    return total;
}

// All outputs of a phase, over `images` images: tiles run on over the ends of rows and images.
void correlate_phase(const StridePhase &p, long filters, const float *weights, const float *in, long in_size, long images,
                     float *out, long out_size) {
    const long size = p.window.taps * p.window.runs * p.window.length;
    for (long f = 0; f < filters;) {
        const int width = next_width(filters - f);
        const long used = filters - f < width ? filters - f : width;
        long n = 0, i = 0, j = 0;  // the position of the next output
        each_tile(images * p.rows * p.columns, width, [&](long, long rows) {
            CorrelationTile tile{p.window, {}, {}, weights, weights + width, width, used};
            for (long r = 0; r < rows; r++) {
                tile.in[r] = in + n * in_size + p.in + i * p.in_row + j * p.in_column;
                tile.out[r] = out + n * out_size + p.out + i * p.out_row + j * p.out_column + f;
                if (++j == p.columns) j = 0, i++;
                if (i == p.rows) i = 0, n++;
            }
            run(width, rows, tile);
        });
        weights += (size + 1) * width;
        f += width;
    }
}

// out (images, out_size) from x, `chunk` images at a time, by all phases. workspaces: for `chunk` padded images and
// each thread. products: multiply-adds of an image.
extern "C" void correlate(const StridePhase *phases, long count, long filters, const float *packed, long images, long chunk,
                          const float *x, const Border *border, float *workspaces, float *out, long out_size,
                          long products, long threads) {
    std::atomic<long> workspace_of_next(0);
    share(threads, images, worth(products), [&](long start, long stop) {
        float *workspace = workspaces + workspace_of_next++ * chunk * border->size();
        if (border->padded) border->clear(workspace, chunk);
        for (long n = start; n < stop; n += chunk) {
            const long some = stop - n < chunk ? stop - n : chunk;
            const float *in = border->copy(x + n * border->height * border->row, some, workspace);
            for (const StridePhase *p = phases; p < phases + count; p++)
                correlate_phase(*p, filters, packed + p->weights, in, border->size(), some, out + n * out_size,
                                out_size);
        }
    });
}

// y (n, f) = x (n, k) w (k, f) + bias (f), which may be null. f: a multiple of 4, so that the tiles fill the rows
// exactly.
extern "C" void product(const float *x, long n, long k, const float *w, long f, const float *bias, float *y,
                        long threads) {
    static const float zeros[WIDEST] = {};
    share(threads, n, worth(k * f), [&](long start, long stop) {
        const Window window{1, 0, 1, 0, k};
        for (long first = 0; first < f;) {
            const int width = next_width(f - first);
            each_tile(stop - start, width, [&](long i, long rows) {
                CorrelationTile tile{window, {}, {}, bias ? bias + first : zeros, w + first, f, width};
                for (long r = 0; r < rows; r++) {
                    tile.in[r] = x + (start + i + r) * k;
                    tile.out[r] = y + (start + i + r) * f + first;
                }
                run(width, rows, tile);
            });
            first += width;
        }
    });
}

// dx (n, d) = dy (n, u) w (d, u)^T, as w dy^T tile by tile, since the rows of w are contiguous. packed: for dy^T, as by
// `pack`, packed_size(u, n).
extern "C" void product_transposed(const float *dy, long n, long u, const float *w, long d, float *packed, float *dx,
                                   long threads) {
    share(threads, (n + WIDEST - 1) / WIDEST, worth(u * WIDEST), [&](long start, long stop) {
        const long shape[4] = {1, 1, u, WIDEST}, strides[4] = {0, 0, 1, u};
        for (long first = start * WIDEST; first < n && first < stop * WIDEST;) {
            const int width = next_width(n - first);
            const long used = n - first < width ? n - first : width;
            pack_block(dy + first * u, shape, strides, nullptr, width, used, packed + first * (u + 1));
            first += width;
        }
    });
    share(threads, d, worth(n * u), [&](long start, long stop) {
        float sums[MOST_ROWS][WIDEST];
        const Window window{1, 0, 1, 0, u};
        for (long first = 0; first < n;) {
            const int width = next_width(n - first);
            const long used = n - first < width ? n - first : width;
            const float *weights = packed + first * (u + 1);
            each_tile(stop - start, width, [&](long i, long rows) {
                CorrelationTile tile{window, {}, {}, weights, weights + width, width, width};
                for (long r = 0; r < rows; r++) {
                    tile.in[r] = w + (start + i + r) * u;
                    tile.out[r] = sums[r];
                }
                run(width, rows, tile);
                for (long j = 0; j < used; j++)
                    for (long r = 0; r < rows; r++) dx[(first + j) * d + start + i + r] = sums[r][j];
            });
            first += width;
        }
    });
}
