// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/detail/results.hpp>
#include <rankview/errors.hpp>

#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

// Waiting for calls, and giving them up.
namespace rankview::inline abi_0_1::detail {

std::chrono::steady_clock::time_point deadline_clock() { return transport::steady_now(); }
bool wait(Call& call, const Deadline& deadline) {
  if (call.life().done()) return true;
  return call.controller->drive(
      deadline, [&call] { return call.life().done(); }, call.spread == Spread::rank_0);
}

bool wait(Call& call, std::uint64_t item, const Deadline& deadline) {
  if (call.life().done()) return true;
  return call.controller->drive(
      deadline,
      [&call, item] { return call.life().done() || (item < call.life().items.size() && has_ended(call.life().items[item].status)); },
      call.spread == Spread::rank_0);
}

std::exception_ptr wait_first_error(Call& call, const Deadline& deadline) {
  std::exception_ptr error;
  const auto ready = [&call, &error] {
    if (!call.life().errors->empty()) error = call.life().errors->begin()->second;
    if (call.life().failure) error = call.life().failure;
    return error != nullptr || call.life().done();
  };
  call.controller->drive(deadline, ready, call.spread == Spread::rank_0);
  if (error) call.life().error_seen = true;
  return error;
}

bool poll(Call& call) {
  if (!call.life().done()) call.controller->try_progress();
  return call.life().done();
}

QueueStatus queue_status(Controller& controller, const std::vector<int>& engines) {
  controller.try_progress();
  return controller.queue_status(engines);
}

void spin(Controller& controller) { controller.try_progress(); }

std::shared_ptr<CompletionFeed> subscribe(Call& call) {
  auto feed = std::make_shared<CompletionFeed>();
  call.controller->locked([&] {
    for (std::uint64_t item = 0; item < call.life().items.size(); ++item) {
      if (has_ended(call.life().items[item].status)) feed->ended.push_back(item);
    }
    std::stable_sort(feed->ended.begin(), feed->ended.end(),
                     [&call](std::uint64_t a, std::uint64_t b) { return call.life().items[a].received < call.life().items[b].received; });
    call.life().more.edit().feeds.push_back({feed});
  });
  return feed;
}

std::optional<std::uint64_t> next_ended(Call& call, CompletionFeed& feed, std::uint64_t already_read) {
  std::optional<std::uint64_t> item;
  const auto ready = [&] {
    if (!feed.ended.empty()) {
      item = feed.ended.front();
      feed.ended.pop_front();
    }
    return item || (call.life().sealed && already_read == call.life().items.size());
  };
  call.controller->drive({}, ready, call.spread == Spread::rank_0);
  return item;
}

namespace {

// A call, and which of its tasks.
using Named = std::pair<std::shared_ptr<Call>, std::uint64_t>;

// Those that may not have ended.
std::vector<Named> named(const Controller& controller, const Dependency& tasks) {
  std::vector<Named> all;
  for (const Prerequisite& some : tasks.tasks()) {
    if (auto call = controller.named(some)) all.emplace_back(std::move(call), some.task.item);
  }
  return all;
}

}  // namespace

bool wait_for(Controller& controller, const Dependency& tasks, const Deadline& deadline) {
  for (const auto& [call, item] : named(controller, tasks)) {
    if (!(item == Prerequisite::every ? wait(*call, deadline) : wait(*call, item, deadline))) return false;
  }
  return true;
}

void abort(Controller& controller, const Dependency& tasks) {
  for (const auto& [call, item] : named(controller, tasks)) {
    call->life().error_seen = true;
    if (item == Prerequisite::every) {
      call->controller->abort(*call);
    } else {
      call->controller->abort(*call, item);
    }
  }
}

void abort(Call& call) {
  call.life().error_seen = true;
  call.controller->abort(call);
}

void abort_view(Controller& controller, std::uint64_t view) {
  controller.abort_if([view](const Call& call) { return call.view == view; });
}

std::uint64_t new_view() noexcept {
  static std::atomic<std::uint64_t> views{0};
  return views.fetch_add(1, std::memory_order_relaxed) + 1;
}

void abort_all(Controller& controller) {
  controller.abort_if([](const Call&) { return true; });
}

void throw_late(Call& call, Seconds timeout) {
  throw TimeoutError("after " + std::to_string(timeout.count()) + " s, " + std::to_string(call.life().ended) + " of " +
                     std::to_string(call.life().items.size()) + (call.life().items.size() == 1 ? " task has" : " tasks have") +
                     " ended (call " + std::to_string(call.id) + "); the result can be asked for again");
}

void throw_not_ready(const char* what) { throw UsageError(std::string(what) + " before the result is ready: wait() first"); }

void wait_interactive(Call& call, std::chrono::milliseconds interval) {
  const bool terminal = isatty(STDERR_FILENO) != 0;
  for (bool done = false; !done;) {
    done = wait(call, deadline_after(interval));
    const std::size_t total = call.life().items.size();
    const std::uint64_t ended = call.life().ended;
    const double elapsed = times_of(call).elapsed.count();
    const double share = total == 0 ? 1.0 : static_cast<double>(ended) / static_cast<double>(total);
    if (terminal) {
      constexpr int width = 40;
      const int filled = static_cast<int>(std::lround(share * width));
      std::fprintf(stderr, "\r[%s%s] %zu/%zu tasks, %.1f s%s", std::string(static_cast<std::size_t>(filled), '#').c_str(),
                   std::string(static_cast<std::size_t>(width - filled), ' ').c_str(), static_cast<std::size_t>(ended), total, elapsed,
                   done ? "\n" : "");
    } else {
      std::fprintf(stderr, "%zu/%zu tasks finished after %.1f s\n", static_cast<std::size_t>(ended), total, elapsed);
    }
    std::fflush(stderr);
  }
}

}  // namespace rankview::detail
