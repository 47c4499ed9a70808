// The gradient of a correlation by its weights: products of window and output gradient, summed over all positions.
//
//     dw[k, f] = sum over positions (n, i, j) of x[n, i x_row + j x_column + k] dy[n, i, j, f]
//
// A tile is R numbers k of the window by `width` filters, or R filters by `width` numbers of the window where the
// filters are few; it walks over all positions of some images with its sums in registers.
#include "tiles.h"

struct Operand {  // one factor of the product, from its first number at the first position
    const float *first;
    long image, row, column;  // the steps to the next image, row and column of positions
};

struct OuterTile {
    Operand a, b;  // numbers, vectors
    long images, rows, columns;
    float *out;  // (k, f)
    long out_a, out_b, used;  // steps of `out` along a's numbers and b's vectors; vectors' numbers that there are

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
            float *target = out + r * out_a;
            if (out_b == 1 && used == V * L)
                for (int v = 0; v < V; v++) *(vec *)(target + v * L) += sums[r][v];
            else
                for (int k = 0; k < used; k++) target[k * out_b] += sums[r][k / L][k % L];
        }
    }
};

// The width of tiles that load no more than `left` floats, where these are 4 or more.
static int widest_within(long left) {
    int width = WIDEST;
    while (width > 4 && width > left) width /= 2;
    return width;
}

static void outer(Operand a, long a_count, Operand b, long b_count, long images, long rows, long columns, float *out,
                  long out_a, long out_b) {
    for (long f = 0; f < b_count;) {
        const int width = widest_within(b_count - f);
        const long used = b_count - f < width ? b_count - f : width;
        const long tiles = (a_count + most_rows(width) - 1) / most_rows(width);
        for (long t = 0; t < tiles; t++) {
            const long first = t * a_count / tiles, count = (t + 1) * a_count / tiles - first;
            const Operand from_a{a.first + first, a.image, a.row, a.column};
            const Operand from_b{b.first + f, b.image, b.row, b.column};
            run(width, count,
                OuterTile{from_a, from_b, images, rows, columns, out + first * out_a + f * out_b, out_a, out_b, used});
        }
        f += width;
    }
}

// dw (taps, runs, length, filters) += the sum, for the numbers start, ..., stop - 1 of each run, `chunk` images at a
// time. dy: (images, rows, columns, filters).
// workspace: for `chunk` padded images. swapped: the window gives the vectors, for few filters.
extern "C" void accumulate(float *dw, const Window *w, long start, long stop, long filters, long images,
                           long chunk, const float *x, const Border *border, float *workspace, long x_row,
                           long x_column, long x_first, const float *dy, long rows, long columns, long swapped) {
    if (border->padded) border->clear(workspace, chunk);
    for (long n = 0; n < images; n += chunk) {
        const long some = images - n < chunk ? images - n : chunk;
        const float *in = border->copy(x + n * border->height * border->row, some, workspace) + x_first;
        const Operand y{dy + n * rows * columns * filters, rows * columns * filters, columns * filters, filters};
        for (long tap = 0; tap < w->taps; tap++)
            for (long run = 0; run < w->runs; run++) {
                const Operand window{in + tap * w->tap + run * w->run + start, border->size(), x_row, x_column};
                float *out = dw + ((tap * w->runs + run) * w->length + start) * filters;
                if (swapped) outer(y, filters, window, stop - start, some, rows, columns, out, 1, filters);
                else outer(window, stop - start, y, filters, some, rows, columns, out, filters, 1);
            }
    }
}
