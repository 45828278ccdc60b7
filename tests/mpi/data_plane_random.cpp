// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>

#include <any>
#include <cstdlib>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

using test::balanced;
using test::client;

// Random calls on random views, any number of them under way at a time, each checked against a serial model of what the engines hold.
namespace {

struct Point {
  int x = 0;
  double y = 0;
  friend bool operator==(const Point&, const Point&) = default;
};

// Serialised by Boost, of varying size.
struct Tagged {
  std::string tag;
  std::vector<int> values;
  friend bool operator==(const Tagged&, const Tagged&) = default;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& tag& values;
  }
};

// Not commutative, so that the order of a fold shows: first letters in front, lengths added up.
struct Join {
  std::string operator()(const std::string& a, const std::string& b) const { return a + b; }
};
struct Compose {  // of x -> a x + b, kept small
  Point operator()(const Point& f, const Point& g) const { return {f.x * g.x % 1009, double((int(f.y) * g.x + int(g.y)) % 1009)}; }
};

class Campaign {
 public:
  explicit Campaign(std::uint64_t seed) : random_(seed) {}

  void run(int cases) {
    test::everyone().clear_sync();
    for (int i = 0; i < cases; ++i) {
      one_case();
      while (pending_.size() > 12 || (!pending_.empty() && below(3) == 0)) check_one();
    }
    while (!pending_.empty()) check_one();
  }

 private:
  using Engines = std::vector<int>;
  template <class T>
  using Values = std::vector<T>;

