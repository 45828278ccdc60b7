// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/slot_pool.hpp"

#include "farm/results_tree.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <exception>
#include <iterator>
#include <system_error>
#include <utility>

namespace rankview::farm {
namespace {

using Time = std::chrono::steady_clock::time_point;

// A command of more bytes cannot be one argument of a shell on Linux.
constexpr std::size_t longest_argument = 32 * 4096 - 1;

// As long as there is more to do, whoever waits for ends is told of those of quick commands together: waking up costs more than it takes to
// look at one. They are not left untold for longer than this.
constexpr std::chrono::milliseconds quick_command{5};
constexpr int untold_limit = 5;
// So many commands wait at each slot, so that there is always more to do; see Workers::wanted.
constexpr std::size_t ahead_of_slot = 16;

// Where there can be no further process now, that is tried again so often, with so many milliseconds in between.
constexpr int most_tries = 200;
constexpr int try_again_every = 50;

isolation::Fd new_event() {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  return isolation::Fd(fd);
}

void raise_event(const isolation::Fd& event) { ::eventfd_write(event.get(), 1); }
void clear_event(const isolation::Fd& event) {
  eventfd_t count = 0;
  ::eventfd_read(event.get(), &count);
}

int milliseconds_until(Time time) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30));
}

// A command in a file, for a shell to read; gone with this.
class ScriptFile {
 public:
  ScriptFile(const std::string& directory, const std::string& text) : path_(directory + "/rankview-task-XXXXXX") {
    const isolation::Fd file(::mkostemp(path_.data(), O_CLOEXEC));
    if (!file) throw std::system_error(errno, std::generic_category(), path_);
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t written = ::write(file.get(), text.data() + at, text.size() - at);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        const int error = errno;
        ::unlink(path_.c_str());
        throw std::system_error(error, std::generic_category(), path_);
      }
      at += static_cast<std::size_t>(written);
    }
  }
  ScriptFile(const ScriptFile&) = delete;
  ScriptFile& operator=(const ScriptFile&) = delete;
  ~ScriptFile() { ::unlink(path_.c_str()); }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

