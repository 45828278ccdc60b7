// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace rankview::controller {

// As large as a huge page, and aligned as one.
inline constexpr std::size_t slab_bytes = std::size_t{2} << 20;

struct FreeSlab {
  void operator()(void* slab) const noexcept { std::free(slab); }
};
using Slab = std::unique_ptr<void, FreeSlab>;

// `huge`: it will be filled, so that the system may back it with a huge page. Throws std::bad_alloc.
Slab new_slab(bool huge);

}  // namespace rankview::controller
