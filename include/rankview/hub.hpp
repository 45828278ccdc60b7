// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/metadata.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace rankview::inline abi_0_1 {

namespace detail {
class Controller;
}

/// What a query gave: a row's values in the order of the columns, as text; nothing where the database has NULL.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;
};

/// A call, as the task database knows it; see Client::history().
struct CallRecord {
  std::int64_t run = 0;
  std::uint64_t call = 0;  ///< its number; item k of it is the task {call, k}
  std::string label;
  std::string function;
  std::uint64_t tasks = 0;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  std::uint64_t aborted = 0;
  Metadata::Time submitted;
  Metadata::Time ended;  ///< the epoch if it has not
};

/// A task that has ended, as the task database knows it; see Client::db_query().
struct TaskRecord : Metadata {
  TaskRecord() = default;  // a list of two numbers is a TaskId

  std::int64_t run = 0;
  std::string function;
};

/// Which tasks Client::db_query() is to give: those that are so in all that is said, `rc.db_query({.status = rv::Status::failed, .label =
/// "sweep"})`.
struct TaskQuery {
  std::optional<std::int64_t> run{};  ///< of all runs in the file, if that is not said
  std::optional<std::uint64_t> call{};
  std::optional<Status> status{};
  std::optional<int> engine{};
  std::optional<std::string> host{};
  std::optional<std::string> label{};
  std::optional<std::string> function{};  ///< a part of its name
  std::optional<std::string> error{};     ///< a part of its text
  std::optional<Seconds> longer_than{};   ///< ran for longer
  std::optional<std::uint64_t> limit{};   ///< the first so many, by run, call and item
};

/// The task database of this run and of earlier ones; see Options::hub. A handle, which is cheap to copy.
class Hub {
 public:
  /// What a `?` of a query stands for.
  using Value = std::variant<std::int64_t, double, std::string>;

  explicit Hub(std::shared_ptr<detail::Controller> controller) : controller_(std::move(controller)) {}

  /// Asks the database, in SQL, behind what has happened so far has been written: `rc.hub().query("select * from tasks where label = ?",
  /// {"sweep"})`, with a value for each `?` in their order. It can only be read so. Waits for the disk; may be called from any thread.
  /// Throws UsageError if there is no database, or with what SQLite says.
  [[nodiscard]] Table query(const std::string& sql, const std::vector<Value>& values = {}) const;
  /// The number of this run in the database. Throws UsageError if it could not be written there.
  [[nodiscard]] std::int64_t run() const;

 private:
  std::shared_ptr<detail::Controller> controller_;
};

}  // namespace rankview
