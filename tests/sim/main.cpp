// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// rankview_sim [--seed N] [--histories N] [--trace]
// Runs the controller and engines that ship, in one process, under so many schedules, each drawn from a seed; the first one from N. A
// failure names its seed, with which it happens again.
#include "children.hpp"
#include "disk.hpp"
#include "observer.hpp"
#include "printing.hpp"
#include "workload.hpp"
#include "world.hpp"

#include "checkpoint/leases.hpp"
#include "controller/controller.hpp"
#include "controller/local_calls.hpp"
#include "engine/engine.hpp"
#include "marks/mark.hpp"
#include "transport/process.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace rv = rankview;

// No wait depends on how long this machine takes.
constexpr rv::transport::IdleLimits by_world{.spin = {}, .sleep = {}};
// After so long without a sign of life another may have what a job had of a checkpoint.
constexpr std::chrono::nanoseconds lease{20'000'000};
constexpr std::uint64_t most_steps = 400'000;

// A run: a controller with some clients, and some engines.
class Run {
 public:
  explicit Run(sim::World& world) : world_(world), clock_(world), engines_(1 + static_cast<int>(world.draw(4))) {
    for (int rank = 0; rank <= engines_; ++rank) endpoints_.push_back(world.endpoint(rank));
    serving_.resize(static_cast<std::size_t>(engines_));
    const bool slotted = world.chance(50);
    for (int id = 0; id < engines_; ++id) slots_.push_back(slotted ? 1 + static_cast<int>(world.draw(3)) : 1);
    threads_at_engines_ = world.chance(40);
    start_controller();
    start_clients();
    for (int id = 0; id < engines_; ++id) world_.start(id + 1, "engine", [this, id] { serve(id); });
    world_.set_on_end([this](int rank, const std::string& why) { notice(rank, why, {}); });
    if (world.chance(40)) world.start(0, "fate", [this] { strike(1 + static_cast<int>(world_.draw(2))); });
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() = default;

  // At some time the power is cut; what is left goes to another run.
  void cut_power() {
    sim::kept().cut = [this] {
      if (sim::kept().after_cut != nullptr) return;
      world_.say("the power is cut, as far as the disk is concerned");
      sim::kept().promised = sim::kept().handed_out;
      if (controller_ != nullptr) sim::kept().durable = durable();
      sim::kept().after_cut = sim::kept().disk->cut();
    };
    world_.start(0, "power", [this] {
      world_.sleep(std::chrono::nanoseconds(world_.draw(10'000'000)));
      sim::kept().cut();
    });
  }

  // Another job, of that name, uses the checkpoint at the same time: it takes tasks that it does not do, and gives them back, or stops for
  // a while, or for ever. Meanwhile this one has to wait, and no longer.
  void compete(const std::string& name) {
    world_.start(0, name, [this, name] {
      using rv::checkpoint::Leases;
      world_.sleep(std::chrono::nanoseconds(world_.draw(4'000'000)));
      auto leases = std::make_unique<Leases>(*sim::kept().disk, sim::Kept::directory, name, lease, clock_);
      const auto some = [this] {
        std::vector<std::uint32_t> buckets(Leases::buckets);
        std::iota(buckets.begin(), buckets.end(), 0U);
        buckets.resize(world_.draw(buckets.size() + 1));
        return buckets;
      };
      for (std::uint64_t looks = 2 + world_.draw(20); looks > 0; --looks) {
        world_.sleep(world_.chance(5) ? 2 * lease : std::chrono::nanoseconds(world_.draw(static_cast<std::uint64_t>(lease.count()) / 8)));
        static_cast<void>(leases->look());
        if (leases->mode() == Leases::Mode::asked) static_cast<void>(leases->share(some()));
        static_cast<void>(leases->get(some(), world_.draw(200)));
        for (const std::uint32_t bucket : some()) leases->give_back(bucket);
      }
      if (world_.chance(50)) {
        world_.say(name + " stops for ever");
        sim::kept().dead.push_back(std::move(leases));
      }
    });
  }

  // Whether all is there that was on disk when the power was cut.
  void expect_kept() {
    if (sim::kept().durable == 0) return;
    world_.start(0, "check", [this] {
      if (controller_ == nullptr || !controller_->open()) return;
      const std::size_t there = controller_->checkpoints().open(sim::Kept::directory)->size();
      if (there < sim::kept().durable)
        world_.give_up("of " + std::to_string(sim::kept().durable) + " results on disk there are " + std::to_string(there) +
                       " after the power was cut");
    });
  }

  void finish() {
    world_.run(most_steps);
    observer_.check_end();
  }

 private:
  void start_controller() {
    rv::detail::ControllerSettings settings;
    settings.driver.idle = by_world;
    settings.driver.clock = clock_;
    settings.driver.progress_thread = world_.chance(30);
    settings.teams = &teams_;
    settings.recorder = &observer_;
    settings.signs = &signs_;
    settings.disk = sim::kept().disk.get();
    if (world_.chance(50)) settings.lease = std::chrono::duration_cast<std::chrono::milliseconds>(lease);
    settings.put_down = [this](int rank) { world_.kill(rank); };
    settings.forwarding.when = world_.chance(50) ? rv::ForwardResults::always : rv::ForwardResults::never;
    for (int id = 0; id < engines_; ++id) {
      const auto slots = static_cast<std::uint16_t>(slots_[static_cast<std::size_t>(id)]);
      settings.engines.push_back({.peer = id + 1, .rank = id + 1, .host = "here", .pid = 0, .machine = 0, .slots = slots});
    }
    controller_ = std::make_shared<rv::detail::Controller>(*endpoints_[0], settings);
    rv::detail::note_run(controller_);
    client_.emplace(controller_);
  }

  void start_clients() {
    working_ = 1 + static_cast<int>(world_.draw(2));
    const int most_slots = *std::max_element(slots_.begin(), slots_.end());
    for (int thread = 0, threads = working_; thread < threads; ++thread) {
      world_.start(0, "client " + std::to_string(thread), [this, thread, most_slots] {
        sim::work(*client_, 1 + static_cast<int>(world_.draw(12)), most_slots, thread);
        if (--working_ != 0) return;
        client_->wait();
        controller_->close(rv::wire::Ending::completed, 0, "");
        if (sim::kept().after_cut == nullptr) sim::kept().durable = durable();
        client_.reset();
        // Its threads end here.
        controller_.reset();
      });
    }
  }
  [[nodiscard]] std::uint64_t durable() const {
    return sim::kept().asked == 0 ? 0 : controller_->checkpoints().open(sim::Kept::directory)->durable();
  }

  void serve(int id) {
    const auto place = static_cast<std::size_t>(id);
    rv::engine::Settings settings;
    settings.id = id;
    settings.size = engines_;
    settings.idle = by_world;
    settings.clock = clock_;
    settings.own_process = false;
    settings.in_process = &children_;
    sim::Printing printing(id);
    settings.outputs = &printing;
    settings.progress_thread = threads_at_engines_;
    settings.team_grace = std::chrono::milliseconds(5);
    sim::ChildrenInSlots slots(static_cast<std::size_t>(slots_[place]));
    if (slots.size() > 1) settings.slots = &slots;
    rv::Variables variables;
    rv::engine::Engine engine(settings, variables);
    // Fate may look at it as long as it is there.
    struct Shown {
      rv::engine::Engine*& place;
      ~Shown() { place = nullptr; }
    };
    serving_[place] = &engine;
    const Shown shown{serving_[place]};
    engine.serve(*endpoints_[place + 1]);
  }

  // What is noticed of the death of a rank, some time later.
  void notice(int rank, const std::string& seen, const rv::TaskId& task) {
    world_.start(0, "notice", [this, rank, seen, task] {
      world_.sleep(std::chrono::nanoseconds(world_.draw(3'000'000)));
      rv::liveness::Sign sign;
      sign.peer = rank;
      sign.seen = seen;
      sign.task = task;
      signs_.add(sign);
    });
  }

  // Kills or stops so many.
  void strike(int times) {
    for (; times > 0; --times) {
      world_.sleep(std::chrono::nanoseconds(world_.draw(2'000'000)));
      const int id = static_cast<int>(world_.draw(static_cast<std::uint64_t>(engines_)));
      if (world_.dead(id + 1) || world_.over(id + 1)) continue;
      if (world_.chance(40)) {
        silence(id + 1);
        continue;
      }
      // As a handler in a crash tells.
      const rv::engine::Engine* const engine = serving_[static_cast<std::size_t>(id)];
      const rv::TaskId task = world_.chance(50) && engine != nullptr ? engine->running() : rv::TaskId{};
      world_.kill(id + 1);
      notice(id + 1, "the world has drawn it", task);
    }
  }
  void silence(int rank) {
    rv::liveness::Sign sign;
    sign.peer = rank;
    sign.kind = rv::liveness::Sign::Kind::silent;
    const auto time = std::chrono::nanoseconds(world_.draw(5'000'000));
    world_.stop(rank, time);
    const auto noticed = std::chrono::nanoseconds(world_.draw(5'000'000));
    world_.sleep(noticed);
    signs_.add(sign);
    if (noticed < time) world_.sleep(time - noticed);
    world_.sleep(std::chrono::nanoseconds(world_.draw(1'000'000)));
    sign.kind = rv::liveness::Sign::Kind::answers;
    signs_.add(sign);
  }

  sim::World& world_;
  rv::transport::Clock clock_;
  const int engines_;
  std::vector<int> slots_;  // of each
  bool threads_at_engines_ = false;
  std::vector<std::unique_ptr<rv::transport::Endpoint>> endpoints_;
  sim::Observer observer_;
  rv::liveness::Signs signs_;
  rv::controller::Teams teams_;
  std::shared_ptr<rv::detail::Controller> controller_;
  std::optional<rv::Client> client_;
  int working_ = 0;  // threads of the client
  sim::Children children_;
  std::vector<rv::engine::Engine*> serving_;
};

// Gives how many steps it had.
std::uint64_t run_history(std::uint64_t seed, bool trace) {
  sim::Kept kept;
  sim::set_kept(&kept);
  std::uint64_t steps = 0;
  {
    sim::World world(seed, trace);
    rv::transport::set_time_source(&world);
    kept.strict = world.chance(50);
    kept.disk->set_faulty(world.chance(20));
    Run run(world);
    if (world.chance(30)) run.cut_power();
    if (world.chance(30)) run.compete("another job");
    if (world.chance(10)) run.compete("a third job");
    run.finish();
    steps = world.steps();
  }
  if (kept.after_cut == nullptr) return steps;
  kept.cut = nullptr;
  kept.dead.clear();
  kept.disk = std::move(kept.after_cut);
  kept.second_run = true;
  sim::World world(seed, trace, 1);
  rv::transport::set_time_source(&world);
  Run run(world);
  run.expect_kept();
  run.finish();
  return steps + world.steps();
}

std::uint64_t running = 0;  // its seed

// Somebody waits for a lock whose holder has handed on; or it is the end of the process.
void on_signal(int signal) {
  char text[64];
  const int length = std::snprintf(text, sizeof(text), "seed %llu: %s\n", static_cast<unsigned long long>(running),
                                   signal == SIGALRM ? "hangs" : "crashes");
  if (write(STDERR_FILENO, text, static_cast<std::size_t>(length)) < 0) _exit(2);
  _exit(1);
}

[[noreturn]] void ended(int, const std::string& why) {
  sim::World& world = sim::world();
  // It may wait in MPI for one that has died, or has died itself.
  const bool stuck = why.find("together with an engine that has died") != std::string::npos;
  if (world.rank() != 0 && (stuck || world.dead(world.rank()))) world.end_process(world.rank(), why);
  world.give_up("the process would have ended: " + why);
}

// Those that so many histories must come to; others are rarer, or have tests of their own.
constexpr std::uint64_t enough_for_marks = 20'000;
using rv::marks::Mark;
constexpr Mark must_be_hit[] = {Mark::late_result_not_wanted,
                                Mark::late_result_wanted,
                                Mark::late_return_run_again,
                                Mark::overdue_attempt_tried_again,
                                Mark::withdrawn_at_engine,
                                Mark::team_item_again,
                                Mark::team_item_lost,
                                Mark::teams_dealt_anew,
                                Mark::root_part_lost,
                                Mark::result_lost_on_its_way,
                                Mark::crash_limit_reached,
                                Mark::death_on_suspicion,
                                Mark::set_aside,
                                Mark::taken_back,
                                Mark::aborted_before_rerun,
                                Mark::nobody_left_to_rerun,
                                Mark::subtask_not_wanted,
                                Mark::stranded_item_moved,
                                Mark::stopped_before_it_began,
                                Mark::team_given_up_in_collective,
                                Mark::batch_of_broken_team,
                                Mark::ended_too_late,
                                Mark::gang_broken_by_death};

// Processes count in one place.
void share_marks() {
  void* const shared = mmap(nullptr, sizeof(rv::marks::Hits), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared != MAP_FAILED) rv::marks::hits = new (shared) rv::marks::Hits();
}

// Says which marks were never come to. Whether all were that have to be, if there were enough histories.
bool check_marks(std::uint64_t histories) {
  if (!rv::marks::counted) return true;
  std::string never;
  for (std::size_t i = 0; i < rv::marks::names.size(); ++i) {
    if (rv::marks::hits_of(static_cast<Mark>(i)) == 0) never += " " + std::string(rv::marks::names[i]);
  }
  if (!never.empty()) std::printf("marks never come to:%s\n", never.c_str());
  if (histories < enough_for_marks) return true;
  bool all = true;
  for (const Mark mark : must_be_hit) {
    if (rv::marks::hits_of(mark) != 0) continue;
    std::fprintf(stderr, "the mark %s was not come to in %llu histories\n", rv::marks::names[static_cast<std::size_t>(mark)].data(),
                 static_cast<unsigned long long>(histories));
    all = false;
  }
  return all;
}

// Runs histories with these seeds. Whether all were right; `steps` is how many they had.
bool run_histories(std::uint64_t first, std::uint64_t count, bool trace, std::uint64_t& steps) {
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    running = seed;
    alarm(60);
    try {
      steps += run_history(seed, trace);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed), error.what());
      return false;
    }
    if (sim::values_alive() != 0) {
      std::fprintf(stderr, "seed %llu: %d values are left\n", static_cast<unsigned long long>(seed), sim::values_alive());
      return false;
    }
  }
  return true;
}

