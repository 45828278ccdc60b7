// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/call.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1 {

/// What one task has published so far with this_task::publish(), the last value of each name; AsyncResult::data() gives it. A cheap
/// handle that sees what is there whenever it is asked, before and after the task's end, and keeps the result alive.
///
/// Thread-safe. Each question looks for what has arrived; below `MPI_THREAD_MULTIPLE` nothing else does while nobody waits.
class TaskData {
 public:
  TaskData(detail::CallHandle call, std::uint64_t item) : call_(std::move(call)), item_(item) {}

  /// A copy of the value, decoded anew each time. Throws NameError if the task has published nothing under that name by now, TypeError,
  /// naming both types, if it is not a `T`.
  template <class T>
  [[nodiscard]] T get(std::string_view name) const {
    const auto value = detail::published(*call_, item_, name, typeid(T));
    detail::Reader in(value->bytes, detail::Flat());
    return detail::codec<T>::load(in);
  }
  [[nodiscard]] bool contains(std::string_view name) const { return detail::has_published(*call_, item_, name); }
  /// In alphabetical order.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (auto& value : list()) names.push_back(std::move(value.name));
    return names;
  }
  /// The same, with types, and sizes as they were sent.
  [[nodiscard]] std::vector<VariableInfo> list() const { return detail::list_published(*call_, item_); }

  /// What the task last told by this_task::progress(), 0 before it did.
  [[nodiscard]] double progress() const { return contains("progress") ? get<double>("progress") : 0.0; }

 private:
  detail::CallHandle call_;
  std::uint64_t item_;
};

}  // namespace rankview
