// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

// Where calls lie. There may be millions, and most of what one costs beyond its message would be page faults and misses of the address
// translation, so they get blocks out of slabs that the system is asked to back with huge pages.
namespace rankview::inline abi_0_1::detail {

inline constexpr std::size_t call_alignment = 64;

// `bytes` aligned to call_alignment. Any thread may free. Throws std::bad_alloc.
void* allocate_call(std::size_t bytes);
void free_call(void* memory, std::size_t bytes) noexcept;

template <class T>
struct CallAllocator {
  using value_type = T;

  CallAllocator() = default;
  template <class U>
  CallAllocator(const CallAllocator<U>&) {}

  T* allocate(std::size_t count) {
    if constexpr (alignof(T) > call_alignment) {
      return std::allocator<T>().allocate(count);
    } else {
      return static_cast<T*>(allocate_call(count * sizeof(T)));
    }
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    if constexpr (alignof(T) > call_alignment) {
      std::allocator<T>().deallocate(memory, count);
    } else {
      free_call(memory, count * sizeof(T));
    }
  }
  template <class U>
  bool operator==(const CallAllocator<U>&) const {
    return true;
  }
};

template <class C, class... A>
std::shared_ptr<C> make_call(A&&... arguments) {
  return std::allocate_shared<C>(CallAllocator<C>(), std::forward<A>(arguments)...);
}

}  // namespace rankview::detail