  int below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }
  bool coin() { return below(2) == 0; }
  // Mostly one that holds such elements already, if any does.
  template <class T>
  std::string name() {
    return (below(5) == 0 ? "any " : std::string(typeid(T).name()) + " ") + static_cast<char>('a' + below(2));
  }
  std::size_t length() {
    switch (below(8)) {
      case 0:
        return 0;
      case 1:
        return 1;
      case 2:
        return static_cast<std::size_t>(client().size());
      case 3:
        return 3000 + static_cast<std::size_t>(below(6000));
      default:
        return static_cast<std::size_t>(below(30));
    }
  }

  template <class T>
  T element() {
    if constexpr (std::is_same_v<T, Point>) {
      return {below(50), static_cast<double>(below(1000))};
    } else if constexpr (std::is_same_v<T, Tagged>) {
      return {std::string(static_cast<std::size_t>(below(20)), 't'), std::vector<int>(static_cast<std::size_t>(below(5)), below(9))};
    } else if constexpr (std::is_same_v<T, std::string>) {
      return std::string(static_cast<std::size_t>(below(4)), static_cast<char>('a' + below(26)));
    } else if constexpr (std::is_same_v<T, std::vector<int>>) {
      return std::vector<int>(static_cast<std::size_t>(below(4)), below(100));
    } else {
      return static_cast<T>(below(100));
    }
  }
  template <class T>
  Values<T> elements(std::size_t count) {
    Values<T> values;
    for (std::size_t i = 0; i < count; ++i) values.push_back(element<T>());
    return values;
  }

  // A view of all, one, or some engines in any order.
  Engines targets() {
    Engines ids = client().ids();
    if (below(3) == 0) return ids;
    std::shuffle(ids.begin(), ids.end(), random_);
    ids.resize(static_cast<std::size_t>(1 + below(static_cast<int>(ids.size()))));
    return ids;
  }
  static rv::DirectView view(const Engines& engines) { return client()[engines]; }

  // ---- the model ----
  template <class V>
  void put(int engine, const std::string& at, V value) {
    model_[{engine, at}] = std::move(value);
  }
  // The elements of a vector, or the one that the variable is.
  template <class T>
  std::optional<Values<T>> find(int engine, const std::string& at) const {
    const auto found = model_.find({engine, at});
    if (found == model_.end()) return std::nullopt;
    if (const auto* values = std::any_cast<Values<T>>(&found->second)) return *values;
    if (const auto* one = std::any_cast<T>(&found->second)) return Values<T>{*one};
    return std::nullopt;
  }
  // What the engines hold; nothing if some do not hold such a vector, and then which.
  template <class T>
  std::optional<std::vector<Values<T>>> held(const Engines& engines, const std::string& at, std::set<std::size_t>& lacking) const {
    std::vector<Values<T>> parts;
    for (std::size_t i = 0; i < engines.size(); ++i) {
      if (const auto values = find<T>(engines[i], at)) {
        parts.push_back(*values);
      } else {
        lacking.insert(i);
      }
    }
    if (!lacking.empty()) return std::nullopt;
    return parts;
  }
  template <class T>
  static Values<T> joined(const std::vector<Values<T>>& parts) {
    Values<T> all;
    for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  }
  // What is gathered everywhere again and again grows eightfold each time.
  template <class T>
  static bool large(const Values<T>& values) {
    std::size_t size = values.size();
    if constexpr (std::is_same_v<T, std::string>) {
      for (const auto& text : values) size += text.size();
    }
    return size > 50'000;
  }
  template <class T>
  static std::vector<Values<T>> dealt(const Values<T>& all, std::size_t parts, rv::Distribution dist) {
    std::vector<Values<T>> dealt(parts);
    std::size_t begin = 0;
    for (std::size_t p = 0; p < parts; ++p) {
      const std::size_t size = all.size() / parts + (p < all.size() % parts ? 1 : 0);
      for (std::size_t i = 0; i < size; ++i) dealt[p].push_back(all[dist == rv::block ? begin + i : p + i * parts]);
      begin += size;
    }
    return dealt;
  }

  // ---- checking ----
  void later(std::function<void()> check) { pending_.push_back(std::move(check)); }
  void check_one() {
    auto at = pending_.begin();
    std::advance(at, below(static_cast<int>(pending_.size())));
    const auto check = std::move(*at);
    pending_.erase(at);
    check();
  }

  template <class R>
  void expect_lacking(rv::AsyncResult<R> result, std::set<std::size_t> lacking) {
    later([result, lacking] {
      REQUIRE(result.wait(test::limit));
      const auto error = test::thrown<rv::CompositeError>([&] { result.get(); });
      std::set<std::size_t> failed;
      for (const auto& failure : error.failures()) failed.insert(failure.index);
      CHECK(failed == lacking);
    });
  }
  template <class T>
  void expect(rv::AsyncResult<T> result, T wanted) {
    later([result, wanted] { CHECK((result.get(test::limit) == wanted)); });
  }
  void expect(rv::AsyncResult<void> result) {
    later([result] { result.get(test::limit); });
  }
  template <class R>
  void expect_usage(rv::AsyncResult<R> result) {
    later([result] { CHECK_THROWS_AS(result.get(test::limit), rv::UsageError); });
  }

  // ---- the calls ----
  template <class T>
  void scatter() {
    const Engines on = targets();
    const std::string to = name<T>();
    const auto dist = coin() ? rv::block : rv::round_robin;
    const Values<T> all = elements<T>(length());
    const auto parts = dealt(all, on.size(), dist);
    for (std::size_t i = 0; i < on.size(); ++i) put(on[i], to, parts[i]);
    switch (below(5)) {
      case 0:
        view(on).scatter_sync(to, all, {.dist = dist});
        break;
      case 1:
        view(on).scatter_sync(to, std::list<T>(all.begin(), all.end()), {.dist = dist});
        break;
      case 2:
        expect(view(on).scatter(to, all, {.dist = dist}));
        break;
      case 3:
        expect(view(on).scatter(to, Values<T>(all), {.dist = dist}));
        break;
      default: {
        const auto kept = std::make_shared<Values<T>>(all);
        const auto result = view(on).scatter(to, rv::borrow(*kept), {.dist = dist});
        later([result, kept] { result.get(test::limit); });
      }
    }
    if (below(3) == 0) expect(view(on).template gather<T>(to, {.dist = dist}), all);
  }

  template <class T>
  void gather() {
    const Engines on = targets();
    const std::string from = name<T>();
    std::set<std::size_t> lacking;
    const auto parts = held<T>(on, from, lacking);
    if (!parts) return expect_lacking(view(on).template gather<T>(from), lacking);
    expect(view(on).template gather<T>(from), joined(*parts));
  }

  template <class T>
  void push() {
    const Engines on = targets();
    const std::string to = name<T>();
    const Values<T> value = elements<T>(length());
    for (const int id : on) put(id, to, value);
    if (coin()) {
      view(on).push_sync(to, value);
    } else {
      expect(view(on).push(to, value));
    }
  }

  template <class T, class Op>
  void reduce(Op op) {
    const Engines on = targets();
    const std::string from = name<T>();
    std::set<std::size_t> lacking;
    const auto parts = held<T>(on, from, lacking);
    const bool all = coin();
    if (parts && large(joined(*parts))) return;
    if (!parts) {
      if (all) return expect_lacking(view(on).template reduce_all<T>(from, op), lacking);
      return expect_lacking(view(on).template reduce<Values<T>>(from, op), lacking);
    }
    if (all) {
      const Values<T> whole = joined(*parts);
      auto result = view(on).template reduce_all<T>(from, op);
      if (whole.empty()) {
        if (std::is_same_v<Op, std::plus<>>) return expect(result, T{});
        return expect_usage(result);
      }
      T folded = whole.front();
      for (std::size_t i = 1; i < whole.size(); ++i) folded = op(folded, whole[i]);
      return expect(result, folded);
    }
    const bool same = std::all_of(parts->begin(), parts->end(), [&](const auto& part) { return part.size() == parts->front().size(); });
    const bool everywhere = coin();
    Values<T> folded = parts->front();
    if (same) {
      for (std::size_t p = 1; p < parts->size(); ++p) {
        for (std::size_t i = 0; i < folded.size(); ++i) folded[i] = op(folded[i], (*parts)[p][i]);
      }
    }
    if (!everywhere) {
      auto result = view(on).template reduce<Values<T>>(from, op);
      return same ? expect(result, folded) : expect_usage(result);
    }
    const std::string into = name<T>();
    auto result = view(on).template allreduce<Values<T>>(from, into, op);
    if (!same) return expect_usage(result);
    for (const int id : on) put(id, into, folded);
    expect(result);
  }

  template <class T>
  void allgather() {
    const Engines on = targets();
    const std::string from = name<T>();
    const std::string into = coin() ? from : name<T>();
    std::set<std::size_t> lacking;
    const auto parts = held<T>(on, from, lacking);
    if (parts && large(joined(*parts))) return;
    auto result = view(on).template allgather<T>(from, into);
    if (!parts) return expect_lacking(result, lacking);
    for (const int id : on) put(id, into, joined(*parts));
    expect(result);
  }

  template <class T>
  void broadcast() {
    const Engines on = targets();
    const std::string what = name<T>();
    const auto place = static_cast<std::size_t>(below(static_cast<int>(on.size())));
    const auto found = model_.find({on[place], what});
    auto result = view(on).broadcast(on[place], what);
    if (found == model_.end()) return expect_lacking(result, {place});
    const std::any value = found->second;
    for (const int id : on) model_[{id, what}] = value;
    expect(result);
  }

  void erase() {
    const Engines on = targets();
    const std::string what = name<double>();
    for (const int id : on) model_.erase({id, what});
    expect_any(view(on).erase(what));
  }
  template <class T>
  void expect_any(rv::AsyncResult<T> result) {
    later([result] { CHECK(result.wait(test::limit)); });
  }

  void work() {
    const int count = below(200);
    std::vector<int> inputs(static_cast<std::size_t>(count));
    for (int& input : inputs) input = below(1000);
    std::vector<int> wanted;
    for (const int input : inputs) wanted.push_back(input * 3 + 1);
    const auto triple = [](int x) { return x * 3 + 1; };
    expect(coin() ? balanced().map(triple, inputs) : client().load_balanced_view(targets()).map(triple, inputs), wanted);
  }

  template <class T>
  void call() {
    switch (below(6)) {
      case 0:
      case 1:
        return scatter<T>();
      case 2:
        return gather<T>();
      case 3:
        return push<T>();
      case 4:
        return allgather<T>();
      default:
        return broadcast<T>();
    }
  }

  void one_case() {
    switch (below(14)) {
      case 0:
        return call<int>();
      case 1:
        return call<double>();
      case 2:
        return call<std::string>();
      case 3:
        return call<Point>();
      case 4:
        return call<Tagged>();
      case 5:
        return call<std::vector<int>>();
      case 6:
        return call<bool>();
      case 7:
        return call<char>();
      case 8:
        return reduce<int>(std::plus<>());
      case 9:
        return reduce<double>(rv::max);
      case 10:
        return reduce<std::string>(Join());
      case 11:
        return reduce<Point>(Compose());
      case 12:
        return work();
      default:
        return coin() ? erase() : call<double>();
    }
  }

  std::mt19937_64 random_;
  std::map<std::pair<int, std::string>, std::any> model_;
  std::list<std::function<void()>> pending_;
};

}  // namespace

TEST_CASE("1,000 random calls on random views do what a serial model does", "[data]") {
  const std::uint32_t seed = test::seed("data plane: 1000 cases");
  INFO("RANKVIEW_TEST_SEED=" << seed);
  Campaign(seed).run(1000);
  CHECK(test::alive());
  test::everyone().clear_sync();
}
