// What the compiled products share: vectors of floats, and how a product is cut into tiles that fit the registers.
//
// A tile is R rows by V vectors of L floats, with all of its sums in registers: at each step of the sum, V vectors are
// loaded, and R numbers multiply each of them. Strides count floats everywhere.
#pragma once
#include <cstring>

template <int L>
struct Lanes {
    typedef float type __attribute__((vector_size(L * sizeof(float)), aligned(sizeof(float)), may_alias));
};
template <int L>
using vector = typename Lanes<L>::type;

// 32 registers of 16 floats hold 28 sums and 4 vectors; the R numbers are operands in memory. Elsewhere a vector of 16
// floats is two registers or four, of 16 or 32.
#ifdef __AVX512F__
constexpr int WIDEST = 64, MOST_SUMS = 28, MOST_ROWS = 14;
#else
constexpr int WIDEST = 16, MOST_SUMS = 6, MOST_ROWS = 6;
#endif

constexpr int most_rows(int width) {
    return width > 16 && MOST_SUMS * 16 / width < MOST_ROWS ? MOST_SUMS * 16 / width : MOST_ROWS;
}

// The width of the tiles for the next of `left` columns; the last one may be wider than what is left.
static inline int next_width(long left) {
    if (left >= 64 && WIDEST >= 64) return 64;
    if (left >= 32 && WIDEST >= 32) return 32;
    return left > 12 ? 16 : left > 4 ? 8 : left > 1 ? 4 : 1;
}

// tile.run<R, V, L>() for as many rows and a width of V L floats, both known at run time alone. A tile says whether its
// NARROWEST width is 1 or 4: what cannot occur is not compiled.
template <int WIDTH, int R, class Tile>
static inline void run_rows(long rows, const Tile &tile) {
    if (rows == R) return tile.template run<R, (WIDTH > 16 ? WIDTH / 16 : 1), (WIDTH > 16 ? 16 : WIDTH)>();
    if constexpr (R > 1) run_rows<WIDTH, R - 1>(rows, tile);
}

template <class Tile>
static inline void run(int width, long rows, const Tile &tile) {
    if constexpr (WIDEST >= 64) {
        if (width == 64) return run_rows<64, most_rows(64)>(rows, tile);
        if (width == 32) return run_rows<32, most_rows(32)>(rows, tile);
    }
    if (width == 16) return run_rows<16, most_rows(16)>(rows, tile);
    if (width == 8) return run_rows<8, most_rows(8)>(rows, tile);
    if (width == 4) return run_rows<4, most_rows(4)>(rows, tile);
    if constexpr (Tile::NARROWEST == 1) run_rows<1, most_rows(1)>(rows, tile);
}

// tile(first, rows) over `count` rows in as few tiles of `width` as can be, as equal as can be.
template <class Tile>
static inline void each_tile(long count, int width, const Tile &tile) {
    const long tiles = (count + most_rows(width) - 1) / most_rows(width);
    for (long t = 0; t < tiles; t++) {
        const long first = t * count / tiles;
        tile(first, (t + 1) * count / tiles - first);
    }
}

// An image's border of zeros. The image, `height` rows of `row` floats, is copied into a workspace of `padded` rows of
// `padded_row`, `top` rows and `left` floats from its corner, so that windows need no tests; with padded = 0 it is not.
struct Border {
    long height, row, top, left, padded, padded_row;

    long size() const { return padded ? padded * padded_row : height * row; }

    void clear(float *workspace, long images) const { memset(workspace, 0, images * size() * sizeof(float)); }

    // The images as windows see them. The border in the workspace is zero already and stays so.
    const float *copy(const float *images, long count, float *workspace) const {
        if (!padded) return images;
        for (long n = 0; n < count; n++)
            for (long i = 0; i < height; i++)
                memcpy(workspace + n * size() + (top + i) * padded_row + left, images + (n * height + i) * row,
                       row * sizeof(float));
        return workspace;
    }
};

// A window over an image: `taps` rows of `runs` runs of `length` contiguous floats.
struct Window {
    long taps, tap, runs, run, length;
};
