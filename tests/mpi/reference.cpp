// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using test::balanced;
using test::client;
using test::everyone;

namespace {

double total(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

void prepare() {
  everyone().clear_sync();
  everyone()["v"] = std::vector<double>{1, 2, 3};
  everyone()["w"] = std::vector<double>{10, 20, 30};
  everyone()["n"] = 5;
  everyone()["s"] = "text";
}

template <class T>
std::vector<T> each(const T& value) {
  return std::vector<T>(client().size(), value);
}

}  // namespace

TEST_CASE("a reference binds a parameter to the engine's variable") {
  prepare();
  CHECK(everyone().apply_sync(total, rv::ref("v")) == each(6.0));
  CHECK(client()[0].apply(total, rv::ref("w")).get(test::limit) == 60);
  CHECK(balanced().apply_sync(total, rv::ref("v")) == 6);
  // Its name may be computed.
  for (const std::string name : {"v", "w"}) CHECK(client()[0].apply_sync([](std::vector<double>& x) { return x[0]; }, rv::ref(name)) >= 1);
}

TEST_CASE("what a task changes through a reference stays changed") {
  prepare();
  everyone().apply_sync([](std::vector<double>& v) { v.push_back(4); }, rv::ref("v"));
  everyone().apply([](std::vector<double>& v, double x) { v.push_back(x); }, rv::ref("v"), 5).get(test::limit);
  CHECK(everyone()["v"].get<std::vector<double>>() == each(std::vector<double>{1, 2, 3, 4, 5}));
  // By value it is a copy.
  CHECK(everyone().apply_sync(
            [](std::vector<double> v) {
              v.clear();
              return v.size();
            },
            rv::ref("v")) == each(std::size_t{0}));
  CHECK(everyone()["v"].get<std::vector<double>>().front().size() == 5);
}

TEST_CASE("references in every position, twice, and among values") {
  prepare();
  using V = const std::vector<double>&;
  const auto first = [](V v, double a, int b) { return v[0] + a * b; };
  CHECK(everyone().apply_sync(first, rv::ref("v"), 2.0, 3) == each(7.0));
  const auto middle = [](double a, V v, int b) { return v[1] + a * b; };
  CHECK(everyone().apply_sync(middle, 2.0, rv::ref("v"), 3) == each(8.0));
  const auto last = [](double a, int b, V v) { return v[2] + a * b; };
  CHECK(everyone().apply_sync(last, 2.0, 3, rv::ref("v")) == each(9.0));
  const auto dot = [](V v, V w) { return std::inner_product(v.begin(), v.end(), w.begin(), 0.0); };
  CHECK(everyone().apply_sync(dot, rv::ref("v"), rv::ref("w")) == each(140.0));
  CHECK(everyone().apply_sync(dot, rv::ref("v"), rv::ref("v")) == each(14.0));
  CHECK(everyone().apply_sync(dot, std::vector<double>{1, 1, 1}, rv::ref("w")) == each(60.0));
  const auto four = [](V v, const std::string& s, int n, V w) { return v[0] + w[0] + n + static_cast<double>(s.size()); };
  CHECK(everyone().apply_sync(four, rv::ref("v"), "abc", rv::ref("n"), rv::ref("w")) == each(19.0));
  // The same object both times.
  const auto same = [](std::vector<double>& a, const std::vector<double>& b) { return &a == &b; };
  CHECK(client()[0].apply_sync(same, rv::ref("v"), rv::ref("v")));
  CHECK_FALSE(client()[0].apply_sync(same, rv::ref("v"), rv::ref("w")));
}

TEST_CASE("references beside long arguments") {
  prepare();
  const auto f = [](const std::vector<double>& a, std::vector<double>& v, const std::vector<double>& b) {
    return a.back() + v[0] + b.back();
  };
  CHECK(everyone().apply_sync(f, std::vector<double>(10'000, 1), rv::ref("w"), std::vector<double>(20'000, 2)) == each(13.0));
}

TEST_CASE("references to what views look at") {
  prepare();
  CHECK(client()[0].apply_sync([](std::string_view s) { return s.size(); }, rv::ref("s")) == 4);
  const auto sum = [](std::span<const double> v) { return std::accumulate(v.begin(), v.end(), 0.0); };
  CHECK(client()[0].apply_sync(sum, rv::ref("w")) == 60);
}

TEST_CASE("a generic callable is told the type") {
  prepare();
  const auto size = [](const auto& x) { return x.size(); };
  CHECK(everyone().apply_sync(size, rv::ref<std::vector<double>>("v")) == each(std::size_t{3}));
  CHECK(everyone().apply_sync(size, rv::ref<std::string>("s")) == each(std::size_t{4}));
  const auto both = [](auto& v, auto n) { return v[0] + n; };
  CHECK(everyone().apply_sync(both, rv::ref<std::vector<double>>("v"), 2) == each(3.0));
  CHECK(everyone().apply_sync(both, rv::ref<std::vector<double>>("v"), rv::ref<int>("n")) == each(6.0));
  CHECK_THROWS_AS(client()[0].apply_sync(size, rv::ref<std::string>("v")), rv::TypeError);
}

TEST_CASE("references as elements of ranges") {
  prepare();
  const std::vector<rv::Reference<>> names = {rv::ref("v"), rv::ref("w"), rv::ref("v")};
  const std::vector<double> wanted = {6, 60, 6};
  CHECK(balanced().map_sync(total, names) == wanted);
  CHECK(everyone().map_sync(total, names) == wanted);
  CHECK(balanced().map(total, names).get(test::limit) == wanted);
  const auto scaled = [](const std::vector<double>& v, double factor) { return factor * v[0]; };
  CHECK(balanced().map_sync(scaled, names, std::vector<double>{1, 2, 3}) == std::vector<double>{1, 20, 3});
  const std::vector<rv::Reference<std::vector<double>>> typed = {rv::ref<std::vector<double>>("w")};
  CHECK(balanced().map_sync([](const auto& v) { return v.size(); }, typed) == std::vector<std::size_t>{3});
  // Looked up where the item runs.
  for (const int id : client().ids()) client()[id]["id"] = id;
  const auto here = [](int id) { return id == rv::this_engine::id(); };
  CHECK(balanced().map_sync(here, std::vector(40, rv::ref("id"))) == std::vector<bool>(40, true));
}

TEST_CASE("a reference to nothing, or to something else, is an error of that item") {
  prepare();
  CHECK_THROWS_AS(client()[0].apply_sync(total, rv::ref("none")), rv::NameError);
  const auto error = test::thrown<rv::TypeError>([] { client()[0].apply_sync(total, rv::ref("s")); });
  CHECK(test::contains(error.what(), "std::string"));
  CHECK(test::contains(error.what(), "std::vector<double>"));
  const std::vector<rv::Reference<>> names = {rv::ref("v"), rv::ref("none"), rv::ref("n"), rv::ref("w")};
  const auto outcomes = balanced().map(total, names).results();
  REQUIRE(outcomes.size() == 4);
  CHECK(*outcomes[0] == 6);
  CHECK_THROWS_AS(outcomes[1].value(), rv::NameError);
  CHECK_THROWS_AS(outcomes[2].value(), rv::TypeError);
  CHECK(*outcomes[3] == 60);
}

// ---- as the function ---------------------------------------------------------------------------------------------------------

namespace {

double twice(double x) { return 2 * x; }
double thrice(double x) { return 3 * x; }

// Adds up what it was called with.
struct Sum {
  double total = 0;
  double operator()(double x) { return total += x; }
};

struct Longer {
  bool operator()(const std::string& a, std::string_view b) const { return a.size() > b.size(); }
};

}  // namespace

TEST_CASE("a reference stands for the function") {
  const auto one = client()[0];
  everyone()["f"] = &twice;
  CHECK(everyone().apply_sync(rv::ref<double (*)(double)>("f"), 4) == each(8.0));
  CHECK(everyone().apply_sync(rv::ref<double(double)>("f"), 4) == each(8.0));
  CHECK(one.apply(rv::ref<double (*)(double)>("f"), 2.5).get(test::limit) == 5);
  CHECK(balanced().map_sync(rv::ref<double (*)(double)>("f"), std::vector{1, 2, 3}) == std::vector<double>{2, 4, 6});
  // Another in its place is what is called from then on.
  one["f"] = &thrice;
  CHECK(one.apply_sync(rv::ref<double (*)(double)>("f"), 4) == 12);

  everyone().apply_sync([] { rv::this_engine::vars().set("longer", Longer()); });
  CHECK(everyone().apply_sync(rv::ref<Longer>("longer"), "abc", "ab") == std::vector<bool>(client().size(), true));
  const auto generic = [](const auto& x) { return x.size(); };
  everyone()["generic"] = generic;
  everyone()["v"] = std::vector<double>{1, 2, 3};
  CHECK(one.apply_sync(rv::ref<decltype(generic)>("generic"), std::string("text")) == 4);
  one["total"] = &total;
  CHECK(one.apply_sync(rv::ref<decltype(total)*>("total"), rv::ref("v")) == 6);
}

TEST_CASE("a function object that a reference stands for keeps what it has become") {
  const auto one = client()[0];
  one["sum"] = Sum();
  one.apply_sync(rv::ref<Sum>("sum"), 1);
  CHECK(one.map_sync(rv::ref<Sum>("sum"), std::vector{2, 3}) == std::vector<double>{3, 6});
  CHECK(one["sum"].get<Sum>().total == 6);
}

TEST_CASE("a reference that stands for the function must be of its type") {
  const auto one = client()[0];
  one.clear_sync();
  CHECK_THROWS_AS(one.apply_sync(rv::ref<double (*)(double)>("f"), 1), rv::NameError);
  one["f"] = 5;
  CHECK_THROWS_AS(one.apply_sync(rv::ref<double (*)(double)>("f"), 1), rv::TypeError);
}
