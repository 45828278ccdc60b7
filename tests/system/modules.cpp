// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// Ships functions that lie in shared libraries: linked, loaded at the start, loaded later, and loaded only on rank 0.
#include "check.hpp"
#include "plain.hpp"

#include <rankview/rankview.hpp>

#include <dlfcn.h>
#include <exception>
#include <string>
#include <vector>

namespace rv = rankview;

namespace {

bool load(const std::string& path) { return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr; }

template <class Function>
Function find(const std::string& path, const char* name) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  return reinterpret_cast<Function>(dlsym(library, name));
}

// With functions that multiply by, or add, `factor`.
void use(rv::Client& rc, PlainFunction scale, PlainFunction offset, int factor) {
  const std::vector<int> values = {1, 2, 3};
  const std::vector<int> scaled = {factor, 2 * factor, 3 * factor};
  check::that(rc[rv::all].apply_sync(scale, 4) == std::vector<int>(rc.size(), 4 * factor), "apply");
  check::that(rc.load_balanced_view().map_sync(scale, values) == scaled, "map");
  check::that(rc[0].apply_sync(offset, 4) == 4 + factor, "a lambda of the library");
  const auto call = [](PlainFunction f, int n) { return f(n); };
  check::that(rc[rv::all].apply_sync(call, scale, 5) == std::vector<int>(rc.size(), 5 * factor), "a function as argument");
}

using Use = bool (*)(rv::Client&);

// The library is not there on the engines.
template <class Action>
void fails(rv::Client& rc, Action action) {
  for (int i = 0; i < 3; ++i) {
    try {
      action();
      check::that(false, "no error");
    } catch (const rv::Error& error) {
      check::that(check::contains(error.what(), "not loaded"), std::string("the error says why: ") + error.what());
    }
    check::that(rc[rv::all].apply_sync(rv::this_engine::id) == rc.ids(), "the engines live");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const std::string& how = words.at(0);
  const std::string path = words.size() > 1 ? words[1] : "";
  if ((how == "loaded" || how == "plugin") && !load(path)) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  return rv::run(argc, argv, [&](rv::Client& rc) {
    if (how == "linked") {
      use(rc, plain_scale, plain_offset(), 3);
      // An engine's function, found by the client.
      for (const PlainFunction f : rc[rv::all].apply_sync(plain_offset)) check::that(f(1) == 4, "a function as result");
    } else if (how == "loaded" || how == "later") {
      if (how == "later") {
        for (const bool loaded : rc[rv::all].apply_sync(load, path)) check::that(loaded, "loading on an engine");
      }
      use(rc, find<PlainFunction>(path, "plain_scale"), find<PlainFunction (*)()>(path, "plain_offset")(), 5);
      // Beside the other library with functions of the same names.
      use(rc, plain_scale, plain_offset(), 3);
    } else if (how == "missing") {
      const auto scale = find<PlainFunction>(path, "plain_scale");
      fails(rc, [&] { rc[0].apply_sync(scale, 1); });
      fails(rc, [&] { rc.load_balanced_view().map_sync(scale, std::vector{1, 2, 3}); });
      fails(rc, [&] { rc[0].apply_sync([](PlainFunction f) { return f(1); }, scale); });
      // It may still come.
      rc[rv::all].apply_sync(load, path);
      use(rc, scale, find<PlainFunction (*)()>(path, "plain_offset")(), 5);
    } else if (how == "plugin") {
      for (const char* const name : {"plugin_stateless", "plugin_state", "plugin_variables"}) check::that(find<Use>(path, name)(rc), name);
    } else if (how == "missing_plugin") {
      fails(rc, [&] { find<Use>(path, "plugin_stateless")(rc); });
    } else if (how == "missing_state") {
      fails(rc, [&] { find<Use>(path, "plugin_state")(rc); });
    }
    return check::finish();
  });
}