// What one thread has.
class SlotPool::Slot {
 public:
  Slot(SlotPool& pool, unsigned number) : pool_(pool), number_(number), woken_(new_event()), interpreter_(pool.terms_.shell) {
    environment_.set("RANKVIEW_ENGINE", std::to_string(pool.terms_.engine));
    environment_.set("RANKVIEW_HOST", pool.terms_.host);
    environment_.set("RANKVIEW_SLOT", std::to_string(number));
    environment_.set("PARALLEL_JOBSLOT", std::to_string(number));
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot() {
    if (thread.joinable()) thread.join();
  }

  // Runs it to its end.
  End run(Job job) {
    End end;
    end.command = with_slot(job.command, number_);
    end.slot = number_;
    end.job = std::move(job);
    end.started = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    const Time begun = std::chrono::steady_clock::now();
    if (pool_.state_.load() != State::open) {
      end.cause = Cause::killed;
      return end;
    }
    try {
      run_child(end, begun);
    } catch (const std::exception& error) {
      end.cause = Cause::refused;
      end.status = 255;
      end.trouble = error.what();
    }
    end.took = std::chrono::steady_clock::now() - begun;
    return end;
  }

  // Has it look again at what is wanted of it.
  void wake() const { raise_event(woken_); }

  std::thread thread;

 private:
  void run_child(End& end, Time begun) {
    isolation::Fd out;
    isolation::Fd err;
    Streams streams;
    if (!end.job.results.empty()) {
      OpenResults files = open_results(end.job.results, end.job.number);
      out = std::move(files.out);
      err = std::move(files.err);
    } else if (pool_.terms_.captured) {
      out = temporary_file(pool_.terms_.temporary_directory);
      err = temporary_file(pool_.terms_.temporary_directory);
    }
    if (out) streams = {out.get(), err.get()};
    const std::string number = std::to_string(end.job.number);
    environment_.set("RANKVIEW_TASK", number);
    environment_.set("PARALLEL_SEQ", number);
    environment_.set("RANKVIEW_ATTEMPT", std::to_string(end.job.attempt));
    std::optional<ScriptFile> script;
    std::optional<Child> child;
    start(end.command, streams, script, child);
    watch(*child, end, begun);
    const int status = child->reap(end.cause != Cause::itself);
    end.status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (!out) return;
    end.out = Captured(std::move(out));
    end.err = Captured(std::move(err));
  }

  void start(const std::string& command, Streams streams, std::optional<ScriptFile>& script, std::optional<Child>& child) {
    Invocation invocation;
    if (command.size() > longest_argument) {
      script.emplace(pool_.terms_.temporary_directory, command);
      invocation = interpreter_.by_file(script->path());
    } else {
      invocation = interpreter_.of(command);
    }
    for (int tries = 0; !child; ++tries) {
      try {
        child.emplace(invocation, environment_.pointers(), streams);
      } catch (const std::system_error& error) {
        const auto why = static_cast<std::errc>(error.code().value());
        if (why == std::errc::resource_unavailable_try_again && tries < most_tries && pool_.state_.load() == State::open) {
          pollfd woken{woken_.get(), POLLIN, 0};
          ::poll(&woken, 1, try_again_every);
          clear_event(woken_);
        } else if ((why == std::errc::no_such_file_or_directory || why == std::errc::executable_format_error ||
                    why == std::errc::permission_denied) &&
                   tries == 0 && !script) {
          // It has gone meanwhile, or is a script that names no interpreter: the shell knows what to make of that.
          invocation = interpreter_.by_shell(command);
        } else {
          throw;
        }
      }
    }
  }

  // Until it has ended.
  void watch(const Child& child, End& end, Time begun) {
    Termination termination;
    for (;;) {
      const std::chrono::nanoseconds limit(pool_.time_limit_.load());
      const Time now = std::chrono::steady_clock::now();
      if (!termination.begun()) {
        if (pool_.state_.load() != State::open) end.cause = Cause::killed;
        if (end.cause == Cause::itself && limit.count() != 0 && now - begun >= limit) end.cause = Cause::timeout;
        if (end.cause != Cause::itself) termination.begin(now);
      }
      if (pool_.state_.load() == State::closed) {
        child.send(SIGKILL);
      } else if (const int signal = termination.signal(now)) {
        child.send(signal);
      }
      int pause = -1;
      if (const auto due = termination.due()) {
        pause = milliseconds_until(*due);
      } else if (!termination.begun() && limit.count() != 0) {
        pause = milliseconds_until(begun + limit);
      }
      const bool untold = pool_.untold_.load();
      if (untold && (pause < 0 || pause > untold_limit)) pause = untold_limit;
      std::array<pollfd, 2> fds{{{child.events(), POLLIN, 0}, {woken_.get(), POLLIN, 0}}};
      if (::poll(fds.data(), fds.size(), pause) == 0 && untold) pool_.tell_ended();
      if (fds[0].revents != 0) return;
      if (fds[1].revents != 0) clear_event(woken_);
    }
  }

  SlotPool& pool_;
  const unsigned number_;
  isolation::Fd woken_;
  Interpreter interpreter_;
  ChildEnvironment environment_;
};

SlotPool::SlotPool(SlotTerms terms) : terms_(std::move(terms)), ended_event_(new_event()) {}

SlotPool::~SlotPool() {
  {
    const std::lock_guard guard(mutex_);
    state_.store(State::closed);
    wake_all();
  }
  changed_.notify_all();
  slots_.clear();
}

std::size_t SlotPool::wanted(bool ahead) const {
  const std::lock_guard guard(mutex_);
  const std::size_t most = ahead ? (1 + ahead_of_slot) * terms_.slots : terms_.slots;
  return most - std::min(most, in_hand_);
}

void SlotPool::start(Job job) {
  std::unique_lock guard(mutex_);
  ++in_hand_;
  queue_.push_back(std::move(job));
  if (idle_ < queue_.size() && slots_.size() < terms_.slots) {
    auto slot = std::make_unique<Slot>(*this, static_cast<unsigned>(slots_.size() + 1));
    slot->thread = std::thread([this, own = slot.get()] { run_slot(*own); });
    slots_.push_back(std::move(slot));
  }
  guard.unlock();
  changed_.notify_one();
}

std::vector<Job> SlotPool::recall() {
  const std::lock_guard guard(mutex_);
  in_hand_ -= queue_.size();
  std::vector<Job> jobs(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
  queue_.clear();
  return jobs;
}

std::vector<End> SlotPool::take_ended() {
  const std::lock_guard guard(mutex_);
  clear_event(ended_event_);
  untold_.store(false);
  in_hand_ -= ended_.size();
  return std::exchange(ended_, {});
}

void SlotPool::wait(std::span<const int> descriptors, std::optional<std::chrono::milliseconds> limit) {
  std::vector<pollfd> fds{{ended_event_.get(), POLLIN, 0}};
  for (const int descriptor : descriptors) fds.push_back({descriptor, POLLIN, 0});
  ::poll(fds.data(), fds.size(), limit ? static_cast<int>(limit->count()) : -1);
}

void SlotPool::set_time_limit(std::chrono::nanoseconds limit) {
  const std::lock_guard guard(mutex_);
  if (time_limit_.exchange(limit.count()) != limit.count()) wake_all();
}

void SlotPool::kill() {
  const std::lock_guard guard(mutex_);
  if (state_.load() == State::open) state_.store(State::killing);
  wake_all();
}

// Under the lock.
void SlotPool::wake_all() {
  for (const auto& slot : slots_) slot->wake();
}

void SlotPool::run_slot(Slot& slot) {
  std::unique_lock guard(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(guard, [this] { return state_.load() == State::closed || !queue_.empty(); });
    --idle_;
    if (state_.load() == State::closed) return;
    Job job = std::move(queue_.front());
    queue_.pop_front();
    guard.unlock();
    End end = slot.run(std::move(job));
    guard.lock();
    add_ended(std::move(end));
  }
}

// Under the lock.
void SlotPool::add_ended(End end) {
  const bool can_wait = end.took < quick_command && end.succeeded() && queue_.size() > terms_.slots;
  ended_.push_back(std::move(end));
  untold_.store(true);
  if (!can_wait) tell_ended();
}

void SlotPool::tell_ended() {
  if (untold_.exchange(false)) raise_event(ended_event_);
}

}  // namespace rankview::farm
