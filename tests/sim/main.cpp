// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// rankview_sim [--seed N] [--histories N] [--trace]
// Runs the controller and engines that ship, in one process, under so many schedules, each drawn from a seed; the first one from N. A
// failure names its seed, with which it happens again.
#include "children.hpp"
#include "observer.hpp"
#include "workload.hpp"
#include "world.hpp"

#include "controller/controller.hpp"
#include "controller/local_calls.hpp"
#include "engine/engine.hpp"
#include "transport/process.hpp"

#include <sched.h>
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
#include <string>
#include <thread>
#include <vector>

namespace {

namespace rv = rankview;

// Gives how many steps it had.
std::uint64_t run_history(std::uint64_t seed, bool trace) {
  sim::World world(seed, trace);
  const int engines = 1 + static_cast<int>(world.draw(4));
  const int threads = 1 + static_cast<int>(world.draw(2));
  rv::transport::Clock clock(world);

  std::vector<std::unique_ptr<rv::transport::Endpoint>> endpoints;
  for (int rank = 0; rank <= engines; ++rank) endpoints.push_back(world.endpoint(rank));

  sim::Observer observer;
  rv::liveness::Signs signs;
  rv::controller::Teams teams;
  rv::detail::ControllerSettings settings;
  settings.driver.idle.spin = {};
  settings.driver.clock = clock;
  settings.teams = &teams;
  settings.recorder = &observer;
  settings.signs = &signs;
  settings.put_down = [&world](int rank) { world.kill(rank); };
  settings.forwarding.when = world.chance(50) ? rv::ForwardResults::always : rv::ForwardResults::never;
  const bool slotted = world.chance(50);
  int most_slots = 0;
  for (int id = 0; id < engines; ++id) {
    const auto slots = static_cast<std::uint16_t>(slotted ? 1 + world.draw(3) : 1);
    settings.engines.push_back({.peer = id + 1, .rank = id + 1, .host = "here", .pid = 0, .machine = 0, .slots = slots});
    most_slots = std::max<int>(most_slots, slots);
  }
  const auto controller = std::make_shared<rv::detail::Controller>(*endpoints[0], settings);
  rv::detail::note_run(controller);
  rv::Client client(controller);

  int working = threads;
  for (int thread = 0; thread < threads; ++thread) {
    world.start(0, "client " + std::to_string(thread), [&] {
      sim::work(client, 1 + static_cast<int>(world.draw(12)), most_slots);
      if (--working != 0) return;
      client.wait();
      controller->close(rv::wire::Ending::completed, 0, "");
    });
  }

  sim::Children children;
  std::vector<std::unique_ptr<sim::ChildrenInSlots>> slots;
  std::vector<std::unique_ptr<rv::Variables>> variables;
  std::vector<std::unique_ptr<rv::engine::Engine>> serving;
  for (int id = 0; id < engines; ++id) {
    rv::engine::Settings engine_settings;
    engine_settings.id = id;
    engine_settings.size = engines;
    engine_settings.idle.spin = {};
    engine_settings.clock = clock;
    engine_settings.own_process = false;
    engine_settings.in_process = &children;
    slots.push_back(std::make_unique<sim::ChildrenInSlots>(settings.engines[static_cast<std::size_t>(id)].slots));
    if (slots.back()->size() > 1) engine_settings.slots = slots.back().get();
    variables.push_back(std::make_unique<rv::Variables>());
    serving.push_back(std::make_unique<rv::engine::Engine>(engine_settings, *variables.back()));
    world.start(id + 1, "engine", [&, id] { serving[static_cast<std::size_t>(id)]->serve(*endpoints[static_cast<std::size_t>(id) + 1]); });
  }
  const int kills = world.chance(40) ? 1 + static_cast<int>(world.draw(2)) : 0;
  if (kills != 0) {
    world.start(0, "fate", [&] {
      for (int kill = 0; kill < kills; ++kill) {
        world.sleep(std::chrono::nanoseconds(world.draw(2'000'000)));
        const int id = static_cast<int>(world.draw(static_cast<std::uint64_t>(engines)));
        if (world.dead(id + 1) || world.over(id + 1)) continue;
        rv::liveness::Sign sign;
        sign.peer = id + 1;
        if (world.chance(40)) {
          sign.kind = rv::liveness::Sign::Kind::silent;
          const auto time = std::chrono::nanoseconds(world.draw(5'000'000));
          world.stop(id + 1, time);
          const auto noticed = std::chrono::nanoseconds(world.draw(5'000'000));
          world.sleep(noticed);
          signs.add(sign);
          if (noticed < time) world.sleep(time - noticed);
          world.sleep(std::chrono::nanoseconds(world.draw(1'000'000)));
          sign.kind = rv::liveness::Sign::Kind::answers;
          signs.add(sign);
          continue;
        }
        sign.seen = "the world has drawn it";
        // As a handler in a crash tells.
        if (world.chance(50)) sign.task = serving[static_cast<std::size_t>(id)]->running();
        world.kill(id + 1);
        world.sleep(std::chrono::nanoseconds(world.draw(3'000'000)));
        signs.add(sign);
      }
    });
  }
  world.run(400'000);
  observer.check_end();
  return world.steps();
}

std::uint64_t running = 0;  // its seed

// Somebody waits for a lock whose holder has handed on.
void on_alarm(int) {
  char text[64];
  const int length = std::snprintf(text, sizeof(text), "seed %llu: hangs\n", static_cast<unsigned long long>(running));
  if (write(STDERR_FILENO, text, static_cast<std::size_t>(length)) < 0) _exit(2);
  _exit(1);
}

[[noreturn]] void ended(int, const std::string& why) { sim::world().give_up("the process would have ended: " + why); }

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
  std::signal(SIGALRM, &on_alarm);
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t steps = 0;
  const bool right = histories < 100 ? run_histories(first, histories, trace, steps) : run_everywhere(first, histories);
  if (!right) return 1;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%llu histories from seed %llu, all right, %.0f a second\n", static_cast<unsigned long long>(histories),
              static_cast<unsigned long long>(first), static_cast<double>(histories) / took.count());
  if (steps != 0) std::printf("%llu steps\n", static_cast<unsigned long long>(steps));
  return 0;
}
