// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "catch.hpp"
#include "seed.hpp"
#include "transport/sanitized.hpp"

#include <rankview/rankview.hpp>

#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <thread>
#include <typeinfo>
#include <utility>
#include <vector>

// What the tests share. All of them run on rank 0, with the other ranks serving; with one rank the engine is a thread.
namespace rv = rankview;
using namespace std::chrono_literals;

namespace test {

// No wait lasts longer than this.
inline constexpr auto limit = 60s;

rv::Client& client();

inline int engines() { return static_cast<int>(client().size()); }
inline rv::DirectView everyone() { return client()[rv::all]; }
inline rv::LoadBalancedView balanced() { return client().load_balanced_view(); }

// Sanitizers want address space of their own.
inline constexpr bool sanitized = rankview::transport::address_sanitized || rankview::transport::thread_sanitized;

// Whether all engines still do what they are asked.
inline bool alive() {
  std::vector<int> wanted = client().ids();
  for (int& id : wanted) id = 2 * id + 1;
  return everyone().apply([] { return 2 * rv::this_engine::id() + 1; }).get(limit) == wanted;
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// The exception, exactly an E, that `action` throws.
template <class E, class Action>
E thrown(Action&& action) {
  std::string instead = "nothing was thrown";
  try {
    action();
  } catch (const E& error) {
    if (typeid(error) == typeid(E)) return error;
    instead = std::string("a derived exception was thrown: ") + error.what();
  } catch (const std::exception& error) {
    instead = std::string(typeid(error).name()) + ": " + error.what();
  } catch (...) {
    instead = "something else was thrown";
  }
  FAIL(instead);
  throw 0;  // not reached
}

// The exception behind a pointer.
template <class E>
E held(const std::exception_ptr& error) {
  if (error == nullptr) FAIL("there is no exception");
  return thrown<E>([&error] { std::rethrow_exception(error); });
}

// A file that tasks wait for: what they do before it opens and after is then a matter of order, not of time.
class Gate {
 public:
  Gate() {
    static int number = 0;
    path_ =
        (std::filesystem::temp_directory_path() / ("rankview-gate." + std::to_string(getpid()) + "." + std::to_string(number++))).string();
    std::filesystem::remove(path_);
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  // Waits for those who read the file.
  ~Gate() {
    open();
    client().wait(limit);
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }

  [[nodiscard]] const std::string& path() const { return path_; }

  void open() const { open(path_); }

  // For tasks.
  static void open(const std::string& path) {
    if (std::FILE* file = std::fopen(path.c_str(), "w")) std::fclose(file);
  }
  static void pass(const std::string& path) {
    for (const auto end = std::chrono::steady_clock::now() + limit; access(path.c_str(), F_OK) != 0;) {
      if (std::chrono::steady_clock::now() > end) throw std::runtime_error("the gate did not open");
      std::this_thread::sleep_for(1ms);
    }
  }

 private:
  std::string path_;
};

// What is written to stderr while it lives; of this process, so also what tasks write when there is only one rank.
class Stderr {
 public:
  Stderr() : file_(std::tmpfile()), saved_(dup(STDERR_FILENO)) {
    std::fflush(stderr);
    dup2(fileno(file_), STDERR_FILENO);
  }
  Stderr(const Stderr&) = delete;
  Stderr& operator=(const Stderr&) = delete;
  ~Stderr() {
    restore();
    std::fclose(file_);
  }

  std::string text() {
    restore();
    std::string text;
    std::rewind(file_);
    for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_)) text += static_cast<char>(c);
    return text;
  }

 private:
  void restore() {
    std::fflush(stderr);
    if (const int saved = std::exchange(saved_, -1); saved >= 0) {
      dup2(saved, STDERR_FILENO);
      close(saved);
    }
  }

  std::FILE* file_;
  int saved_;
};

}  // namespace test
