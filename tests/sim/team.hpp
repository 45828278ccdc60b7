// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "world.hpp"

#include "transport/team.hpp"

#include <boost/mpi/communicator.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

// Teams as MPI's communicators make them: what all members begin in the same order is one thing, and who begins another than the others
// ends the history. Data is taken from where it lies as late as MPI may do that, or copied at once, as the world draws. What a dead member
// has not given by then never comes.
namespace sim {

// What the members of a team do together, each on its side.
class Exchange {
 public:
  // From all engines to one member, from one to all others, or from all engines to all engines.
  enum class Way : std::uint8_t { to_one, from_one, all, pair };
  // What all must say alike.
  struct Shape {
    std::string what;
    Way way{};
    int root = 0;   // the one
    int other = 0;  // of a pair, who takes
    std::uint64_t size = 0;

    bool operator==(const Shape&) const = default;
  };
  using Given = std::vector<std::span<const std::byte>>;
  // A member's side: what it gives, and what it does with that which others give, by member.
  struct Side {
    std::span<const std::byte> gives{};
    std::function<void(const Given&)> take{};
    bool in_place = false;  // what it takes lies where what it gives does
  };

  Exchange(World& world, std::vector<int> ranks, Shape shape);

  void begin(int member, const Shape& shape, Side side);
  // Whether this member's side is over.
  bool done(int member);
  // Whether it never will be, for a member that has died.
  [[nodiscard]] bool stuck(int member) const;
  // Whether all that have a side have begun it.
  [[nodiscard]] bool complete() const;

 private:
  struct Begun {
    Side side;
    bool begun = false;
    bool eager = false;  // what it gives is in `copy`
    bool taken = false;
    bool over = false;
    std::int64_t arrives = 0;  // what it gives
    std::vector<std::byte> copy{};
  };

  [[nodiscard]] bool takes_from(std::size_t taker, std::size_t giver) const;
  [[nodiscard]] bool lost(std::size_t giver) const;

  World& world_;
  const std::vector<int> ranks_;
  const Shape shape_;
  std::vector<Begun> sides_;
};

// What the members of a team have in common.
class Circle {
 public:
  // Things of different contexts have an order each.
  enum class Context : std::uint8_t { assembly, with_root, engines, making, callables, pair };
  struct Key {
    Context context{};
    int from = 0;  // of a pair
    int to = 0;
    std::uint64_t number = 0;

    auto operator<=>(const Key&) const = default;
  };

  // `ranks`: by member.
  Circle(World& world, std::vector<int> ranks) : world_(world), ranks_(std::move(ranks)) {}

  std::shared_ptr<Exchange> begin(const Key& key, int member, const Exchange::Shape& shape, Exchange::Side side);
  // Waits as MPI does, where nobody can call it back: if a member has died, the process has to be ended in the end.
  void wait(Exchange& exchange, int member);
  [[nodiscard]] int members() const { return static_cast<int>(ranks_.size()); }
  [[nodiscard]] World& world() { return world_; }

 private:
  World& world_;
  const std::vector<int> ranks_;
  std::map<Key, std::shared_ptr<Exchange>> open_;  // those that not all have begun
};

class SimTeam final : public rankview::transport::Team {
 public:
  using Buffer = rankview::transport::Buffer;
  using Deal = rankview::transport::Deal;
  using Element = rankview::transport::Element;
  using Operation = rankview::transport::Operation;

  SimTeam(std::shared_ptr<Circle> circle, int member) : circle_(std::move(circle)), member_(member) {}
  ~SimTeam() override;

  // Whose the communicator is, which has nothing of MPI.
  static SimTeam& of(const boost::mpi::communicator& communicator);
  // What a task would have MPI do with it.
  [[nodiscard]] int rank() const { return member_ - 1; }
  int sum(int value);

  [[nodiscard]] int member() const override { return member_; }
  [[nodiscard]] int members() const override { return circle_->members(); }

  Begun gather_votes(const rankview::transport::Vote& own, std::span<rankview::transport::Vote> all) override;
  Begun announce(rankview::transport::Verdict& verdict) override;
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
  [[nodiscard]] bool has_communicator() const override { return communicator_ != nullptr; }
  const boost::mpi::communicator& communicator() override { return *communicator_; }

 private:
  Begun begin(Circle::Key key, const Exchange::Shape& shape, Exchange::Side side);
  Begun with_root(const Exchange::Shape& shape, Exchange::Side side);
  Begun among(const Exchange::Shape& shape, Exchange::Side side);
  Begun broadcast_from_root(const char* what, std::byte* data, std::uint64_t bytes);

  std::shared_ptr<Circle> circle_;
  int member_;
  // What this member begins next, in each context.
  std::uint64_t next_with_root_ = 0;
  std::uint64_t next_among_ = 0;
  std::uint64_t next_of_callables_ = 0;
  std::uint64_t made_ = 0;
  std::map<std::pair<int, int>, std::uint64_t> next_of_pair_;
  std::unique_ptr<const boost::mpi::communicator> communicator_;
};

// Teams that are being made, by turn and engines; and whose the communicators are that tasks have.
struct Assemblies {
  std::map<std::pair<std::uint64_t, std::vector<int>>, std::weak_ptr<Circle>> circles;
  std::map<const void*, SimTeam*> by_communicator;
};

}  // namespace sim
