// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <boost/mpi.hpp>

#include <sys/types.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using test::balanced;
using test::client;

namespace {

// With one rank only isolated tasks are captured.
bool engines_are_processes() {
  return client()[0].apply_sync([] { return static_cast<long>(getpid()); }) != getpid();
}

rv::LoadBalancedView isolated(rv::Isolation how = rv::process) { return balanced().with({.isolation = how}); }

// Prints in one way or another.
int print(const std::string& how, const std::string& text) {
  if (how == "cout") std::cout << text;
  if (how == "cerr") std::cerr << text;
  if (how == "clog") std::clog << text;
  if (how == "printf") std::printf("%s", text.c_str());
  if (how == "fprintf") std::fprintf(stderr, "%s", text.c_str());
  if (how == "write") return static_cast<int>(::write(STDOUT_FILENO, text.data(), text.size()));
  if (how == "child") return std::system(("printf %s '" + text + "'").c_str());
  if (how == "stderr of a child") return std::system(("printf %s '" + text + "' > /dev/stderr").c_str());
  if (how == "thread") std::thread([&text] { std::cout << text << std::flush; }).join();
  return 0;
}

bool is_stderr(const std::string& how) { return how == "cerr" || how == "clog" || how == "fprintf" || how == "stderr of a child"; }

const std::vector<std::string> ways{"cout", "cerr", "clog", "printf", "fprintf", "write", "child", "stderr of a child", "thread"};

void check_ways(const rv::LoadBalancedView& view) {
  for (const std::string& how : ways) {
    const auto result = view.apply(print, how, "by " + how + "\n");
    REQUIRE(result.wait(test::limit));
    const rv::Metadata metadata = result.metadata();
    INFO(how);
    CHECK(metadata.error.empty());
    CHECK((is_stderr(how) ? metadata.stderr_text : metadata.stdout_text) == "by " + how + "\n");
    CHECK((is_stderr(how) ? metadata.stdout_text : metadata.stderr_text).empty());
  }
}

std::size_t print_much(std::size_t lines) {
  std::string line(99, '.');
  line += '\n';
  std::printf("begins\n");
  for (std::size_t i = 0; i < lines; ++i) std::fwrite(line.data(), 1, line.size(), stdout);
  std::printf("ends\n");
  return lines;
}

void check_much(const rv::LoadBalancedView& view) {
  const auto result = view.apply(print_much, std::size_t{100'000});
  CHECK(result.get(test::limit) == 100'000);
  const std::string text = result.metadata().stdout_text;
  CHECK(text.size() < 5'000);
  CHECK(text.starts_with("begins\n...."));
  CHECK(text.ends_with("....\nends\n"));
  // 4 KiB are kept.
  CHECK(test::contains(text, "\n[" + std::to_string(100'000 * 100 + 12 - 4096) + " bytes are left out here]\n"));
}

void check_binary(const rv::LoadBalancedView& view) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  const auto result = view.apply(
      [](const std::string& all) {
        std::fwrite(all.data(), 1, all.size(), stdout);
        std::fwrite(all.data(), 1, all.size(), stderr);
      },
      bytes);
  result.get(test::limit);
  CHECK(result.metadata().stdout_text == bytes);
  CHECK(result.metadata().stderr_text == bytes);
}

int talk(int n) {
  if (n % 3 == 0) std::printf("task %d\n", n);
  if (n % 5 == 0) std::cerr << "error of " << n << "\n";
  if (n == 7) throw std::runtime_error("seven");
  return n;
}

}  // namespace

TEST_CASE("nothing is captured that nobody wants") {
  const auto result = balanced().apply([] { std::cout << std::flush; });
  result.get(test::limit);
  CHECK(result.metadata().stdout_text.empty());
  CHECK(result.metadata().stderr_text.empty());
}

TEST_CASE("what a task prints is in its metadata, however it prints", "[.capture]") {
  if (engines_are_processes()) check_ways(balanced());
  check_ways(isolated());
  check_ways(isolated(rv::fork));
}

TEST_CASE("each task of many has what it has printed itself", "[.capture]") {
  std::vector<int> numbers(200);
  for (int i = 0; i < 200; ++i) numbers[static_cast<std::size_t>(i)] = i;
  std::vector<rv::LoadBalancedView> views{isolated()};
  if (engines_are_processes()) views.insert(views.end(), {balanced(), balanced().with({.chunksize = 50})});
  for (const auto& view : views) {
    const auto result = view.map(talk, numbers);
    REQUIRE(result.wait(test::limit));
    std::size_t wrong = 0;
    for (int i = 0; i < 200; ++i) {
      const rv::Metadata metadata = result.metadata(static_cast<std::size_t>(i));
      if (metadata.stdout_text != (i % 3 == 0 ? "task " + std::to_string(i) + "\n" : "")) ++wrong;
      if (metadata.stderr_text != (i % 5 == 0 ? "error of " + std::to_string(i) + "\n" : "")) ++wrong;
    }
    CHECK(wrong == 0);
  }
  if (!engines_are_processes()) return;
  const auto everywhere = test::everyone().apply([] { std::cout << rv::this_engine::id(); });
  everywhere.get(test::limit);
  for (const rv::Metadata& metadata : everywhere.metadata_all()) CHECK(metadata.stdout_text == std::to_string(metadata.engine));
}

TEST_CASE("of what is long the beginning and the end are kept", "[.capture]") {
  if (engines_are_processes()) check_much(balanced());
  check_much(isolated());
}

TEST_CASE("what is printed may be any bytes", "[.capture]") {
  if (engines_are_processes()) check_binary(balanced());
  check_binary(isolated());
}

TEST_CASE("what a task has printed that crashes its process is kept", "[.capture]") {
  for (const rv::Isolation how : {rv::process, rv::fork}) {
    const auto result = isolated(how).apply([] {
      std::printf("about to\n");
      std::cerr << "crash\n";
      std::abort();
    });
    const auto crash = test::thrown<rv::TaskCrashed>([&] { result.get(test::limit); });
    CHECK(test::contains(crash.what(), "crash"));
    CHECK(result.metadata().stdout_text == "about to\n");
    CHECK(test::contains(result.metadata().stderr_text, "crash\n"));
  }
}

TEST_CASE("tasks that wait for others have what they print themselves", "[.capture]") {
  if (!engines_are_processes()) return;
  const auto outer = balanced().apply([] {
    std::cout << "before ";
    std::string parts;
    std::vector<rv::Subtask<std::string>> inner;
    for (int n = 0; n < 20; ++n) {
      inner.push_back(rv::this_task::submit(
          [](int number) {
            std::printf("inner %d", number);
            return std::to_string(number);
          },
          n));
    }
    for (auto& each : inner) {
      std::cout << each.get() << " ";
    }
    std::cout << "after";
  });
  outer.get(test::limit);
  CHECK(outer.metadata().stdout_text == "before 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 after");
}

TEST_CASE("of a task that is tried again the last attempt counts", "[.capture]") {
  if (!engines_are_processes()) return;
  const auto result = balanced().with({.retries = 2}).apply([] {
    const int attempt = rv::this_engine::vars().contains("attempt") ? rv::this_engine::vars().get<int>("attempt") : 1;
    rv::this_engine::vars().set("attempt", attempt + 1);
    std::cout << "attempt on engine " << rv::this_engine::id();
    throw std::runtime_error("again");
  });
  REQUIRE(result.wait(test::limit));
  const rv::Metadata metadata = result.metadata();
  CHECK(metadata.attempt == 3);
  CHECK(metadata.stdout_text == "attempt on engine " + std::to_string(metadata.engine));
  test::everyone().clear_sync();
}

TEST_CASE("engines that run a task together have printed it together", "[.capture]") {
  if (!engines_are_processes() || test::engines() < 2) return;
  const auto result =
      client().team_view(2).apply([](const boost::mpi::communicator& comm) { std::cout << "rank " << comm.rank() << "\n"; });
  result.get(test::limit);
  CHECK(result.metadata().stdout_text == "rank 0\nrank 1\n");
}

TEST_CASE("what a task has printed that ran for too long comes when it has ended", "[.capture]") {
  const auto result = isolated().with({.timeout = 200ms}).apply([] {
    std::cout << "it goes on\n" << std::flush;
    for (;;) pause();
  });
  REQUIRE(result.wait(test::limit));
  CHECK(result.metadata().status == rv::Status::failed);
  CHECK(result.metadata().stdout_text == "it goes on\n");
}

TEST_CASE("a program that it starts and does not wait for keeps nobody", "[.capture]") {
  if (!engines_are_processes()) return;
  const auto result = client()[0].apply([] { return std::system("sleep 1000 & echo $!"); });
  CHECK(result.get(test::limit) == 0);
  const pid_t program = std::atoi(result.metadata().stdout_text.c_str());
  REQUIRE(program > 0);
  // It could go on printing.
  CHECK(::kill(program, SIGKILL) == 0);
}