// A process for each core, which stays there, since its threads take turns. Whether all histories were right.
bool run_everywhere(std::uint64_t first, std::uint64_t count) {
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  std::vector<pid_t> children;
  for (unsigned core = 0; core < cores; ++core) {
    const std::uint64_t begin = first + count * core / cores;
    const std::uint64_t end = first + count * (core + 1) / cores;
    const pid_t child = fork();
    if (child == 0) {
      cpu_set_t only;
      CPU_ZERO(&only);
      CPU_SET(core, &only);
      static_cast<void>(sched_setaffinity(0, sizeof(only), &only));  // where it may not, it is slower
      std::uint64_t steps = 0;
      const bool right = run_histories(begin, end - begin, false, steps);
      std::fflush(nullptr);
      _exit(right ? 0 : 1);
    }
    children.push_back(child);
  }
  bool right = true;
  for (const pid_t child : children) {
    int status = 0;
    right = child > 0 && waitpid(child, &status, 0) == child && status == 0 && right;
  }
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t first = 1;
  std::uint64_t histories = 1000;
  bool trace = false;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--trace") {
      trace = true;
    } else if (option == "--seed" && i + 1 < argc) {
      first = std::strtoull(argv[++i], nullptr, 10);
    } else if (option == "--histories" && i + 1 < argc) {
      histories = std::strtoull(argv[++i], nullptr, 10);
    } else {
      std::fprintf(stderr, "usage: %s [--seed N] [--histories N] [--trace]\n", argv[0]);
      return 2;
    }
  }
  rv::transport::set_way_out(&ended);
  for (const int signal : {SIGALRM, SIGABRT, SIGSEGV}) std::signal(signal, &on_signal);
  share_marks();
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t steps = 0;
  const bool right = histories < 100 ? run_histories(first, histories, trace, steps) : run_everywhere(first, histories);
  if (!right) return 1;
  if (!check_marks(histories)) return 1;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%llu histories from seed %llu, all right, %.0f a second\n", static_cast<unsigned long long>(histories),
              static_cast<unsigned long long>(first), static_cast<double>(histories) / took.count());
  if (steps != 0) std::printf("%llu steps\n", static_cast<unsigned long long>(steps));
  return 0;
}
