// The maximum of windows over images (N, H, W, C), channel by channel, and its gradient.
#include <cstring>

struct Pool {
    long height, width, channels, rows, columns;  // of the image, of the result
    long size_y, size_x, stride_y, stride_x, top, left;
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
extern "C" void max_pool(const Pool *pool, const float *x, long images, float *y) {
    const Pool &p = *pool;
    const long channels = p.channels;
    for (long n = 0; n < images; n++, x += p.height * p.width * channels)
        for (long i = 0; i < p.rows; i++)
            for (long j = 0; j < p.columns; j++, y += channels) {
                bool first = true;
                each_tap(p, i, j, [&](long pixel) {
                    const float *from = x + pixel;
                    if (first) memcpy(y, from, channels * sizeof(float));
                    else
                        for (long c = 0; c < channels; c++) y[c] = from[c] > y[c] || from[c] != from[c] ? from[c] : y[c];
                    first = false;
                });
            }
}

// dx += dy at the first pixel of the window that has the maximum. left: `channels` floats to work in.
extern "C" void max_pool_gradient(const Pool *pool, const float *x, const float *y, const float *dy, long images,
                                  float *left, float *dx) {
    const Pool &p = *pool;
    const long channels = p.channels, size = p.height * p.width * channels;
    for (long n = 0; n < images; n++, x += size, dx += size)
        for (long i = 0; i < p.rows; i++)
            for (long j = 0; j < p.columns; j++, y += channels, dy += channels) {
                memcpy(left, dy, channels * sizeof(float));  // what has not found its pixel yet
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
}
