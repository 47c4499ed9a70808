// Sharing one operation among threads that wait for it in the library.
#pragma once

constexpr long MOST_THREADS = 256;

void run_shared(long pieces, void (*function)(const void *context, long piece), const void *context);

// body(start, stop) over ranges that make up [0, count), side by side on `threads` threads at most; none shorter than
// `least`.
template <class Body>
static inline void share(long threads, long count, long least, const Body &body) {
    const long parts = least < 1 ? count : count / least, most = parts < MOST_THREADS ? parts : MOST_THREADS;
    const long pieces = threads < most ? threads : most;
    if (pieces < 2) return body(0, count);
    const auto piece = [&](long i) { body(i * count / pieces, (i + 1) * count / pieces); };
    run_shared(pieces, [](const void *context, long i) { (*(const decltype(piece) *)context)(i); }, &piece);
}

constexpr long WORTH = 1 << 18;  // multiply-adds, some 5 microseconds, below which another thread does not pay

// How many of the items that take `each` multiply-adds are worth a thread.
static inline long worth(long each) {
    return WORTH / (each < 1 ? 1 : each) + 1;
}
