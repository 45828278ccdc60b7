// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "catch.hpp"
#include "farm/farm.hpp"
#include "farm/halt.hpp"
#include "farm/quarantine.hpp"
#include "farm/stock.hpp"
#include "farm/termination.hpp"
#include "farm/time_limit.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <csignal>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace rankview::farm;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Commands = std::vector<std::string>;

namespace {

// Workers without processes: a command is how long it takes and its exit status, and time passes while they are waited for.
class FakeWorkers final : public Workers {
 public:
  explicit FakeWorkers(std::size_t count) : count_(count) {}

  [[nodiscard]] std::size_t slots() const override { return count_; }
  [[nodiscard]] std::size_t wanted(bool /*ahead*/) const override { return count_ - std::min(count_, running_.size() + ended_.size()); }
  void start(Job job) override {
    started.push_back(job.command.text);
    Running run{std::move(job), now, now, 0};
    if (!fate) {
      run.end = now + seconds(1);
    } else {
      const auto [takes, status] = fate(run.job);
      run.end = now + takes;
      run.status = status;
    }
    running_.push_back(std::move(run));
  }
  std::vector<Job> recall() override { return {}; }
  std::vector<End> take_ended() override { return std::exchange(ended_, {}); }
  void wait(std::span<const int> /*descriptors*/, std::optional<milliseconds> limit) override {
    if (!ended_.empty()) return;
    if (running_.empty()) {
      now += limit.value_or(milliseconds(1));
      return;
    }
    const auto first =
        std::min_element(running_.begin(), running_.end(), [this](const Running& a, const Running& b) { return due(a) < due(b); });
    if (limit && due(*first) > now + *limit) {
      now += *limit;
      return;
    }
    now = std::max(now, due(*first));
    End end;
    if (first->end > now) end.cause = Cause::timeout;
    finish(first, std::move(end));
  }
  void set_time_limit(std::chrono::nanoseconds limit) override { limit_ = limit; }
  void kill() override {
    while (!running_.empty()) {
      End end;
      end.cause = Cause::killed;
      finish(running_.begin(), std::move(end));
    }
  }

  std::chrono::steady_clock::time_point now{};
  Commands started;
  std::function<std::pair<milliseconds, int>(const Job&)> fate;
  static constexpr int has_too_much = -1;  // of these a status

 private:
  struct Running {
    Job job;
    std::chrono::steady_clock::time_point begin;
    std::chrono::steady_clock::time_point end;
    int status;
  };

  [[nodiscard]] std::chrono::steady_clock::time_point due(const Running& run) const {
    return limit_.count() == 0 ? run.end : std::min(run.end, run.begin + limit_);
  }
  void finish(std::vector<Running>::iterator run, End end) {
    end.command = run->job.command.text;
    end.took = now - run->begin;
    end.status = run->status;
    if (run->status == has_too_much) end.cause = Cause::memory;
    end.job = std::move(run->job);
    end.out = Captured(end.command + "\n");
    running_.erase(run);
    ended_.push_back(std::move(end));
  }

  const std::size_t count_;
  std::chrono::nanoseconds limit_{0};
  std::vector<Running> running_;
  std::vector<End> ended_;
};

class FakeInterrupts final : public Interrupts {
 public:
  Wish wish() override { return when ? when() : Wish::none; }
  [[nodiscard]] int descriptor() const override { return -1; }
  std::function<Wish()> when;
};

class Printed final : public TextSink {
 public:
  void write(std::string_view text) override { all += text; }
  std::string all;
};

class FakePast final : public Past {
 public:
  Was find(Job& job) override { return was ? was(job) : Was::unknown; }
  void add(const End& end) override { added.push_back(end.command + (end.succeeded() ? " ok" : " failed")); }
  std::string finish() override { return ""; }
  std::function<Was(const Job&)> was;
  Commands added;
};

// A farm of these commands, which are their own arguments.
struct Trial {
  explicit Trial(Commands list, std::size_t count = 1) : commands(std::move(list)), workers(count) {
    // "3" fails with 3, "0" succeeds; "2s" takes that long.
    workers.fate = [](const Job& job) {
      const std::string& text = job.command.text;
      const bool slow = text.back() == 's';
      return std::pair(slow ? milliseconds(1000 * std::stoi(text)) : milliseconds(10), slow ? 0 : std::stoi(text));
    };
  }

