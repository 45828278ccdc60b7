// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/drain_watch.hpp"

#include <rankview/errors.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

namespace rankview::inline abi_0_1 {
namespace {

using std::chrono::steady_clock;

constexpr std::uint64_t no_more = std::uint64_t{1} << 40U;

}  // namespace

std::optional<steady_clock::time_point> end_of_job(const detail::Effective& options, steady_clock::time_point began) {
  if (options.walltime.count() != 0) return began + options.walltime;
  const char* const text = std::getenv("SLURM_JOB_END_TIME");
  if (text == nullptr) return std::nullopt;
  char* behind = nullptr;
  const long long epoch = std::strtoll(text, &behind, 10);
  if (behind == text || *behind != '\0' || epoch <= 0) return std::nullopt;
  const auto left = std::chrono::system_clock::time_point(std::chrono::seconds(epoch)) - std::chrono::system_clock::now();
  return steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(left);
}

DrainWatch::DrainWatch(const detail::Effective& options, std::optional<Time> end, Steps steps)
    : steps_(std::move(steps)), grace_(options.shutdown_grace), process_(::getpid()), told_(::eventfd(0, EFD_CLOEXEC)) {
  if (told_ < 0) throw Error(std::string("rank 0 cannot watch for signals: eventfd: ") + std::strerror(errno));
  if (end) {
    const std::chrono::milliseconds margin = options.walltime_margin;
    due_[0] = *end - margin;
    due_[1] = *end - margin / 2;
    due_[2] = *end - margin / 4;
  }
  thread_ = std::thread([this] { watch(); });
  if (options.drain_signals) signals_.emplace(told_);
}

DrainWatch::~DrainWatch() {
  // What there is of it in a child that was forked is the parent's.
  if (::getpid() != process_) {
    thread_.detach();
    return;
  }
  signals_.reset();
  [[maybe_unused]] const auto written = ::write(told_, &no_more, sizeof(no_more));
  thread_.join();
  ::close(told_);
}

void DrainWatch::watch() {
  for (;;) {
    int wait = -1;
    if (next_ < 3 && due_[next_]) {
      // Rounded up, so that it is due when this wakes.
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*due_[next_] - steady_clock::now()).count();
      wait = static_cast<int>(std::clamp<long long>(left, 0, 1'000'000));
    }
    pollfd told{told_, POLLIN, 0};
    const int ready = ::poll(&told, 1, wait);
    if (ready > 0) {
      std::uint64_t what = 0;
      if (::read(told_, &what, sizeof(what)) != sizeof(what)) continue;
      if (what >= no_more) return;
      for (std::uint64_t i = what / DrainSignals::user; i != 0; --i) on_signal("SIGUSR1");
      for (std::uint64_t i = what % DrainSignals::user; i != 0; --i) on_signal("SIGTERM");
    } else if (ready == 0 && next_ < 3 && due_[next_] && steady_clock::now() >= *due_[next_]) {
      do_next("the walltime is near");
    }
  }
}

// The first has it drain, the second hurry.
void DrainWatch::on_signal(const std::string& name) {
  if (next_ >= 2) return;
  const bool hurries = next_ == 1;
  do_next(name);
  if (!hurries) return;
  const Time end = steady_clock::now() + grace_;
  due_[2] = due_[2] ? std::min(*due_[2], end) : end;
}

void DrainWatch::do_next(const std::string& why) {
  switch (next_++) {
    case 0:
      why_ = why;
      steps_.drain(why);
      return;
    case 1:
      steps_.hurry();
      return;
    default:
      steps_.end(why_);
  }
}

}  // namespace rankview
