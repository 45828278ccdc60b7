// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "liveness/chaos.hpp"

#include <rankview/errors.hpp>

#include <spawn.h>
#include <unistd.h>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <sstream>
#include <string>
#include <system_error>

extern char** environ;

namespace rankview::liveness {
namespace {

[[noreturn]] void refuse(const std::string& text, const std::string& why) {
  throw UsageError("RANKVIEW_CHAOS should be as in kill:0.01,hang:0.001,seed:7, and is \"" + text + "\": " + why);
}

template <class T>
T number(const std::string& text, const std::string& word, T most) {
  T value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || value < T{} || value > most)
    refuse(text, "\"" + word + "\" is no number that it may be");
  return value;
}

// Stops the process; another one, which is none of MPI's, has it go on.
void stop_for_a_while() {
  std::array<char, 64> waits{};
  std::snprintf(waits.data(), waits.size(), "sleep 4; kill -CONT %ld", static_cast<long>(::getpid()));
  std::array<char*, 4> arguments{const_cast<char*>("sh"), const_cast<char*>("-c"), waits.data(), nullptr};
  pid_t waker = -1;
  // Without it the process would stand for ever.
  if (::posix_spawn(&waker, "/bin/sh", nullptr, nullptr, arguments.data(), environ) == 0) ::raise(SIGSTOP);
}

}  // namespace

Chaos::Settings Chaos::read(const std::string& text) {
  Settings settings;
  settings.seed = std::random_device()() % 100'000;
  std::istringstream parts(text);
  for (std::string each; std::getline(parts, each, ',');) {
    const std::size_t colon = each.find(':');
    if (colon == std::string::npos) refuse(text, "\"" + each + "\" has no value");
    const std::string name = each.substr(0, colon);
    const std::string value = each.substr(colon + 1);
    if (name == "kill") {
      settings.kill = number(text, value, 1.0);
    } else if (name == "hang") {
      settings.hang = number(text, value, 1.0);
    } else if (name == "seed") {
      settings.seed = number(text, value, std::uint64_t{1} << 50U);
    } else {
      refuse(text, "there is no \"" + name + "\"");
    }
  }
  return settings;
}

void Chaos::strike() {
  const double drawn = std::uniform_real_distribution<double>(0, 1)(random_);
  if (drawn < settings_.kill) {
    ::raise(SIGKILL);
  } else if (drawn < settings_.kill + settings_.hang) {
    stop_for_a_while();
  }
}

}  // namespace rankview::liveness
