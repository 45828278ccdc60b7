// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
// What the others do wrong, done right: this one must compile.
#include "common.hpp"

struct Scaled {
  double factor = 1;
  double operator()(double number) const { return factor * number; }
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& factor;
  }
};

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    auto lview = rc.load_balanced_view();
    const double factor = 2;
    const std::vector<double> numbers{1, 2, 3};
    lview.apply_sync(twice, 1.0);
    lview.apply_sync([](double number) { return number; }, 1);
    lview.map_sync(rv::by_value([factor](double number) { return factor * number; }), numbers);
    lview.map_sync(Scaled{2}, numbers);
    rc[rv::all].apply_sync([](std::vector<double>& x) { x.push_back(1); }, rv::ref("x"));
    rc[rv::all].apply_sync([](auto& x) { x.push_back(1); }, rv::ref<std::vector<double>>("x"));
    rc[0].apply([](const std::vector<double>& x) { return x.size(); }, rv::borrow(numbers)).get();
  });
}
