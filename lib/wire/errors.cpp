// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "wire/error_text.hpp"

#include <rankview/errors.hpp>

#include <ostream>

namespace rankview::wire {

std::string error_text(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception that is not derived from std::exception";
  }
}

}  // namespace rankview::wire

namespace rankview {
namespace {

std::string describe(const TaskPlace& place) {
  if (place.engine < 0) return "";
  return "engine " + std::to_string(place.engine) + " (rank " + std::to_string(place.rank) + ", host " + place.host + "), task " +
         to_string(place.task) + ": ";
}

std::string list(const std::vector<CompositeError::Failure>& failures, std::size_t total) {
  constexpr std::size_t most = 10;
  std::string text = std::to_string(failures.size()) + " of " + std::to_string(total) + (total == 1 ? " task" : " tasks") + " failed:";
  for (std::size_t i = 0; i < failures.size() && i < most; ++i)
    text += "\n  [" + std::to_string(failures[i].index) + "] " + wire::error_text(failures[i].error);
  if (failures.size() > most) text += "\n  and " + std::to_string(failures.size() - most) + " more";
  return text;
}

}  // namespace

std::string to_string(const TaskId& id) { return std::to_string(id.call) + "." + std::to_string(id.item); }

std::ostream& operator<<(std::ostream& out, const TaskId& id) { return out << to_string(id); }

RemoteError::RemoteError(TaskPlace place, std::string type_name, std::string message)
    : Error(describe(place) + (place.engine < 0 || type_name.empty() ? message : type_name + ": " + message)),
      place_(std::move(place)),
      type_name_(std::move(type_name)),
      message_(std::move(message)) {}

NameError::NameError(std::string message, TaskPlace place) : RemoteError(std::move(place), "rankview::NameError", std::move(message)) {}

TypeError::TypeError(std::string message, TaskPlace place) : RemoteError(std::move(place), "rankview::TypeError", std::move(message)) {}

CompositeError::CompositeError(std::vector<Failure> failures, std::size_t total)
    : Error(list(failures, total)), failures_(std::move(failures)) {}

}  // namespace rankview
