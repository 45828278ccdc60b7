// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/options.hpp"
#include "environment.hpp"
#include "support.hpp"

#include <rankview/errors.hpp>

#include <string>

using namespace std::chrono_literals;
using rankview::Options;
using rankview::UsageError;
using rankview::detail::decide;
using rankview::detail::to_string;
using unit::Environment;

namespace {

// As if nobody had set anything; an empty variable counts as unset.
struct Clean {
  Environment spin{"RANKVIEW_IDLE_SPIN_US", ""};
  Environment sleep{"RANKVIEW_IDLE_SLEEP_US", ""};
  Environment pulse{"RANKVIEW_PULSE", ""};
  Environment grace{"RANKVIEW_SHUTDOWN_GRACE_MS", ""};
  Environment team{"RANKVIEW_TEAM_GRACE_MS", ""};
  Environment server{"RANKVIEW_TASK_SERVER", ""};
  Environment slots{"RANKVIEW_SLOTS", ""};
  Environment hub{"RANKVIEW_HUB", ""};
  Environment keep{"RANKVIEW_KEEP", ""};
  Environment signals{"RANKVIEW_DRAIN_SIGNALS", ""};
  Environment walltime{"RANKVIEW_WALLTIME", ""};
  Environment margin{"RANKVIEW_WALLTIME_MARGIN_S", ""};
  Environment report{"RANKVIEW_CRASH_REPORT", ""};
  Environment status{"RANKVIEW_STATUS_SIGNAL", ""};
  Environment forward{"RANKVIEW_FORWARD_RESULTS", ""};
  Environment capture{"RANKVIEW_CAPTURE", ""};
  Environment stream{"RANKVIEW_STREAM_OUTPUT", ""};
  Environment include{"RANKVIEW_EXECUTE_INCLUDE", ""};
  Environment banner{"RANKVIEW_BANNER", ""};
};

}  // namespace

TEST_CASE("defaults", "[options]") {
  const Clean clean;
  const auto options = decide({});
  CHECK(options.idle_spin == 50us);
  CHECK(options.idle_sleep == 1ms);
  CHECK(options.pulse);
  CHECK(options.shutdown_grace == 10s);
  CHECK(options.forward_results == rankview::ForwardResults::when_nearer);
  CHECK_FALSE(options.banner);
}

TEST_CASE("the environment sets what the program leaves open", "[options]") {
  const Clean clean;
  const Environment spin("RANKVIEW_IDLE_SPIN_US", "7");
  const Environment sleep("RANKVIEW_IDLE_SLEEP_US", "0");
  const Environment pulse("RANKVIEW_PULSE", "0");
  const Environment grace("RANKVIEW_SHUTDOWN_GRACE_MS", "250");
  const Environment forward("RANKVIEW_FORWARD_RESULTS", "2");
  const Environment banner("RANKVIEW_BANNER", "1");
  const auto options = decide({});
  CHECK(options.idle_spin == 7us);
  CHECK(options.idle_sleep == 0us);
  CHECK_FALSE(options.pulse);
  CHECK(options.shutdown_grace == 250ms);
  CHECK(options.forward_results == rankview::ForwardResults::always);
  CHECK(options.banner);

  const auto decided = decide({.idle_spin = 9us, .pulse = true, .shutdown_grace = 1s});
  CHECK(decided.idle_spin == 9us);
  CHECK(decided.idle_sleep == 0us);
  CHECK(decided.pulse);
  CHECK(decided.shutdown_grace == 1s);
}

TEST_CASE("what is kept of what tasks print", "[options]") {
  const Clean clean;
  CHECK(decide({}).capture == 0);
  CHECK_FALSE(decide({}).stream_output);
  CHECK(decide({.capture = 3, .stream_output = true}).capture == 3);
  CHECK_THROWS_AS(decide({.capture = -1}), UsageError);
  const Environment capture("RANKVIEW_CAPTURE", "16");
  const Environment stream("RANKVIEW_STREAM_OUTPUT", "1");
  CHECK(decide({}).capture == 16);
  CHECK(decide({}).stream_output);
  CHECK(decide({.capture = 0}).capture == 0);
  CHECK(to_string(decide({})).find("RANKVIEW_CAPTURE=16") != std::string::npos);
}

