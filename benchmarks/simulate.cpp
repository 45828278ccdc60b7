// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// simulate [--quick] [--only=makespan|short|cost|graph]
// simulate --engines=N [--tasks=N] [--distribution=lognormal|pareto|exponential|constant] [--mean=NS] [--order=random|first|last|hidden]
//          [--tiny=NS] [--latency=NS] [--bandwidth=BYTES/S] [--message=NS] [--seed=N]
//
// The scheduler by itself, without MPI, on a simulated cluster of any size: how much longer a load takes than it has to, what rank 0
// computes for each task, and what is recalled. The second form simulates one load.
#include "loads.hpp"
#include "measure.hpp"
#include "scheduler/dependencies.hpp"
#include "scheduler/scheduler.hpp"

#include <time.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <deque>
#include <fstream>
#include <queue>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace scheduler = rankview::scheduler;
using scheduler::Nanoseconds;

namespace {

[[noreturn]] void nonsense(const char* what) {
  std::fprintf(stderr, "benchmark failed: %s\n", what);
  std::exit(1);
}

void require(bool holds, const char* what) {
  if (!holds) nonsense(what);
}

// ---- what happened to the scheduler --------------------------------------------------------------------------------------------

constexpr std::uint64_t call = 1;
constexpr std::uint64_t block = 1024;  // items of a map are submitted so many at a time

// One event of a run, as rank 0 told the scheduler. All of them can be played again to see what the scheduler alone costs.
struct Event {
  enum class Kind : std::uint8_t { finished, returned, hand_out, recall };
  Kind kind = Kind::hand_out;
  std::int32_t engine = -1;
  std::uint64_t begin = 0;  // returned: index of the ranges
  std::uint64_t end = 0;
  Nanoseconds time = 0;  // finished: how long they took
};

struct Trace {
  std::size_t engines = 0;
  std::uint64_t tasks = 0;
  std::vector<Event> events;
  std::vector<std::vector<scheduler::Range>> returned;
};

void prepare(scheduler::Scheduler& tasks, std::size_t engines) {
  for (std::size_t id = 0; id < engines; ++id) tasks.add_engine(static_cast<int>(id));
}

void submit(scheduler::Scheduler& tasks, std::uint64_t count) {
  for (std::uint64_t first = 0; first < count; first += block) {
    const std::uint64_t some = std::min(block, count - first);
    tasks.submit({.call = call, .kind = 1, .first = first, .count = some, .chunks = some, .item_bytes = 8});
  }
}

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// CPU seconds that the scheduler takes for all of it.
double replay(const Trace& trace) {
  scheduler::Scheduler tasks;
  prepare(tasks, trace.engines);
  std::uint64_t handed_out = 0;
  const double start = cpu_seconds();
  submit(tasks, trace.tasks);
  for (const Event& event : trace.events) {
    switch (event.kind) {
      case Event::Kind::finished:
        tasks.finished(event.engine, call, event.begin, event.end, event.time);
        break;
      case Event::Kind::returned:
        tasks.returned(event.engine, trace.returned[event.begin]);
        break;
      case Event::Kind::hand_out:
        for (scheduler::Grant grant; tasks.next(grant);) handed_out += grant.end - grant.begin;
        break;
      case Event::Kind::recall:
        while (tasks.recall(event.time)) {
        }
    }
  }
  const double elapsed = cpu_seconds() - start;
  for (const auto& ranges : trace.returned) {
    for (const scheduler::Range& range : ranges) handed_out -= range.end - range.begin;
  }
  require(handed_out == trace.tasks && tasks.waiting() == 0, "played again, it is another history");
  return elapsed;
}

// ---- the cluster ---------------------------------------------------------------------------------------------------------------

struct Network {
  Nanoseconds latency = 2'000;
  double bandwidth = 10e9;    // bytes a second
  Nanoseconds message = 300;  // what a message costs rank 0, to receive or to send
};

struct Outcome {
  double makespan = 0;
  std::uint64_t messages = 0;
  std::uint64_t recalls = 0;
  std::uint64_t returned = 0;  // items
  Trace trace;
};

// Rank 0 and its engines, which behave as lib/controller and lib/engine do, at a speed of their own.
class Cluster {
 public:
  Cluster(std::size_t engines, const std::vector<Nanoseconds>& durations, const Network& network)
      : durations_(durations), network_(network), engines_(engines) {
    outcome_.trace.engines = engines;
    outcome_.trace.tasks = durations.size();
  }

