// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/slot.hpp"

#include "farm/results_tree.hpp"
#include "farm/termination.hpp"
#include "isolation/process_end.hpp"

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
#include <system_error>
#include <utility>

namespace rankview::farm {
namespace {

using Time = std::chrono::steady_clock::time_point;

// A command of more bytes cannot be one argument of a shell on Linux.
constexpr std::size_t longest_argument = 32 * 4096 - 1;
// Ends of quick commands are not left untold for longer than so many milliseconds.
constexpr int untold_limit = 5;
// Where there can be no further process now, that is tried again so often, with so many milliseconds in between.
constexpr int most_tries = 200;
constexpr int try_again_every = 50;
// So often, in milliseconds, the memory of a command is looked at, if it may have only so much.
constexpr int measured_every = 50;
// Names by which GPUs are shown to programs, of three makers.
constexpr std::array gpu_variables{"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"};

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

}  // namespace

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

EndedBell::EndedBell() : event_(new_event()) {}

void EndedBell::ring() {
  if (untold_.exchange(false)) raise_event(event_);
}

void EndedBell::clear() {
  clear_event(event_);
  untold_.store(false);
}

Slot::Slot(const SlotTerms& terms, const SlotOrders& orders, EndedBell& bell, unsigned number)
    : terms_(terms), orders_(orders), bell_(bell), number_(number), woken_(new_event()), interpreter_(terms.shell) {
  environment_.set("RANKVIEW_ENGINE", std::to_string(terms.engine));
  environment_.set("RANKVIEW_HOST", terms.host);
  environment_.set("RANKVIEW_SLOT", std::to_string(number));
  environment_.set("PARALLEL_JOBSLOT", std::to_string(number));
}

Slot::~Slot() {
  if (thread.joinable()) thread.join();
}

End Slot::run(Job job, const std::vector<std::string>& gpus) {
  End end;
  end.command = with_slot(job.command, number_);
  end.slot = number_;
  end.job = std::move(job);
  end.started = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  const Time begun = std::chrono::steady_clock::now();
  if (orders_.state.load() != SlotOrders::State::open) {
    end.cause = Cause::killed;
    return end;
  }
  try {
    set_environment(end.job, gpus);
    run_child(end, begun);
  } catch (const std::exception& error) {
    end.cause = Cause::refused;
    end.status = 255;
    end.trouble = error.what();
  }
  end.took = std::chrono::steady_clock::now() - begun;
  return end;
}

void Slot::wake() const { raise_event(woken_); }

void Slot::run_child(End& end, Time begun) {
  isolation::Fd out;
  isolation::Fd err;
  Streams streams;
  if (!end.job.results.empty()) {
    OpenResults files = open_results(end.job.results, end.job.number);
    out = std::move(files.out);
    err = std::move(files.err);
  } else if (terms_.captured) {
    out = temporary_file(terms_.temporary_directory);
    err = temporary_file(terms_.temporary_directory);
  }
  if (out) streams = {out.get(), err.get()};
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

void Slot::start(const std::string& command, Streams streams, std::optional<ScriptFile>& script, std::optional<Child>& child) {
  Invocation invocation;
  if (command.size() > longest_argument) {
    script.emplace(terms_.temporary_directory, command);
    invocation = interpreter_.by_file(script->path());
  } else {
    invocation = interpreter_.of(command);
  }
  for (int tries = 0; !child; ++tries) {
    try {
      child.emplace(invocation, environment_.pointers(), streams);
    } catch (const std::system_error& error) {
      const auto why = static_cast<std::errc>(error.code().value());
      if (why == std::errc::resource_unavailable_try_again && tries < most_tries && orders_.state.load() == SlotOrders::State::open) {
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
void Slot::watch(const Child& child, End& end, Time begun) {
  Termination termination;
  for (;;) {
    const std::chrono::nanoseconds limit = limit_of(end.job);
    const Time now = std::chrono::steady_clock::now();
    if (!termination.begun()) {
      if (orders_.state.load() != SlotOrders::State::open) end.cause = Cause::killed;
      if (end.cause == Cause::itself && limit.count() != 0 && now - begun >= limit) end.cause = Cause::timeout;
      if (end.cause == Cause::itself && has_too_much(child, end)) end.cause = Cause::memory;
      if (end.cause != Cause::itself) termination.begin(now);
    }
    if (orders_.state.load() == SlotOrders::State::closed) {
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
    if (end.job.needs.memory != 0 && !termination.begun()) pause = pause < 0 ? measured_every : std::min(pause, measured_every);
    const bool untold = bell_.untold();
    if (untold && (pause < 0 || pause > untold_limit)) pause = untold_limit;
    std::array<pollfd, 2> fds{{{child.events(), POLLIN, 0}, {woken_.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), pause) == 0 && untold) bell_.ring();
    if (fds[0].revents != 0) return;
    if (fds[1].revents != 0) clear_event(woken_);
  }
}

void Slot::set_environment(const Job& job, const std::vector<std::string>& gpus) {
  const std::string number = std::to_string(job.number);
  environment_.set("RANKVIEW_TASK", number);
  environment_.set("PARALLEL_SEQ", number);
  environment_.set("RANKVIEW_ATTEMPT", std::to_string(job.attempt));
  environment_.set("RANKVIEW_CORES", std::to_string(job.needs.cores));
  std::string names;
  for (const std::string& gpu : gpus) names += (names.empty() ? "" : ",") + gpu;
  for (const char* const variable : gpu_variables) {
    if (!gpus.empty()) {
      environment_.set(variable, names);
    } else {
      environment_.restore(variable);
    }
  }
}

std::chrono::nanoseconds Slot::limit_of(const Job& job) const {
  return job.needs.timeout.count() != 0 ? job.needs.timeout : std::chrono::nanoseconds(orders_.time_limit.load());
}

bool Slot::has_too_much(const Child& child, End& end) {
  if (end.job.needs.memory == 0) return false;
  end.memory = std::max(end.memory, isolation::memory_of(child.process()));
  return end.memory > end.job.needs.memory;
}

}  // namespace rankview::farm
