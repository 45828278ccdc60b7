// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "isolation/task_server.hpp"

#include "isolation/child.hpp"
#include "isolation/process_end.hpp"

#include <rankview/errors.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace rankview::isolation {
namespace {

constexpr const char* gone = "the process that starts isolated tasks has gone";

struct Request {
  enum class Kind : std::uint64_t { connect, start, kill } kind = Kind::start;
  std::uint64_t number = 0;  // of the child, among those of a connection
};

// To find out where the process was takes no longer.
constexpr unsigned telling_limit = 10;  // seconds

struct Report {
  enum class Kind : std::uint64_t { started, refused, ended } kind = Kind::started;
  std::uint64_t number = 0;
  std::int64_t pid = 0;
  ChildEnd end;  // refused: `status` is errno
};

// The server itself.
class Server {
 public:
  // `rank`: the process that it is for.
  Server(Fd control, pid_t rank)
      : control_(std::move(control)), rank_pid_(rank), rank_(static_cast<int>(::syscall(SYS_pidfd_open, rank, 0))) {
    // What is sent to all processes of a job is not meant for this one.
    sigset_t taken;
    sigemptyset(&taken);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) sigaddset(&taken, signal);
    sigprocmask(SIG_BLOCK, &taken, &mask_);
    struct sigaction normal = {};
    normal.sa_handler = SIG_DFL;
    ::sigaction(SIGCHLD, &normal, &on_child_);
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    signals_ = Fd(::signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK));
  }

  // Until the rank has gone, or has closed its end of the socket.
  void serve() {
    for (bool goes_on = true; goes_on;) {
      std::vector<pollfd> fds{{control_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}, {rank_.get(), POLLIN, 0}};
      for (const auto& [number, connection] : connections_) fds.push_back({number, POLLIN, 0});
      if (::poll(fds.data(), fds.size(), -1) < 0) {
        if (errno == EINTR) continue;
        break;
      }
      if (fds[1].revents != 0) take_signals();
      for (std::size_t i = 3; i < fds.size(); ++i) {
        if (fds[i].revents != 0) carry_out_next(fds[i].fd);
      }
      goes_on = fds[2].revents == 0 && (fds[0].revents == 0 || hear_rank());
    }
    for (const auto& [pid, child] : children_) ::kill(-pid, SIGKILL);
    // What it has said last.
    pollfd last{control_.get(), POLLIN, 0};
    while (::poll(&last, 1, 0) > 0 && hear_rank()) continue;
    while (teller_ != 0 && ::waitpid(teller_, nullptr, 0) < 0 && errno == EINTR) continue;
    teller_ = 0;
    // What these leave behind comes here.
    do {
      kill_children();
    } while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR);
  }

 private:
  struct Child {
    int connection;  // the descriptor, -1 where it has gone
    std::uint64_t number;
  };

  void take_signals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof(info)) > 0) continue;
    reap();
  }

  // False if whoever made this process has gone.
  bool hear_rank() {
    Trace message;  // or a Request, to connect
    std::vector<Fd> fds;
    const auto size = receive_message(control_.get(), &message, sizeof(message), fds);
    if (!size) return false;
    if (*size == sizeof(message) && teller_ == 0) tell_crash(message);
    if (fds.size() != 1) return true;
    const int number = fds[0].get();
    connections_[number] = std::move(fds[0]);
    return true;
  }

  // In a process of its own, since that may take some time, in which this one has others to end.
  void tell_crash(const Trace& trace) {
    const pid_t teller = ::fork();
    teller_ = std::max(teller, 0);
    if (teller != 0) return;
    ::alarm(telling_limit);
    const std::string text = "rankview: process " + std::to_string(rank_pid_) + " was here:" + trace_text(trace) + "\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
    ::_exit(0);
  }

  void carry_out_next(int connection) {
    Request request;
    std::vector<Fd> fds;
    if (!receive_message(connection, &request, sizeof(request), fds)) {
      for (auto& [pid, child] : children_) {
        if (child.connection != connection) continue;
        child.connection = -1;
        ::kill(-pid, SIGKILL);
      }
      connections_.erase(connection);
    } else if (request.kind == Request::Kind::start && fds.size() < 2) {
      tell(connection, {Report::Kind::refused, request.number, 0, {EMFILE, true, 0}});
    } else if (request.kind == Request::Kind::start) {
      start(connection, request.number, fds[0].get(), fds[1].get(), fds.size() > 2 ? fds[2].get() : -1);
    } else if (request.kind == Request::Kind::kill) {
      for (const auto& [pid, child] : children_) {
        if (child.connection == connection && child.number == request.number) ::kill(-pid, SIGKILL);
      }
    }
  }

  void start(int connection, std::uint64_t number, int socket, int errors, int output) {
    // The one before it has given its result, and nobody waits for the rest of it.
    for (const auto& [earlier, child] : children_) {
      if (child.connection == connection) ::kill(-earlier, SIGKILL);
    }
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::sigaction(SIGCHLD, &on_child_, nullptr);
      sigprocmask(SIG_SETMASK, &mask_, nullptr);
      control_.reset();
      signals_.reset();
      rank_.reset();
      connections_.clear();
      become_child(errors, output);
      run_child(socket, nullptr);
    }
    if (pid < 0) {
      tell(connection, {Report::Kind::refused, number, 0, {errno, true, 0}});
      return;
    }
    ::setpgid(pid, pid);
    children_[pid] = {connection, number};
    tell(connection, {Report::Kind::started, number, pid, {}});
  }

  // Who has ended: children, and what they have left behind, which comes to this process.
  void reap() {
    for (siginfo_t info{}; ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0; info = {}) {
      const pid_t pid = info.si_pid;
      const auto child = children_.find(pid);
      if (pid == teller_) {
        ::waitpid(pid, nullptr, 0);
        teller_ = 0;
        const char told = 0;
        static_cast<void>(::send(control_.get(), &told, sizeof(told), MSG_NOSIGNAL | MSG_DONTWAIT));
      } else if (child == children_.end()) {
        ::waitpid(pid, nullptr, 0);
      } else {
        if (const auto end = end_of(pid); end && child->second.connection >= 0)
          tell(child->second.connection, {Report::Kind::ended, child->second.number, pid, *end});
        children_.erase(child);
      }
      // What has left the group of its child, too.
      if (children_.empty()) kill_children();
    }
  }

  void kill_children() const {
    std::ifstream in("/proc/self/task/" + std::to_string(own_) + "/children");
    for (pid_t child = 0; in >> child;) {
      if (child != teller_) ::kill(child, SIGKILL);
    }
  }

  static void tell(int connection, const Report& report) { static_cast<void>(send_message(connection, &report, sizeof(report), {})); }

  const pid_t own_ = ::getpid();
  Fd control_;
  const pid_t rank_pid_;
  Fd rank_;  // the process, as a file descriptor
  Fd signals_;
  sigset_t mask_{};               // as it was
  struct sigaction on_child_ {};  // likewise
  std::map<int, Fd> connections_;
  std::map<pid_t, Child> children_;
  pid_t teller_ = 0;  // tells of a crash
};

