// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "support.hpp"
#include "transport/local_endpoint.hpp"

#include <array>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace rankview::transport;

namespace {

std::string text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

class Inbox final : public FrameHandler {
 public:
  explicit Inbox(Endpoint& endpoint) : endpoint_(endpoint) {}

  std::vector<std::string> texts;
  std::vector<int> peers;
  std::vector<std::vector<std::uint64_t>> sizes;
  std::vector<Claims::Place> places;  // for the next attachments
  bool arrived = false;

  void on_frame(Frame& frame) override {
    texts.push_back(text_of(frame.records));
    peers.push_back(frame.peer);
    sizes.emplace_back(frame.attachment_sizes.begin(), frame.attachment_sizes.end());
    if (!frame.attachment_sizes.empty()) arrived = endpoint_.receive(frame, places)->done();
  }

 private:
  Endpoint& endpoint_;
};

Message message_of_text(Endpoint& endpoint, const std::string& text) {
  Message message = endpoint.message();
  message.raw(text.data(), text.size());
  return message;
}

}  // namespace

TEST_CASE("frames arrive in order, both ways", "[local_endpoint]") {
  const auto [down, up] = LocalEndpoint::pair();
  Inbox above(*down);
  Inbox below(*up);
  CHECK_FALSE(up->poll(below));
  for (const char* const text : {"one", "", "three"}) down->send(1, message_of_text(*down, text));
  up->send(0, message_of_text(*up, "back"));
  CHECK(down->flushed());
  CHECK(up->poll(below));
  CHECK_FALSE(up->poll(below));
  CHECK(down->poll(above));
  CHECK(below.texts == std::vector<std::string>{"one", "", "three"});
  CHECK(below.peers == std::vector<int>{0, 0, 0});
  CHECK(above.texts == std::vector<std::string>{"back"});
  CHECK(above.peers == std::vector<int>{1});
}

TEST_CASE("attachments arrive in the places that are given for them", "[local_endpoint]") {
  const auto [down, up] = LocalEndpoint::pair();
  Inbox below(*up);
  const std::string first = "first attachment";
  const std::string second = "second";
  Message message = message_of_text(*down, "see attached");
  message.attachments.push_back({reinterpret_cast<const std::byte*>(first.data()), first.size()});
  message.attachments.push_back({reinterpret_cast<const std::byte*>(second.data()), second.size()});
  down->send(1, std::move(message));

  std::array<std::byte, 16> one{};
  std::array<std::byte, 6> two{};
  below.places = {{one.data(), one.size()}, {two.data(), two.size()}};
  CHECK(up->poll(below));
  CHECK(below.arrived);
  CHECK(below.sizes.at(0) == std::vector<std::uint64_t>{16, 6});
  CHECK(text_of(one) == first);
  CHECK(text_of(two) == second);
}

TEST_CASE("attachments without a place are dropped", "[local_endpoint]") {
  const auto [down, up] = LocalEndpoint::pair();
  Inbox below(*up);
  const std::string data(6, 'x');
  for (int i = 0; i < 2; ++i) {
    Message message = message_of_text(*down, "m");
    for (int n = 0; n < 2; ++n) message.attachments.push_back({reinterpret_cast<const std::byte*>(data.data()), data.size()});
    down->send(1, std::move(message));
  }
  std::array<std::byte, 6> only{};
  below.places = {{only.data(), only.size()}};
  CHECK(up->poll(below));
  CHECK(below.texts.size() == 2);
  CHECK(text_of(only) == data);
}

TEST_CASE("what a message keeps lives until it has arrived", "[local_endpoint]") {
  const auto [down, up] = LocalEndpoint::pair();
  Inbox below(*up);
  auto kept = std::make_shared<std::string>("owned by the message");
  const std::weak_ptr<std::string> watch = kept;
  Message message = message_of_text(*down, "m");
  message.attachments.push_back({reinterpret_cast<const std::byte*>(kept->data()), kept->size()});
  message.kept.push_back(std::move(kept));
  down->send(1, std::move(message));
  CHECK_FALSE(watch.expired());
  std::array<std::byte, 20> place{};
  below.places = {{place.data(), place.size()}};
  CHECK(up->poll(below));
  CHECK(text_of(place) == "owned by the message");
  // It may be the user's, whose destructors are not for a poll.
  CHECK(up->anything_sent());
  CHECK_FALSE(watch.expired());
  up->take_sent().clear();
  CHECK(watch.expired());
}

TEST_CASE("a sleeper wakes for a message", "[local_endpoint]") {
  const auto ends = LocalEndpoint::pair();
  Endpoint& down = *ends.first;
  Endpoint& up = *ends.second;
  std::string seen;
  std::thread engine([&] {
    Inbox below(up);
    SpinTime idle_spin(IdleLimits{.spin = std::chrono::nanoseconds(0), .sleep = std::chrono::milliseconds(1)});
    Idle idle(idle_spin);
    while (!up.poll(below)) up.doze(idle);
    seen = below.texts.at(0);
  });
  down.send(1, message_of_text(down, "wake up"));
  engine.join();
  CHECK(seen == "wake up");
}

TEST_CASE("threads at both ends", "[local_endpoint]") {
  constexpr int count = 2000;
  const auto ends = LocalEndpoint::pair();
  Endpoint& down = *ends.first;
  Endpoint& up = *ends.second;
  std::thread engine([&] {
    Inbox below(up);
    SpinTime idle_spin(IdleLimits{});
    Idle idle(idle_spin);
    while (below.texts.size() < count) {
      const std::size_t before = below.texts.size();
      if (!up.poll(below)) {
        up.doze(idle);
        continue;
      }
      idle.reset();
      for (std::size_t i = before; i < below.texts.size(); ++i) up.send(0, message_of_text(up, below.texts[i] + "!"));
    }
  });
  for (int i = 0; i < count; ++i) down.send(1, message_of_text(down, std::to_string(i)));
  Inbox above(down);
  SpinTime idle_spin(IdleLimits{});
  Idle idle(idle_spin);
  while (above.texts.size() < count) {
    if (!down.poll(above)) down.doze(idle);
  }
  engine.join();
  bool in_order = true;
  for (int i = 0; i < count; ++i) in_order = in_order && above.texts[static_cast<std::size_t>(i)] == std::to_string(i) + "!";
  CHECK(in_order);
}

TEST_CASE("a message begins with room for its header", "[local_endpoint]") {
  Message message;
  CHECK(message.empty());
  CHECK(message.size() == 0);
  message.value(7);
  CHECK(message.size() == sizeof(int));
  Message again(std::move(message.bytes));
  CHECK(again.empty());
}
