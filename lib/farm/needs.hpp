// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rankview::farm {

// What a command wants of its host.
struct Needs {
  unsigned cores = 1;
  std::uint64_t memory = 0;  // bytes, with all that it starts, and it is killed when it has more; 0: it is not asked
  unsigned gpus = 0;
  std::chrono::nanoseconds timeout{0};  // 0: what holds for all
};

// Takes from the end of a command what it says itself, as in `./app 3 #rv cores=4 memory=2G gpus=1 timeout=1h`; what it says nothing of is
// as usual. Throws UsageError, which names the command, for what means nothing.
Needs take_needs(std::string& command, const Needs& usual);

// What a host has of that.
struct Capacity {
  std::size_t cores = 1;
  std::uint64_t memory = 0;       // bytes; 0: nobody knows
  std::vector<std::string> gpus;  // as CUDA_VISIBLE_DEVICES names them
};
// Of this host, or of what the batch system leaves of it to this process. `cores`: as many as are to be used.
Capacity capacity_here(std::size_t cores);

// Why it can never be run there, or nothing.
std::string too_much(const Needs& needs, std::size_t cores, std::uint64_t memory, std::size_t gpus);

}  // namespace rankview::farm