// Who asks the server.
class Connection final : public Forker {
 public:
  Connection(Fd control, const LaterModules& later_modules) : control_(std::move(control)), later_modules_(later_modules) {}
  // Also where a child that was forked has the descriptor.
  ~Connection() override { ::shutdown(control_.get(), SHUT_RDWR); }

  pid_t start(int socket, int errors, int output) override {
    const Request request{Request::Kind::start, ++number_};
    const std::array<int, 3> fds{socket, errors, output};
    if (!send_message(control_.get(), &request, sizeof(request), std::span(fds).first(output < 0 ? 2 : 3))) throw Error(gone);
    for (;;) {
      const Report report = next_report();
      if (report.number != number_) continue;  // the end of an earlier one
      if (report.kind == Report::Kind::started) return static_cast<pid_t>(report.pid);
      throw Error(std::string("an isolated task cannot be started: ") + std::strerror(report.end.status));
    }
  }

  const std::vector<wire::LoadedModule>& later_modules() override { return later_modules_.get(); }

  void kill() override {
    const Request request{Request::Kind::kill, number_};
    static_cast<void>(send_message(control_.get(), &request, sizeof(request), {}));
  }

  [[nodiscard]] int events() const override { return control_.get(); }

  std::optional<ChildEnd> end() override {
    for (;;) {
      pollfd control{control_.get(), POLLIN, 0};
      if (::poll(&control, 1, 0) <= 0) return std::nullopt;
      const Report report = next_report();
      if (report.number == number_ && report.kind == Report::Kind::ended) return report.end;
    }
  }

 private:
  [[nodiscard]] Report next_report() const {
    Report report;
    std::vector<Fd> none;
    if (!receive_message(control_.get(), &report, sizeof(report), none)) throw Error(gone);
    return report;
  }

  Fd control_;
  LaterModules later_modules_;
  std::uint64_t number_ = 0;  // of the last child
};

[[noreturn]] void run_server(Fd control, pid_t rank) noexcept {
  // Whoever kills the group of the rank is not to keep this from killing what children have started.
  ::setpgid(0, 0);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::prctl(PR_SET_NAME, "rankview-tasks");
  Server(std::move(control), rank).serve();
  ::_exit(0);
}

}  // namespace

std::unique_ptr<TaskServer> TaskServer::fork() {
  auto [mine, its] = socket_pair(SOCK_SEQPACKET);
  prime_traces();
  // What the program has printed so far is printed once.
  std::fflush(nullptr);
  const pid_t rank = ::getpid();
  // The server is no child of this process, which may wait for all of its children.
  const pid_t between = ::fork();
  if (between < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (between == 0) {
    const pid_t server = ::fork();
    if (server == 0) {
      mine.reset();
      run_server(std::move(its), rank);
    }
    ::_exit(server < 0 ? errno : 0);
  }
  int status = 0;
  while (::waitpid(between, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) throw std::system_error(WEXITSTATUS(status), std::generic_category(), "fork");
  return std::unique_ptr<TaskServer>(new TaskServer(std::move(mine)));
}

TaskServer::~TaskServer() {
  // Also where a child that was forked has the descriptor.
  ::shutdown(control_.get(), SHUT_WR);
  pollfd gone_too{control_.get(), POLLIN, 0};
  constexpr int limit = 10'000;  // milliseconds; then it goes by itself
  while (::poll(&gone_too, 1, limit) < 0 && errno == EINTR) continue;
}

bool tell_server(int control, const Trace& trace, std::chrono::milliseconds wait) noexcept {
  if (::send(control, &trace, sizeof(trace), MSG_NOSIGNAL | MSG_DONTWAIT) != static_cast<ssize_t>(sizeof(trace))) return false;
  pollfd answer{control, POLLIN, 0};
  ::poll(&answer, 1, static_cast<int>(wait.count()));
  return true;
}

std::unique_ptr<Forker> TaskServer::connect() {
  auto [mine, its] = socket_pair(SOCK_SEQPACKET);
  const Request request{Request::Kind::connect, 0};
  const int fd = its.get();
  if (!send_message(control_.get(), &request, sizeof(request), {&fd, 1})) throw Error(gone);
  return std::make_unique<Connection>(std::move(mine), later_modules_);
}

}  // namespace rankview::isolation
