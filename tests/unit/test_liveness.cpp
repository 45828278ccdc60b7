// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "liveness/chaos.hpp"
#include "liveness/side_channel.hpp"
#include "liveness/side_line.hpp"
#include "liveness/signs.hpp"
#include "liveness/sockets.hpp"
#include "support.hpp"

#include <rankview/errors.hpp>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace rankview::liveness;
using namespace std::chrono_literals;
using Kind = Sign::Kind;
using rankview::isolation::Fd;

// What tells that a rank has died, within one process, and between this and children of it.
namespace {

// Nothing takes longer.
constexpr auto limit = 60s;

template <class Ready>
bool wait_until(Ready ready) {
  for (const auto end = std::chrono::steady_clock::now() + limit; !ready();) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

// The next sign.
Sign next(Signs& signs) {
  std::vector<Sign> taken;
  REQUIRE(wait_until([&] {
    taken = signs.take();
    return !taken.empty();
  }));
  REQUIRE(taken.size() == 1);
  return taken.front();
}

// Whether there is something to be read, or the end.
bool readable(int fd) {
  pollfd watched{fd, POLLIN, 0};
  return ::poll(&watched, 1, static_cast<int>(std::chrono::milliseconds(limit).count())) == 1;
}

// A connection to rank 0, as a SideLine makes it, that says `hello`.
Fd connect_as(const Invitation& invitation, const Note& hello) {
  REQUIRE(invitation.count > 0);
  Fd socket = connect_to(invitation.hosts[0], invitation.ports[0], 5000ms, -1);
  REQUIRE(socket);
  REQUIRE(::send(socket.get(), &hello, sizeof(hello), MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(hello)));
  return socket;
}
Note hello(const Invitation& invitation, int rank) { return {Note::hello, rank, invitation.token[0], invitation.token[1]}; }

// The next thing that rank 0 says; of kind 0 where it hangs up.
Note answer(const Fd& socket) {
  Note note{0, 0, 0, 0};
  REQUIRE(readable(socket.get()));
  if (::recv(socket.get(), &note, sizeof(note), 0) <= 0) return {0, 0, 0, 0};
  return note;
}

// Rank 1 on this machine, which is this process and lives on.
std::vector<SideChannel::Peer> one_peer() { return {{1, "here", static_cast<long>(::getpid())}}; }

}  // namespace

TEST_CASE("signs come in order, each once", "[liveness]") {
  Signs signs;
  CHECK_FALSE(signs.any());
  CHECK(signs.take().empty());
  signs.add({Kind::silent, 1, "silent"});
  signs.add({Kind::answers, 1, "answers"});
  CHECK(signs.any());
  const std::vector<Sign> taken = signs.take();
  REQUIRE(taken.size() == 2);
  CHECK(taken[0].kind == Kind::silent);
  CHECK(taken[1].kind == Kind::answers);
  CHECK_FALSE(signs.any());
  CHECK(signs.take().empty());
}

TEST_CASE("who listens next hears of the dead, and of nothing else that was before", "[liveness]") {
  Signs signs;
  int woken = 0;
  signs.listen([&woken] { ++woken; });
  signs.add({Kind::silent, 1, "silent"});
  signs.add({Kind::died, 2, "died"});
  CHECK(woken == 2);
  CHECK(signs.take().size() == 2);
  signs.listen_no_more();
  signs.add({Kind::silent, 3, "silent"});
  CHECK(woken == 2);
  signs.listen([&woken] { ++woken; });
  const std::vector<Sign> taken = signs.take();
  REQUIRE(taken.size() == 1);
  CHECK(taken[0].peer == 2);
}

TEST_CASE("what a rehearsal is to be", "[liveness]") {
  const Chaos::Settings all = Chaos::read("kill:0.25,hang:1,seed:7");
  CHECK(all.kill == 0.25);
  CHECK(all.hang == 1);
  CHECK(all.seed == 7);
  CHECK(Chaos::read("hang:0.5").kill == 0);
  CHECK(Chaos::read("").hang == 0);
  for (const char* const text : {"kill", "kill:", "kill:2", "kill:-1", "kill:0.5x", "seed:-1", "seed:1.5", "boom:1", "kill:0.1,,hang:1"}) {
    CAPTURE(text);
    const std::string message = unit::message_of<rankview::UsageError>([&] { Chaos::read(text); });
    CHECK(unit::contains(message, "RANKVIEW_CHAOS should be as in kill:0.01,hang:0.001,seed:7, and is \"" + std::string(text) + "\""));
  }
}

TEST_CASE("a rehearsal strikes as often as it is told to", "[liveness]") {
  Chaos never({.kill = 0, .hang = 0, .seed = 1}, 1);
  for (int i = 0; i < 1000; ++i) never.strike();
  // The same seed strikes the same.
  const auto tasks_of = [](std::uint64_t seed) {
    const auto [from, to] = rankview::isolation::pipe_pair();
    const pid_t child = ::fork();
    if (child == 0) {
      Chaos chaos({.kill = 0.01, .hang = 0, .seed = seed}, 1);
      for (;;) {
        [[maybe_unused]] const auto written = ::write(to.get(), "x", 1);
        chaos.strike();
      }
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGKILL);
    std::vector<char> tasks(65'536);
    return ::read(from.get(), tasks.data(), tasks.size());
  };
  CHECK(tasks_of(3) == tasks_of(3));
}

TEST_CASE("the end of a process is noticed", "[liveness]") {
  const auto [from, to] = rankview::isolation::pipe_pair();
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    [[maybe_unused]] const auto got = ::read(from.get(), &byte, 1);
    ::_exit(0);
  }
  const Fd process = open_process(child);
  REQUIRE(process);
  pollfd watched{process.get(), POLLIN, 0};
  CHECK(::poll(&watched, 1, 0) == 0);
  REQUIRE(::write(to.get(), "x", 1) == 1);
  CHECK(readable(process.get()));
  ::waitpid(child, nullptr, 0);
  CHECK_FALSE(open_process(child));
}

TEST_CASE("nobody listens where it is connected to", "[liveness]") {
  Listener listener = listen_on(htonl(INADDR_LOOPBACK));
  REQUIRE(listener.socket);
  CHECK(connect_to(htonl(INADDR_LOOPBACK), listener.port, 5000ms, -1));
  listener.socket.reset();
  CHECK_FALSE(connect_to(htonl(INADDR_LOOPBACK), listener.port, 5000ms, -1));
}

TEST_CASE("who says good-bye has not died", "[liveness]") {
  Signs signs;
  std::atomic<bool> rank0_gone{false};
  {
    const SideChannel channel(signs, one_peer(), 60'000ms);
    {
      const SideLine line(channel.invitation(), 1, ::getpid(), [&rank0_gone](const std::string&) { rank0_gone = true; });
    }
    // Nor can it be somebody else after that.
    CHECK(answer(connect_as(channel.invitation(), hello(channel.invitation(), 1))).kind == 0);
  }
  CHECK_FALSE(signs.any());
  CHECK_FALSE(rank0_gone);
}

TEST_CASE("a connection that ends without good-bye is a death", "[liveness]") {
  Signs signs;
  const SideChannel channel(signs, one_peer(), 60'000ms);
  Fd socket = connect_as(channel.invitation(), hello(channel.invitation(), 1));
  CHECK(answer(socket).kind == Note::hello);
  SECTION("nothing is known of it") {
    socket.reset();
    const Sign sign = next(signs);
    CHECK(sign.kind == Kind::died);
    CHECK(sign.peer == 1);
    CHECK(sign.seen == "its connection was closed");
    CHECK(sign.signal == 0);
  }
  SECTION("it has told of its crash") {
    const Note crash{Note::crash, SIGSEGV, 17, 4};
    REQUIRE(::send(socket.get(), &crash, sizeof(crash), MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(crash)));
    socket.reset();
    const Sign sign = next(signs);
    CHECK(sign.seen == "signal 11 (SIGSEGV)");
    CHECK(sign.signal == SIGSEGV);
    CHECK(sign.task == rankview::TaskId{17, 4});
  }
  SECTION("it has told of its exit, in two parts") {
    const Note exit{Note::exit, 3, 0, 0};
    const auto* const bytes = reinterpret_cast<const char*>(&exit);
    REQUIRE(::send(socket.get(), bytes, 5, MSG_NOSIGNAL) == 5);
    REQUIRE(::send(socket.get(), bytes + 5, sizeof(exit) - 5, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(exit) - 5));
    socket.reset();
    CHECK(next(signs).seen == "it left by exit(3)");
  }
}

TEST_CASE("who does not know the token is turned away", "[liveness]") {
  Signs signs;
  const SideChannel channel(signs, one_peer(), 60'000ms);
  const Invitation& invitation = channel.invitation();
  CHECK(answer(connect_as(invitation, {Note::hello, 1, invitation.token[0], invitation.token[1] + 1})).kind == 0);
  CHECK(answer(connect_as(invitation, {Note::beat, 1, invitation.token[0], invitation.token[1]})).kind == 0);
  CHECK(answer(connect_as(invitation, hello(invitation, 2))).kind == 0);
  CHECK(answer(connect_as(invitation, hello(invitation, 1))).kind == Note::hello);
  // The place is taken.
  CHECK(answer(connect_as(invitation, hello(invitation, 1))).kind == 0);
}

TEST_CASE("who says nothing is silent until it does", "[liveness]") {
  Signs signs;
  const SideChannel channel(signs, one_peer(), 50ms);
  const Fd socket = connect_as(channel.invitation(), hello(channel.invitation(), 1));
  CHECK(answer(socket).kind == Note::hello);
  const Sign silent = next(signs);
  CHECK(silent.kind == Kind::silent);
  CHECK(silent.peer == 1);
  CHECK(unit::contains(silent.seen, "no sign of life"));
  const Note beat;
  REQUIRE(::send(socket.get(), &beat, sizeof(beat), MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(beat)));
  std::vector<Sign> taken;
  REQUIRE(wait_until([&] {
    taken = signs.take();
    return !taken.empty();
  }));
  CHECK(taken.front().kind == Kind::answers);
  const Note bye{Note::bye, 0, 0, 0};
  REQUIRE(::send(socket.get(), &bye, sizeof(bye), MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(bye)));
}

TEST_CASE("the end of a process that never connected is a death", "[liveness]") {
  const auto [from, to] = rankview::isolation::pipe_pair();
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    [[maybe_unused]] const auto got = ::read(from.get(), &byte, 1);
    ::_exit(0);
  }
  Signs signs;
  const SideChannel channel(signs, {{2, "here", static_cast<long>(child)}}, 60'000ms);
  REQUIRE(::write(to.get(), "x", 1) == 1);
  const Sign sign = next(signs);
  CHECK(sign.kind == Kind::died);
  CHECK(sign.peer == 2);
  CHECK(sign.seen == "its process has ended");
  ::waitpid(child, nullptr, 0);
}

TEST_CASE("an engine notices that rank 0 is gone", "[liveness]") {
  const Listener listener = listen_on(htonl(INADDR_LOOPBACK));
  REQUIRE(listener.socket);
  Invitation invitation;
  invitation.token = {1, 2};
  invitation.count = 1;
  invitation.hosts[0] = htonl(INADDR_LOOPBACK);
  invitation.ports[0] = listener.port;
  std::atomic<bool> gone{false};
  std::string seen;
  const SideLine line(invitation, 3, 0, [&](const std::string& what) {
    seen = what;
    gone = true;
  });
  REQUIRE(readable(listener.socket.get()));
  Fd rank0(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  REQUIRE(rank0);
  const Note introduced = answer(rank0);
  CHECK(introduced.kind == Note::hello);
  CHECK(introduced.value == 3);
  CHECK(introduced.first == 1);
  CHECK(introduced.second == 2);
  const Note welcome{Note::hello, 0, 0, 0};
  REQUIRE(::send(rank0.get(), &welcome, sizeof(welcome), MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(welcome)));
  // It says that it lives, and what it crashes of.
  CHECK(answer(rank0).kind == Note::beat);
  tell_crash(SIGABRT, {5, 6});
  Note told = answer(rank0);
  while (told.kind == Note::beat) told = answer(rank0);
  CHECK(told.kind == Note::crash);
  CHECK(told.value == SIGABRT);
  CHECK(told.first == 5);
  CHECK(told.second == 6);
  rank0.reset();
  REQUIRE(wait_until([&gone] { return gone.load(); }));
  CHECK(seen == "its connection was closed");
}
