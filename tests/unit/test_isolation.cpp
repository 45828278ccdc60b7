// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "catch.hpp"
#include "isolation/direct_forker.hpp"
#include "isolation/fd.hpp"
#include "isolation/process_end.hpp"
#include "isolation/process_runner.hpp"
#include "isolation/task_server.hpp"
#include "transport/sanitized.hpp"

#include <rankview/errors.hpp>
#include <rankview/rankview.hpp>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

// Without MPI and without engines.
namespace {

namespace rv = rankview;
using namespace rankview::isolation;
using Kind = Outcome::Kind;

class Nobody final : public Watcher {
 public:
  bool stop = false;
  std::vector<std::string> names;

  [[nodiscard]] bool stop_requested() override { return stop; }
  void published(std::string_view name, const char* /*type*/, std::span<const std::byte> /*value*/) override { names.emplace_back(name); }
};

// Has a task run; `change` may say on what terms.
template <class Change, class F, class... A>
Outcome run_on_terms(Runner& runner, Watcher& watcher, Change change, F f, const A&... arguments) {
  using Made = rv::detail::Made<F, A...>;
  using Sig = typename Made::Sig;
  const rv::detail::Function function = rv::detail::function_for<Sig>(f);
  rv::detail::Writer encoded;
  encoded.flat = true;
  rv::detail::save_arguments(Sig(), encoded, rv::detail::Lifetime::call, arguments...);
  Task task;
  task.thunk = rv::detail::code_address(function.thunk);
  if (function.code != nullptr) task.function = rv::detail::code_address(function.code);
  task.arguments = encoded.bytes.bytes();
  task.flat = true;
  change(task);
  return runner.run(task, watcher);
}
template <class F, class... A>
Outcome run(Runner& runner, F f, const A&... arguments) {
  Nobody nobody;
  return run_on_terms(
      runner, nobody, [](Task&) {}, f, arguments...);
}

int value_of(const Outcome& outcome) {
  if (outcome.kind != Kind::value) FAIL("no value: " << outcome.failure.message);
  int value = 0;
  REQUIRE(outcome.bytes.size() == sizeof(value));
  std::memcpy(&value, outcome.bytes.data(), sizeof(value));
  return value;
}

int twice(int n) { return 2 * n; }
int killed(int n) {
  std::raise(SIGKILL);
  return n;
}
int for_ever(int) {
  for (;;) pause();
}
int throws(int n) {
  if (n == 1) throw std::domain_error("one");
  return n;
}
int publishes(int n) {
  rv::this_task::publish("a", n);
  rv::this_task::publish("b", n);
  return n;
}
int process(int) { return static_cast<int>(getpid()); }

}  // namespace

TEST_CASE("a message takes descriptors along", "[isolation]") {
  auto [here, there] = socket_pair(SOCK_SEQPACKET);
  auto [from, to] = pipe_pair();
  const int sent = 42;
  const std::array<int, 1> fds{to.get()};
  REQUIRE(send_message(here.get(), &sent, sizeof(sent), fds));
  to.reset();
  int received = 0;
  std::vector<Fd> with;
  REQUIRE(receive_message(there.get(), &received, sizeof(received), with) == sizeof(received));
  CHECK(received == 42);
  REQUIRE(with.size() == 1);
  REQUIRE(::write(with[0].get(), "x", 1) == 1);
  char read = 0;
  REQUIRE(::read(from.get(), &read, 1) == 1);
  CHECK(read == 'x');
  here.reset();
  CHECK_FALSE(receive_message(there.get(), &received, sizeof(received), with));
}

TEST_CASE("how a child ended is known, and what is left of its group goes", "[isolation]") {
  auto [from, to] = pipe_pair();
  const pid_t child = ::fork();
  if (child == 0) {
    setpgid(0, 0);
    const pid_t grandchild = ::fork();
    if (grandchild == 0) {
      for (;;) pause();
    }
    static_cast<void>(::write(to.get(), &grandchild, sizeof(grandchild)));
    _exit(5);
  }
  pid_t grandchild = 0;
  REQUIRE(::read(from.get(), &grandchild, sizeof(grandchild)) == sizeof(grandchild));
  std::optional<ChildEnd> end;
  while (!(end = end_of(child))) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(WEXITSTATUS(end->status) == 5);
  CHECK(end->peak_bytes > 0);
  // It is nobody's to wait for here, so all that shows is that it does not hold the pipe any more.
  to.reset();
  char nothing = 0;
  CHECK(::read(from.get(), &nothing, 1) == 0);
  CHECK(memory_of(getpid()) > 0);
}

TEST_CASE("tasks of two connections to a server run side by side", "[isolation]") {
  const auto server = TaskServer::fork();
  ProcessRunner first(server->connect());
  ProcessRunner second(server->connect());
  std::vector<int> values(40);
  const auto half = [&values](Runner& runner, int begin) {
    for (int i = begin; i < begin + 20; ++i) values[static_cast<std::size_t>(i)] = value_of(run(runner, twice, i));
  };
  std::thread other([&] { half(second, 20); });
  half(first, 0);
  other.join();
  for (int i = 0; i < 40; ++i) CHECK(values[static_cast<std::size_t>(i)] == 2 * i);
  CHECK(value_of(run(first, process, 0)) != getpid());
}

TEST_CASE("a child of either kind ends as its task does", "[isolation]") {
  rv::Variables variables;
  const auto server = TaskServer::fork();
  ProcessRunner of_server(server->connect());
  ProcessRunner of_fork(std::make_unique<DirectForker>(variables));
  for (Runner* const runner : {static_cast<Runner*>(&of_server), static_cast<Runner*>(&of_fork)}) {
    CHECK(value_of(run(*runner, twice, 21)) == 42);
    const Outcome crash = run(*runner, killed, 1);
    CHECK(crash.kind == Kind::failed);
    CHECK(crash.failure.kind == rv::wire::FailureKind::crashed);
    CHECK(crash.failure.signal == SIGKILL);
    const Outcome thrown = run(*runner, throws, 1);
    CHECK(thrown.kind == Kind::failed);
    CHECK(thrown.failure.message == "one");
    CHECK(value_of(run(*runner, throws, 2)) == 2);
    Nobody nobody;
    const auto soon = [](Task& task) { task.timeout = 50'000'000; };
    CHECK(run_on_terms(*runner, nobody, soon, for_ever, 1).kind == Kind::timed_out);
    Nobody gives_up;
    gives_up.stop = true;
    CHECK(run_on_terms(
              *runner, gives_up, [](Task&) {}, for_ever, 1)
              .kind == Kind::aborted);
    Nobody listener;
    CHECK(value_of(run_on_terms(
              *runner, listener, [](Task&) {}, publishes, 3)) == 3);
    CHECK(listener.names == std::vector<std::string>{"a", "b"});
  }
}

TEST_CASE("descriptors are given back", "[isolation]") {
  const auto server = TaskServer::fork();
  ProcessRunner runner(server->connect());
  const auto next = [] {
    const Fd fd(::dup(STDERR_FILENO));
    return fd.get();
  };
  static_cast<void>(run(runner, twice, 1));
  const int before = next();
  for (int i = 0; i < 20; ++i) {
    static_cast<void>(run(runner, twice, i));
    static_cast<void>(run(runner, killed, i));
  }
  CHECK(next() == before);
}
