// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/errors.hpp>
#include <rankview/slice.hpp>
#include <rankview/targets.hpp>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

namespace rankview::inline abi_0_1 {

std::vector<std::size_t> slice::places(std::size_t size) const {
  if (step_ == 0) throw UsageError("a slice with a step of 0");
  // As Python's slice.indices().
  const auto count = static_cast<std::int64_t>(size);
  const std::int64_t lowest = step_ < 0 ? -1 : 0;
  const std::int64_t highest = step_ < 0 ? count - 1 : count;
  const auto place = [&](const std::optional<int>& at, std::int64_t otherwise) {
    if (!at) return otherwise;
    return std::clamp(*at < 0 ? *at + count : *at, lowest, highest);
  };
  const std::int64_t start = place(start_, step_ < 0 ? highest : lowest);
  const std::int64_t stop = place(stop_, step_ < 0 ? lowest : highest);
  std::vector<std::size_t> places;
  for (std::int64_t at = start; step_ < 0 ? at > stop : at < stop; at += step_) places.push_back(static_cast<std::size_t>(at));
  return places;
}

std::vector<int> slice::of(const std::vector<int>& ids) const {
  std::vector<int> chosen;
  for (const std::size_t place : places(ids.size())) chosen.push_back(ids[place]);
  return chosen;
}

}  // namespace rankview

// Which engines a view means.
namespace rankview::inline abi_0_1::detail {
std::vector<int> chosen(const std::vector<int>& view, std::vector<int> engines) {
  for (const int engine : engines) {
    if (std::find(view.begin(), view.end(), engine) == view.end())
      throw UsageError("the targets name engine " + std::to_string(engine) + ", which is none of the view's");
  }
  return engines;
}

void check_open(const Controller& controller) {
  if (!controller.open()) throw UsageError("the run that this view belongs to has ended");
}

std::vector<int> live_engines(const Controller& controller) {
  if (controller.any_lost()) return controller.live_engines();
  std::vector<int> ids(static_cast<std::size_t>(controller.engine_count()));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

std::vector<int> still_live(const Controller& controller, const std::vector<int>& engines) {
  if (!controller.any_lost() || engines.empty()) return engines;
  std::vector<int> live;
  for (const int id : engines) {
    if (!controller.lost(id)) live.push_back(id);
  }
  if (live.empty()) std::rethrow_exception(controller.lost_error(engines.front()));
  return live;
}

std::vector<int> all_live(const Controller& controller, std::vector<int> engines) {
  if (!controller.any_lost()) return engines;
  for (const int id : engines) {
    if (controller.lost(id)) std::rethrow_exception(controller.lost_error(id));
  }
  return engines;
}

int resolve(const Controller& controller, int target) {
  const int count = controller.engine_count();
  if (target >= 0 && target < count) {
    if (controller.lost(target)) std::rethrow_exception(controller.lost_error(target));
    return target;
  }
  const std::vector<int> live = live_engines(controller);
  const auto size = static_cast<int>(live.size());
  if (target < 0 && target >= -size) return *(live.end() + target);
  std::string ids;
  if (size == count) {
    ids = "0 to " + std::to_string(count - 1);
  } else {
    for (const int id : live) ids += (ids.empty() ? "" : ", ") + std::to_string(id);
  }
  throw std::out_of_range("there is no engine " + std::to_string(target) + ": the live engines are " + ids);
}

std::vector<LostEngine> lost_engines(const Controller& controller) { return controller.lost(); }

void on_lost(Controller& controller, std::function<void(const LostEngine&)> f) { controller.on_lost(std::move(f)); }

std::vector<int> resolve(const Controller& controller, const std::vector<int>& targets) {
  std::vector<int> resolved;
  resolved.reserve(targets.size());
  for (const int target : targets) {
    const int id = resolve(controller, target);
    if (std::find(resolved.begin(), resolved.end(), id) != resolved.end())
      throw UsageError("engine " + std::to_string(id) + " is named twice");
    resolved.push_back(id);
  }
  return resolved;
}

}  // namespace rankview::detail
