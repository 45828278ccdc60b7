// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace rankview::farm {

// Where an engine is.
struct EngineHost {
  std::string host;
  std::size_t cores = 1;          // that it may use
  bool bound = false;             // which are not all of the host's
  std::uint64_t memory = 0;       // bytes; 0 where nobody knows
  std::vector<std::string> gpus;  // as CUDA_VISIBLE_DEVICES names them
};

// What the engine may use: engines of one host share its memory and its GPUs, each of which is one engine's.
inline EngineHost share_of(const std::vector<EngineHost>& all, std::size_t engine) {
  EngineHost own = all[engine];
  std::size_t sharers = 0;
  std::size_t place = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].host != own.host) continue;
    if (i == engine) place = sharers;
    ++sharers;
  }
  own.memory /= sharers;
  std::vector<std::string> gpus;
  for (std::size_t i = place; i < own.gpus.size(); i += sharers) gpus.push_back(own.gpus[i]);
  own.gpus = std::move(gpus);
  return own;
}

}  // namespace rankview::farm
