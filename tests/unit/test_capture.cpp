// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "capture/excerpt.hpp"
#include "capture/lines.hpp"
#include "capture/redirection.hpp"
#include "catch.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace rankview::capture;

namespace {

// A file, and what has been written to it by whoever has its descriptor.
class Sink {
 public:
  [[nodiscard]] int fd() const { return fileno(file_.get()); }
  [[nodiscard]] std::string text() const {
    std::string text(1 << 20, ' ');
    text.resize(static_cast<std::size_t>(::pread(fd(), text.data(), text.size(), 0)));
    return text;
  }

 private:
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_{std::tmpfile(), &std::fclose};
};

// Where this process prints while it lives, instead of where it does.
class Elsewhere {
 public:
  Elsewhere() {
    std::fflush(nullptr);
    ::dup2(out.fd(), STDOUT_FILENO);
    ::dup2(err.fd(), STDERR_FILENO);
  }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;
  ~Elsewhere() {
    std::fflush(nullptr);
    for (const int number : {STDOUT_FILENO, STDERR_FILENO}) {
      ::dup2(saved_[static_cast<std::size_t>(number)], number);
      ::close(saved_[static_cast<std::size_t>(number)]);
    }
  }

  Sink out;
  Sink err;

 private:
  std::array<int, 3> saved_{-1, ::dup(STDOUT_FILENO), ::dup(STDERR_FILENO)};
};

constexpr Terms kept{1000, false};

std::string excerpt_of(const std::string& text, std::size_t first, std::size_t last, std::size_t piece) {
  Excerpt excerpt(first, last);
  for (std::size_t i = 0; i < text.size(); i += piece) excerpt.add(std::string_view(text).substr(i, piece));
  return excerpt.text();
}

}  // namespace

TEST_CASE("an excerpt has the beginning and the end, whatever the pieces", "[capture]") {
  std::string text;
  for (int i = 0; i < 100; ++i) text += std::to_string(i) + " ";
  for (std::size_t length = 0; length <= text.size(); ++length) {
    const std::string some = text.substr(0, length);
    std::string expected = some;
    if (length > 20)
      expected = some.substr(0, 13) + "\n[" + std::to_string(length - 20) + " bytes are left out here]\n" + some.substr(length - 7);
    for (const std::size_t piece : std::initializer_list<std::size_t>{1, 2, 3, 7, 8, 13, 100, 1000}) {
      if (excerpt_of(some, 13, 7, piece) != expected) FAIL("of " << length << " bytes in pieces of " << piece);
    }
  }
  CHECK(excerpt_of(text, 0, 3, 5) == "\n[" + std::to_string(text.size() - 3) + " bytes are left out here]\n99 ");
  CHECK(excerpt_of(text, 0, 0, 5).empty());
  Excerpt excerpt(1, 1);
  CHECK(excerpt.empty());
  excerpt.add("abc");
  CHECK_FALSE(excerpt.empty());
  CHECK(excerpt.left_out() == 1);
  excerpt.clear();
  CHECK(excerpt.empty());
  CHECK(excerpt.text().empty());
}

