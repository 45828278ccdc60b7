// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/event_log.hpp"
#include "controller/task_errors.hpp"
#include "rooms.hpp"

#include <rankview/errors.hpp>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>

using rankview::EventLog;
using rankview::Status;

namespace {

// Stands still until it is set.
class StandingTime final : public rankview::transport::TimeSource {
 public:
  [[nodiscard]] std::int64_t now() const override { return time; }
  void nap(std::chrono::nanoseconds /*pause*/) override {}
  void sleep(std::chrono::nanoseconds /*time*/) override {}
  std::size_t start(std::function<void()> /*body*/) override { return 0; }
  void join(std::size_t /*thread*/) override {}

  std::int64_t time = 0;
};

// A file for a log.
class LogFile {
 public:
  LogFile() {
    std::string name = (std::filesystem::temp_directory_path() / "rankview-log-XXXXXX").string();
    const int fd = ::mkstemp(name.data());
    REQUIRE(fd >= 0);
    ::close(fd);
    path_ = name;
  }
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  ~LogFile() { std::filesystem::remove(path_); }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string text() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::string path_;
};

std::shared_ptr<unit::TestCall> call_of(std::uint64_t id, std::size_t items) {
  auto call = std::make_shared<unit::TestCall>();
  call->id = id;
  call->life().items.resize(items);
  return call;
}

// A run of a call of three tasks on two engines, one of which fails.
void tell_story(EventLog& log, StandingTime& clock) {
  log.run_begins({{.peer = 1, .rank = 1, .host = "near", .pid = 11}, {.peer = 2, .rank = 2, .host = "far", .pid = 12}});
  const auto call = call_of(4, 3);
  call->life().more.edit().label = "work";
  log.submitted(*call);
  for (std::size_t item = 0; item < 3; ++item) call->life().items[item].engine = item == 2 ? 1 : 0;
  log.granted(*call, 0, 2, 0);
  log.granted(*call, 2, 3, 1);
  call->life().items[2].attempts = 1;
  call->life().more.edit().attempts.edit()[2].errors.emplace_back("the first time\nand more");
  log.retried(*call, 2);
  call->life().items[0].status = call->life().items[1].status = Status::completed;
  log.ended(*call, 0, 2);
  call->life().items[2].status = Status::failed;
  call->life().errors.edit()[2] = std::make_exception_ptr(std::runtime_error("no\nat length"));
  log.ended(*call, 2, 3);
  clock.time = 1'500'000'000;
  log.over(*call);
  rankview::LostEngine lost;
  lost.engine = 1;
  lost.seen = "its process has ended";
  lost.rerun = 1;
  lost.failed = 2;
  log.engine_lost(lost);
  log.run_ends(true, "the client threw\nand more");
}

}  // namespace

TEST_CASE("what the log may be set to", "[event_log]") {
  for (const char* const setting : {"", "info", "debug", "info:a file", "debug:/tmp/log:with:colons"})
    CHECK_NOTHROW(EventLog::check(setting));
  for (const char* const setting : {"everything", "Info", "infos", " info"}) {
    const std::string message = unit::message_of<rankview::UsageError>([&] { EventLog::check(setting); });
    CHECK(unit::contains(message, std::string("RANKVIEW_LOG should be info or debug")));
    CHECK(unit::contains(message, std::string("is \"") + setting + "\""));
  }
  CHECK(EventLog::make("", {}) == nullptr);
}

TEST_CASE("a log of what goes wrong", "[event_log]") {
  const LogFile file;
  StandingTime clock;
  {
    const auto log = EventLog::make("info:" + file.path(), rankview::transport::Clock(clock));
    REQUIRE(log != nullptr);
    tell_story(*log, clock);
  }
  CHECK(file.text() ==
        "rankview 0.000000 s: a run with 2 engines\n"
        "rankview 0.000000 s: engine 0 is rank 1 on near, process 11\n"
        "rankview 0.000000 s: engine 1 is rank 2 on far, process 12\n"
        "rankview 0.000000 s: call 4 \"work\": 3 tasks\n"
        "rankview 0.000000 s: call 4 \"work\": task 2 is tried again after attempt 1: the first time\n"
        "rankview 1.500000 s: call 4 \"work\": over after 1.500000 s, 1 task failed; task 2: no\n"
        "rankview 1.500000 s: engine 1 has died: its process has ended; 1 task of it for others; 2 tasks of it failed\n"
        "rankview 1.500000 s: the run ends, since the client failed: the client threw\n");
}

TEST_CASE("a log that has everything", "[event_log]") {
  const LogFile file;
  StandingTime clock;
  tell_story(*EventLog::make("debug:" + file.path(), rankview::transport::Clock(clock)), clock);
  const std::string text = file.text();
  CHECK(unit::contains(text, "call 4 \"work\": engine 0 gets tasks 0 to 1\n"));
  CHECK(unit::contains(text, "call 4 \"work\": engine 1 gets task 2\n"));
  CHECK(unit::contains(text, "call 4 \"work\": tasks 0 to 1 ended, on engine 0\n"));
  // What is there already stays.
  tell_story(*EventLog::make("info:" + file.path(), rankview::transport::Clock(clock)), clock);
  CHECK(file.text().substr(0, text.size()) == text);
  CHECK(file.text().size() > text.size());
}

TEST_CASE("an engine among many is told only to who wants everything", "[event_log]") {
  const LogFile file;
  EventLog::make("info:" + file.path(), {})->run_begins(std::vector<rankview::controller::EngineInfo>(33));
  CHECK(unit::contains(file.text(), "a run with 33 engines"));
  CHECK_FALSE(unit::contains(file.text(), "engine 32"));
  EventLog::make("debug:" + file.path(), {})->run_begins(std::vector<rankview::controller::EngineInfo>(33));
  CHECK(unit::contains(file.text(), "engine 32 is rank"));
}

TEST_CASE("what the program's own error says was asked before", "[event_log]") {
  // Says it once.
  class Once : public std::exception {
   public:
    [[nodiscard]] const char* what() const noexcept override { return asked_++ == 0 ? "asked once" : "asked again"; }

   private:
    mutable int asked_ = 0;
  };
  const LogFile file;
  const auto call = call_of(1, 1);
  call->life().items[0].status = Status::failed;
  call->life().errors.edit()[0] = rankview::detail::keep(*call, rankview::detail::with_text(std::make_exception_ptr(Once())));
  EventLog::make("info:" + file.path(), {})->over(*call);
  CHECK(unit::contains(file.text(), "task 0: asked once\n"));
}
