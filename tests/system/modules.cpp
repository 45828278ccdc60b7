// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// Ships functions that lie in shared libraries: linked, loaded at the start, loaded later, loaded only on rank 0 or only on an engine, and
// closed for another that takes their place; and functions that lie nowhere.
#include "check.hpp"
#include "plain.hpp"

#include <rankview/rankview.hpp>

#include <boost/mpi/communicator.hpp>

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <stdexcept>
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
  const auto isolated = rc.load_balanced_view().with({.isolation = rv::process});
  check::that(isolated.map_sync(scale, values) == scaled, "isolated");
  const auto call = [](PlainFunction f, int n) { return f(n); };
  check::that(rc[rv::all].apply_sync(call, scale, 5) == std::vector<int>(rc.size(), 5 * factor), "a function as argument");
  check::that(isolated.apply_sync(call, scale, 5) == 5 * factor, "a function as argument of an isolated task");
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

// Closes what it opened last, and opens this instead. Whose process it was done in.
pid_t reopen(const std::string& path) {
  static void* library = nullptr;
  if (library != nullptr) dlclose(library);
  library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  return getpid();
}

// A function, and what has been learnt of it, does not survive the library.
void reload(rv::Client& rc, const std::vector<std::string>& paths, const std::vector<int>& factors) {
  for (std::size_t round = 0; round < 6; ++round) {
    const std::string& path = paths[round % 2];
    const int factor = factors[round % 2];
    // Where there is one rank, its engine is in this process.
    const std::vector<pid_t> done = rc[rv::all].apply_sync(reopen, path);
    if (std::find(done.begin(), done.end(), getpid()) == done.end()) reopen(path);
    check::that(dlopen(paths[(round + 1) % 2].c_str(), RTLD_NOW | RTLD_NOLOAD) == nullptr, "the other is closed");
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    const auto scale = reinterpret_cast<PlainFunction>(dlsym(library, "plain_scale"));
    const auto offset = reinterpret_cast<PlainFunction (*)()>(dlsym(library, "plain_offset"))();
    for (int i = 0; i < 3; ++i) use(rc, scale, offset, factor);
    const auto twice = [](PlainFunction f, int n) { return rv::this_task::submit(f, rv::this_task::submit(f, n).get()).get(); };
    check::that(rc[rv::all].apply_sync(twice, scale, 1) == std::vector<int>(rc.size(), factor * factor), "in a subtask");
    dlclose(library);
  }
}

// A function that a compiler in the program makes.
template <class Function>
Function made_at_run_time() {
  constexpr std::size_t page = 4096;
  void* const code = mmap(nullptr, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) throw std::runtime_error("no memory for code");
  std::memset(code, 0xcc, page);  // it is never called
  return reinterpret_cast<Function>(code);
}

// What cannot be shipped is refused by every verb, in a task as well, and leaves nothing behind.
void ship_nothing(rv::Client& rc) {
  const auto f = made_at_run_time<PlainFunction>();
  const auto with_communicator = made_at_run_time<int (*)(const boost::mpi::communicator&)>();
  const auto predicate = made_at_run_time<bool (*)()>();
  const auto pool = rc.load_balanced_view();
  const auto refused = [](const char* what, auto action) {
    try {
      action();
      check::that(false, std::string(what) + ": no error");
    } catch (const rv::UsageError& error) {
      check::that(check::contains(error.what(), "lies in no loaded module"), std::string(what) + ": " + error.what());
    }
  };
  const std::vector<int> few = {1, 2, 3};
  const std::vector<int> many(100'000, 1);
  refused("apply", [&] { static_cast<void>(rc[0].apply(f, 1)); });
  refused("apply_sync on all", [&] { rc[rv::all].apply_sync(f, 1); });
  refused("with a communicator", [&] { rc[rv::all].apply_sync(with_communicator); });
  refused("map on all", [&] { static_cast<void>(rc[rv::all].map(f, few)); });
  refused("balanced apply", [&] { static_cast<void>(pool.apply(f, 1)); });
  refused("balanced map", [&] { static_cast<void>(pool.map(f, few)); });
  refused("a long map", [&] { pool.map_sync(f, many); });
  refused("a map in chunks", [&] { pool.with({.chunksize = 7}).map_sync(f, many); });
  refused("a team", [&] { static_cast<void>(rc.team_view(1).apply(with_communicator)); });
  refused("a predicate", [&] { static_cast<void>(pool.with({.depend = predicate}).apply([] {})); });
  refused("an argument", [&] { static_cast<void>(rc[0].apply([](PlainFunction g) { return g(1); }, f)); });
  refused("after another", [&] { static_cast<void>(pool.with({.after = pool.apply([] {})}).apply(f, 1)); });
  const auto in_task = [] {
    try {
      static_cast<void>(rv::this_task::submit(made_at_run_time<PlainFunction>(), 1));
    } catch (const rv::UsageError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  for (const std::string& error : rc[rv::all].apply_sync(in_task)) check::that(check::contains(error, "lies in no loaded module"), error);
  try {
    rc[0].apply_sync([] { return made_at_run_time<PlainFunction>(); });
    check::that(false, "a result: no error");
  } catch (const rv::RemoteError& error) {
    check::that(check::contains(error.what(), "lies in no loaded module"), error.what());
  }
  check::that(rc.wait(std::chrono::seconds(30)), "nothing is left to wait for");
  const rv::QueueStatus status = rc.queue_status();
  check::that(status.unassigned == 0 && status.dependent == 0, "nothing is in the queues");
  check::that(rc[rv::all].apply_sync(rv::this_engine::id) == rc.ids(), "the engines live");
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
    } else if (how == "missing_subtask") {
      // Rank 0 could not pass it on.
      const auto submit = [](const std::string& file) {
        const auto scale = find<PlainFunction>(file, "plain_scale");
        try {
          return std::to_string(rv::this_task::submit(scale, 2).get());
        } catch (const rv::RemoteError& error) {
          return std::string(error.what());
        }
      };
      for (int i = 0; i < 3; ++i) check::that(check::contains(rc[0].apply_sync(submit, path), "not loaded"), "the task is told why");
      check::that(load(path), "loading");
      for (const bool loaded : rc[rv::all].apply_sync(load, path)) check::that(loaded, "loading on an engine");
      check::that(rc[0].apply_sync(submit, path) == "10", "it may still come");
    } else if (how == "reloaded") {
      reload(rc, {path, words.at(2)}, {5, 7});
    } else if (how == "unmapped") {
      ship_nothing(rc);
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
