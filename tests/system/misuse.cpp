// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// What programs do that they should not, or that the library must not disturb; the first argument says what.
#include "check.hpp"

#include <rankview/rankview.hpp>

#include <mpi.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

namespace rv = rankview;
using namespace std::chrono_literals;

namespace {

int arguments = 0;
char** argument = nullptr;

bool alive(const rv::Client& rc) {
  return rc[rv::all].apply([] { return 5; }).get(60s) == std::vector<int>(rc.size(), 5);
}

// ---- children ---------------------------------------------------------------------------------------------------------------

const pid_t parent = getpid();

// The exit code of a child that does this.
template <class Child>
int child_code(Child child) {
  std::fflush(nullptr);
  const pid_t id = fork();
  if (id == 0) child();
  int status = 0;
  waitpid(id, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int exiting_child(int code) {
  return child_code([code] { std::exit(code); });
}

// In a child of a child, and in a thread of the task's.
int exiting_grandchild(int code) {
  return child_code([code] { std::exit(exiting_child(code)); });
}
int exiting_child_of_thread(int code) {
  int got = -1;
  std::thread([&got, code] { got = exiting_child(code); }).join();
  return got;
}

void forks_in_tasks(rv::Client& rc) {
  for (const int code : {7, 0}) {
    const std::vector<int> wanted(rc.size(), code);
    check::that(rc[rv::all].apply_sync(exiting_child, code) == wanted, "the code of a task's child");
    check::that(rc[rv::all].apply_sync(exiting_grandchild, code) == wanted, "the code of a child's child");
    check::that(rc[rv::all].apply_sync(exiting_child_of_thread, code) == wanted, "the code of a child of a task's thread");
  }
  check::that(alive(rc), "engines whose tasks have forked");
}

void forks_in_client(rv::Client& rc) {
  check::that(alive(rc), "engines before");
  for (const int code : {7, 0}) {
    check::that(exiting_child(code) == code, "the code of the client's child");
    check::that(exiting_grandchild(code) == code, "the code of a child's child");
    check::that(exiting_child_of_thread(code) == code, "the code of a child of the client's thread");
  }
  check::that(alive(rc), "engines whose client has forked");
}

// The child goes on as if it were the engine, or the client, which it may not.
void child_comes_back(rv::Client& rc) {
  const std::vector<int> failed(rc.size(), 1);
  const auto run_on = [](bool throws) {
    int code = 0;
    std::fflush(nullptr);
    const pid_t id = fork();
    if (id == 0 && throws) throw std::runtime_error("in the child");
    if (id != 0) waitpid(id, &code, 0);
    return WIFEXITED(code) ? WEXITSTATUS(code) : -1;
  };
  check::that(rc[rv::all].apply_sync(run_on, false) == failed, "the code of a child that returns from its task");
  check::that(rc[rv::all].apply_sync(run_on, true) == failed, "the code of a child that throws in its task");
  check::that(alive(rc), "engines whose children have come back");
  // Here the child leaves this very function.
  std::fflush(nullptr);
  const pid_t id = fork();
  if (id == 0) return;
  int code = 0;
  waitpid(id, &code, 0);
  check::that(WIFEXITED(code) && WEXITSTATUS(code) == 1, "the code of a child that returns from the client");
  check::that(alive(rc), "engines whose client's child has come back");
}

// ---- runs within each other -------------------------------------------------------------------------------------------------

int run_inner() {
  return rv::run(arguments, argument, [](rv::Client&) { check::that(false, "a run within a run"); });
}

// Every way to begin a run where one is under way throws.
void runs_within(rv::Client& rc) {
  check::throws<rv::UsageError>("run within a run", [] { run_inner(); });
  const auto error = [](const char* what, const rv::DirectView& where, auto task) {
    try {
      where.apply_sync(task);
      check::that(false, what);
    } catch (const rv::CompositeError& errors) {
      check::that(check::contains(errors.what(), "UsageError"), std::string(what) + ": " + errors.what());
    }
  };
  error("run within a task", rc[rv::all], [] { run_inner(); });
  int ranks = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (ranks > 1) {
    check::throws<rv::UsageError>("a Cluster within a run", [] { rv::Cluster cluster(MPI_COMM_WORLD); });
    error("a Cluster within a task", rc[rv::all], [] { rv::Cluster cluster(MPI_COMM_WORLD); });
  }
  check::that(alive(rc), "the outer run");
}

std::unique_ptr<rv::Cluster> first;
std::unique_ptr<rv::Cluster> second;

void cluster_runs_within() {
  first = std::make_unique<rv::Cluster>(MPI_COMM_WORLD);
  second = std::make_unique<rv::Cluster>(MPI_COMM_WORLD);
  first->run([](rv::Client& rc) {
    runs_within(rc);
    check::throws<rv::UsageError>("a run of the same Cluster", [] { first->run([](rv::Client&) {}); });
    if (first->size() > 1) check::throws<rv::UsageError>("a run of another Cluster", [] { second->run([](rv::Client&) {}); });
    // Its own ranks are free.
    rv::Cluster alone(MPI_COMM_SELF);
    check::that(alone.run([](rv::Client& inner) { return inner[0].apply_sync([] { return 3; }); }) == 3, "a run of this rank alone");
    check::that(alive(rc), "the outer run");
  });
  second->run([](rv::Client& rc) { check::that(alive(rc), "a run after it"); });
  // A child has no part in them.
  check::that(child_code([] {
                first.reset();
                std::exit(7);
              }) == 7,
              "the code of a child that destroys a Cluster");
  first.reset();
  second.reset();
}

// ---- around MPI_Finalize ----------------------------------------------------------------------------------------------------

int run_twice() {
  const int code = rv::run(arguments, argument, [](rv::Client& rc) { check::that(alive(rc), "the first run"); });
  check::that(code == 0, "the first run's code");
  check::that(rv::run(arguments, argument, [](rv::Client&) { check::that(false, "a second run"); }) == 1, "the second run's code");
  return check::finish();
}

// Both ends wait for the client to free itself: an engine comes to the barrier when the library has spoken.
int barrier_in_client() {
  return rv::run(arguments, argument, [](rv::Client& rc) {
    std::array<int, 2> ends{};
    check::that(pipe(ends.data()) == 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO, "a pipe instead of stderr");
    rc[rv::all].apply_sync([] {});
    std::thread freeing([&rc, &ends] {
      std::string told;
      char next = 0;
      while (!check::contains(told, "\n") && read(ends[0], &next, 1) == 1) told += next;
      std::fputs(("told: " + told).c_str(), stdout);
      std::fflush(stdout);
      rc[rv::all].apply_sync([] { MPI_Barrier(MPI_COMM_WORLD); });
    });
    MPI_Barrier(MPI_COMM_WORLD);
    freeing.join();
  });
}

void own_mpi(void (*action)()) {
  int provided = 0;
  MPI_Init_thread(&arguments, &argument, MPI_THREAD_MULTIPLE, &provided);
  action();
}

}  // namespace

// A child that calls exit() has let go of nothing that its parent holds: LeakSanitizer, where it is there, is not to look for leaks in it.
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() { return getpid() == parent ? 0 : 1; }

int main(int argc, char** argv) {
  arguments = argc;
  argument = argv;
  const std::string what = argv[1];
  const std::map<std::string, void (*)(rv::Client&)> clients = {{"forks_in_tasks", forks_in_tasks},
                                                                {"forks_in_client", forks_in_client},
                                                                {"child_comes_back", child_comes_back},
                                                                {"runs_within", runs_within}};
  if (const auto client = clients.find(what); client != clients.end()) {
    const int code = rv::run(argc, argv, client->second);
    check::that(code == 0, "the code of run");
    return check::finish();
  }
  if (what == "run_twice") return run_twice();
  if (what == "barrier_in_client") return barrier_in_client();
  if (what == "cluster_runs_within") {
    own_mpi(cluster_runs_within);
    const int code = check::finish();
    MPI_Finalize();
    return code;
  }
  if (what == "cluster_behind_finalize") {
    own_mpi([] { first = std::make_unique<rv::Cluster>(MPI_COMM_WORLD); });
    first->run([](rv::Client& rc) { check::that(alive(rc), "the run"); });
    MPI_Finalize();
    check::throws<rv::UsageError>("a run behind MPI_Finalize", [] { first->run([](rv::Client&) {}); });
    static_cast<void>(check::finish());
    return 0;  // which it does not come to be: what is static is destroyed before
  }
  return 2;
}