  int run(const std::string& halt = "never") {
    terms.halt = Halt(halt);
    terms.now = [this] { return workers.now; };
    Input input;
    input.add(std::make_unique<WordRecords>(commands));
    JobMaker maker({Template::of_lines(), {}, "", {}, false, choice, {}}, std::move(input), &past);
    Printer printer(Printer::Order::as_they_end, out, err, "/tmp");
    Farm farm(terms, {maker,
                      workers,
                      printer,
                      interrupts,
                      nullptr,
                      &past,
                      nullptr,
                      [this](const std::string& text) { complaints.push_back(text); },
                      {}});
    return farm.run();
  }

  Commands commands;
  FakeWorkers workers;
  FarmTerms terms;
  FakeInterrupts interrupts;
  FakePast past;
  Choice choice = Choice::all;
  Printed out;
  Printed err;
  Commands complaints;
};

}  // namespace

TEST_CASE("a farm runs all commands, and says how many have failed", "[loop]") {
  Trial trial({"0", "3", "0", "1"}, 2);
  CHECK(trial.run() == 2);
  CHECK(trial.workers.started == trial.commands);
  CHECK(trial.past.added.size() == 4);
  CHECK(trial.out.all.size() == 8);
  Trial many(Commands(150, "1"), 4);
  CHECK(many.run() == 101);
  CHECK(Trial({}).run() == 0);
}

TEST_CASE("a command that fails is tried again before others", "[loop]") {
  Trial trial({"5", "0"});
  trial.terms.attempts = 3;
  SECTION("in vain") {
    CHECK(trial.run() == 1);
    CHECK(trial.workers.started == Commands{"5", "5", "5", "0"});
    // Only the last attempt counts.
    CHECK(trial.out.all == "5\n0\n");
    CHECK(trial.past.added == Commands{"5 failed", "0 ok"});
  }
  SECTION("until it succeeds") {
    trial.workers.fate = [](const Job& job) { return std::pair(milliseconds(1), job.number == 1 && job.attempt < 2 ? 1 : 0); };
    CHECK(trial.run() == 0);
    CHECK(trial.workers.started == Commands{"5", "5", "0"});
  }
}

TEST_CASE("a command that had too much memory may have more when it is tried again", "[loop]") {
  Trial trial({"0 #rv memory=1G", "0"});
  trial.terms.attempts = 4;
  trial.terms.memory_growth = 2;
  std::vector<std::uint64_t> allowed;
  trial.workers.fate = [&allowed](const Job& job) {
    if (job.number == 1) allowed.push_back(job.needs.memory >> 30U);
    return std::pair(milliseconds(1), job.number == 1 && job.attempt < 3 ? FakeWorkers::has_too_much : 0);
  };
  CHECK(trial.run() == 0);
  CHECK(allowed == std::vector<std::uint64_t>{1, 2, 4});
  CHECK(trial.complaints.size() == 2);
}

TEST_CASE("a command whose needs mean nothing fails, and others run", "[loop]") {
  Trial trial({"0 #rv core=2", "0 #rv cores=2", "0"});
  trial.terms.attempts = 3;
  CHECK(trial.run() == 1);
  CHECK(trial.workers.started == Commands{"0", "0"});
  REQUIRE(trial.complaints.size() == 1);
  CHECK(trial.complaints[0].find("there is no core; a command can say cores, memory, gpus and timeout") != std::string::npos);
}