  Outcome run() {
    prepare(tasks_, engines_.size());
    submit(tasks_, durations_.size());
    plan_rank0(0);
    while (ended_ < durations_.size()) {
      require(!queue_.empty(), "nothing happens any more, and not everything has ended");
      const Happening next = queue_.top();
      queue_.pop();
      now_ = next.time;
      switch (next.kind) {
        case Happening::Kind::rank0:
          if (next.time == planned_) rank0();  // else it had something to do sooner
          break;
        case Happening::Kind::arrival:
          arrival(next.engine);
          break;
        case Happening::Kind::look:
          if (engine(next.engine).generation == next.generation) look(next.engine);
          break;
        case Happening::Kind::pulse:
          if (engine(next.engine).generation == next.generation) pulse(next.engine);
      }
    }
    outcome_.makespan = static_cast<double>(now_) * 1e-9;
    return std::move(outcome_);
  }

 private:
  static constexpr Nanoseconds look_after = 50'000;
  static constexpr Nanoseconds flush_after = 50'000;
  static constexpr Nanoseconds pulse_period = 1'060'000;
  static constexpr Nanoseconds recall_period = 100'000;
  static constexpr Nanoseconds doze = 1'000'000;
  static constexpr Nanoseconds item_bytes = 8;
  static constexpr Nanoseconds header_bytes = 100;

  struct Happening {
    enum class Kind : std::uint8_t { rank0, arrival, look, pulse };
    Kind kind = Kind::rank0;
    std::int32_t engine = -1;
    std::uint32_t generation = 0;
    Nanoseconds time = 0;
    std::uint64_t number = 0;
    friend bool operator>(const Happening& a, const Happening& b) { return std::pair(a.time, a.number) > std::pair(b.time, b.number); }
  };
  struct Items {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  // To an engine: what it is to run, what it is to give back. To rank 0: results, or what is given back.
  struct Message {
    Nanoseconds arrival = 0;
    std::int32_t engine = -1;
    std::vector<scheduler::Grant> grants;
    std::vector<scheduler::Range> recall;
    std::vector<std::pair<Items, Nanoseconds>> results;
    bool returns = false;
    std::vector<scheduler::Range> returned;
  };
  struct Engine {
    std::deque<Items> queue;
    bool busy = false;
    Items running;                 // the item that runs, and those behind it
    Nanoseconds began = 0;         // that item
    std::uint32_t generation = 0;  // of what was planned for it
    bool pulse_planned = false;
    Nanoseconds last_look = 0;
    Nanoseconds oldest_result = -1;
    std::vector<std::pair<Items, Nanoseconds>> results;
    std::deque<Message> inbox;
    Nanoseconds last_arrival = 0;    // of what was sent there
    Nanoseconds last_departure = 0;  // of what it sent, as it arrives
  };

  Engine& engine(std::int32_t id) { return engines_[static_cast<std::size_t>(id)]; }

  void at(Nanoseconds time, Happening happening) {
    happening.time = time;
    happening.number = ++happenings_;
    queue_.push(happening);
  }

  [[nodiscard]] Nanoseconds travel(Nanoseconds bytes) const {
    return network_.latency + static_cast<Nanoseconds>(static_cast<double>(bytes) / network_.bandwidth * 1e9);
  }

  void record(Event event) { outcome_.trace.events.push_back(event); }

  // ---- rank 0 ----

