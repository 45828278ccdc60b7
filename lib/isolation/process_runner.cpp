// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "isolation/process_runner.hpp"

#include "isolation/child.hpp"
#include "isolation/child_output.hpp"
#include "isolation/conversation.hpp"
#include "isolation/process_end.hpp"
#include "isolation/trace.hpp"
#include "wire/error_text.hpp"

#include <rankview/errors.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>

namespace rankview::isolation {
namespace {

using Clock = std::chrono::steady_clock;

// So often it is seen whether the task has been given up, and how much memory it has.
constexpr std::chrono::milliseconds look_every{10};
// A task that was given up may go on for so long.
constexpr std::chrono::milliseconds stop_grace{1000};
// A child that was killed has gone by then.
constexpr std::chrono::seconds gone_within{30};
// So many pieces are read of what it says before it is looked after again, since it may never stop.
constexpr int pieces = 16;

std::string in_megabytes(std::uint64_t bytes) { return std::to_string((bytes + 999'999) / 1'000'000) + " MB"; }

}  // namespace

// One child.
class ProcessRunner::Run {
 public:
  Run(Forker& forker, const Task& task, Watcher& watcher)
      : forker_(forker),
        task_(task),
        watcher_(watcher),
        head_(task_head(task, forker.later_modules())),
        output_(task.capture, task.engine) {
    auto [mine, its] = socket_pair(SOCK_STREAM);
    ::fcntl(mine.get(), F_SETFL, ::fcntl(mine.get(), F_GETFL) | O_NONBLOCK);
    talk_ = Conversation(std::move(mine));
    for (const auto bytes : {std::span<const std::byte>(head_), task.object, task.arguments}) talk_.add(bytes);
    for (const auto& attachment : task.attachments) talk_.add(attachment);
    pid_ = forker_.start(its.get(), output_.errors(), output_.output());
    output_.started();
    if (task.memory_limit != 0 && forker.copies_memory()) inherited_ = memory_of(pid_);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  // Whatever has gone wrong, it does not go on.
  ~Run() {
    if (!outcome_ && !end_) forker_.kill();
  }

  Outcome outcome() {
    while (!outcome_ && !end_) {
      wait();
      watch();
    }
    // It may have ended behind its result.
    while (!outcome_ && receive()) continue;
    if (!outcome_) outcome_ = crashed();
    output_.read();
    outcome_->printed = output_.texts();
    return std::move(*outcome_);
  }

 private:
  // Until something happens, or it is time to look.
  void wait() {
    auto pause = std::chrono::duration_cast<std::chrono::milliseconds>(look_every);
    if (task_.timeout != 0) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(begun_ + std::chrono::nanoseconds(task_.timeout) - Clock::now());
      pause = std::clamp(left, std::chrono::milliseconds(0), pause);
    }
    const short wanted = talk_.anything_to_send() ? POLLIN | POLLOUT : POLLIN;
    std::array<pollfd, 4> fds{{{forker_.events(), POLLIN, 0},
                               {output_.errors_ready(), POLLIN, 0},
                               {talk_.descriptor(), wanted, 0},
                               {output_.output_ready(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), static_cast<int>(pause.count())) < 0 && errno != EINTR)
      throw std::system_error(errno, std::generic_category(), "poll");
    if ((fds[2].revents & POLLOUT) != 0) talk_.send();
    if (fds[2].revents != 0) receive();
    if (fds[1].revents != 0 || fds[3].revents != 0) output_.read();
    if (!outcome_ && (fds[0].revents != 0 || forker_.events() < 0)) end_ = forker_.end();
  }

  void watch() {
    if (outcome_ || end_) return;
    const auto now = Clock::now();
    if (task_.timeout != 0 && now - begun_ >= std::chrono::nanoseconds(task_.timeout)) {
      kill({Outcome::Kind::timed_out});
    } else if (task_.memory_limit != 0 && measure() > task_.memory_limit) {
      Outcome too_much;
      too_much.failure = failure("was killed after " + ran() + ": with its children it had " + in_megabytes(peak_) +
                                 " of memory, and its memory_limit is " + in_megabytes(task_.memory_limit));
      kill(std::move(too_much));
    } else if (watcher_.stop_requested()) {
      if (!stopped_) {
        stopped_ = now;
        static constexpr std::byte stop{'s'};
        talk_.add(std::span(&stop, 1));  // behind what it has not got yet
        talk_.send();
      } else if (now - *stopped_ > stop_grace) {
        kill({Outcome::Kind::aborted});
      }
    }
  }

  std::uint64_t measure() {
    const std::uint64_t memory = memory_of(pid_);
    const std::uint64_t own = memory - std::min(memory, inherited_);
    peak_ = std::max(peak_, own);
    return own;
  }

  // With all that it has started; returns when it has gone.
  void kill(Outcome outcome) {
    forker_.kill();
    const auto limit = Clock::now() + gone_within;
    while (!(end_ = forker_.end()) && Clock::now() < limit) {
      pollfd events{forker_.events(), POLLIN, 0};
      ::poll(&events, 1, 100);
    }
    if (!end_) throw Error("a child of an isolated task (process " + std::to_string(pid_) + ") was killed and does not go");
    output_.read();
    outcome_ = std::move(outcome);
  }

  // Takes what it has said, or some of it. Whether there was anything.
  bool receive() {
    bool any = false;
    for (int i = 0; i < pieces && !outcome_ && talk_.open() && talk_.receive(); ++i) {
      any = true;
      while (!outcome_ && take_frame()) continue;
      talk_.forget_taken();
    }
    return any;
  }

  // Whether there was a whole one.
  bool take_frame() {
    FrameHead head;
    const std::span<const std::byte> left = talk_.heard();
    if (left.size() < sizeof(head)) return false;
    std::memcpy(&head, left.data(), sizeof(head));
    if (left.size() - sizeof(head) < head.size) return false;
    const std::span<const std::byte> frame = left.subspan(sizeof(head), head.size);
    detail::Reader in(frame);
    std::size_t taken = sizeof(head) + head.size;
    switch (head.kind) {
      case FrameKind::published: {
        const std::string name(in.text());
        const std::string type(in.text());
        watcher_.published(name, type.c_str(), frame.subspan(frame.size() - in.remaining()));
        break;
      }
      case FrameKind::failed:
        outcome_.emplace();
        outcome_->failure = wire::read_failure(in);
        break;
      case FrameKind::trace: {
        in.raw(&trace_.emplace(), sizeof(Trace));
        break;
      }
      case FrameKind::value: {
        std::vector<std::uint64_t> sizes(in.count(sizeof(std::uint64_t)));
        in.raw(sizes.data(), sizes.size() * sizeof(std::uint64_t));
        std::uint64_t attached = 0;
        for (const std::uint64_t size : sizes) attached += size;
        if (left.size() - taken < attached) return false;
        outcome_.emplace();
        outcome_->kind = Outcome::Kind::value;
        const auto bytes = frame.subspan(frame.size() - in.remaining());
        outcome_->bytes.assign(bytes.begin(), bytes.end());
        for (const std::uint64_t size : sizes) {
          const auto begin = left.begin() + static_cast<std::ptrdiff_t>(taken);
          outcome_->attachments.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(size));
          taken += size;
        }
        break;
      }
      default:
        throw DecodeError("a child of an isolated task says what no child says");
    }
    talk_.take(taken);
    return true;
  }

  [[nodiscard]] Outcome crashed() {
    output_.read();
    peak_ = std::max(peak_, end_->peak_bytes);
    std::string how;
    if (!end_->known) {
      how = "has ended, and how is known to whoever has waited for the process: the program waits for all of its children";
    } else if (WIFSIGNALED(end_->status)) {
      const int signal = WTERMSIG(end_->status);
      how = "was ended by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
    } else {
      how = "left its process with exit status " + std::to_string(WEXITSTATUS(end_->status));
    }
    how += " after " + ran() + ", with at most " + in_megabytes(peak_) + " of memory";
    Outcome outcome;
    outcome.failure = failure(how);
    if (!end_->known) return outcome;
    outcome.failure.signal = WIFSIGNALED(end_->status) ? WTERMSIG(end_->status) : 0;
    outcome.failure.exit_status = WIFEXITED(end_->status) ? WEXITSTATUS(end_->status) : 0;
    return outcome;
  }

  [[nodiscard]] std::string ran() const { return std::to_string(std::chrono::duration<double>(Clock::now() - begun_).count()) + " s"; }

  [[nodiscard]] wire::Failure failure(const std::string& how) const {
    wire::Failure failure;
    failure.kind = wire::FailureKind::crashed;
    failure.type_name = "rankview::TaskCrashed";
    failure.message = "the task " + how;
    if (const std::string errors = output_.end_of_errors(); !errors.empty()) {
      failure.message += "; its stderr ends:";
      std::istringstream lines(errors);
      for (std::string line; std::getline(lines, line);) failure.message += "\n  " + line;
    }
    if (trace_) failure.message += trace_text(*trace_);
    failure.peak_memory = peak_;
    return failure;
  }

  Forker& forker_;
  const Task& task_;
  Watcher& watcher_;
  const std::vector<std::byte> head_;
  const Clock::time_point begun_ = Clock::now();
  pid_t pid_ = 0;
  Conversation talk_;
  ChildOutput output_;
  std::optional<Trace> trace_;
  std::uint64_t inherited_ = 0;  // bytes of memory that it had at its start
  std::uint64_t peak_ = 0;
  std::optional<Clock::time_point> stopped_;  // when it was told
  std::optional<Outcome> outcome_;
  std::optional<ChildEnd> end_;
};

Outcome ProcessRunner::run(const Task& task, Watcher& watcher) {
  try {
    Outcome outcome = Run(*forker_, task, watcher).outcome();
    forker_->finish();
    return outcome;
  } catch (const std::system_error& error) {
    throw Error(std::string("an isolated task cannot be started: ") + wire::error_text(error));
  }
}

}  // namespace rankview::isolation
