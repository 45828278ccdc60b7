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