TEST_CASE("lines are shown when they are whole", "[capture]") {
  const Sink sink;
  Lines lines("> ");
  lines.add("a", sink.fd());
  CHECK(sink.text().empty());
  lines.add("b\n\nc\nd", sink.fd());
  CHECK(sink.text() == "> ab\n> \n> c\n");
  lines.end(sink.fd());
  lines.end(sink.fd());
  CHECK(sink.text() == "> ab\n> \n> c\n> d\n");
  // One that has no end gets one.
  lines.add(std::string(100'000, 'x'), sink.fd());
  CHECK(sink.text().size() == 16 + 2 + 100'000 + 1);
  CHECK(prefix_of(STDERR_FILENO, 3) == "[stderr:3] ");
}

TEST_CASE("what is printed while a task runs is the task's, and the rest goes where it went", "[capture]") {
  std::vector<Texts> tasks;
  bool silent_has_any = true;
  std::string out;
  std::string err;
  {
    const Elsewhere elsewhere;
    Redirection outputs(kept, 0);
    std::cout << "before ";
    outputs.divert();
    std::cout << "between ";
    std::cerr << "a complaint";
    auto none = outputs.begin();
    std::cout << "one";
    std::printf(" and %d", 1);
    std::cerr << "oh";
    if (outputs.any()) tasks.push_back(outputs.take());
    silent_has_any = outputs.any();
    static_cast<void>(std::system("echo two"));
    std::thread([] { static_cast<void>(::write(STDOUT_FILENO, "2", 1)); }).join();
    if (outputs.any()) tasks.push_back(outputs.take());
    outputs.end(std::move(none));
    say("said ");
    std::cout << "after ";
    outputs.restore();
    std::cout << "at last";
    std::cout.flush();
    out = elsewhere.out.text();
    err = elsewhere.err.text();
  }
  CHECK(out == "before between after at last");
  CHECK(err == "a complaintsaid ");
  REQUIRE(tasks.size() == 2);
  CHECK(tasks[0].out == "one and 1");
  CHECK(tasks[0].err == "oh");
  CHECK(tasks[1].out == "two\n2");
  CHECK(tasks[1].err.empty());
  CHECK_FALSE(silent_has_any);
}

TEST_CASE("a task that waits for others goes on with what it has printed", "[capture]") {
  Texts inner;
  Texts outer;
  {
    const Elsewhere elsewhere;
    Redirection outputs(kept, 0);
    const Diverted diverted(&outputs);
    auto none = outputs.begin();
    std::cout << "a ";
    auto waiting = outputs.begin();
    std::cout << "b ";
    if (outputs.any()) inner = outputs.take();
    std::cout << "late ";
    outputs.end(std::move(waiting));
    if (outputs.any()) outer = outputs.take();
    outputs.end(std::move(none));
  }
  CHECK(inner.out == "b ");
  CHECK(outer.out == "a late ");
}

TEST_CASE("whoever prints much waits for nobody", "[capture]") {
  constexpr std::size_t lines = 200'000;
  Texts task;
  {
    const Elsewhere elsewhere;
    Redirection outputs(kept, 0);
    const Diverted diverted(&outputs);
    auto none = outputs.begin();
    for (std::size_t i = 0; i < lines; ++i) std::fputs("0123456789\n", stdout);
    if (outputs.any()) task = outputs.take();
    outputs.end(std::move(none));
  }
  CHECK(task.out.starts_with("0123456789\n"));
  CHECK(task.out.size() < 1100);
  CHECK(task.out.find("[" + std::to_string(lines * 11 - 1000) + " bytes are left out here]") != std::string::npos);
}

TEST_CASE("lines of tasks are shown with their engine", "[capture]") {
  Texts task;
  std::string out;
  std::string err;
  {
    const Elsewhere elsewhere;
    Redirection outputs({0, true}, 7);
    outputs.divert();
    auto none = outputs.begin();
    std::cout << "one\ntwo";
    std::cerr << "three\n";
    if (outputs.any()) task = outputs.take();
    std::cout << "four\n";
    outputs.end(std::move(none));
    outputs.restore();
    out = elsewhere.out.text();
    err = elsewhere.err.text();
  }
  CHECK(out == "[stdout:7] one\n[stdout:7] two\n[stdout:7] four\n");
  CHECK(err == "[stderr:7] three\n");
  CHECK(task.empty());
}

TEST_CASE("what a task has printed with which the process ends goes where it would have gone", "[capture]") {
  std::string out;
  std::string err;
  {
    const Elsewhere elsewhere;
    Redirection outputs(kept, 0);
    outputs.divert();
    auto none = outputs.begin();
    std::cout << "a part" << std::flush;
    give_back();
    give_back();
    std::cerr << "why it ends";
    out = elsewhere.out.text();
    err = elsewhere.err.text();
  }
  CHECK(out == "a part");
  CHECK(err == "why it ends");
}
