// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// The connection over MPI by itself: rank 0 sends frames of all lengths, and rank 1 sends back what it gets. This program's own definitions
// stand before MPI's: few tags are said to be there, so that they are used again and again, and which are used is noted; and what is long
// takes its time, as between hosts.
#define CATCH_CONFIG_RUNNER
#include "catch.hpp"
#include "transport/mpi.hpp"
#include "transport/mpi_endpoint.hpp"

#include <mpi.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace rankview::transport;
using namespace std::chrono_literals;

namespace {

int highest_tag = 40;
int highest_used = 0;
int last_used = 0;
int times_round = 0;
int looks = 0;

}  // namespace

extern "C" {

int MPI_Comm_get_attr(MPI_Comm comm, int key, void* value, int* found) {
  const int error = PMPI_Comm_get_attr(comm, key, value, found);
  if (key == MPI_TAG_UB) *static_cast<int**>(value) = &highest_tag;
  return error;
}

int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request* request) {
  if (tag != 0) {
    highest_used = std::max(highest_used, tag);
    times_round += tag < last_used ? 1 : 0;
    last_used = tag;
  }
  return PMPI_Isend(data, count, type, to, tag, comm, request);
}

int MPI_Testall(int count, MPI_Request requests[], int* done, MPI_Status statuses[]) {
  if (++looks % 4 == 0) return PMPI_Testall(count, requests, done, statuses);
  *done = 0;
  return MPI_SUCCESS;
}

}  // extern "C"

namespace {

using Bytes = std::vector<std::byte>;

// A frame with what came beside it.
struct Letter {
  Bytes records;
  std::vector<Bytes> attachments;

  friend bool operator==(const Letter&, const Letter&) = default;
};

// Which is not the same for two of these.
Bytes some_bytes(std::size_t size, unsigned seed) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((i * 7 + i / 251 + seed) & 0xff);
  return bytes;
}

// Keeps what comes, with its attachments; all but the last of these if it is told to.
class Mailbox final : public FrameHandler {
 public:
  explicit Mailbox(Endpoint& endpoint) : endpoint_(endpoint) {}

  bool drops_last = false;

  void on_frame(Frame& frame) override {
    Incoming& incoming = incoming_.emplace_back();
    incoming.letter.records.assign(frame.records.begin(), frame.records.end());
    if (frame.attachment_sizes.empty()) return;
    std::vector<Claims::Place> places;
    for (const std::uint64_t size : frame.attachment_sizes) incoming.letter.attachments.emplace_back(size);
    if (drops_last) incoming.letter.attachments.pop_back();
    for (Bytes& attachment : incoming.letter.attachments) places.push_back({attachment.data(), attachment.size()});
    incoming.transfer = endpoint_.receive(frame, places);
  }

  // Whether the first is there with all that belongs to it.
  [[nodiscard]] bool complete() {
    return !incoming_.empty() && (incoming_.front().transfer == nullptr || incoming_.front().transfer->done());
  }
  [[nodiscard]] bool empty() const { return incoming_.empty(); }
  Letter take() {
    Letter letter = std::move(incoming_.front().letter);
    incoming_.pop_front();
    return letter;
  }

 private:
  struct Incoming {
    Letter letter;
    std::unique_ptr<Transfer> transfer;
  };

  Endpoint& endpoint_;
  std::deque<Incoming> incoming_;
};

void send(Endpoint& endpoint, int peer, Letter letter) {
  Message message = endpoint.message();
  message.raw(letter.records.data(), letter.records.size());
  const auto kept = std::make_shared<const std::vector<Bytes>>(std::move(letter.attachments));
  for (const Bytes& attachment : *kept) message.attachments.push_back({attachment.data(), attachment.size()});
  message.kept.push_back(kept);
  endpoint.send(peer, std::move(message));
}

MpiEndpoint* endpoint = nullptr;  // of rank 0, to rank 1

// The next letters from rank 1.
std::vector<Letter> receive(std::size_t count, bool drops_last = false) {
  Mailbox mailbox(*endpoint);
  mailbox.drops_last = drops_last;
  std::vector<Letter> letters;
  for (const auto end = std::chrono::steady_clock::now() + 60s; letters.size() < count && std::chrono::steady_clock::now() < end;) {
    endpoint->poll(mailbox);
    if (mailbox.complete()) letters.push_back(mailbox.take());
  }
  return letters;
}

// Until there is nothing more that MPI may look at.
void flush() {
  Mailbox nothing(*endpoint);
  for (const auto end = std::chrono::steady_clock::now() + 60s; !endpoint->flushed() && std::chrono::steady_clock::now() < end;)
    endpoint->poll(nothing);
  CHECK(endpoint->flushed());
  CHECK(nothing.empty());
}

void check_there_and_back(const std::vector<Letter>& letters) {
  for (const Letter& letter : letters) send(*endpoint, 1, letter);
  CHECK(receive(letters.size()) == letters);
  flush();
}

// Rank 1: sends back what comes, until that is a single byte.
void echo(Endpoint& to_rank0) {
  Mailbox mailbox(to_rank0);
  for (bool over = false; !over || !to_rank0.flushed();) {
    to_rank0.poll(mailbox);
    if (!mailbox.complete()) continue;
    Letter letter = mailbox.take();
    over = letter.records.size() == 1;
    send(to_rank0, 0, std::move(letter));
  }
}

}  // namespace

