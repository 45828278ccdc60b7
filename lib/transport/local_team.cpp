// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "transport/local_team.hpp"

#include <boost/mpi/communicator.hpp>

#include <atomic>
#include <cstring>
#include <utility>

namespace rankview::transport {

class LocalTeam::Meeting {
 public:
  struct Exchange {
    const void* from = nullptr;
    void* to = nullptr;
    std::uint64_t bytes = 0;
    bool half = false;  // one of the two was there
    std::atomic<bool> done{false};
  };

  // Adds one side of exchange `number`; copies if the other is there.
  template <class Side>
  std::shared_ptr<Exchange> meet(std::uint64_t number, Side side) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Exchange>& found = open_[number];
    if (found == nullptr) found = std::make_shared<Exchange>();
    std::shared_ptr<Exchange> exchange = found;
    side(*exchange);
    if (std::exchange(exchange->half, true)) {
      if (exchange->bytes != 0) std::memcpy(exchange->to, exchange->from, exchange->bytes);
      exchange->done.store(true, std::memory_order_release);
      open_.erase(number);
    }
    return exchange;
  }

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Exchange>> open_;
};

namespace {

class Met final : public Transfer {
 public:
  template <class Exchange>
  explicit Met(const std::shared_ptr<Exchange>& exchange) : done_(exchange, &exchange->done) {}
  bool done() override { return done_->load(std::memory_order_acquire); }

 private:
  std::shared_ptr<std::atomic<bool>> done_;
};

// What takes only one.
class Over final : public Transfer {
 public:
  bool done() override { return true; }
};

Team::Begun copied(const std::byte* from, std::byte* to, std::uint64_t bytes) {
  if (from != to && bytes != 0) std::memcpy(to, from, bytes);
  return std::make_unique<Over>();
}

}  // namespace

std::shared_ptr<LocalTeam::Meeting> LocalTeam::meeting() { return std::make_shared<Meeting>(); }

LocalTeam::LocalTeam(std::shared_ptr<Meeting> meeting, int member) : meeting_(std::move(meeting)), member_(member) {}
LocalTeam::~LocalTeam() = default;

Team::Begun LocalTeam::give(const void* from, std::uint64_t bytes) {
  return std::make_unique<Met>(meeting_->meet(next_++, [=](Meeting::Exchange& exchange) {
    exchange.from = from;
    exchange.bytes = bytes;
  }));
}

Team::Begun LocalTeam::take(void* to) {
  return std::make_unique<Met>(meeting_->meet(next_++, [to](Meeting::Exchange& exchange) { exchange.to = to; }));
}

Team::Begun LocalTeam::gather_votes(const Vote& own, std::span<Vote> all) {
  return member_ == 0 ? take(&all[1]) : give(&own, sizeof(Vote));
}
Team::Begun LocalTeam::announce(Verdict& verdict) { return member_ == 0 ? give(&verdict, sizeof(Verdict)) : take(&verdict); }
Team::Begun LocalTeam::broadcast(std::byte* data, std::uint64_t bytes) { return member_ == 0 ? give(data, bytes) : take(data); }
Team::Begun LocalTeam::scatter(const std::byte* from, std::byte* to, const Deal& deal) {
  return member_ == 0 ? give(from, deal.total * deal.element_bytes) : take(to);
}
Team::Begun LocalTeam::gather(const std::byte* from, std::byte* to, std::uint64_t own, std::span<const std::uint64_t>, const Deal& deal) {
  return member_ == 0 ? take(to) : give(from, own * deal.element_bytes);
}
// Of one contribution.
Team::Begun LocalTeam::reduce(std::byte* data, std::uint64_t count, Element element, Operation) {
  return member_ == 0 ? take(data) : give(data, count * detail::size_of(element));
}

Team::Begun LocalTeam::barrier() { return std::make_unique<Over>(); }
Team::Begun LocalTeam::allreduce(const std::byte* from, std::byte* to, std::uint64_t count, Element element, Operation) {
  return copied(from, to, count * detail::size_of(element));
}
Team::Begun LocalTeam::allgather_counts(const std::uint64_t& own, std::span<std::uint64_t> counts) {
  counts[0] = own;
  return std::make_unique<Over>();
}
Team::Begun LocalTeam::allgather(const std::byte* from, std::byte* to, std::size_t, std::span<const std::uint64_t> counts,
                                 std::uint64_t element_bytes) {
  return copied(from, to, counts[0] * element_bytes);
}
Team::Begun LocalTeam::share(std::byte*, std::uint64_t, std::size_t) { return std::make_unique<Over>(); }
Team::Begun LocalTeam::send(std::size_t, std::span<const std::byte>) { throw UsageError("a team of one engine has nobody to send to"); }
Team::Begun LocalTeam::receive(std::size_t, Buffer&) { throw UsageError("a team of one engine has nobody to receive from"); }

Team::Begun LocalTeam::count_ill(std::int64_t&) { return std::make_unique<Over>(); }

void LocalTeam::drop_communicator() {
  attached_.reset();
  own_ = Communicator();
}

void LocalTeam::make_communicator() {
  if (thread_level() < ThreadLevel::serialized)
    throw UsageError(
        "with one rank the engine is a thread, and a callable that wants a communicator needs MPI_THREAD_SERIALIZED or more; MPI runs "
        "with " +
        std::string(to_string(thread_level())));
  own_ = Communicator::duplicate(MPI_COMM_SELF);
  attached_ = std::make_unique<const boost::mpi::communicator>(own_.get(), boost::mpi::comm_attach);
}

}  // namespace rankview::transport
