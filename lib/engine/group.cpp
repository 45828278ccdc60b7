// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/group.hpp"

#include "marks/mark.hpp"
#include "transport/process.hpp"

#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace rankview::engine {
namespace {

const std::byte* bytes(const void* data) { return static_cast<const std::byte*>(data); }
std::byte* bytes(void* data) { return static_cast<std::byte*>(data); }

}  // namespace

// Before the vote others may be late by any time, so who waits sleeps in the end. After it all are there, and looking is what moves the
// data.
void Group::wait(transport::Team::Begun transfer, std::uint64_t bytes, const std::function<void()>& late) {
  constexpr unsigned looks_between = 256;
  if (broken_) throw detail::TeamBroken();
  transport::Idle idle(spin_);
  bool told = false;
  for (unsigned looks = 1; !transfer->done(); ++looks) {
    if (agreed_) {
      if (looks % looks_between == 0 && is_broken_()) give_up(std::move(transfer), bytes);
      clock_.spin();
      continue;
    }
    const auto pause = idle.pause();
    if (pause.count() == 0) continue;
    if (is_broken_()) give_up(std::move(transfer), bytes);
    if (late && !std::exchange(told, true)) late();
    clock_.nap(pause);
  }
  idle.reset();
}

// What is on its way between those that live arrives in the meantime: rank 0's call ends when all of them are here, and then the client may
// free the array that they read or write. MPI may go on with the rest for ever, so all that it may look at on this engine is never freed.
void Group::give_up(transport::Team::Begun transfer, std::uint64_t bytes) {
  constexpr std::int64_t at_least = 200'000'000;  // nanoseconds
  constexpr std::int64_t slowest = 10;            // nanoseconds a byte
  const std::int64_t patience = at_least + slowest * static_cast<std::int64_t>(bytes);
  static auto& for_ever = *new std::vector<std::shared_ptr<const void>>;
  RANKVIEW_MARK(team_given_up_in_collective);
  broken_ = true;
  const std::int64_t limit = clock_.now() + patience;
  while (!transfer->done() && clock_.now() < limit) clock_.spin();
  for_ever.insert(for_ever.end(), kept_.begin(), kept_.end());
  for_ever.push_back(std::move(transfer));
  for_ever.push_back(owner_);
  throw detail::TeamBroken();
}

void Group::prepare() {
  if (team_.has_communicator()) return;
  wait(team_.barrier());  // making one blocks, so all come first
  team_.make_communicator();
}

void Group::settle(bool failed, const std::function<void()>& late) {
  if (broken_) return;
  const auto count = std::make_shared<std::int64_t>(failed ? 1 : 0);
  keep(count);
  std::int64_t& ill = *count;
  try {
    wait(team_.count_ill(ill), 0, late);
  } catch (const detail::TeamBroken&) {
    return;
  }
  if (ill != 0) team_.drop_communicator();
}

transport::Verdict Group::vote(const transport::Vote& own) {
  struct Ballot {
    transport::Vote own;
    transport::Verdict verdict;
  };
  const auto ballot = std::make_shared<Ballot>();
  ballot->own = own;
  keep(ballot);
  --votes_;
  transport::Team::Begun cast = team_.gather_votes(ballot->own, {});
  wait(team_.announce(ballot->verdict));
  wait(std::move(cast));
  if (ballot->verdict.go == 0) votes_ = 0;
  return ballot->verdict;
}

std::uint64_t Group::agree(std::uint64_t count) {
  const transport::Verdict verdict = vote({1, count});
  if (verdict.go == 0) throw detail::StoodBack();
  agreed_ = votes_ == 0;
  return verdict.total;
}

void Group::refuse() {
  if (votes_ == 0 || broken_) return;
  try {
    vote({0, 0});
  } catch (const detail::TeamBroken&) {
    // Nobody waits for it any more.
    return;
  }
}

void Group::broadcast(void* to, std::uint64_t size) { wait(team_.broadcast(bytes(to), size), size); }

void Group::scatter(void* to, const detail::Deal& deal) { wait(team_.scatter(nullptr, bytes(to), deal), deal.total * deal.element_bytes); }

void Group::gather(const void* from, std::uint64_t count, const detail::Deal& deal) {
  wait(team_.gather(bytes(from), nullptr, count, {}, deal), count * deal.element_bytes);
}

void Group::reduce(const void* from, std::uint64_t count, detail::Element element, detail::Operation operation) {
  wait(team_.reduce(const_cast<std::byte*>(bytes(from)), count, element, operation), count * detail::size_of(element));
}

void Group::barrier() { wait(team_.barrier()); }

void Group::allreduce(const void* from, void* to, std::uint64_t count, detail::Element element, detail::Operation operation) {
  wait(team_.allreduce(bytes(from), bytes(to), count, element, operation));
}

void Group::allgather_counts(std::uint64_t count, std::span<std::uint64_t> counts) { wait(team_.allgather_counts(count, counts)); }

void Group::allgather(const void* from, void* to, std::span<const std::uint64_t> counts, std::uint64_t element_bytes) {
  wait(team_.allgather(bytes(from), bytes(to), index(), counts, element_bytes));
}

void Group::share(void* data, std::uint64_t size, std::size_t source) { wait(team_.share(bytes(data), size, source)); }

void Group::send(std::size_t to, std::span<const std::byte> data) { wait(team_.send(to, data)); }

detail::Buffer Group::receive(std::size_t from) {
  const auto arrived = std::make_shared<detail::Buffer>();
  keep(arrived);
  try {
    wait(team_.receive(from, *arrived));
  } catch (const std::bad_alloc&) {
    // The others are beyond the point where anybody could stand back.
    transport::end_process(1, "an engine ran out of memory in the middle of a collective");
  }
  return std::move(*arrived);
}

}  // namespace rankview::engine