TEST_CASE("commands that do not fit are overtaken, but not for ever", "[loop]") {
  const auto job = [](unsigned cores, std::uint64_t number) {
    Job made;
    made.number = number;
    made.needs.cores = cores;
    return made;
  };
  Stock stock({4, 100, {"0", "1"}});
  CHECK(stock.take({3, 60, 1, {}}) == std::vector<std::string>{"1"});
  CHECK(stock.has({1, 40, 1, {}}));
  CHECK_FALSE(stock.has({2, 0, 0, {}}));
  CHECK_FALSE(stock.has({1, 41, 0, {}}));
  CHECK_FALSE(stock.has({1, 0, 2, {}}));
  Backlog backlog;
  backlog.add(job(2, 1));
  for (std::uint64_t i = 0; i < 100; ++i) backlog.add(job(1, 2 + i));
  for (std::uint64_t i = 0; i < Backlog::overtaking; ++i) CHECK(backlog.take(stock)->number == 2 + i);
  CHECK_FALSE(backlog.any_for(stock));
  CHECK_FALSE(backlog.take(stock));
  stock.give_back({3, 60, 1, {}}, {"1"});
  CHECK(backlog.take(stock)->number == 1);
  CHECK(backlog.take(stock)->number == 2 + Backlog::overtaking);
  CHECK(backlog.take_all().size() == 99 - Backlog::overtaking);
}

// What GNU parallel 20221122 does and leaves with, with one command at a time.
TEST_CASE("a farm halts as GNU parallel does", "[loop]") {
  struct Case {
    const char* halt;
    int code;
    std::size_t started;
  };
  const Case cases[] = {{"now,fail=1", 3, 2},
                        {"soon,fail=1", 3, 2},
                        {"now,fail=2", 2, 4},
                        {"soon,fail=2", 2, 4},
                        {"now,success=1", 0, 1},
                        {"soon,success=1", 0, 1},
                        {"now,done=2", 1, 2},
                        {"soon,done=2", 1, 2},
                        {"1", 3, 2},
                        {"2", 3, 2},
                        {"-1", 0, 1},
                        {"0", 2, 5}};
  for (const Case& one : cases) {
    Trial trial({"0", "3", "0", "4", "0"});
    INFO(one.halt);
    CHECK(trial.run(one.halt) == one.code);
    CHECK(trial.workers.started.size() == one.started);
  }
}

TEST_CASE("soon waits for what runs, now kills it", "[loop]") {
  Trial trial({"9s", "7", "0"}, 2);
  SECTION("now") {
    CHECK(trial.run("now,fail=1") == 7);
    CHECK(trial.past.added == Commands{"7 failed"});
  }
  SECTION("soon") {
    CHECK(trial.run("soon,fail=1") == 7);
    CHECK(trial.past.added == Commands{"7 failed", "9s ok"});
  }
}

TEST_CASE("what means nothing to halt is refused", "[loop]") {
  for (const char* const text : {"now", "now,fail", "now,fail=0", "later,fail=1", "now,fail=x", "soon,fail=10%", "50%", ""})
    CHECK_THROWS_AS(Halt(text), rankview::UsageError);
}

TEST_CASE("a command that takes too long has failed", "[loop]") {
  Trial trial({"5s", "1s"}, 2);
  trial.terms.time_limit = TimeLimit("2");
  CHECK(trial.run() == 1);
  CHECK(trial.past.added == Commands{"1s ok", "5s failed"});
  CHECK(trial.workers.now.time_since_epoch() == seconds(2));
  REQUIRE(trial.complaints.size() == 1);
  CHECK(trial.complaints[0].find("longer than 2.0") != std::string::npos);
}

TEST_CASE("too long is told from the median when three have succeeded", "[loop]") {
  Trial trial({"2s", "2s", "4s", "99s"});
  trial.terms.time_limit = TimeLimit("300%");
  CHECK(trial.run() == 1);
  CHECK(trial.workers.now.time_since_epoch() == seconds(2 + 2 + 4 + 6));
}

TEST_CASE("medians", "[loop]") {
  TimeLimit limit("200%");
  CHECK(limit.moves());
  for (const int took : {9, 1, 5, 7, 3}) limit.count_success(seconds(took));
  CHECK(limit.now() == seconds(10));
  CHECK_FALSE(TimeLimit("3").moves());
  CHECK(TimeLimit().now() == seconds(0));
  for (const char* const text : {"", "x", "1y", "-1", "50%", "%", "1e99", "nan"}) CHECK_THROWS_AS(TimeLimit(text), rankview::UsageError);
}

