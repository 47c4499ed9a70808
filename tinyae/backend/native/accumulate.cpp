// The gradient of a correlation by its weights: products of window and output gradient, summed over all positions.
//
//     dw[k, f] = sum over positions (n, i, j) of x[n, i x_row + j x_column + k] dy[n, i, j, f]
//
// A tile is R numbers k of the window by `width` filters, or R filters by `width` numbers of the window where the
// filters are few; it walks over all positions of some images with its sums in registers.
#include <atomic>

#include "correlation.h"
#include "pool.h"

struct OuterTile {
    static constexpr int NARROWEST = 4;
    Operand a, b;  // numbers, vectors
    long images, rows, columns;
    Target to;
    long used;  // the vectors' numbers that exist; the rest is padding

    template <int R, int V, int L>
    void run() const {
        typedef vector<L> vec;
        vec sums[R][V] = {};
        for (long n = 0; n < images; n++)
            for (long i = 0; i < rows; i++) {
                const float *p = a.first + n * a.image + i * a.row, *q = b.first + n * b.image + i * b.row;
                for (long j = 0; j < columns; j++, p += a.column, q += b.column) {
                    vec y[V] = {};
                    if (V * L == 4 && used < 4) memcpy(y, q, used * sizeof(float));
                    else
                        for (int v = 0; v < V; v++) y[v] = *(const vec *)(q + v * L);
                    for (int r = 0; r < R; r++)
                        for (int v = 0; v < V; v++) sums[r][v] += p[r] * y[v];
                }
            }
        for (int r = 0; r < R; r++) {
            float *target = to.out + r * to.a;
            if (to.b == 1 && used == V * L)
                for (int v = 0; v < V; v++)
                    *(vec *)(target + v * L) = to.fresh ? sums[r][v] : *(vec *)(target + v * L) + sums[r][v];
            else
                for (int k = 0; k < used; k++)
                    target[k * to.b] = (to.fresh ? 0.0f : target[k * to.b]) + sums[r][k / L][k % L];
        }
    }
};

// The width of tiles that load no more than `left` floats, where these are 4 or more.
static int widest_within(long left) {
    int width = WIDEST;
    while (width > 4 && width > left) width /= 2;
    return width;
}

void outer(Operand a, long a_count, Operand b, long b_count, long images, long rows, long columns, Target to) {
    for (long f = 0; f < b_count;) {
        const int width = widest_within(b_count - f);
        const long used = b_count - f < width ? b_count - f : width;
        each_tile(a_count, width, [&](long first, long count) {
            const Operand from_a{a.first + first, a.image, a.row, a.column};
            const Operand from_b{b.first + f, b.image, b.row, b.column};
            const Target part{to.out + first * to.a + f * to.b, to.a, to.b, to.fresh};
            run(width, count, OuterTile{from_a, from_b, images, rows, columns, part, used});
        });
        f += width;
    }
}

// dw (taps, runs, length, filters) += the sum, `chunk` images at a time. dy: (images, rows, columns, filters).
// workspaces: for `chunk` padded images a thread. swapped: the window gives the vectors, for few filters. The threads
// share out the numbers of a run, so that every sum over the images stays in one piece.
extern "C" void accumulate(float *dw, const Window *w, long filters, long images, long chunk, const float *x,
                           const Border *border, float *workspaces, long x_row, long x_column, long x_first,
                           const float *dy, long rows, long columns, long swapped, long threads) {
    std::atomic<long> workspace_of_next(0);
    const long size = border->height * border->row, dy_size = rows * columns * filters;
    const long each = w->taps * w->runs * filters * images * rows * columns, least = worth(each) < 8 ? 8 : worth(each);
    share(threads, w->length, least, [&](long start, long stop) {
        float *workspace = workspaces + workspace_of_next++ * chunk * border->size();
        if (border->padded) border->clear(workspace, chunk);
        for (long n = 0; n < images; n += chunk) {
            const long some = images - n < chunk ? images - n : chunk;
            const float *in = border->copy(x + n * size, some, workspace) + x_first + start;
            const Operand y{dy + n * dy_size, dy_size, columns * filters, filters};
            for (long tap = 0; tap < w->taps; tap++)
                for (long run = 0; run < w->runs; run++) {
                    const Operand window{in + tap * w->tap + run * w->run, border->size(), x_row, x_column};
                    float *out = dw + ((tap * w->runs + run) * w->length + start) * filters;
                    if (swapped) outer(y, filters, window, stop - start, some, rows, columns, {out, 1, filters, false});
                    else outer(window, stop - start, y, filters, some, rows, columns, {out, filters, 1, false});
                }
        }
    });
}

// dw (k, f) = x (n, k)^T dy (n, f), added to what is there unless `fresh`. f: a multiple of 4.
extern "C" void product_first(const float *x, const float *dy, long n, long k, long f, float *dw, long fresh,
                              long threads) {
    share(threads, k, worth(n * f), [&](long start, long stop) {
        const Operand a{x + start, 0, 0, k}, b{dy, 0, 0, f};
        outer(a, stop - start, b, f, 1, 1, n, {dw + start * f, f, 1, (bool)fresh});
    });
}
