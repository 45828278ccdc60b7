// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/farm.hpp"
#include "farm/engine_workers.hpp"
#include "farm/farm.hpp"
#include "farm/minder.hpp"

#include <rankview/rankview.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>

namespace rankview::cli {
namespace {

// Rank 0, before MPI says so.
bool is_first_rank() {
  for (const char* const variable : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"}) {
    if (const char* const rank = std::getenv(variable)) return std::string_view(rank) == "0";
  }
  return true;
}

}  // namespace

int run_farm_on_engines(const FarmWish& wish, int argc, char** argv) {
  farm::go_on_minded();
  farm::Allotment allotment = farm::Allotment::take();
  Options options;
  options.task_server = false;
  // Rank 0 knows by itself what signals mean to a farm. They have to be kept from all of its threads.
  std::optional<farm::SignalInterrupts> interrupts;
  if (is_first_rank()) {
    options.drain_signals = false;
    interrupts.emplace();
  }
  return run(
      argc, argv,
      [&wish, &interrupts, &allotment](Client& client) {
        if (!interrupts) interrupts.emplace();
        try {
          return run_farm(wish, *interrupts, allotment, [&client](const farm::SlotTerms& terms, std::size_t each, const auto& complain) {
            return std::make_unique<farm::EngineWorkers>(client, terms, each, complain);
          });
        } catch (const std::exception& error) {
          std::fprintf(stderr, "rankview farm: %s\n", error.what());
          return farm::Farm::gone_wrong;
        }
      },
      options);
}

}  // namespace rankview::cli
