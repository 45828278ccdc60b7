// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "support.hpp"
#include "transport/idle.hpp"

#include <chrono>

using namespace std::chrono_literals;
using rankview::transport::Idle;
using rankview::transport::IdleLimits;
using rankview::transport::SpinTime;

namespace {

// Asks until the answer is a sleep.
std::chrono::nanoseconds first_sleep(Idle& idle) {
  for (;;) {
    if (const auto pause = idle.pause(); pause.count() != 0) return pause;
  }
}

// A clock that each side of a conversation sets to its own time.
struct Driven {
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<Driven, duration>;
  static time_point now() { return time; }
  static inline time_point time{};
};

constexpr auto look = 100ns;

// One who waits for messages. A sleep takes `extra` longer than it should.
struct Side {
  explicit Side(std::chrono::nanoseconds extra_sleep) : extra(extra_sleep) {}

  // Waits until it sees what is there from `arrival` on; takes `time` as far.
  void wait(Driven::time_point arrival) {
    for (;;) {
      time += look;
      Driven::time = time;
      if (time >= arrival) break;
      if (const auto pause = idle.pause(); pause.count() != 0) {
        time += pause + extra;
      } else {
        spun += look;
      }
    }
    idle.reset();
  }

  std::chrono::nanoseconds extra;
  SpinTime spin{IdleLimits{}};
  rankview::transport::IdleBy<Driven> idle{spin};
  Driven::time_point time{};
  std::chrono::nanoseconds spun{};
};

// What a call takes: its task, and the answer, for which the client waits.
std::chrono::nanoseconds call(Side& client, Side& engine, std::chrono::nanoseconds task) {
  const auto begin = client.time;
  engine.wait(client.time);
  engine.time += task;
  client.wait(engine.time);
  return client.time - begin;
}

}  // namespace

TEST_CASE("waiting begins by spinning", "[idle]") {
  SpinTime idle_spin(IdleLimits{.spin = 1h, .sleep = 1ms});
  Idle idle(idle_spin);
  for (int i = 0; i < 1000; ++i) CHECK(idle.pause() == 0ns);
}

TEST_CASE("after the spinning come sleeps, in proportion and bounded", "[idle]") {
  SpinTime idle_spin(IdleLimits{.spin = 100us, .sleep = 1h});
  Idle idle(idle_spin);
  CHECK(first_sleep(idle) >= 100us / 16);

  SpinTime bounded_spin(IdleLimits{.spin = 100us, .sleep = 5us});
  Idle bounded(bounded_spin);
  CHECK(first_sleep(bounded) == 5us);
  for (int i = 0; i < 100; ++i) CHECK(bounded.pause() == 5us);
}

TEST_CASE("the first look after something happened never sleeps", "[idle]") {
  SpinTime idle_spin(IdleLimits{.spin = 0ns, .sleep = 1ms});
  Idle idle(idle_spin);
  CHECK(idle.pause() == 0ns);
  CHECK(first_sleep(idle) <= 1ms);
  idle.reset();
  CHECK(idle.pause() == 0ns);
}

TEST_CASE("after a silence two who wait for each other are back at speed within three calls", "[idle]") {
  for (const auto extra : {1us, 20us, 55us, 100us, 150us, 200us, 300us, 400us}) {
    for (auto silence = 1ms; silence < 60ms; silence += 1ms) {
      Side client(extra);
      Side engine(extra);
      // Silences at different phases of the engine's sleeps, each behind what was learnt by then.
      for (int round = 0; round < 20; ++round) {
        client.time += silence + std::chrono::microseconds(37 * round);
        INFO("sleeps take " << extra.count() << " us longer; round " << round << " with a silence of " << silence.count() << " ms");
        for (int i = 0; i < 3; ++i) call(client, engine, 1us);
        for (int i = 3; i < 20; ++i) REQUIRE(call(client, engine, 1us) < 5us);
      }
    }
  }
}

TEST_CASE("who is asked now and then does not spin for it", "[idle]") {
  for (const auto extra : {1us, 55us, 200us}) {
    for (const auto period : {1ms, 2ms, 5ms, 20ms}) {
      Side engine(extra);
      constexpr int calls = 1000;
      for (int i = 1; i <= calls; ++i) engine.wait(Driven::time_point(i * period));
      INFO("sleeps take " << extra.count() << " us longer, a message every " << period.count() << " ms");
      // What it spins for anyway, and half as much again for finding out that it is for nothing.
      CHECK(engine.spun < calls * IdleLimits().spin * 3 / 2 + 10ms);
    }
  }
}

TEST_CASE("spinning longer ends when it is in vain, and never begins where there is to be none", "[idle]") {
  SpinTime spin(IdleLimits{});
  spin.learn(300us);
  CHECK(spin.get() == 200us);
  spin.learn(300us);
  CHECK(spin.get() == 800us);
  spin.learn(300us);
  CHECK(spin.get() == 800us);
  for (int i = 0; i < 5; ++i) spin.learn(30ms);
  CHECK(spin.get() == 50us);
  SpinTime none(IdleLimits{.spin = 0ns, .sleep = 1ms});
  none.learn(1us);
  none.learn(300us);
  CHECK(none.get() == 0ns);
}
