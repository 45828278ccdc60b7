// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/buffer.hpp>
#include <rankview/distribution.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace boost::mpi {
class communicator;
}

// Verbs that the engines of a view carry out together with rank 0. Each engine runs a task of the call, which talks to the others through
// its Group; what rank 0 does meanwhile is said by a RootPart. Neither knows MPI.
namespace rankview::inline abi_0_1::detail {

// Types and operations that MPI knows.
enum class Element : std::uint8_t { i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, f_long, boolean };
enum class Operation : std::uint8_t { sum, product, minimum, maximum, logical_and, logical_or, bit_and, bit_or, bit_xor };

std::size_t size_of(Element element);

// `total` elements as they are dealt to the engines of a view.
struct Deal {
  std::uint64_t total = 0;
  std::uint64_t element_bytes = 1;
  Distribution dist = block;
};

// How many of `total` elements part `part` of `parts` has, and where a block begins.
constexpr std::uint64_t part_size(std::uint64_t total, std::uint64_t parts, std::uint64_t part) {
  return total / parts + (part < total % parts ? 1 : 0);
}
constexpr std::uint64_t part_begin(std::uint64_t total, std::uint64_t parts, std::uint64_t part) {
  return part * (total / parts) + (part < total % parts ? part : total % parts);
}

// The engines of a view as one of them sees them while it runs its task of a collective call. Each member must make the same calls in the
// same order. They return when this engine's part is over.
//
// An engine that cannot take part must not leave the others waiting. In a call that votes, the first thing is agree(); a task that throws
// before it votes against, and the call comes about nowhere. After agree() a task must not throw.
class Group {
 public:
  // This engine's place in the view, and how many there are.
  [[nodiscard]] virtual std::size_t index() const = 0;
  [[nodiscard]] virtual std::size_t size() const = 0;

  // If one of them dies, the calls below throw TeamBroken. MPI may go on with what they were given: that must be part of what is kept here.
  virtual void keep(std::shared_ptr<const void> memory) = 0;
  // Whether one has.
  [[nodiscard]] virtual bool broken() const = 0;

  // Votes for the call, with `count` elements to contribute, and waits for the decision of rank 0: how many there are in all. Throws
  // StoodBack when the call does not come about.
  virtual std::uint64_t agree(std::uint64_t count) = 0;

  // ---- with rank 0; see RootPart ----
  virtual void broadcast(void* to, std::uint64_t bytes) = 0;
  virtual void scatter(void* to, const Deal& deal) = 0;
  virtual void gather(const void* from, std::uint64_t count, const Deal& deal) = 0;
  virtual void reduce(const void* from, std::uint64_t count, Element element, Operation operation) = 0;

  // ---- among the engines ----
  virtual void barrier() = 0;
  virtual void allreduce(const void* from, void* to, std::uint64_t count, Element element, Operation operation) = 0;
  // Every engine's `count`, in target order.
  virtual void allgather_counts(std::uint64_t count, std::span<std::uint64_t> counts) = 0;
  virtual void allgather(const void* from, void* to, std::span<const std::uint64_t> counts, std::uint64_t element_bytes) = 0;
  // The bytes of the engine at `source`, on all.
  virtual void share(void* data, std::uint64_t bytes, std::size_t source) = 0;
  // From one engine to another.
  virtual void send(std::size_t to, std::span<const std::byte> bytes) = 0;
  virtual Buffer receive(std::size_t from) = 0;

  // The engines alone, for the user's own MPI.
  virtual const boost::mpi::communicator& communicator() = 0;

 protected:
  ~Group() = default;
};

// Thrown by an engine that could take part in what does not come about.
struct StoodBack {};
// Thrown by an engine that has run something together with one that has died.
struct TeamBroken {};

// What rank 0 does in a collective call.
struct RootPart {
  // `attend`: nothing but to take the vote.
  enum class Kind : std::uint8_t { none, attend, broadcast, scatter, gather, reduce };

  Kind kind = Kind::none;
  bool votes = true;          // else the engines begin at once
  bool equal_counts = false;  // the engines must contribute equally many elements
  bool some = false;          // and at least one in all
  std::uint8_t rounds = 1;    // of voting
  const std::byte* from = nullptr;
  std::shared_ptr<const void> kept{};  // what owns `from`
  Deal deal{};                         // of a broadcast, bytes; of a gather or reduce, the total is not known before
  Element element{};
  Operation operation{};
  std::string what{};  // for errors: the verb and the variable
};

}  // namespace rankview::detail
