// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "team.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <stdexcept>

namespace sim {

namespace transport = rankview::transport;
using transport::Deal;
using transport::Element;
using transport::Operation;

// ---- what members do together ------------------------------------------------------------------------------------------------

Exchange::Exchange(World& world, std::vector<int> ranks, Shape shape)
    : world_(world), ranks_(std::move(ranks)), shape_(std::move(shape)), sides_(ranks_.size()) {}

bool Exchange::takes_from(std::size_t taker, std::size_t giver) const {
  const auto root = static_cast<std::size_t>(shape_.root);
  switch (shape_.way) {
    case Way::to_one:
      return taker == root && giver != root;
    case Way::from_one:
      return giver == root && taker != root && (root == 0 || taker != 0);
    case Way::all:
      return root == 0 || (taker != 0 && giver != 0);
    case Way::pair:
      return giver == root && taker == static_cast<std::size_t>(shape_.other);
  }
  return false;
}

void Exchange::begin(int member, const Shape& shape, Side side) {
  if (shape != shape_) world_.give_up("members of a team do different things: " + shape_.what + " and " + shape.what);
  Begun& own = sides_[static_cast<std::size_t>(member)];
  if (own.begun) world_.give_up("a member of a team begins " + shape.what + " twice");
  own.begun = true;
  own.arrives = world_.now() + world_.delay();
  own.eager = side.in_place || side.gives.empty() || world_.chance(50);
  if (own.eager && !side.gives.empty()) own.copy.assign(side.gives.begin(), side.gives.end());
  own.side = std::move(side);
}

// Half of it had come, or none.
bool Exchange::lost(std::size_t giver) const {
  const int rank = ranks_[giver];
  const Begun& side = sides_[giver];
  return world_.dead(rank) && (!side.begun || !side.eager || world_.died(rank) < side.arrives);
}

bool Exchange::done(int member) {
  const auto self = static_cast<std::size_t>(member);
  Begun& own = sides_[self];
  if (own.over) return true;
  if (world_.dead(ranks_[self])) return false;
  if (!own.taken) {
    Given given(sides_.size());
    for (std::size_t giver = 0; giver < sides_.size(); ++giver) {
      if (!takes_from(self, giver)) continue;
      const Begun& side = sides_[giver];
      if (!side.begun || world_.now() < side.arrives || lost(giver)) return false;
      given[giver] = side.eager ? std::span<const std::byte>(side.copy) : side.side.gives;
    }
    if (own.side.take) own.side.take(given);
    own.taken = true;
  }
  // Until then others may look at what it gives.
  for (std::size_t taker = 0; !own.eager && taker < sides_.size(); ++taker) {
    if (takes_from(taker, self) && !sides_[taker].taken && !world_.dead(ranks_[taker])) return false;
  }
  own.over = true;
  return true;
}

bool Exchange::stuck(int member) const {
  const auto self = static_cast<std::size_t>(member);
  for (std::size_t giver = 0; giver < sides_.size(); ++giver) {
    if (takes_from(self, giver) && lost(giver)) return true;
  }
  return false;
}

bool Exchange::complete() const {
  for (std::size_t a = 0; a < sides_.size(); ++a) {
    for (std::size_t b = 0; b < sides_.size(); ++b) {
      if (takes_from(a, b) && !(sides_[a].begun && sides_[b].begun)) return false;
    }
  }
  return true;
}

std::shared_ptr<Exchange> Circle::begin(const Key& key, int member, const Exchange::Shape& shape, Exchange::Side side) {
  if (world_.dead(ranks_[static_cast<std::size_t>(member)])) throw Gone();
  std::shared_ptr<Exchange>& open = open_[key];
  if (open == nullptr) open = std::make_shared<Exchange>(world_, ranks_, shape);
  std::shared_ptr<Exchange> exchange = open;
  world_.say("begins " + shape.what + " " + std::to_string(key.number) + " of a team");
  exchange->begin(member, shape, std::move(side));
  if (exchange->complete()) open_.erase(key);
  return exchange;
}

void Circle::wait(Exchange& exchange, int member) {
  constexpr std::int64_t patience = 50'000'000;
  const int rank = ranks_[static_cast<std::size_t>(member)];
  std::int64_t since = 0;
  world_.wait_until([&] {
    if (exchange.done(member)) return true;
    if (world_.dead(rank)) throw Gone();
    if (exchange.stuck(member)) {
      if (since == 0) since = world_.now();
      if (world_.now() - since > patience) world_.end_process(rank, "it waits in MPI for one that has died");
    }
    return false;
  });
}

// ---- what is done with what is given -----------------------------------------------------------------------------------------

namespace {

template <class T>
T combined(T a, T b, Operation operation) {
  switch (operation) {
    case Operation::sum:
      return static_cast<T>(a + b);
    case Operation::product:
      return static_cast<T>(a * b);
    case Operation::minimum:
      return std::min(a, b);
    case Operation::maximum:
      return std::max(a, b);
    default:
      throw std::logic_error("an operation that the simulation does not know");
  }
}

template <class T>
void combine(std::byte* to, std::span<const std::byte> with, Operation operation) {
  for (std::size_t at = 0; at < with.size(); at += sizeof(T)) {
    T a;
    T b;
    std::memcpy(&a, to + at, sizeof(T));
    std::memcpy(&b, with.data() + at, sizeof(T));
    a = combined(a, b, operation);
    std::memcpy(to + at, &a, sizeof(T));
  }
}

void combine(std::byte* to, std::span<const std::byte> with, Element element, Operation operation) {
  switch (element) {
    case Element::i32:
      return combine<std::int32_t>(to, with, operation);
    case Element::i64:
      return combine<std::int64_t>(to, with, operation);
    case Element::f64:
      return combine<double>(to, with, operation);
    default:
      throw std::logic_error("elements that the simulation does not know");
  }
}

std::span<const std::byte> bytes_of(const void* data, std::size_t size) { return {static_cast<const std::byte*>(data), size}; }

void copy(void* to, std::span<const std::byte> from) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

std::string described(const char* what, Element element, Operation operation) {
  return std::string(what) + " of elements " + std::to_string(static_cast<int>(element)) + " by " +
         std::to_string(static_cast<int>(operation));
}

class Both final : public transport::Transfer {
 public:
  Both(std::shared_ptr<Exchange> exchange, int member) : exchange_(std::move(exchange)), member_(member) {}
  bool done() override { return exchange_->done(member_); }

