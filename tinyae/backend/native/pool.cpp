// The threads behind `share`: the caller's and some that wait, first busily, since operations follow each other within
// microseconds, then asleep. Thread i runs piece i and goes on with those behind it as long as nobody has begun them;
// the caller runs what is left. So a thread that other processes keep from its core holds up the piece that it is at,
// and no more. Two callers at once: the second one runs its pieces itself.
#include "pool.h"

#include <atomic>
#include <system_error>
#include <thread>

static constexpr long SPINS = 20000;  // some 250 microseconds
static constexpr int DONE = 0, OPEN = 1, BEGUN = 2;

static struct alignas(64) Piece {  // alone in its line of the cache
    std::atomic<int> state;
    void (*function)(const void *, long);
    const void *context;
} pieces[MOST_THREADS];

static std::atomic<bool> taken;
static long started;

static inline void breathe() {
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void wait_for(std::atomic<int> &state, int value) {
    for (long i = 0; i < SPINS; i++) {
        if (state.load(std::memory_order_acquire) == value) return;
        breathe();
    }
    for (int now; (now = state.load(std::memory_order_acquire)) != value;) state.wait(now, std::memory_order_acquire);
}

// Runs a piece unless somebody has begun it. An operation lasts until its pieces are done, so what is open belongs to
// one that goes on, even if this thread came for an operation before it.
static bool run(long i) {
    Piece &piece = pieces[i];
    int open = OPEN;
    if (piece.state.load(std::memory_order_relaxed) != OPEN) return false;
    if (!piece.state.compare_exchange_strong(open, BEGUN, std::memory_order_acquire)) return false;
    piece.function(piece.context, i);
    piece.state.store(DONE);  // in sequence: else sleepers may be looked for before the other side sees the value
    piece.state.notify_all();  // the caller, and perhaps the thread that came too late for it
    return true;
}

static void serve(long own) {
    for (;;) {
        wait_for(pieces[own].state, OPEN);
        for (long i = own; i < MOST_THREADS && run(i);) i++;
    }
}

// Starts threads until there are `count`, or as many as the system grants.
static void start(long count) {
    try {
        for (; started < count; started++) std::thread(serve, started + 1).detach();
    } catch (const std::system_error &) {
    }
}

void run_shared(long count, void (*function)(const void *, long), const void *context) {
    if (taken.exchange(true, std::memory_order_acquire)) {
        for (long i = 0; i < count; i++) function(context, i);
        return;
    }
    start(count - 1);
    for (long i = 1; i < count; i++) {
        pieces[i].function = function;
        pieces[i].context = context;
        pieces[i].state.store(OPEN);  // in sequence, as above
        pieces[i].state.notify_one();
    }
    function(context, 0);
    for (long i = count - 1; i > 0; i--) run(i);
    for (long i = 1; i < count; i++) wait_for(pieces[i].state, DONE);
    taken.store(false, std::memory_order_release);
}

// In a forked child, which has none of its parent's threads.
extern "C" void forget_threads() {
    for (Piece &piece : pieces) piece.state.store(DONE);
    taken.store(false);
    started = 0;
}
