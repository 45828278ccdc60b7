// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/transfer.hpp"

#include <rankview/detail/buffer.hpp>
#include <rankview/detail/collective.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace rankview::transport {

using detail::Buffer;
using detail::Deal;
using detail::Element;
using detail::Operation;

// What an engine says before a collective.
struct Vote {
  std::int64_t ready = 0;  // 1: it can take part
  std::uint64_t count = 0;
};

// And what rank 0 makes of all votes.
struct Verdict {
  std::int64_t go = 0;
  std::uint64_t total = 0;
};

// Rank 0 and the engines of a view, in target order, as one of them sees them. Nothing here waits: what is begun is over when the Transfer
// is done. All members begin the same things in the same order; what is passed must live until then.
//
// Members are numbered as MPI ranks of the communicator with rank 0: the engine at place i of the view is member i + 1.
class Team {
 public:
  using Begun = std::unique_ptr<Transfer>;

  virtual ~Team() = default;

  [[nodiscard]] virtual int member() const = 0;
  [[nodiscard]] virtual int members() const = 0;  // rank 0 included
  [[nodiscard]] std::size_t engines() const { return static_cast<std::size_t>(members()) - 1; }

  // ---- with rank 0 as the root ----
  virtual Begun gather_votes(const Vote& own, std::span<Vote> all) = 0;  // `all`: on rank 0, by member
  virtual Begun announce(Verdict& verdict) = 0;
  virtual Begun broadcast(std::byte* data, std::uint64_t bytes) = 0;
  virtual Begun scatter(const std::byte* from, std::byte* to, const Deal& deal) = 0;
  // `counts`: on rank 0, of the engines in order; their sum is the deal's total.
  virtual Begun gather(const std::byte* from, std::byte* to, std::uint64_t own, std::span<const std::uint64_t> counts,
                       const Deal& deal) = 0;
  // Rank 0 puts in what `data` holds there, and has the result in its place.
  virtual Begun reduce(std::byte* data, std::uint64_t count, Element element, Operation operation) = 0;

  // ---- among the engines ----
  virtual Begun barrier() = 0;
  virtual Begun allreduce(const std::byte* from, std::byte* to, std::uint64_t count, Element element, Operation operation) = 0;
  virtual Begun allgather_counts(const std::uint64_t& own, std::span<std::uint64_t> counts) = 0;
  virtual Begun allgather(const std::byte* from, std::byte* to, std::size_t place, std::span<const std::uint64_t> counts,
                          std::uint64_t element_bytes) = 0;
  virtual Begun share(std::byte* data, std::uint64_t bytes, std::size_t source) = 0;
  virtual Begun send(std::size_t to, std::span<const std::byte> bytes) = 0;
  // Null while nothing has come.
  virtual Begun receive(std::size_t from, Buffer& into) = 0;

  // Tells all engines whether each is well: `ill` is how many are not.
  virtual Begun count_ill(std::int64_t& ill) = 0;

  // A communicator of the engines alone, for callables. All of them make it together, which waits for them, and drop it together.
  virtual void make_communicator() = 0;
  virtual void drop_communicator() = 0;
  [[nodiscard]] virtual bool has_communicator() const = 0;
  virtual const boost::mpi::communicator& communicator() = 0;
};

// A team that is being made. Who drops it before it is done has no part in that any more, which may never end.
class Assembly {
 public:
  virtual ~Assembly() = default;

  // Throws MpiError.
  virtual bool done() = 0;
  // Then, once.
  virtual std::unique_ptr<Team> take() = 0;
};

}  // namespace rankview::transport
