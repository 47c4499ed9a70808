// CUDA kernels of tinyae. `REAL` (float or double) comes from the compiler's command line; scalars come as double and
// are rounded once per thread.
//
// Every kernel walks its n elements with a grid-stride loop, has no barrier and writes each element from one thread:
// the result does not depend on the launch configuration, and the same source runs on a CPU in the tests.
//
// CuPy compiles with -ftz=true, so float kernels flush denormals (below 1.2e-38) to zero. It matters in `adam`, where
// g^2 vanishes for |g| below about 1e-19 and epsilon alone remains in the denominator, and in
// `bce_with_logits`, where a sigmoid below 1.2e-38 (logit < -87.3) becomes exactly 0. To `nearest_code` numbers and
// products that small are 0.

typedef REAL real;
typedef unsigned long long u64;

static __device__ __forceinline__ long long first_index() {
    return (long long)blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ __forceinline__ long long index_stride() {
    return (long long)gridDim.x * blockDim.x;
}

// Philox4x64-10 (Salmon et al., SC 2011, section 3.3 and table 2): ten rounds of two 64 x 64 -> 128 bit products; the
// key grows by the golden ratio and by sqrt(3) - 1 between rounds.
static __device__ __forceinline__ void philox(u64 block, u64 step, u64 seed, u64 name, u64 word[4]) {
    u64 a = block, b = step, c = 0, d = 0;
    for (int round = 0; round < 10; ++round) {
        const u64 high_a = __umul64hi(0xD2E7470EE14C6C93ULL, a), low_a = 0xD2E7470EE14C6C93ULL * a;
        const u64 high_c = __umul64hi(0xCA5A826395121157ULL, c), low_c = 0xCA5A826395121157ULL * c;
        a = high_c ^ b ^ seed;
        b = low_c;
        c = high_a ^ d ^ name;
        d = low_a;
        seed += 0x9E3779B97F4A7C15ULL;
        name += 0xBB67AE8584CAA73BULL;
    }
    word[0] = a;
    word[1] = b;
    word[2] = c;
    word[3] = d;
}

// Uniform i = 0..7 of a block, the low half of each word first: an odd multiple of 2^-24, exact in float.
static __device__ __forceinline__ real uniform(const u64 word[4], int i) {
    const unsigned int bits = (unsigned int)(word[i / 2] >> (32 * (i % 2)));
    return ((real)(bits >> 9) + (real)0.5) * (real)1.1920928955078125e-7;  // 2^-23
}

// out: (n,) uniforms on (0, 1). One thread makes one block of 8; blocks count from 1, as in numpy.random.Philox.
extern "C" __global__ void philox_uniform(long long n, u64 seed, u64 name, u64 step, real *__restrict__ out) {
    for (long long block = first_index(); 8 * block < n; block += index_stride()) {
        u64 word[4];
        philox(block + 1, step, seed, name, word);
#pragma unroll
        for (int i = 0; i < 8; ++i)
            if (8 * block + i < n) out[8 * block + i] = uniform(word, i);
    }
}

// out: (n,) standard normals by Box and Muller: elements 2k and 2k+1 are sqrt(-2 ln u_2k) times the cosine and the
// sine of 2 pi u_2k+1.
extern "C" __global__ void philox_normal(long long n, u64 seed, u64 name, u64 step, real *__restrict__ out) {
    for (long long block = first_index(); 8 * block < n; block += index_stride()) {
        u64 word[4];
        philox(block + 1, step, seed, name, word);
#pragma unroll
        for (int i = 0; i < 8; i += 2) {
            const real radius = sqrt((real)-2 * log(uniform(word, i)));
            const real angle = (real)6.283185307179586 * uniform(word, i + 1);
            if (8 * block + i < n) out[8 * block + i] = radius * cos(angle);
            if (8 * block + i + 1 < n) out[8 * block + i + 1] = radius * sin(angle);
        }
    }
}

// Adam over flat buffers of n weights w, gradients g and moments m, v, these without the factors 1 - beta, which are in
// `rate` and `epsilon`: see `numpy_operations.adam`. `shrink` is AdamW's 1 - lr weight_decay.
extern "C" __global__ void adam(long long n, real *__restrict__ w, const real *__restrict__ g, real *__restrict__ m,
                                real *__restrict__ v, double beta1, double beta2, double rate, double epsilon,
                                double shrink) {
    const real keep1 = beta1, keep2 = beta2, factor = rate, eps = epsilon, keep = shrink;
    for (long long i = first_index(); i < n; i += index_stride()) {
        m[i] = keep1 * m[i] + g[i];
        v[i] = keep2 * v[i] + g[i] * g[i];
        w[i] = keep * w[i] - factor * (m[i] / (sqrt(v[i]) + eps));
    }
}

// Bernoulli negative log likelihood of targets x in [0, 1] under logits l, in nats, and its gradient, over n elements:
//   loss_each = l (1[l > 0] - x) + log(1 + exp(-|l|))          dlogits = scale (sigmoid(l) - x)
// exp is only taken of -|l|, so nothing overflows; for x in [0, 1] two terms of one sign are added.
extern "C" __global__ void bce_with_logits(long long n, double scale, const real *__restrict__ logits,
                                           const real *__restrict__ x, real *__restrict__ loss_each,
                                           real *__restrict__ dlogits) {
    for (long long i = first_index(); i < n; i += index_stride()) {
        const real l = logits[i], e = exp(-fabs(l));
        const real gap = (l > 0 ? 1 : 0) - x[i];
        loss_each[i] = (gap == 0 ? 0 : l * gap) + log1p(e);
        dlogits[i] = (real)scale * ((l > 0 ? 1 : e) / (1 + e) - x[i]);
    }
}

// |z - e|^2 in the order of d, each operation rounded by itself as on the host.
static __device__ __forceinline__ double distance(const real *__restrict__ z, const real *__restrict__ e, long long d) {
    double sum = 0;
    for (long long i = 0; i < d; ++i) {
        const double x = (double)z[i] - (double)e[i];
        sum = __dadd_rn(sum, __dmul_rn(x, x));
    }
    return sum;
}

// codes (n,): for each row of z (n, d), the code of the codebook (k, d) with the lowest score; if other scores are at
// most `slack` (n,) above it, the code with the least distance. scores: (k, n), so neighbouring threads read neighbours.
extern "C" __global__ void nearest_code(long long n, long long k, long long d, const real *__restrict__ scores,
                                        const real *__restrict__ slack, const real *__restrict__ z,
                                        const real *__restrict__ codebook, long long *__restrict__ codes) {
    for (long long i = first_index(); i < n; i += index_stride()) {
        real lowest = scores[i];
        for (long long j = 1; j < k; ++j) lowest = scores[j * n + i] < lowest ? scores[j * n + i] : lowest;
        const real limit = lowest + slack[i];
        long long near = 0, code = -1;
        for (long long j = 0; j < k; ++j)
            if (!(scores[j * n + i] > limit)) code = j, ++near;  // true for NaN too
        if (near > 1) {
            double least = 0;
            code = -1;
            for (long long j = 0; j < k; ++j)
                if (!(scores[j * n + i] > limit)) {
                    const double found = distance(z + i * d, codebook + j * d, d);
                    if (code < 0 || found < least) least = found, code = j;
                }
        }
        codes[i] = code;
    }
}

// sums: (n,) = (k, d), of the rows order[starts[j]], ..., order[starts[j + 1] - 1] of z (., d) for each code j.
extern "C" __global__ void code_sums(long long n, long long d, const long long *__restrict__ starts,
                                     const long long *__restrict__ order, const real *__restrict__ z,
                                     real *__restrict__ sums) {
    for (long long i = first_index(); i < n; i += index_stride()) {
        const long long code = i / d, column = i % d;
        double sum = 0;
        for (long long j = starts[code]; j < starts[code + 1]; ++j) sum += z[order[j] * d + column];
        sums[i] = sum;
    }
}
