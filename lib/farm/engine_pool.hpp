// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/engine_host.hpp"
#include "farm/engine_workers.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

// What EngineWorkers has engines do, as tasks: each has a SlotPool of its own.
namespace rankview::farm {

// An engine answers after so long, whether a command has ended or not, so that it can be told something else.
constexpr std::chrono::milliseconds exchange_limit{20};

EngineHost describe_engine();
// `here`: with the share of this engine.
void begin_pool(std::size_t slots, const std::string& shell, const std::string& directory, bool captured, const EngineHost& here);
void end_pool();
// Takes what it is told, and answers with what has ended by then.
std::vector<SentEnd> exchange_on_engine(const Exchange& told);

}  // namespace rankview::farm
