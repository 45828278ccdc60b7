// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "hub/events.hpp"
#include "hub/task_database.hpp"

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace rankview::hub {

// So long may another writer keep one waiting who reads or writes.
constexpr int busy_limit = 10'000;  // milliseconds

// Tasks of a run of which nothing will be told, and those whose arguments, results or output could have been kept and were not.
struct Missing {
  std::uint64_t unrecorded = 0;
  std::uint64_t unkept = 0;
};

// Makes rows of events, in a database that others may read meanwhile.
class Rows {
 public:
  // Opens the file, or makes it. `name_of`: null for what the loader knows. `patience`: in place of the limit. Throws std::exception.
  explicit Rows(const std::string& path, NameOf name_of = nullptr, int patience = busy_limit);

  // All of them, or none: throws std::exception.
  void write(const std::vector<Event>& events, const Missing& missing);
  // The number of the run that is being written.
  [[nodiscard]] std::int64_t run() const { return run_; }

 private:
  // A call that is not over.
  struct Call {
    CallMade made;
    bool known = false;      // it has a row
    bool submitted = false;  // all of its tasks are known
    std::int64_t over = 0;
    std::uint64_t completed = 0;
    std::uint64_t failed = 0;
    std::uint64_t aborted = 0;
    // Of tasks that are for the next row of `pack`.
    std::uint64_t first = 0;
    std::int64_t base = 0;
    std::uint64_t packed = 0;
    std::string pack;
  };

  void write(const RunBegan& event);
  void write(const CallMade& event);
  void write(const CallKept& event);
  void write(const TasksKept& event);
  void write(const TasksEnded& event);
  void write(const TasksOmitted& event);
  void write(const TaskRetried& event);
  void write(const TaskPrinted& event);
  void write(const EngineLost& event);
  void write(const CallOver& event);
  void write(const RunEnded& event);
  void write_task(std::uint64_t call, std::uint64_t item, const detail::ItemRecord& record, const std::string* error);
  void pack(Call& call, std::uint64_t item, const detail::ItemRecord& record);
  void write_pack(std::uint64_t number, Call& call);
  void write_call(std::uint64_t number, Call& call);
  Call& change(std::uint64_t number);
  [[nodiscard]] std::string linker_name(const void* code) const;
  [[nodiscard]] std::string shown(const CallMade& made) const;

  const NameOf name_of_;
  SQLite::Database database_;
  std::int64_t run_ = 0;
  std::map<std::uint64_t, Call> calls_;
  std::map<std::uint64_t, std::optional<Call>> before_;  // those that have been changed since the last commit, as they were
  SQLite::Statement insert_task_;
  SQLite::Statement insert_pack_;
  SQLite::Statement insert_call_;
  SQLite::Statement insert_kept_;
  SQLite::Statement insert_printed_;
};

}  // namespace rankview::hub
