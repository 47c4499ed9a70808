// The maximum of windows over images (N, H, W, C), channel by channel, and its gradient.
#include <atomic>
#include <cstring>

#include "pool.h"

struct Pool {
    long height, width, channels, rows, columns;  // the image's first three, then the result's
    long size_y, size_x, stride_y, stride_x, top, left;

    long image() const { return height * width * channels; }
    long result() const { return rows * columns * channels; }
};

// Calls tap(pixel) for the pixels of window (i, j), in raster order, without those beyond the border.
template <class Tap>
static inline void each_tap(const Pool &p, long i, long j, const Tap &tap) {
    for (long u = 0; u < p.size_y; u++) {
        const long y = i * p.stride_y + u - p.top;
        if (y < 0 || y >= p.height) continue;
        for (long v = 0; v < p.size_x; v++) {
            const long x = j * p.stride_x + v - p.left;
            if (x >= 0 && x < p.width) tap((y * p.width + x) * p.channels);
        }
    }
}

// y (N, rows, columns, C) = the maximum; NaN where there is one.
extern "C" void max_pool(const Pool *pool, const float *images, long count, float *results, long threads) {
    const Pool &p = *pool;
    const long channels = p.channels;
    share(threads, count, worth(8 * p.image()), [&](long start, long stop) {
        const float *x = images + start * p.image();
        float *y = results + start * p.result();
        for (long n = start; n < stop; n++, x += p.image())
            for (long i = 0; i < p.rows; i++)
                for (long j = 0; j < p.columns; j++, y += channels) {
                    bool first = true;
                    each_tap(p, i, j, [&](long pixel) {
                        const float *from = x + pixel;
                        if (first) memcpy(y, from, channels * sizeof(float));
                        else
                            for (long c = 0; c < channels; c++)
                                y[c] = from[c] > y[c] || from[c] != from[c] ? from[c] : y[c];
                        first = false;
                    });
                }
    });
}

// dx += dy at the first pixel of the window that has the maximum. lefts: `channels` floats a thread to work in.
extern "C" void max_pool_gradient(const Pool *pool, const float *images, const float *results, const float *dresults,
                                  long count, float *lefts, float *dimages, long threads) {
    const Pool &p = *pool;
    const long channels = p.channels;
    std::atomic<long> next(0);
    share(threads, count, worth(8 * p.image()), [&](long start, long stop) {
        const float *x = images + start * p.image(), *y = results + start * p.result();
        const float *dy = dresults + start * p.result();
        float *dx = dimages + start * p.image(), *left = lefts + next++ * channels;  // gradients without a pixel so far
        for (long n = start; n < stop; n++, x += p.image(), dx += p.image())
            for (long i = 0; i < p.rows; i++)
                for (long j = 0; j < p.columns; j++, y += channels, dy += channels) {
                    memcpy(left, dy, channels * sizeof(float));
                    each_tap(p, i, j, [&](long pixel) {
                        const float *from = x + pixel;
                        float *to = dx + pixel;
                        for (long c = 0; c < channels; c++) {
                            const float share = from[c] == y[c] ? left[c] : 0.0f;
                            to[c] += share;
                            left[c] -= share;
                        }
                    });
                }
    });
}
