// Sums over the rows of a matrix (rows, columns), and passes over it with a number for each column: BatchNorm's.
#include <cstring>

#include "pool.h"

constexpr long ROWS = 32;  // that are summed into one, since sums in float32 should be short

static void add(float *__restrict sum, const float *__restrict x, long columns) {
    for (long c = 0; c < columns; c++) sum[c] += x[c];
}

static void add_squares(float *__restrict sum, const float *__restrict x, const float *__restrict mean, long columns) {
    for (long c = 0; c < columns; c++) sum[c] += (x[c] - mean[c]) * (x[c] - mean[c]);
}

static void add_products(float *__restrict sum, const float *__restrict dy, const float *__restrict x,
                         const float *__restrict mean, long columns) {
    for (long c = 0; c < columns; c++) sum[c] += dy[c] * (x[c] - mean[c]);
}

static void standardise_row(const float *__restrict x, const float *__restrict mean, const float *__restrict factor,
                            const float *__restrict shift, long columns, float *__restrict y) {
    for (long c = 0; c < columns; c++) y[c] = (x[c] - mean[c]) * factor[c] + shift[c];
}

static void combine_row(const float *__restrict dy, const float *__restrict x, const float *__restrict mean,
                        const float *__restrict a, const float *__restrict b, const float *__restrict c0, long columns,
                        float *__restrict dx) {
    for (long c = 0; c < columns; c++) dx[c] = a[c] * dy[c] + b[c] * (x[c] - mean[c]) + c0[c];
}

// add_row(row, sum) over all rows, block of ROWS by block; then sums (width) += the blocks'. blocks: for a sum of each.
template <class AddRow>
static void sum_rows(long rows, long width, float *blocks, float *sums, long threads, const AddRow &add_row) {
    const long count = (rows + ROWS - 1) / ROWS;
    share(threads, count, worth(ROWS * width * 4), [&](long start, long stop) {
        memset(blocks + start * width, 0, (stop - start) * width * sizeof(float));
        for (long block = start; block < stop; block++)
            for (long i = block * ROWS; i < rows && i < (block + 1) * ROWS; i++) add_row(i, blocks + block * width);
    });
    for (long block = 0; block < count; block++) add(sums, blocks + block * width, width);
}

// sums += sum of x.
extern "C" void add_rows(const float *x, long rows, long columns, float *blocks, float *sums, long threads) {
    sum_rows(rows, columns, blocks, sums, threads, [=](long i, float *sum) { add(sum, x + i * columns, columns); });
}

// sums += sum of (x - mean)^2.
extern "C" void add_squared_rows(const float *x, const float *mean, long rows, long columns, float *blocks, float *sums,
                                 long threads) {
    sum_rows(rows, columns, blocks, sums, threads,
             [=](long i, float *sum) { add_squares(sum, x + i * columns, mean, columns); });
}

// sums (2, columns) += sum of dy, sum of dy (x - mean).
extern "C" void add_product_rows(const float *dy, const float *x, const float *mean, long rows, long columns,
                                 float *blocks, float *sums, long threads) {
    sum_rows(rows, 2 * columns, blocks, sums, threads, [=](long i, float *sum) {
        add(sum, dy + i * columns, columns);
        add_products(sum + columns, dy + i * columns, x + i * columns, mean, columns);
    });
}

// y = (x - mean) factor + shift.
extern "C" void standardise(const float *x, const float *mean, const float *factor, const float *shift, long rows,
                            long columns, float *y, long threads) {
    share(threads, rows, worth(columns * 8), [=](long start, long stop) {
        for (long i = start; i < stop; i++)
            standardise_row(x + i * columns, mean, factor, shift, columns, y + i * columns);
    });
}

// dx = a dy + b (x - mean) + c.
extern "C" void combine(const float *dy, const float *x, const float *mean, const float *a, const float *b,
                        const float *c, long rows, long columns, float *dx, long threads) {
    share(threads, rows, worth(columns * 8), [=](long start, long stop) {
        for (long i = start; i < stop; i++)
            combine_row(dy + i * columns, x + i * columns, mean, a, b, c, columns, dx + i * columns);
    });
}