TEST_CASE("times are told in several units", "[loop]") {
  CHECK(duration_of("90", "--delay") == seconds(90));
  CHECK(duration_of("1.5", "--delay") == milliseconds(1500));
  CHECK(duration_of("1h30m", "--delay") == seconds(5400));
  CHECK(duration_of("2d", "--delay") == seconds(172800));
  CHECK(duration_of(".5s", "--delay") == milliseconds(500));
}

TEST_CASE("starts are as far from each other as is wanted", "[loop]") {
  Trial trial({"0", "0", "0"}, 3);
  trial.terms.delay = seconds(3);
  CHECK(trial.run() == 0);
  CHECK(trial.workers.now.time_since_epoch() == milliseconds(6010));
}

TEST_CASE("who wants a farm to end is heard", "[loop]") {
  using Wish = Interrupts::Wish;
  Trial trial({"1s", "9s", "2s", "3s"}, 2);
  Wish wish = Wish::none;
  trial.interrupts.when = [&] { return trial.workers.now.time_since_epoch() > milliseconds(500) ? wish : Wish::none; };
  SECTION("by letting what runs end") {
    wish = Wish::finish;
    CHECK(trial.run() == 0);
    CHECK(trial.past.added == Commands{"1s ok", "9s ok"});
  }
  SECTION("to be started again") {
    wish = Wish::drain;
    CHECK(trial.run() == Farm::requeue);
    CHECK(trial.past.added == Commands{"1s ok", "9s ok"});
  }
  SECTION("at once") {
    wish = Wish::kill;
    CHECK(trial.run() == Farm::gone_wrong);
    CHECK(trial.past.added == Commands{"1s ok"});
  }
}

TEST_CASE("nothing is to be started again where nothing is left", "[loop]") {
  Trial trial({"1s"});
  trial.interrupts.when = [] { return Interrupts::Wish::drain; };
  trial.commands.clear();
  CHECK(trial.run() == 0);
}

TEST_CASE("what is done is left out, and printed output has no holes", "[loop]") {
  Trial trial({"0", "1", "0", "2"});
  trial.past.was = [](const Job& job) { return job.number % 2 == 1 ? Was::succeeded : Was::unknown; };
  trial.choice = Choice::not_done;
  CHECK(trial.run() == 2);
  CHECK(trial.workers.started == Commands{"1", "2"});
}

TEST_CASE("a command is told to end before it is killed", "[loop]") {
  Termination termination;
  const auto begin = std::chrono::steady_clock::time_point() + seconds(1);
  CHECK_FALSE(termination.begun());
  CHECK_FALSE(termination.due());
  CHECK(termination.signal(begin) == 0);
  termination.begin(begin);
  CHECK(termination.signal(begin) == SIGTERM);
  CHECK(termination.signal(begin + milliseconds(199)) == 0);
  CHECK(termination.signal(begin + milliseconds(200)) == SIGTERM);
  CHECK(termination.signal(begin + milliseconds(300)) == SIGTERM);
  CHECK(termination.due() == begin + milliseconds(350));
  CHECK(termination.signal(begin + milliseconds(350)) == SIGKILL);
  CHECK_FALSE(termination.due());
  CHECK(termination.signal(begin + seconds(9)) == 0);
}

namespace {

// Ends of commands on an engine; all at once, unless they took longer.
struct Watched {
  Quarantine quarantine;
  Quarantine::Time now{};
  std::uint64_t next = 1;

  explicit Watched(int engines) {
    for (int i = 0; i < engines; ++i) quarantine.add(i);
  }
  Quarantine::Decision ends(int engine, bool well, Job job = {}, milliseconds took = milliseconds(10)) {
    if (job.number == 0) job.number = next++;
    End end;
    end.command = "command " + std::to_string(job.number);
    end.job = std::move(job);
    end.host = "host" + std::to_string(engine);
    end.status = well ? 0 : 1;
    end.took = took;
    return quarantine.ended(engine, std::move(end), now);
  }
  // The jobs that are to be run elsewhere once this engine is suspect.
  std::vector<Job> suspect(int engine) {
    CHECK(ends(engine, false).reported.empty());
    CHECK(ends(engine, false).reported.empty());
    auto decision = ends(engine, false);
    CHECK(decision.reported.empty());
    CHECK(decision.elsewhere.size() == 3);
    CHECK_FALSE(quarantine.takes(engine, false, now));
    return std::move(decision.elsewhere);
  }
};

}  // namespace

