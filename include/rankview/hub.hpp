// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
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

namespace detail {
Table query_hub(Controller& controller, const std::string& sql);
}

/// The task database of this run and of earlier ones; see Options::hub. A handle, which is cheap to copy.
class Hub {
 public:
  explicit Hub(std::shared_ptr<detail::Controller> controller) : controller_(std::move(controller)) {}

  /// Asks the database, in SQL, behind what has happened so far has been written: `rc.hub().query("select * from tasks where status =
  /// 'failed'")`. It can only be read so. Waits for the disk; may be called from any thread. Throws UsageError if there is no database, or
  /// with what SQLite says.
  [[nodiscard]] Table query(const std::string& sql) const { return detail::query_hub(*controller_, sql); }

 private:
  std::shared_ptr<detail::Controller> controller_;
};

}  // namespace rankview