TEST_CASE("frames around the length of what is received at once") {
  std::vector<Letter> letters;
  unsigned seed = 0;
  for (const std::size_t size :
       std::initializer_list<std::size_t>{0, 2, 100, 3983, 3984, 3985, 3999, 4000, 4001, 10'000, 300'000, 3'000'000, 5})
    letters.push_back({some_bytes(size, seed++), {}});
  SECTION("one by one") {
    for (const Letter& letter : letters) check_there_and_back({letter});
  }
  SECTION("behind each other") { check_there_and_back(letters); }
}

TEST_CASE("short frames do not overtake long ones, nor those with attachments") {
  std::vector<Letter> letters;
  for (unsigned i = 0; i < 12; ++i) {
    Letter letter{some_bytes(i % 3 == 0 ? 200'000 : 10, i), {}};
    if (i % 4 == 1) letter.attachments = {some_bytes(100'000, i), {}, some_bytes(7, i + 1)};
    letters.push_back(std::move(letter));
  }
  check_there_and_back(letters);
}

TEST_CASE("a long frame with attachments, some of which nobody has a place for") {
  const Letter letter{some_bytes(50'000, 1), {some_bytes(70'000, 2), some_bytes(90'000, 3)}};
  send(*endpoint, 1, letter);
  const std::vector<Letter> back = receive(1, true);
  REQUIRE(back.size() == 1);
  CHECK(back[0].records == letter.records);
  CHECK(back[0].attachments == std::vector<Bytes>{letter.attachments[0]});
  flush();
  // What comes next has a way of its own.
  check_there_and_back({{some_bytes(50'000, 4), {some_bytes(70'000, 5)}}});
}

TEST_CASE("tags come round") {
  const int before = times_round;
  for (unsigned i = 0; i < 100; ++i) {
    std::vector<Bytes> attachments;
    for (unsigned k = 0; k < i % 5; ++k) attachments.push_back(some_bytes(1000 * k + 1, i + k));
    check_there_and_back({{some_bytes(i % 2 == 0 ? 20'000 : 20, i), std::move(attachments)}});
  }
  CHECK(times_round - before >= 5);
  // As many as there are but for one, so that they fit only from the first on.
  check_there_and_back({{some_bytes(20'000, 1), std::vector<Bytes>(38, some_bytes(10, 2))}});
  check_there_and_back({{some_bytes(20'000, 3), std::vector<Bytes>(38, some_bytes(10, 4))}});
  CHECK(highest_used <= highest_tag);
  CHECK(highest_used > highest_tag - 6);
}

TEST_CASE("what belongs to a message is given back when it has left") {
  static_cast<void>(endpoint->take_sent());
  const auto owned = std::make_shared<const Bytes>(some_bytes(500'000, 1));
  Message message = endpoint->message();
  message.value(std::uint64_t{1});
  message.attachments.push_back({owned->data(), owned->size()});
  message.kept.push_back(owned);
  endpoint->send(1, std::move(message));
  CHECK(owned.use_count() == 2);
  CHECK(receive(1).size() == 1);
  flush();
  CHECK(endpoint->anything_sent());
  CHECK(endpoint->take_sent().size() == 1);
  CHECK(owned.use_count() == 1);
}

// The last, since nothing comes through any more.
TEST_CASE("a peer that is forgotten is not heard, and what is for it is given back") {
  send(*endpoint, 1, {some_bytes(1, 1), {}});
  endpoint->forget(1);
  static_cast<void>(endpoint->take_sent());
  const auto owned = std::make_shared<const Bytes>(some_bytes(100, 1));
  Message message = endpoint->message();
  message.value(std::uint64_t{1});
  message.kept.push_back(owned);
  endpoint->send(1, std::move(message));
  CHECK(endpoint->take_sent().size() == 1);
  CHECK(owned.use_count() == 1);
  // Rank 1 has sent its last by then.
  MPI_Barrier(MPI_COMM_WORLD);
  Mailbox mailbox(*endpoint);
  for (int i = 0; i < 1000; ++i) endpoint->poll(mailbox);
  CHECK(mailbox.empty());
}

int main(int argc, char** argv) {
  const char* const seconds = std::getenv("RANKVIEW_TEST_SECONDS");
  alarm(seconds != nullptr ? static_cast<unsigned>(std::stoul(seconds)) : 280);
  initialise(argc, argv);
  int failures = 0;
  {
    const Communicator comm = Communicator::duplicate(MPI_COMM_WORLD);
    const Communicator teams = Communicator::duplicate(MPI_COMM_WORLD);
    MpiEndpoint own(comm.get(), teams);
    if (comm.rank() == 0) {
      endpoint = &own;
      failures = Catch::Session().run(argc, argv);
    } else {
      echo(own);
      MPI_Barrier(MPI_COMM_WORLD);
    }
    MPI_Barrier(MPI_COMM_WORLD);
  }
  finalise();
  return failures == 0 ? 0 : 1;
}