  // Takes what has arrived, hands out, and recalls now and then; then it is busy for as long as the messages cost.
  void rank0() {
    planned_ = -1;
    Nanoseconds messages = 0;
    while (!inbox_.empty() && inbox_.top().arrival <= now_) {
      const Message message = inbox_.top();
      inbox_.pop();
      ++messages;
      for (const auto& [items, busy] : message.results) {
        record({Event::Kind::finished, message.engine, items.begin, items.end, busy});
        tasks_.finished(message.engine, call, items.begin, items.end, busy);
        ended_ += items.end - items.begin;
      }
      if (!message.returns) continue;
      record({Event::Kind::returned, message.engine, outcome_.trace.returned.size(), 0, 0});
      outcome_.trace.returned.push_back(message.returned);
      for (const scheduler::Range& range : message.returned) outcome_.returned += range.end - range.begin;
      tasks_.returned(message.engine, message.returned);
    }
    std::vector<Message> out;
    if (tasks_.waiting() != 0) {
      record({Event::Kind::hand_out});
      for (scheduler::Grant grant; tasks_.next(grant);) {
        if (out.empty() || out.back().engine != grant.engine) out.emplace_back().engine = grant.engine;
        out.back().grants.push_back(grant);
      }
    }
    if (tasks_.unbalanced() && now_ >= next_recall_) {
      next_recall_ = now_ + recall_period;
      record({Event::Kind::recall, -1, 0, 0, now_});
      while (auto recall = tasks_.recall(now_)) {
        ++outcome_.recalls;
        Message& message = out.emplace_back();
        message.engine = recall->engine;
        message.recall = std::move(recall->ranges);
      }
    }
    for (Message& message : out) {
      ++messages;
      Nanoseconds bytes = header_bytes;
      for (const scheduler::Grant& grant : message.grants) bytes += item_bytes * static_cast<Nanoseconds>(grant.end - grant.begin);
      Engine& to = engine(message.engine);
      message.arrival = to.last_arrival = std::max(to.last_arrival, now_ + messages * network_.message + travel(bytes));
      at(message.arrival, {Happening::Kind::arrival, message.engine});
      to.inbox.push_back(std::move(message));
    }
    outcome_.messages += static_cast<std::uint64_t>(messages);
    free_at_ = now_ + messages * network_.message;
    plan_rank0(inbox_.empty() ? now_ + doze : inbox_.top().arrival);
  }

  void plan_rank0(Nanoseconds time) {
    time = std::max(time, free_at_);
    if (planned_ >= 0 && planned_ <= time) return;
    planned_ = time;
    at(time, {Happening::Kind::rank0});
  }

  void send(std::int32_t id, Message message) {
    Engine& from = engine(id);
    Nanoseconds bytes = header_bytes;
    for (const auto& [items, busy] : message.results) bytes += 2 * item_bytes * static_cast<Nanoseconds>(items.end - items.begin);
    message.engine = id;
    message.arrival = from.last_departure = std::max(from.last_departure, now_ + travel(bytes));
    plan_rank0(message.arrival);
    inbox_.push(std::move(message));
  }

  // ---- engines ----

  void arrival(std::int32_t id) {
    Engine& self = engine(id);
    if (self.busy) {
      plan_pulse(id);
      return;
    }
    receive(id);
    go_on(id);
  }

  void receive(std::int32_t id) {
    Engine& self = engine(id);
    while (!self.inbox.empty() && self.inbox.front().arrival <= now_) {
      const Message message = std::move(self.inbox.front());
      self.inbox.pop_front();
      for (const scheduler::Grant& grant : message.grants) self.queue.push_back({grant.begin, grant.end});
      if (!message.recall.empty()) give_back(id, message.recall);
    }
  }

  void give_back(std::int32_t id, const std::vector<scheduler::Range>& recalled) {
    Engine& self = engine(id);
    Message answer;
    answer.returns = true;
    const auto cut = [&](const scheduler::Range& wanted, std::uint64_t first, std::uint64_t& end) {
      const std::uint64_t from = std::max(first, wanted.begin);
      if (from >= end || wanted.end < end) return;
      answer.returned.push_back({call, from, end, false});
      end = from;
    };
    for (const scheduler::Range& wanted : recalled) {
      if (self.busy) cut(wanted, self.running.begin + 1, self.running.end);
      for (Items& items : self.queue) cut(wanted, items.begin, items.end);
    }
    std::erase_if(self.queue, [](const Items& items) { return items.begin == items.end; });
    answer.results = std::exchange(self.results, {});
    self.oldest_result = -1;
    send(id, std::move(answer));
  }

  void flush(std::int32_t id) {
    Engine& self = engine(id);
    if (self.results.empty()) return;
    Message message;
    message.results = std::exchange(self.results, {});
    self.oldest_result = -1;
    send(id, std::move(message));
  }

  void end_item(Engine& self, Nanoseconds time) {
    const Nanoseconds busy = time - self.began;
    const std::uint64_t item = self.running.begin++;
    if (!self.results.empty() && self.results.back().first.end == item) {
      self.results.back().first.end = item + 1;
      self.results.back().second += busy;
    } else {
      self.results.push_back({{item, item + 1}, busy});
    }
    if (self.oldest_result < 0) self.oldest_result = time;
  }

