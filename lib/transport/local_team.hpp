// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/mpi.hpp"
#include "transport/team.hpp"

#include <map>
#include <memory>
#include <mutex>

namespace rankview::transport {

// Rank 0 and its one engine, a thread of the same process: data is copied by whoever comes second.
class LocalTeam final : public Team {
 public:
  // Where the two meet.
  class Meeting;
  static std::shared_ptr<Meeting> meeting();

  LocalTeam(std::shared_ptr<Meeting> meeting, int member);
  ~LocalTeam() override;

  [[nodiscard]] int member() const override { return member_; }
  [[nodiscard]] int members() const override { return 2; }

  Begun gather_votes(const Vote& own, std::span<Vote> all) override;
  Begun announce(Verdict& verdict) override;
  Begun broadcast(std::byte* data, std::uint64_t bytes) override;
  Begun scatter(const std::byte* from, std::byte* to, const Deal& deal) override;
  Begun gather(const std::byte* from, std::byte* to, std::uint64_t own, std::span<const std::uint64_t> counts, const Deal& deal) override;
  Begun reduce(std::byte* data, std::uint64_t count, Element element, Operation operation) override;

  Begun barrier() override;
  Begun allreduce(const std::byte* from, std::byte* to, std::uint64_t count, Element element, Operation operation) override;
  Begun allgather_counts(const std::uint64_t& own, std::span<std::uint64_t> counts) override;
  Begun allgather(const std::byte* from, std::byte* to, std::size_t place, std::span<const std::uint64_t> counts,
                  std::uint64_t element_bytes) override;
  Begun share(std::byte* data, std::uint64_t bytes, std::size_t source) override;
  Begun send(std::size_t to, std::span<const std::byte> bytes) override;
  Begun receive(std::size_t from, Buffer& into) override;

  Begun count_ill(std::int64_t& ill) override;
  void make_communicator() override;
  void drop_communicator() override;
  [[nodiscard]] bool has_communicator() const override { return attached_ != nullptr; }
  const boost::mpi::communicator& communicator() override { return *attached_; }

 private:
  Begun give(const void* from, std::uint64_t bytes);
  Begun take(void* to);

  std::shared_ptr<Meeting> meeting_;
  int member_;
  std::uint64_t next_ = 0;  // number of what this end begins next
  Communicator own_;        // a communicator of one, for callables that want one
  std::unique_ptr<const boost::mpi::communicator> attached_;
};

}  // namespace rankview::transport
