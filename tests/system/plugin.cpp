// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// A library that makes calls of its own, with functions and templates of its own.
#include <rankview/rankview.hpp>

#include <string>
#include <vector>

namespace rv = rankview;

namespace {

struct Times {
  int factor = 1;
  int operator()(int n) const { return factor * n; }
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& factor;
  }
};

}  // namespace

extern "C" bool plugin_stateless(rv::Client& rc) {
  const std::vector<int> values = {1, 2, 3};
  return rc.load_balanced_view().map_sync([](int n) { return n + 7; }, values) == std::vector{8, 9, 10};
}

extern "C" bool plugin_state(rv::Client& rc) {
  const std::vector<int> values = {1, 2, 3};
  return rc.load_balanced_view().map_sync(Times{11}, values) == std::vector{11, 22, 33};
}

extern "C" bool plugin_variables(rv::Client& rc) {
  rc[rv::all]["of the plugin"] = std::string("text");
  const auto size = [](const std::string& text) { return text.size() + rv::this_engine::vars().size(); };
  const bool right = rc[rv::all].apply_sync(size, rv::ref("of the plugin")) == std::vector<std::size_t>(rc.size(), 5);
  rc[rv::all].clear_sync();
  return right;
}
