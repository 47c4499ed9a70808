// A correlation of images with filters, and its gradient by the weights: what one file does and others use.
#pragma once
#include "tiles.h"

struct StridePhase {  // a grid of outputs that see the image in one way
    long rows, columns, out, out_row, out_column;  // the grid, its first output, and the steps between outputs
    long in, in_row, in_column;                    // its first window in the image, and the steps between windows
    Window window;
    long weights;  // the start of its packed weights
};

// All outputs of a phase, over `images` images: see correlate.cpp.
void correlate_phase(const StridePhase &p, long filters, const float *weights, const float *in, long in_size, long images,
                     float *out, long out_size);

struct Operand {  // one factor of a product, from its first number at the first position
    const float *first;
    long image, row, column;  // the steps to the next image, row and column of positions
};

struct Target {  // the place of a sum, (a's numbers, b's numbers) with these steps; unless fresh, it is added
    float *out;
    long a, b;
    bool fresh;
};

// The sum over all positions of a's numbers times b's: see accumulate.cpp.
void outer(Operand a, long a_count, Operand b, long b_count, long images, long rows, long columns, Target to);