  // Runs items, which nobody can see, up to the one after whose end it looks for messages or has nothing to do.
  void go_on(std::int32_t id) {
    Engine& self = engine(id);
    Nanoseconds time = now_;
    for (;;) {
      if (self.running.begin == self.running.end) {
        if (self.queue.empty()) break;
        self.running = self.queue.front();
        self.queue.pop_front();
      }
      self.busy = true;
      self.began = time;
      const Nanoseconds end = time + durations_[self.running.begin];
      const bool last = self.running.begin + 1 == self.running.end && self.queue.empty();
      if (last || end - self.last_look >= look_after) {
        self.pulse_planned = false;
        at(end, {Happening::Kind::look, id, ++self.generation});
        if (end - time > pulse_period && !self.results.empty()) plan_pulse(id);
        return;
      }
      end_item(self, end);
      time = end;
    }
    self.busy = false;
  }

  // An item has ended.
  void look(std::int32_t id) {
    Engine& self = engine(id);
    end_item(self, now_);
    self.busy = false;
    if (now_ - self.last_look >= look_after) {
      self.last_look = now_;
      if (self.running.begin != self.running.end) self.queue.push_front(std::exchange(self.running, {}));
      receive(id);
      if (self.oldest_result >= 0 && now_ - self.oldest_result >= flush_after) flush(id);
    }
    if (self.running.begin == self.running.end && self.queue.empty()) {
      flush(id);
      receive(id);
    }
    go_on(id);
  }

  // The second thread comes by once a period, and does something if it finds the engine in the same item twice.
  void plan_pulse(std::int32_t id) {
    Engine& self = engine(id);
    if (self.pulse_planned) return;
    self.pulse_planned = true;
    const Nanoseconds earliest = std::max(self.began + pulse_period, now_);
    // Engines are out of step.
    const Nanoseconds phase = (id * Nanoseconds{7919}) % pulse_period;
    const Nanoseconds periods = (earliest - phase + pulse_period - 1) / pulse_period;
    at(phase + periods * pulse_period, {Happening::Kind::pulse, id, self.generation});
  }

  void pulse(std::int32_t id) {
    engine(id).pulse_planned = false;
    receive(id);
    flush(id);
  }

