// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "transport/local_team.hpp"

#include "support.hpp"

#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

using namespace rankview::transport;

namespace {

template <class T>
std::byte* bytes(T* data) {
  return reinterpret_cast<std::byte*>(data);
}

struct Pair {
  std::shared_ptr<LocalTeam::Meeting> meeting = LocalTeam::meeting();
  LocalTeam root{meeting, 0};
  LocalTeam engine{meeting, 1};
};

}  // namespace

TEST_CASE("rank 0 and its thread exchange in the order in which each begins, whoever comes first", "[local_team]") {
  Pair team;
  std::vector<int> out = {1, 2, 3};
  std::vector<int> in(3);
  const rankview::detail::Deal deal{3, sizeof(int), rankview::block};
  auto sent = team.root.scatter(bytes(out.data()), nullptr, deal);
  CHECK_FALSE(sent->done());

  const Vote vote{1, 7};
  std::vector<Vote> votes(2);
  auto counted = team.root.gather_votes({1, 0}, votes);
  auto received = team.engine.scatter(nullptr, bytes(in.data()), deal);
  CHECK(sent->done());
  CHECK(received->done());
  CHECK(in == out);
  CHECK_FALSE(counted->done());

  auto voted = team.engine.gather_votes(vote, {});
  CHECK(counted->done());
  CHECK(voted->done());
  CHECK(votes[1].count == 7);

  Verdict there;
  auto told = team.engine.announce(there);
  CHECK_FALSE(told->done());
  Verdict verdict{1, 42};
  auto announced = team.root.announce(verdict);
  CHECK(told->done());
  CHECK(there.total == 42);
}

TEST_CASE("a reduction of one contribution is that, and nothing at all is nothing", "[local_team]") {
  Pair team;
  double result = 0;
  double value = 2.5;
  auto a = team.root.reduce(bytes(&result), 1, Element::f64, Operation::sum);
  auto b = team.engine.reduce(bytes(&value), 1, Element::f64, Operation::sum);
  CHECK((a->done() && b->done()));
  CHECK(result == 2.5);
  const std::uint64_t counts[] = {0};
  auto c = team.engine.gather(nullptr, nullptr, 0, {}, {0, 8, rankview::block});
  auto d = team.root.gather(nullptr, nullptr, 0, counts, {0, 8, rankview::block});
  CHECK((c->done() && d->done()));
  CHECK(team.engine.barrier()->done());
}
