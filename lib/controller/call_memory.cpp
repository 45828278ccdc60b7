// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/slab.hpp"
#include "transport/sanitized.hpp"

#include <rankview/detail/call_memory.hpp>

#include <boost/intrusive/list.hpp>

#include <sys/mman.h>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

namespace rankview::controller {

Slab new_slab(bool huge) {
  Slab slab(std::aligned_alloc(slab_bytes, slab_bytes));
  if (slab == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // Where the system does not, nothing is lost.
  if (huge) static_cast<void>(madvise(slab.get(), slab_bytes, MADV_HUGEPAGE));
#endif
  return slab;
}

}  // namespace rankview::controller

namespace rankview::inline abi_0_1::detail {
namespace {

// Blocks of one size. Of the slabs that nothing is left in one is kept, since it may be wanted at once.
class Pool {
 public:
  explicit Pool(std::size_t block) : block_(block) {}

  void* allocate() {
    const std::lock_guard guard(mutex_);
    if (with_room_.empty()) add_slab();
    Head& head = with_room_.front();
    void* block = head.freed;
    if (block != nullptr) {
      head.freed = *static_cast<void**>(block);
    } else {
      block = reinterpret_cast<std::byte*>(&head) + first_block + block_ * head.begun++;
    }
    if (head.used++ == 0) --empty_;
    if (full(head)) with_room_.pop_front();
    return block;
  }

  void free(void* block) noexcept {
    const std::lock_guard guard(mutex_);
    Head& head = *reinterpret_cast<Head*>(reinterpret_cast<std::uintptr_t>(block) & ~(controller::slab_bytes - 1));
    if (full(head)) with_room_.push_front(head);
    *static_cast<void**>(block) = head.freed;
    head.freed = block;
    if (--head.used != 0 || ++empty_ == 1) return;
    --empty_;
    with_room_.erase(with_room_.iterator_to(head));
    controller::FreeSlab()(&head);
    --slabs_;
  }

 private:
  // At the beginning of a slab.
  struct Head : boost::intrusive::list_base_hook<> {
    void* freed = nullptr;  // a list of blocks
    std::size_t used = 0;   // blocks that are in use
    std::size_t begun = 0;  // blocks that ever were
  };
  static constexpr std::size_t first_block = (sizeof(Head) + call_alignment - 1) / call_alignment * call_alignment;

  [[nodiscard]] bool full(const Head& head) const { return head.used == (controller::slab_bytes - first_block) / block_; }

  void add_slab() {
    // Small programs have one of each size, which they hardly touch.
    controller::Slab slab = controller::new_slab(slabs_ != 0);
    with_room_.push_front(*new (slab.get()) Head);
    static_cast<void>(slab.release());
    ++slabs_;
    ++empty_;
  }

  const std::size_t block_;
  std::mutex mutex_;
  std::size_t slabs_ = 0;
  std::size_t empty_ = 0;  // of these
  boost::intrusive::list<Head> with_room_;
};

constexpr std::size_t largest_block = 1024;

using Pools = std::array<Pool, largest_block / call_alignment>;

template <std::size_t... I>
Pools& make_pools(std::index_sequence<I...> /*all*/) {
  return *new Pools{Pool((I + 1) * call_alignment)...};
}

// The pool for blocks of that size, null if they are too large or are to be watched one by one.
Pool* pool_for(std::size_t bytes) {
  if (transport::address_sanitized || bytes > largest_block) return nullptr;
  // Calls may go when everything static has gone.
  static Pools& pools = make_pools(std::make_index_sequence<std::tuple_size_v<Pools>>());
  return &pools[(bytes - 1) / call_alignment];
}

// The block that a thread has freed last: who makes one call after the other gets it again without a lock. It has no destructor, since a
// call may go when those of a thread's objects have run.
struct Spare {
  void* block;
  Pool* pool;  // that it is of
  bool opened;
  bool closed;
};
thread_local constinit Spare spare{};

// Ends with the thread, and its spare block with it.
class SpareOwner {
 public:
  SpareOwner() { spare.opened = true; }
  SpareOwner(const SpareOwner&) = delete;
  SpareOwner& operator=(const SpareOwner&) = delete;
  ~SpareOwner() {
    spare.closed = true;
    if (spare.block != nullptr) spare.pool->free(std::exchange(spare.block, nullptr));
  }
};

void open_spare() { thread_local const SpareOwner owner; }

}  // namespace

void* allocate_call(std::size_t bytes) {
  if (Pool* const pool = pool_for(bytes)) {
    if (spare.block != nullptr && spare.pool == pool) return std::exchange(spare.block, nullptr);
    return pool->allocate();
  }
  return operator new (bytes, std::align_val_t{call_alignment});
}

void free_call(void* memory, std::size_t bytes) noexcept {
  if (Pool* const pool = pool_for(bytes)) {
    if (!spare.opened) open_spare();
    if (spare.block == nullptr && !spare.closed) {
      spare = {memory, pool, true, false};
    } else {
      pool->free(memory);
    }
  } else {
    operator delete (memory, std::align_val_t{call_alignment});
  }
}

}  // namespace rankview::detail