TEST_CASE("a bad input is not a bad host", "[loop]") {
  Watched farm(3);
  // One that fails, among others.
  CHECK(farm.ends(0, true).reported.size() == 1);
  CHECK(farm.ends(0, false).reported.empty());
  CHECK(farm.ends(0, false).reported.empty());
  CHECK(farm.ends(0, true).reported.size() == 3);
  // The same again and again.
  for (int i = 0; i < 10; ++i) {
    Job same;
    same.number = 77;
    CHECK(farm.ends(0, false, same).elsewhere.empty());
  }
  CHECK(farm.quarantine.release().size() == 1);
  // Nobody waits for long.
  CHECK(farm.ends(0, false).reported.empty());
  farm.now += seconds(4);
  CHECK(farm.quarantine.release(farm.now).empty());
  farm.now += seconds(2);
  CHECK(farm.quarantine.release(farm.now).size() == 1);
  // Those that take their time say nothing of the host.
  for (int i = 0; i < 10; ++i) CHECK(farm.ends(0, false, {}, seconds(5)).reported.size() == 1);
  // Many bad ones: they fail elsewhere as well, and the next are believed.
  for (Job& job : farm.suspect(0)) {
    CHECK(job.failed_on == 0);
    CHECK(farm.ends(1, false, std::move(job)).reported.size() == 1);
  }
  CHECK(farm.quarantine.takes(0, true, farm.now));
  for (int i = 0; i < 20; ++i) CHECK(farm.ends(0, false).reported.size() == 1);
  CHECK(farm.ends(0, false).reported.empty());
}

TEST_CASE("a host on which everything fails that succeeds elsewhere is set aside, and tried again", "[loop]") {
  Watched farm(2);
  std::vector<Job> jobs = farm.suspect(1);
  const auto decision = farm.ends(0, true, jobs[0]);
  REQUIRE(decision.news.size() == 1);
  CHECK(decision.news[0].find("engine 1 is set aside for 60 s") == 0);
  CHECK(decision.reported.size() == 1);
  CHECK(farm.ends(0, false, jobs[1]).reported.size() == 1);
  CHECK(farm.ends(0, true, jobs[2]).reported.size() == 1);
  // What runs there still does not count.
  CHECK(farm.ends(1, false).elsewhere.size() == 1);
  farm.now += seconds(59);
  CHECK_FALSE(farm.quarantine.takes(1, false, farm.now));
  farm.now += seconds(2);
  CHECK(farm.quarantine.takes(1, false, farm.now));
  CHECK_FALSE(farm.quarantine.takes(1, true, farm.now));
  // In vain, and for twice as long.
  CHECK(farm.ends(1, false).elsewhere.size() == 1);
  farm.now += seconds(119);
  CHECK_FALSE(farm.quarantine.takes(1, false, farm.now));
  farm.now += seconds(2);
  CHECK(farm.ends(1, true).news.size() == 1);
  CHECK(farm.quarantine.takes(1, true, farm.now));
}

TEST_CASE("the last host is not set aside", "[loop]") {
  Watched alone(1);
  for (int i = 0; i < 10; ++i) CHECK(alone.ends(0, false).reported.size() == 1);
  // Who is not watched is believed.
  Watched nobody(0);
  for (int i = 0; i < 10; ++i) CHECK(nobody.ends(i % 2, false).reported.size() == 1);
  Watched two(2);
  two.suspect(0);
  for (int i = 0; i < 10; ++i) CHECK(two.ends(1, false).reported.size() == 1);
  CHECK(two.quarantine.takes(1, true, two.now));
  CHECK(two.quarantine.forget(1).empty());
  CHECK(two.quarantine.takes(0, true, two.now));
}