  const std::vector<Nanoseconds>& durations_;
  Network network_;
  scheduler::Scheduler tasks_;
  std::vector<Engine> engines_;
  std::priority_queue<Happening, std::vector<Happening>, std::greater<>> queue_;
  std::uint64_t happenings_ = 0;
  Nanoseconds now_ = 0;
  Nanoseconds free_at_ = 0;   // rank 0
  Nanoseconds planned_ = -1;  // when it does something next
  Nanoseconds next_recall_ = 0;
  struct Later {
    bool operator()(const Message& a, const Message& b) const { return a.arrival > b.arrival; }
  };
  std::priority_queue<Message, std::vector<Message>, Later> inbox_;
  std::uint64_t ended_ = 0;
  Outcome outcome_;
};

Outcome simulate(const bench::Durations& durations, std::size_t engines, const Network& network) {
  std::vector<Nanoseconds> nanoseconds;
  nanoseconds.reserve(durations.size());
  for (const double duration : durations) nanoseconds.push_back(std::max<Nanoseconds>(1, std::llround(duration * 1e9)));
  return Cluster(engines, nanoseconds, network).run();
}

// ---- figures -------------------------------------------------------------------------------------------------------------------

void print_load(const std::string& name, const bench::Durations& durations, std::size_t engines, const Network& network) {
  const Outcome outcome = simulate(durations, engines, network);
  const bench::Bound bound = bench::bound_of(durations, engines);
  bench::print({.name = "simulated makespan, " + name,
                .unit = "s",
                .rankview = outcome.makespan,
                .floor_name = bound.name,
                .floor = bound.seconds,
                .ratio = outcome.makespan / bound.seconds,
                .at_most = 1.05});
  const double best = bench::list_schedule(durations, engines);
  bench::print({.name = "simulated makespan, " + name,
                .unit = "s",
                .rankview = outcome.makespan,
                .floor_name = "list scheduling at no cost",
                .floor = best,
                .ratio = outcome.makespan / best});
  const auto per_thousand = [&](std::uint64_t count) { return 1000 * static_cast<double>(count) / static_cast<double>(durations.size()); };
  bench::print({.name = "messages, " + name, .unit = "per 1000 tasks", .rankview = per_thousand(outcome.messages)});
  bench::print({.name = "recalls, " + name, .unit = "per 1000 tasks", .rankview = per_thousand(outcome.recalls)});
  bench::print({.name = "tasks given back, " + name, .unit = "per 1000 tasks", .rankview = per_thousand(outcome.returned)});
}

void makespans(bool quick) {
  const std::vector<std::size_t> sizes = quick ? std::vector<std::size_t>{16, 256} : std::vector<std::size_t>{16, 256, 4096};
  for (const char* const distribution : {"lognormal", "pareto"}) {
    for (const std::size_t engines : sizes) {
      const std::size_t count = 125 * engines;
      const bench::Durations load =
          engines <= 16 ? bench::reachable(distribution, count, 5e-3, engines) : bench::durations(distribution, count, 5e-3, 1);
      const std::string what = std::string(distribution) + ", " + std::to_string(engines) + " engines";
      print_load(what + ", random order", load, engines, {});
      print_load(what + ", longest first", bench::worst_first(load), engines, {});
      print_load(what + ", longest last", bench::worst_last(load), engines, {});
      print_load(what + ", behind tiny ones", bench::hidden(load, 625 * engines), engines, {});
    }
  }
}

// A hundred tasks for each engine that take so long that they travel together, but so few that it matters who gets them.
void short_loads() {
  for (const char* const distribution : {"exponential", "lognormal", "pareto"}) {
    for (const std::size_t engines : {4, 16, 64}) {
      const bench::Durations load = bench::durations(distribution, 100 * engines, 20e-6, 1);
      print_load(std::string(distribution) + " of 20 us, 100 for each of " + std::to_string(engines) + " engines", load, engines, {});
    }
  }
}

// What rank 0 computes for a task, with more and more engines. Rank 0's messages cost nothing here: a real one could not keep so many busy.
void costs(bool quick) {
  const std::vector<std::size_t> sizes =
      quick ? std::vector<std::size_t>{4, 1000, 100'000} : std::vector<std::size_t>{4, 16, 100, 1000, 10'000, 100'000};
  struct Case {
    const char* name;
    double mean;
    std::size_t least;  // tasks
    std::size_t each;   // tasks for each engine
  };
  // Short ones go out so many at a time as there are for each engine, so the load has to grow with the engines.
  for (const Case& is : {Case{"10 ms", 10e-3, 500'000, 10}, Case{"20 us", 20e-6, 0, 100}}) {
    double first = 0;
    double most = 0;
    for (const std::size_t engines : sizes) {
      const std::size_t count = std::max(is.least, is.each * engines);
      const Outcome outcome = simulate(bench::durations("exponential", count, is.mean, 1), engines, {.message = 0});
      std::vector<double> times;
      const std::size_t repeats = std::max<std::size_t>(1, 500'000 / count);
      for (int round = 0; round < (quick ? 3 : 5); ++round) {
        double seconds = 0;
        for (std::size_t i = 0; i < repeats; ++i) seconds += replay(outcome.trace);
        times.push_back(seconds / static_cast<double>(repeats * count) * 1e6);
      }
      const double time = *std::min_element(times.begin(), times.end());
      if (first == 0) first = time;
      most = std::max(most, time);
      bench::print({.name = std::string("scheduler's CPU time a task of ") + is.name + ", " + std::to_string(engines) + " engines",
                    .unit = "us",
                    .rankview = time,
                    .at_most = 0.3});
    }
    bench::print({.name = std::string("scheduler's CPU time a task of ") + is.name + ", the most of them",
                  .unit = "us",
                  .rankview = most,
                  .floor_name = "with 4 engines",
                  .floor = first,
                  .ratio = most / first,
                  .at_most = 1.5});
  }
}

// A million calls, each after three random earlier ones: Dependencies and Scheduler alone, as lib/controller uses them.
double resident() {
  std::ifstream file("/proc/self/statm");
  double pages = 0;
  file >> pages >> pages;
  return pages * 4096;
}

void graph(bool quick) {
  const std::uint32_t calls = quick ? 200'000 : 1'000'000;
  constexpr std::uint32_t edges = 3;
  constexpr int engines = 2;
  std::mt19937 random(1);
  std::vector<std::array<std::uint32_t, edges>> after(calls);
  for (std::uint32_t i = 1; i < calls; ++i) {
    for (std::uint32_t& on : after[i]) on = static_cast<std::uint32_t>(random() % i);
  }
  std::vector<scheduler::Dependencies::Node> nodes(calls);
  scheduler::Scheduler tasks;
  scheduler::Dependencies dependencies;
  prepare(tasks, engines);
  const auto place = [&](std::uint64_t number) { tasks.submit({.call = number, .kind = 1, .count = 1, .chunks = 1, .item_bytes = 8}); };
  const double memory = resident();
  const double start = cpu_seconds();
  for (std::uint32_t i = 0; i < calls; ++i) {
    nodes[i] = dependencies.add(i);
    if (i == 0) {
      place(i);
      continue;
    }
    scheduler::Dependencies::Needs needs;
    needs.after.expect(edges);
    dependencies.wait(nodes[i], std::move(needs));
    for (const std::uint32_t on : after[i]) {
      dependencies.depend(nodes[i], nodes[on], scheduler::Dependencies::every, scheduler::Dependencies::Need::after);
    }
    dependencies.settle(nodes[i]);
  }
  const double submitted = cpu_seconds();
  const double grown = resident() - memory;
  std::uint64_t ended = 0;
  std::deque<scheduler::Grant> running;
  const auto hand_out = [&] {
    for (scheduler::Grant grant; tasks.next(grant);) running.push_back(grant);
  };
  hand_out();
  while (!running.empty()) {
    const scheduler::Grant done = running.front();
    running.pop_front();
    tasks.finished(done.engine, done.call, done.begin, done.end, 1000);
    dependencies.ended(nodes[done.call], 0, done.engine, true);
    while (const auto decision = dependencies.next()) place(decision->call);
    dependencies.remove(nodes[done.call]);
    ++ended;
    hand_out();
  }
  const double over = cpu_seconds();
  require(ended == calls, "not every call of the graph has run");
  const auto each = [calls](double value) { return value / static_cast<double>(calls); };
  bench::print(
      {.name = "graph, scheduler alone: a task with 3 edges, submitting", .unit = "us", .rankview = each(submitted - start) * 1e6});
  bench::print({.name = "graph, scheduler alone: a task with 3 edges, in all", .unit = "us", .rankview = each(over - start) * 1e6});
  bench::print({.name = "graph, scheduler alone: memory of a waiting task", .unit = "bytes", .rankview = each(grown)});
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = bench::quick(argc, argv);
  if (const auto engines = static_cast<std::size_t>(bench::number(argc, argv, "engines", 0)); engines != 0) {
    const std::string distribution = bench::option(argc, argv, "distribution", "lognormal");
    const std::string order = bench::option(argc, argv, "order", "random");
    const auto count = static_cast<std::size_t>(bench::number(argc, argv, "tasks", static_cast<long>(125 * engines)));
    bench::Durations load = bench::durations(distribution, count, static_cast<double>(bench::number(argc, argv, "mean", 5'000'000)) * 1e-9,
                                             static_cast<std::uint64_t>(bench::number(argc, argv, "seed", 1)));
    if (order == "first") load = bench::worst_first(load);
    if (order == "last") load = bench::worst_last(load);
    if (order == "hidden") load = bench::hidden(load, 5 * count, static_cast<double>(bench::number(argc, argv, "tiny", 1000)) * 1e-9);
    print_load(distribution + ", " + std::to_string(engines) + " engines, " + order, load, engines,
               {.latency = bench::number(argc, argv, "latency", 2'000),
                .bandwidth = static_cast<double>(bench::number(argc, argv, "bandwidth", 10'000'000'000)),
                .message = bench::number(argc, argv, "message", 300)});
    return 0;
  }
  const std::string only = bench::option(argc, argv, "only", "");
  if (only.empty() || only == "makespan") makespans(quick);
  if (only.empty() || only == "short") short_loads();
  if (only.empty() || only == "cost") costs(quick);
  if (only.empty() || only == "graph") graph(quick);
}
