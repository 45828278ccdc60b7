// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/mpi.hpp"
#include "transport/team.hpp"

#include <memory>
#include <vector>

namespace rankview::transport {

// A team as two communicators: one with rank 0, for data, and one of the engines alone, with a duplicate for callables. Everything is an
// MPI collective in its non-blocking form.
class MpiTeam final : public Team {
 public:
  // Collective over rank 0 of `parent` and `engines`, its ranks. Uses `tag` on `parent`.
  MpiTeam(const Communicator& parent, const std::vector<int>& engines, int tag);
  ~MpiTeam() override;

  [[nodiscard]] int member() const override { return member_; }
  [[nodiscard]] int members() const override { return members_; }

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
  class Requests;

  static void begin_broadcast(std::byte* data, std::uint64_t bytes, int root, MPI_Comm comm, Requests& requests);
  void begin_exchange(std::byte* data, bool sends, std::uint64_t own, std::span<const std::uint64_t> counts, const Deal& deal,
                      Requests& requests);

  Communicator with_root_;
  Communicator engines_;        // none on rank 0
  Communicator dropped_;        // the last one that was given up; until there is another, so that this does not get its context
  Communicator for_callables_;  // a duplicate of those, made when first wanted
  std::unique_ptr<const boost::mpi::communicator> attached_;
  int member_;
  int members_;
};

}  // namespace rankview::transport
