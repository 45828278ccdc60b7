// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "wire/error_text.hpp"

#include <rankview/detail/stream.hpp>
#include <rankview/errors.hpp>

#include <ostream>

namespace rankview::wire {

std::string error_text(const std::exception& error) {
  const char* const text = error.what();
  return text == nullptr ? "its what() gives a null pointer" : text;
}

std::string error_text(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return error_text(e);
  } catch (...) {
    return "an exception that is not derived from std::exception";
  }
}

std::string listed(const std::vector<std::string>& earlier) {
  std::string text;
  for (std::size_t i = 0; i < earlier.size(); ++i) text += "\n  attempt " + std::to_string(i + 1) + ": " + earlier[i];
  return text;
}

}  // namespace rankview::wire

namespace rankview::inline abi_0_1 {
namespace {

std::string describe(const TaskPlace& place) {
  if (place.engine < 0) return "";
  return "engine " + std::to_string(place.engine) + " (rank " + std::to_string(place.rank) + ", host " + place.host + "), task " +
         to_string(place.task) + ": ";
}

std::string list(const std::vector<CompileError::Message>& messages) {
  constexpr std::size_t most = 10;
  std::string text = "the code does not compile:";
  for (std::size_t i = 0; i < messages.size() && i < most; ++i) {
    const CompileError::Message& message = messages[i];
    text += "\n  " + message.file + ":";
    if (message.line > 0) text += std::to_string(message.line) + ":";
    if (message.line > 0 && message.column > 0) text += std::to_string(message.column) + ":";
    text += " " + message.text;
  }
  if (messages.size() > most) text += "\n  and " + std::to_string(messages.size() - most) + " more";
  return text;
}

std::string list(const std::vector<CompositeError::Failure>& failures, std::size_t total) {
  constexpr std::size_t most = 10;
  std::string text = std::to_string(failures.size()) + " of " + std::to_string(total) + (total == 1 ? " task" : " tasks") + " failed:";
  for (std::size_t i = 0; i < failures.size() && i < most; ++i)
    text += "\n  [" + std::to_string(failures[i].index) + "] " + wire::error_text(failures[i].error);
  if (failures.size() > most) text += "\n  and " + std::to_string(failures.size() - most) + " more";
  return text;
}

// The way to the first cause; of a long one its two ends.
std::string tell(const ImpossibleDependency::Link* link) {
  constexpr std::size_t most = 8;
  std::string text;
  for (std::size_t told = 0; link != nullptr; link = link->next.get(), ++told) {
    if (told == most && link->length > 2) {
      text += ", and so on through " + std::to_string(link->length - 1) + " more";
      link = link->first;
    }
    text += (told == 0 ? " " : ", because of ") + to_string(link->task);
    if (link->next == nullptr && !link->why.empty()) text += ", which failed: " + link->why;
  }
  return text;
}

}  // namespace

std::string to_string(const TaskId& id) { return std::to_string(id.call) + "." + std::to_string(id.item); }

std::ostream& operator<<(std::ostream& out, const TaskId& id) { return out << to_string(id); }

RemoteError::RemoteError(TaskPlace place, std::string type_name, std::string message, std::vector<std::string> earlier)
    : Error(describe(place) + (place.engine < 0 || type_name.empty() ? message : type_name + ": " + message) + wire::listed(earlier)),
      place_(std::move(place)),
      type_name_(std::move(type_name)),
      message_(std::move(message)),
      earlier_(std::move(earlier)) {}

NameError::NameError(std::string message, TaskPlace place, std::vector<std::string> earlier)
    : RemoteError(std::move(place), "rankview::NameError", std::move(message), std::move(earlier)) {}

TypeError::TypeError(std::string message, TaskPlace place, std::vector<std::string> earlier)
    : RemoteError(std::move(place), "rankview::TypeError", std::move(message), std::move(earlier)) {}

TaskCrashed::TaskCrashed(std::string message, int signal, int exit_status, std::size_t peak_memory, TaskPlace place,
                         std::vector<std::string> earlier)
    : RemoteError(std::move(place), "rankview::TaskCrashed", std::move(message), std::move(earlier)),
      signal_(signal),
      exit_status_(exit_status),
      peak_memory_(peak_memory) {}

EngineError::EngineError(const std::string& message, TaskPlace place) : Error(message), place_(std::move(place)) {}

ImpossibleDependency::Link::Link(const TaskId& of, std::shared_ptr<const Link> cause, std::string error)
    : task(of),
      next(std::move(cause)),
      first(next == nullptr ? this : next->first),
      length(next == nullptr ? 1 : next->length + 1),
      why(std::move(error)) {}

// One after the other, since a chain may be longer than the stack is deep.
ImpossibleDependency::Link::~Link() {
  while (next != nullptr && next.use_count() == 1) next = std::move(std::const_pointer_cast<Link>(next)->next);
}

ImpossibleDependency::ImpossibleDependency(TaskId task, std::shared_ptr<const Link> because, const std::string& reason)
    : Error("task " + to_string(task) + " cannot run: " + reason + tell(because.get())), task_(task), because_(std::move(because)) {}

std::vector<TaskId> ImpossibleDependency::chain() const {
  std::vector<TaskId> tasks;
  for (const Link* link = because_.get(); link != nullptr; link = link->next.get()) tasks.push_back(link->task);
  return tasks;
}

CompileError::CompileError(std::vector<Message> messages) : Error(list(messages)), messages_(std::move(messages)) {}

CompositeError::CompositeError(std::vector<Failure> failures, std::size_t total)
    : Error(list(failures, total)), failures_(std::move(failures)) {}

}  // namespace rankview

// Out of line, since every program has the code that reads.
namespace rankview::inline abi_0_1::detail {

void Claims::refuse(std::size_t size) const {
  throw DecodeError("attachment " + std::to_string(places_.size()) + " of " + std::to_string(sizes_.size()) + " should hold " +
                    std::to_string(size) + " bytes, and was not announced as such");
}

void Reader::short_of(std::size_t count) const {
  throw DecodeError("wanted " + std::to_string(count) + " bytes where " + std::to_string(remaining()) + " are left");
}

void Reader::too_many(std::uint64_t count) const {
  throw DecodeError("a count of " + std::to_string(count) + " elements with " + std::to_string(remaining()) + " bytes left");
}

void Reader::missing(std::size_t count) { throw DecodeError("an attachment of " + std::to_string(count) + " bytes is missing"); }

}  // namespace rankview::detail
