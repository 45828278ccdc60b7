// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/current.hpp"
#include "engine/task_host.hpp"

#include <rankview/errors.hpp>
#include <rankview/this_engine.hpp>
#include <rankview/this_task.hpp>

#include <string>

// What tasks ask of their engine.
namespace rankview::inline abi_0_1 {
namespace {

engine::TaskHost& here() {
  engine::TaskHost* const host = engine::current();
  if (host == nullptr) throw UsageError("rv::this_engine and rv::this_task are only known inside a task that runs on an engine");
  return *host;
}

}  // namespace

namespace this_engine {

int id() { return here().id(); }
int size() { return here().size(); }
Variables& vars() { return here().variables(); }

}  // namespace this_engine

bool this_task::stop_requested() { return here().stop_requested(); }

std::stop_token this_task::stop_token() { return here().stop_token(); }

void this_task::progress(double fraction) {
  if (!(fraction >= 0 && fraction <= 1)) throw UsageError("progress is a fraction between 0 and 1, and not " + std::to_string(fraction));
  publish("progress", fraction);
}

void detail::publish(std::string_view name, const std::type_info& type, const Writer& value) {
  here().publish(name, type.name(), value.bytes.bytes());
}

}  // namespace rankview
