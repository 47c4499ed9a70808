// The threads behind `share`: the caller's and some that wait, first busily, since operations follow each other within
// microseconds, then asleep. Piece i runs on thread i. Two callers at once: the second one runs its pieces itself.
#include "pool.h"

#include <atomic>
#include <system_error>
#include <thread>

static constexpr long SPINS = 20000;  // some 250 microseconds

static struct alignas(64) Slot {  // of a waiting thread; alone in its line of the cache
    std::atomic<int> work;
    void (*function)(const void *, long);
    const void *context;
} slots[MOST_THREADS];

static std::atomic<bool> taken;
static long started;

static inline void breathe() {
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void wait_while(std::atomic<int> &work, int value) {
    for (long i = 0; i < SPINS; i++) {
        if (work.load(std::memory_order_acquire) != value) return;
        breathe();
    }
    work.wait(value, std::memory_order_acquire);
}

static void hand_over(std::atomic<int> &work, int value) {
    work.store(value);  // in sequence: else `notify_one` may look for sleepers before the other side sees the value
    work.notify_one();
}

static void serve(long piece) {
    Slot &slot = slots[piece];
    for (;;) {
        wait_while(slot.work, 0);
        slot.function(slot.context, piece);
        hand_over(slot.work, 0);
    }
}

// Starts threads until there are `count`, or as many as the system grants.
static void start(long count) {
    try {
        for (; started < count; started++) std::thread(serve, started + 1).detach();
    } catch (const std::system_error &) {
    }
}

void run_shared(long pieces, void (*function)(const void *, long), const void *context) {
    if (taken.exchange(true, std::memory_order_acquire)) {
        for (long i = 0; i < pieces; i++) function(context, i);
        return;
    }
    start(pieces - 1);
    const long helped = started + 1 < pieces ? started + 1 : pieces;
    for (long i = 1; i < helped; i++) {
        slots[i].function = function;
        slots[i].context = context;
        hand_over(slots[i].work, 1);
    }
    function(context, 0);
    for (long i = helped; i < pieces; i++) function(context, i);
    for (long i = 1; i < helped; i++) wait_while(slots[i].work, 1);
    taken.store(false, std::memory_order_release);
}

// In a forked child, which has none of its parent's threads.
extern "C" void forget_threads() {
    for (Slot &slot : slots) slot.work.store(0);
    taken.store(false);
    started = 0;
}
