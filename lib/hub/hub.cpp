// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "hub/hub.hpp"

#include <SQLiteCpp/SQLiteCpp.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <iterator>
#include <new>
#include <optional>
#include <utility>
#include <variant>

namespace rankview::hub {
namespace {

// A transaction costs about a millisecond, whatever is in it.
constexpr std::chrono::milliseconds between_writes{200};
constexpr std::chrono::milliseconds between_attempts{1000};

void bind(SQLite::Statement& statement, const controller::TaskArchive::Values& values) {
  int place = 0;
  for (const auto& value : values) {
    ++place;
    std::visit([&statement, place](const auto& each) { statement.bind(place, each); }, value);
  }
}

std::size_t kept_bytes(const Event& event) {
  if (const auto* const tasks = std::get_if<TasksKept>(&event)) return tasks->bytes.size();
  if (const auto* const call = std::get_if<CallKept>(&event)) return call->state.size();
  if (const auto* const printed = std::get_if<TaskPrinted>(&event)) return printed->out.size() + printed->err.size();
  return 0;
}

std::size_t kept_tasks(const Event& event) {
  if (std::holds_alternative<TaskPrinted>(event)) return 1;
  const auto* const tasks = std::get_if<TasksKept>(&event);
  return tasks == nullptr ? 0 : tasks->tasks.size();
}

}  // namespace

Hub::Hub(std::string path, NameOf name_of) : path_(std::move(path)), rows_(path_, name_of), thread_([this] { write_now_and_then(); }) {}

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
  if (std::holds_alternative<RunBegan>(event)) missing_ = {};
  const std::size_t bytes = kept_bytes(event);
  if (bytes != 0 && (kept_ + bytes > most_kept || waiting_ + 1 >= 2 * most_waiting)) {
    missing_.unkept += kept_tasks(event);
    return;
  }
  kept_ += bytes;
  ++waiting_;
  if (waiting_ < most_waiting) {
    waiting_ += tasks;
    events_.push_back(std::move(event));
  } else if (waiting_ < 2 * most_waiting || std::holds_alternative<RunBegan>(event) || std::holds_alternative<RunEnded>(event)) {
    missing_.unrecorded += reduce(std::move(event), events_);
  } else {
    missing_.unrecorded += tasks;
  }
}

// There is too much to write: of tasks that went well only their number is told. Gives that.
std::uint64_t Hub::reduce(Event event, std::vector<Event>& into) {
  auto* const ended = std::get_if<TasksEnded>(&event);
  if (ended == nullptr) {
    into.push_back(std::move(event));
    return 0;
  }
  const auto failed = [ended](std::size_t i) { return ended->records[i].status == Status::failed; };
  TasksOmitted omitted{ended->call};
  auto error = ended->errors.begin();
  for (std::size_t begin = 0; begin != ended->records.size();) {
    std::size_t end = begin + 1;
    while (end != ended->records.size() && failed(end) == failed(begin)) ++end;
    if (failed(begin)) {
      // Neighbours that failed stay together.
      const auto from = ended->records.begin();
      TasksEnded rest{
          ended->call, ended->first + begin, {from + static_cast<std::ptrdiff_t>(begin), from + static_cast<std::ptrdiff_t>(end)}, {}};
      while (error != ended->errors.end() && error->task < ended->first + end) rest.errors.push_back(std::move(*error++));
      into.emplace_back(std::move(rest));
    } else {
      for (std::size_t i = begin; i != end; ++i) ++(ended->records[i].status == Status::aborted ? omitted.aborted : omitted.completed);
    }
    begin = end;
  }
  const std::uint64_t count = omitted.completed + omitted.aborted;
  if (count == 0) return 0;
  auto* const before = into.empty() ? nullptr : std::get_if<TasksOmitted>(&into.back());
  if (before == nullptr || before->call != omitted.call) {
    into.emplace_back(omitted);
  } else {
    before->completed += omitted.completed;
    before->aborted += omitted.aborted;
  }
  return count;
}

void Hub::write_now_and_then() {
  std::unique_lock guard(mutex_);
  for (bool last = false; !last;) {
    changed_.wait_for(guard, warned_ ? between_attempts : between_writes, [this] { return quitting_ || asked_ != served_; });
    last = quitting_;
    const std::uint64_t serves = asked_;
    std::vector<Event> events = std::exchange(events_, {});
    waiting_ = 0;
    kept_ = 0;
    const Missing missing = missing_;
    guard.unlock();
    if (!events.empty()) write(std::move(events), missing);
    guard.lock();
    served_ = serves;
    changed_.notify_all();
  }
}

void Hub::write(std::vector<Event> events, const Missing& missing) {
  std::string why;
  try {
    rows_.write(events, missing);
    run_ = rows_.run();
    if (std::exchange(warned_, false)) std::fprintf(stderr, "rankview: the hub %s is written again\n", path_.c_str());
    return;
  } catch (const std::exception& error) {
    why = error.what();
  }
  if (!std::exchange(warned_, true))
    std::fprintf(stderr, "rankview: the hub %s cannot be written, so it misses most of what happens from here on: %s\n", path_.c_str(),
                 why.c_str());
  // The rest is tried again, with what has come meanwhile behind it.
  std::uint64_t omitted = 0;
  std::size_t kept = 0;
  std::vector<Event> again;
  try {
    for (Event& event : events) {
      kept += kept_bytes(event);
      omitted += reduce(std::move(event), again);
    }
  } catch (const std::bad_alloc&) {
    // Then a database is the least of the program's concerns.
    again.clear();
  }
  const std::lock_guard guard(mutex_);
  missing_.unrecorded += omitted;
  kept_ += kept;
  waiting_ += again.size();
  std::swap(again, events_);
  events_.insert(events_.end(), std::make_move_iterator(again.begin()), std::make_move_iterator(again.end()));
}

void Hub::change(const std::vector<std::string>& statements, const Values& values) {
  flush();
  SQLite::Database database(path_, SQLite::OPEN_READWRITE, busy_limit);
  SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
  for (const std::string& sql : statements) {
    SQLite::Statement statement(database, sql);
    bind(statement, values);
    statement.exec();
  }
  transaction.commit();
}

void Hub::flush() {
  std::unique_lock guard(mutex_);
  const std::uint64_t ticket = ++asked_;
  changed_.notify_all();
  changed_.wait(guard, [this, ticket] { return served_ >= ticket; });
}

Table Hub::query(const std::string& sql, const Values& values) {
  flush();
  SQLite::Database database(path_, SQLite::OPEN_READONLY, busy_limit);
  SQLite::Statement statement(database, sql);
  bind(statement, values);
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
extern "C" [[gnu::visibility("default")]] rankview::hub::TaskDatabase* rankview_open_hub_abi_0_1(const char* path,
                                                                                                 rankview::hub::NameOf name_of);

rankview::hub::TaskDatabase* rankview_open_hub_abi_0_1(const char* path, rankview::hub::NameOf name_of) {
  return new rankview::hub::Hub(path, name_of);
}