TEST_CASE("an option that is a text", "[options]") {
  const Clean clean;
  CHECK(decide({}).hub.empty());
  const Environment hub("RANKVIEW_HUB", "a run.db");
  CHECK(decide({}).hub == "a run.db");
  CHECK(decide({.hub = "other.db"}).hub == "other.db");
}

TEST_CASE("what the program decides is not even looked for", "[options]") {
  const Clean clean;
  const Environment spin("RANKVIEW_IDLE_SPIN_US", "nonsense");
  CHECK_NOTHROW(decide({.idle_spin = 9us}));
}

TEST_CASE("nonsense in the environment is an error that names the variable", "[options]") {
  const Clean clean;
  for (const char* const text : {"many", "-1", "1.5", "3 ", " 3", "0x10", "99999999999999999999", "3600000001", "+3"}) {
    CAPTURE(text);
    const Environment spin("RANKVIEW_IDLE_SPIN_US", text);
    const std::string message = unit::message_of<UsageError>([] { decide({}); });
    CHECK(unit::contains(message, "RANKVIEW_IDLE_SPIN_US should be a number from 0 to 3600000000"));
    CHECK(unit::contains(message, std::string("and is \"") + text + "\""));
  }
  const Environment pulse("RANKVIEW_PULSE", "2");
  CHECK(unit::contains(unit::message_of<UsageError>([] { decide({}); }), "RANKVIEW_PULSE should be a number from 0 to 1"));
}

TEST_CASE("one line for each effective value", "[options]") {
  const Clean clean;
  CHECK(to_string(decide({.idle_spin = 9us, .pulse = false, .hub = "run.db", .banner = true})) ==
        "  RANKVIEW_IDLE_SPIN_US=9\n"
        "  RANKVIEW_IDLE_SLEEP_US=1000\n"
        "  RANKVIEW_PULSE=0\n"
        "  RANKVIEW_SHUTDOWN_GRACE_MS=10000\n"
        "  RANKVIEW_TEAM_GRACE_MS=60000\n"
        "  RANKVIEW_FORWARD_RESULTS=1\n"
        "  RANKVIEW_TASK_SERVER=1\n"
        "  RANKVIEW_SLOTS=1\n"
        "  RANKVIEW_CRASH_REPORT=1\n"
        "  RANKVIEW_STATUS_SIGNAL=1\n"
        "  RANKVIEW_DETECTION=1\n"
        "  RANKVIEW_SILENCE_MS=2000\n"
        "  RANKVIEW_LEASE_MS=30000\n"
        "  RANKVIEW_START_LIMIT_S=300\n"
        "  RANKVIEW_DRAIN_SIGNALS=1\n"
        "  RANKVIEW_WALLTIME=0\n"
        "  RANKVIEW_WALLTIME_MARGIN_S=60\n"
        "  RANKVIEW_HUB=run.db\n"
        "  RANKVIEW_KEEP=failures\n"
        "  RANKVIEW_CAPTURE=0\n"
        "  RANKVIEW_STREAM_OUTPUT=0\n"
        "  RANKVIEW_EXECUTE_INCLUDE=\n"
        "  RANKVIEW_BANNER=1\n");
}

TEST_CASE("an engine has at least one slot", "[options]") {
  const Environment slots{"RANKVIEW_SLOTS", "0"};
  CHECK_THROWS_AS(decide({}), rankview::UsageError);
  CHECK(decide({.slots = 3}).slots == 3);
  CHECK_THROWS_AS(decide({.slots = 0}), rankview::UsageError);
  CHECK_THROWS_AS(decide({.slots = 65'536}), rankview::UsageError);
}

TEST_CASE("an option that has names", "[options]") {
  using rankview::Keep;
  const Clean clean;
  CHECK(decide({}).keep == Keep::failures);
  CHECK(unit::contains(to_string(decide({})), "RANKVIEW_KEEP=failures"));
  const Environment all("RANKVIEW_KEEP", "all");
  CHECK(decide({}).keep == Keep::all);
  CHECK(decide({.keep = Keep::none}).keep == Keep::none);
  const Environment nonsense("RANKVIEW_KEEP", "some");
  CHECK(unit::message_of<UsageError>([] { decide({}); }) == "RANKVIEW_KEEP should be none, failures or all, and is \"some\"");
}