 private:
  std::shared_ptr<Exchange> exchange_;
  int member_;
};

// Where an element is in the whole that is dealt.
std::size_t place(const Deal& deal, std::size_t parts, std::size_t part, std::size_t block_begin, std::size_t at) {
  return deal.dist == rankview::block ? block_begin + at : part + at * parts;
}

using Way = Exchange::Way;

}  // namespace

// ---- teams -------------------------------------------------------------------------------------------------------------------

transport::Team::Begun SimTeam::begin(Circle::Key key, const Exchange::Shape& shape, Exchange::Side side) {
  return std::make_unique<Both>(circle_->begin(key, member_, shape, std::move(side)), member_);
}

transport::Team::Begun SimTeam::with_root(const Exchange::Shape& shape, Exchange::Side side) {
  return begin({Circle::Context::with_root, 0, 0, next_with_root_++}, shape, std::move(side));
}

transport::Team::Begun SimTeam::among(const Exchange::Shape& shape, Exchange::Side side) {
  return begin({Circle::Context::engines, 0, 0, next_among_++}, shape, std::move(side));
}

transport::Team::Begun SimTeam::gather_votes(const transport::Vote& own, std::span<transport::Vote> all) {
  Exchange::Side side;
  if (member_ != 0) {
    side.gives = bytes_of(&own, sizeof(own));
  } else {
    side.take = [all](const Exchange::Given& given) {
      for (std::size_t i = 1; i < given.size(); ++i) copy(&all[i], given[i]);
    };
  }
  return with_root({"a vote", Way::to_one, 0, 0, sizeof(own)}, std::move(side));
}

transport::Team::Begun SimTeam::broadcast_from_root(const char* what, std::byte* data, std::uint64_t bytes) {
  Exchange::Side side;
  if (member_ == 0) {
    side.gives = bytes_of(data, bytes);
  } else {
    side.take = [data](const Exchange::Given& given) { copy(data, given[0]); };
  }
  return with_root({what, Way::from_one, 0, 0, bytes}, std::move(side));
}

transport::Team::Begun SimTeam::announce(transport::Verdict& verdict) {
  return broadcast_from_root("a verdict", reinterpret_cast<std::byte*>(&verdict), sizeof(verdict));
}

transport::Team::Begun SimTeam::broadcast(std::byte* data, std::uint64_t bytes) { return broadcast_from_root("a broadcast", data, bytes); }

transport::Team::Begun SimTeam::scatter(const std::byte* from, std::byte* to, const Deal& deal) {
  Exchange::Side side;
  const std::size_t size = deal.element_bytes;
  if (member_ == 0) {
    side.gives = bytes_of(from, deal.total * size);
  } else {
    side.take = [this, to, deal, size](const Exchange::Given& given) {
      const auto part = static_cast<std::size_t>(member_) - 1;
      const std::size_t begin = rankview::detail::part_begin(deal.total, engines(), part);
      const std::size_t count = rankview::detail::part_size(deal.total, engines(), part);
      for (std::size_t i = 0; i < count; ++i) copy(to + i * size, given[0].subspan(place(deal, engines(), part, begin, i) * size, size));
    };
  }
  return with_root({"a scatter", Way::from_one, 0, 0, deal.total * size}, std::move(side));
}

transport::Team::Begun SimTeam::gather(const std::byte* from, std::byte* to, std::uint64_t own, std::span<const std::uint64_t> counts,
                                       const Deal& deal) {
  Exchange::Side side;
  const std::size_t size = deal.element_bytes;
  if (member_ != 0) {
    side.gives = bytes_of(from, own * size);
  } else {
    side.take = [this, to, deal, size, counts](const Exchange::Given& given) {
      std::size_t begin = 0;
      for (std::size_t part = 0; part < engines(); ++part) {
        if (given[part + 1].size() != counts[part] * size) circle_->world().give_up("an engine gives not what it said in a gather");
        for (std::size_t i = 0; i < counts[part]; ++i)
          copy(to + place(deal, engines(), part, begin, i) * size, given[part + 1].subspan(i * size, size));
        begin += counts[part];
      }
    };
  }
  // The engines know their own parts alone.
  return with_root({"a gather", Way::to_one, 0, 0, size}, std::move(side));
}

transport::Team::Begun SimTeam::reduce(std::byte* data, std::uint64_t count, Element element, Operation operation) {
  Exchange::Side side;
  if (member_ != 0) {
    side.gives = bytes_of(data, count * rankview::detail::size_of(element));
  } else {
    side.take = [data, element, operation](const Exchange::Given& given) {
      for (std::size_t i = 1; i < given.size(); ++i) combine(data, given[i], element, operation);
    };
  }
  return with_root({described("a reduction", element, operation), Way::to_one, 0, 0, count}, std::move(side));
}

transport::Team::Begun SimTeam::barrier() { return among({"a barrier", Way::all, 1, 0, 0}, {}); }

transport::Team::Begun SimTeam::allreduce(const std::byte* from, std::byte* to, std::uint64_t count, Element element, Operation operation) {
  Exchange::Side side;
  side.gives = bytes_of(from, count * rankview::detail::size_of(element));
  side.in_place = from == to;
  side.take = [to, element, operation](const Exchange::Given& given) {
    copy(to, given[1]);
    for (std::size_t i = 2; i < given.size(); ++i) combine(to, given[i], element, operation);
  };
  return among({described("an allreduce", element, operation), Way::all, 1, 0, count}, std::move(side));
}

transport::Team::Begun SimTeam::allgather_counts(const std::uint64_t& own, std::span<std::uint64_t> counts) {
  Exchange::Side side;
  side.gives = bytes_of(&own, sizeof(own));
  side.take = [counts](const Exchange::Given& given) {
    for (std::size_t i = 1; i < given.size(); ++i) copy(&counts[i - 1], given[i]);
  };
  return among({"counts", Way::all, 1, 0, 0}, std::move(side));
}

transport::Team::Begun SimTeam::allgather(const std::byte* from, std::byte* to, std::size_t place, std::span<const std::uint64_t> counts,
                                          std::uint64_t element_bytes) {
  Exchange::Side side;
  side.gives = bytes_of(from, counts[place] * element_bytes);
  std::uint64_t total = 0;
  for (const std::uint64_t count : counts) total += count;
  side.take = [to](const Exchange::Given& given) {
    std::byte* at = to;
    for (std::size_t i = 1; i < given.size(); at += given[i++].size()) copy(at, given[i]);
  };
  return among({"an allgather", Way::all, 1, 0, total * element_bytes}, std::move(side));
}

transport::Team::Begun SimTeam::share(std::byte* data, std::uint64_t bytes, std::size_t source) {
  Exchange::Side side;
  const std::size_t root = source + 1;
  if (member_ == static_cast<int>(root)) {
    side.gives = bytes_of(data, bytes);
  } else {
    side.take = [data, root](const Exchange::Given& given) { copy(data, given[root]); };
  }
  return among({"a share", Way::from_one, static_cast<int>(root), 0, bytes}, std::move(side));
}

transport::Team::Begun SimTeam::send(std::size_t to, std::span<const std::byte> bytes) {
  const int other = static_cast<int>(to) + 1;
  Exchange::Side side;
  side.gives = bytes;
  return begin({Circle::Context::pair, member_, other, next_of_pair_[{member_, other}]++}, {"a message", Way::pair, member_, other, 0},
               std::move(side));
}

transport::Team::Begun SimTeam::receive(std::size_t from, Buffer& into) {
  const int other = static_cast<int>(from) + 1;
  Exchange::Side side;
  side.take = [&into, other](const Exchange::Given& given) {
    const auto bytes = given[static_cast<std::size_t>(other)];
    into.append(bytes.data(), bytes.size());
  };
  return begin({Circle::Context::pair, other, member_, next_of_pair_[{other, member_}]++}, {"a message", Way::pair, other, member_, 0},
               std::move(side));
}

transport::Team::Begun SimTeam::count_ill(std::int64_t& ill) {
  Exchange::Side side;
  side.gives = bytes_of(&ill, sizeof(ill));
  side.in_place = true;
  side.take = [&ill](const Exchange::Given& given) {
    ill = 0;
    for (std::size_t i = 1; i < given.size(); ++i) combine<std::int64_t>(reinterpret_cast<std::byte*>(&ill), given[i], Operation::sum);
  };
  return among({"a count of the ill", Way::all, 1, 0, 0}, std::move(side));
}

// ---- what tasks have ---------------------------------------------------------------------------------------------------------

SimTeam::~SimTeam() {
  if (communicator_ != nullptr) drop_communicator();
}

void SimTeam::make_communicator() {
  const auto meeting = circle_->begin({Circle::Context::making, 0, 0, made_++}, member_, {"a communicator", Way::all, 1, 0, 0}, {});
  circle_->wait(*meeting, member_);
  next_of_callables_ = 0;
  communicator_ = std::make_unique<const boost::mpi::communicator>(MPI_COMM_NULL, boost::mpi::comm_attach);
  circle_->world().assemblies().by_communicator[communicator_.get()] = this;
}

void SimTeam::drop_communicator() {
  circle_->world().assemblies().by_communicator.erase(communicator_.get());
  communicator_.reset();
}

SimTeam& SimTeam::of(const boost::mpi::communicator& communicator) { return *sim::world().assemblies().by_communicator.at(&communicator); }

int SimTeam::sum(int value) {
  int total = 0;
  Exchange::Side side;
  side.gives = bytes_of(&value, sizeof(value));
  side.take = [&total](const Exchange::Given& given) {
    for (std::size_t i = 1; i < given.size(); ++i) combine<int>(reinterpret_cast<std::byte*>(&total), given[i], Operation::sum);
  };
  // Each communicator has an order of its own.
  const std::uint64_t number = made_ << 32 | next_of_callables_++;
  const auto exchange =
      circle_->begin({Circle::Context::callables, 0, 0, number}, member_, {"a sum", Way::all, 1, 0, sizeof(value)}, std::move(side));
  circle_->wait(*exchange, member_);
  return total;
}

}  // namespace sim
