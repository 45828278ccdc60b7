// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "hub/hub.hpp"

#include <SQLiteCpp/SQLiteCpp.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <iterator>
#include <optional>
#include <utility>
#include <variant>

namespace rankview::hub {
namespace {

// A transaction costs about a millisecond, whatever is in it.
constexpr std::chrono::milliseconds between_writes{200};
constexpr int busy_limit = 10'000;  // milliseconds

}  // namespace

Hub::Hub(std::string path) : path_(std::move(path)), rows_(path_), thread_([this] { write_now_and_then(); }) {}

Hub::~Hub() {
  {
    const std::lock_guard guard(mutex_);
    quitting_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Hub::add(Event event, std::size_t tasks) {
  const std::lock_guard guard(mutex_);
  if (tasks != 0 && waiting_ >= most_waiting) {
    omit(std::move(event), events_);
    return;
  }
  waiting_ += tasks + 1;
  events_.push_back(std::move(event));
}

// There is too much to write: of tasks that did not fail only their number is told.
void Hub::omit(Event event, std::vector<Event>& into) {
  auto* const ended = std::get_if<TasksEnded>(&event);
  if (ended == nullptr) {
    into.push_back(std::move(event));
    return;
  }
  TasksOmitted omitted{ended->call};
  for (std::size_t i = 0; i < ended->records.size(); ++i) {
    const detail::ItemRecord& record = ended->records[i];
    if (record.status != Status::failed) {
      ++(record.status == Status::aborted ? omitted.aborted : omitted.completed);
      continue;
    }
    const std::uint64_t item = ended->first + i;
    TasksEnded failed{ended->call, item, {record}, {}};
    for (auto& error : ended->errors) {
      if (error.first == item) failed.errors.push_back(std::move(error));
    }
    into.emplace_back(std::move(failed));
  }
  unrecorded_ += omitted.completed + omitted.aborted;
  auto* const before = into.empty() ? nullptr : std::get_if<TasksOmitted>(&into.back());
  if (before == nullptr || before->call != omitted.call) {
    into.emplace_back(omitted);
  } else {
    before->completed += omitted.completed;
    before->aborted += omitted.aborted;
  }
}

void Hub::write_now_and_then() {
  std::unique_lock guard(mutex_);
  for (bool last = false; !last;) {
    changed_.wait_for(guard, between_writes, [this] { return quitting_ || hurry_; });
    last = quitting_;
    std::vector<Event> events = std::exchange(events_, {});
    waiting_ = 0;
    const std::uint64_t unrecorded = unrecorded_;
    writing_ = true;
    hurry_ = false;
    guard.unlock();
    if (!events.empty()) write(std::move(events), unrecorded);
    guard.lock();
    writing_ = false;
    changed_.notify_all();
  }
}

void Hub::write(std::vector<Event> events, std::uint64_t unrecorded) {
  try {
    rows_.write(events, unrecorded);
    if (std::exchange(warned_, false)) std::fprintf(stderr, "rankview: the hub %s is written again\n", path_.c_str());
  } catch (const std::exception& error) {
    if (!std::exchange(warned_, true))
      std::fprintf(stderr, "rankview: the hub %s cannot be written, so it misses most of what happens from here on: %s\n", path_.c_str(),
                   error.what());
    // The rest is tried again, unless that has become too much, too.
    std::vector<Event> again;
    const std::lock_guard guard(mutex_);
    for (Event& event : events) omit(std::move(event), again);
    if (again.size() + events_.size() > most_waiting) return;
    again.insert(again.end(), std::make_move_iterator(events_.begin()), std::make_move_iterator(events_.end()));
    events_ = std::move(again);
  }
}

void Hub::flush() {
  std::unique_lock guard(mutex_);
  changed_.wait(guard, [this] { return !writing_; });
  hurry_ = true;
  changed_.notify_all();
  changed_.wait(guard, [this] { return !hurry_ && !writing_; });
}

Table Hub::query(const std::string& sql) {
  flush();
  SQLite::Database database(path_, SQLite::OPEN_READONLY, busy_limit);
  SQLite::Statement statement(database, sql);
  Table table;
  for (int column = 0; column < statement.getColumnCount(); ++column) table.columns.emplace_back(statement.getColumnName(column));
  while (statement.executeStep()) {
    auto& row = table.rows.emplace_back();
    for (int column = 0; column < statement.getColumnCount(); ++column) {
      const SQLite::Column value = statement.getColumn(column);
      row.push_back(value.isNull() ? std::nullopt : std::optional(value.getString()));
    }
  }
  return table;
}

}  // namespace rankview::hub

// What the runtime looks for in this module; the name has the version of what both agree on.
extern "C" [[gnu::visibility("default")]] rankview::hub::TaskDatabase* rankview_open_hub_abi_0_1(const char* path);

rankview::hub::TaskDatabase* rankview_open_hub_abi_0_1(const char* path) { return new rankview::hub::Hub(path); }
