// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "environment.hpp"
#include "launch/copies.hpp"
#include "launch/self_start.hpp"
#include "support.hpp"

#include <rankview/errors.hpp>

#include <array>
#include <string>

using rankview::UsageError;
using unit::Environment;

// Starting under mpirun, as far as it can be seen without doing so; the rest is in tests/system.
namespace {

// As if no launcher stood above this process, and no mpirun could be found.
struct Bare {
  Environment open_mpi{"OMPI_COMM_WORLD_SIZE", nullptr};
  Environment pmix{"PMIX_RANK", nullptr};
  Environment pmi{"PMI_RANK", nullptr};
  Environment path{"PATH", "/nowhere"};
  // Which it may set on the way.
  Environment root{"OMPI_ALLOW_RUN_AS_ROOT", nullptr};
  Environment confirmed{"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", nullptr};
};

// What it says if it cannot start.
std::string start() {
  std::string name = "program";
  std::array<char*, 2> arguments{name.data(), nullptr};
  return unit::message_of<UsageError>([&] { rankview::launch::start_under_mpirun(1, arguments.data()); });
}

}  // namespace

TEST_CASE("nobody asked for engines to be started", "[launch]") {
  const Bare bare;
  const Environment unset("RANKVIEW_ENGINES", nullptr);
  CHECK(start().empty());
  const Environment empty("RANKVIEW_ENGINES", "");
  CHECK(start().empty());
}

TEST_CASE("a launcher has started this process already", "[launch]") {
  const Bare bare;
  const Environment wanted("RANKVIEW_ENGINES", "3");
  for (const char* const variable : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    CAPTURE(variable);
    const Environment launcher(variable, "1");
    CHECK(start().empty());
  }
}

TEST_CASE("engines to be started are a number", "[launch]") {
  const Bare bare;
  for (const char* const text : {"0", "-1", "many", "2 ", "1.5", "99999999999999"}) {
    const Environment wanted("RANKVIEW_ENGINES", text);
    const std::string message = start();
    CHECK(unit::contains(message, "RANKVIEW_ENGINES should be how many engines to start"));
    CHECK(unit::contains(message, std::string("and is \"") + text + "\""));
  }
}

TEST_CASE("there is no mpirun", "[launch]") {
  const Bare bare;
  const Environment wanted("RANKVIEW_ENGINES", "2");
  CHECK(unit::contains(start(), "RANKVIEW_ENGINES: cannot start mpirun: No such file"));
}

TEST_CASE("one copy of the runtime is not too many", "[launch]") { CHECK_NOTHROW(rankview::launch::refuse_copies()); }
